"""Plain HTTP: exchanges are proxied properly, and what could be read in two ways reaches nobody."""
import base64
import json
import pathlib
import re
import socket

import pytest

import origins
from harness import Answer, SOURCE, default_baseline, read_all, read_head, wait_until

VECTORS = SOURCE / "tests/vectors/http1"


def request(method, host, port, path="/hello", *fields, body=b""):
    lines = [f"{method} http://{host}:{port}{path} HTTP/1.1", f"Host: {host}:{port}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_pipelining(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(b"".join(request("GET", host, http.port, f"/bytes/{n}") for n in (1, 70000, 3)))
    assert [len(Answer(s).body) for _ in range(3)] == [1, 70000, 3]
    s.close()
    for x in proxy.exchanges(host, 3):
        assert x.verdict == "allow" and x.reason == "completed"


def test_chunked_with_trailers_both_ways(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("POST", host, http.port, "/echo", "Transfer-Encoding: chunked", "Trailer: X-End",
                      body=b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-End: yes\r\n\r\n"))
    answer = Answer(s)
    assert answer.json["length"] == 11 and answer.json["trailers"] == {"x-end": "yes"}
    s.sendall(request("GET", host, http.port, "/chunked/200000"))
    answer = Answer(s)
    assert len(answer.body) == 200000
    assert answer.trailers == {"x-sum": str(origins.payload_crc(200000))}
    s.close()
    assert len(proxy.exchanges(host, 2)) == 2


def test_expect_100_continue(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("POST", host, http.port, "/echo", "Content-Length: 5", "Expect: 100-continue"))
    assert Answer(s).status == 100
    s.sendall(b"12345")
    assert Answer(s).json["length"] == 5
    s.close()
    assert proxy.exchange(host).reason == "completed"


def test_until_close(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("GET", host, http.port, "/close"))
    assert Answer(s).body == b"until close"
    s.close()
    assert proxy.exchange(host).reason == "completed"


def test_head_has_no_body(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("HEAD", host, http.port) + request("GET", host, http.port))
    assert Answer(s, body=False).status == 200
    assert b"hello" in Answer(s).body
    s.close()
    proxy.exchanges(host, 2)


def test_http10(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(f"GET http://{host}:{http.port}/hello HTTP/1.0\r\n\r\n".encode())
    answer = Answer(s)
    assert answer.status == 200 and read_all(s) == b""
    s.close()
    proxy.exchange(host)


def test_hop_by_hop_fields_stay_here(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("GET", host, http.port, "/echo", "Connection: X-Mine, keep-alive", "X-Mine: 1", "Keep-Alive: 5",
                      "TE: trailers", "Proxy-Connection: keep-alive", "X-Other: 2", "Upgrade: h2c",
                      "HTTP2-Settings: AAMAAABkAAQAAP__"))
    seen = Answer(s).json["headers"]
    s.close()
    for field in ("x-mine", "keep-alive", "proxy-connection", "upgrade", "http2-settings"):
        assert field not in seen, seen
    assert seen["x-other"] == "2" and proxy.name in seen["via"] and seen["host"] == f"{host}:{http.port}"


def test_an_answer_cut_short_is_not_made_whole(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("GET", host, http.port, "/half"))
    head = read_head(s)
    assert "Content-Length: 1000" in head
    with pytest.raises(ConnectionResetError):
        while s.recv(4096):
            pass
    s.close()
    assert proxy.exchange(host).reason == "response_incomplete"


def test_websocket_by_upgrade(proxy, http, name):
    host = name()
    s = proxy.raw()
    s.sendall(request("GET", host, http.port, "/ws", "Connection: Upgrade", "Upgrade: websocket",
                      "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
    answer = Answer(s)
    assert answer.status == 101 and answer.fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert origins.websocket_echo(s, "out and back") == "out and back"
    s.close()
    x = proxy.exchange(host)
    assert x.verdict == "allow" and x.get("proxy_http_response.code") == 101


def test_websocket_through_connect(proxy, http, name):
    host = name()
    s, head = proxy.connect(host, http.port)
    assert " 200 " in head
    s.sendall(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
              "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert Answer(s).status == 101
    assert origins.websocket_echo(s, "in a tunnel") == "in a tunnel"
    s.close()
    x = proxy.exchange(host)
    assert x.get("app_protocol_name") == "http" and "H01" in x.get("unmapped.anomalies")


# -- the corpus of malformed and ambiguous messages, raw, through the real thing --

class Sink(origins.socketserver.BaseRequestHandler):
    """Keeps every byte that reaches it, answers each connection with a canned response."""
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def handle(self):
        self.request.settimeout(0.3)
        data = b""
        try:
            while True:
                piece = self.request.recv(65536)
                if not piece:
                    break
                data += piece
                if b"\r\n\r\n" in data:
                    self.request.sendall(self.server.origin.response)
                    if self.server.origin.close_after:
                        break
        except OSError:
            pass
        self.server.origin.note_request({"headers": {}, "data": data})


@pytest.fixture(scope="module")
def sink():
    origin = origins.Origin(Sink)
    origin.response, origin.close_after = Sink.response, False
    yield origin
    origin.stop()


# The vectors were made for these limits; they name whatever hosts they like, and port 80.
LIMITS = {"head": "16KiB", "headers": 100, "target": "8KiB"}


@pytest.fixture(scope="module")
def vector_proxy(make_proxy, sink):
    baseline = default_baseline(extra=[])
    baseline["senders"][0]["allow"] = [{"any": True}]
    del baseline["destination_sets"]
    baseline["senders"] = baseline["senders"][:1]
    config = {"limits": dict(LIMITS, flows_per_client=10000),
              "timeouts": {"linger": "100ms"}, "guard": {"allow_networks": []}, "agent": {"timeout": "1s"}}
    with make_proxy("vectors", ports=[sink.port], baseline=baseline, config=config) as p:
        yield p


def vectors(kind):
    return [pytest.param(f, id=f.name[len(kind) + 1:-4]) for f in sorted(VECTORS.glob(f"{kind}.*.raw"))]


def fault_statuses():
    text = (SOURCE / "src/wire/http1_faults.def").read_text()
    return {m[0]: int(m[1]) for m in re.findall(r'X\([A-Z0-9_]+, "([a-z0-9_]+)", (\d+),', text)}


def test_malformed_requests(vector_proxy, sink, dns):
    """Each is answered with its fault's status, and none of it reaches a server. (Names of the corpus don't resolve to
    anything that may be dialled: a whole message ends as 403 or 502, a bad one with its own status.)"""
    statuses, wrong = fault_statuses(), []
    dns_before = len(dns.queries)
    files = sorted(VECTORS.glob("request.*.raw"))
    assert len(files) > 100
    for file in files:
        expected = file.name.split(".")[1]
        if expected.startswith("ok") or expected == "more":
            continue
        in_body = expected in ("trailers_too_large",) or "chunk" in file.name or ".after_body." in file.name
        s = vector_proxy.raw()
        try:
            s.sendall(file.read_bytes())
            status = Answer(s).status
        except (AssertionError, OSError) as e:
            status = str(e)
        s.close()
        # a body's fault comes after its head was judged: refused by then for where it wants to go
        if status != statuses[expected] and not (in_body and status in (400, 403, 502)):
            wrong.append((file.name, status, statuses[expected]))
    assert not wrong, wrong
    assert sink.connections == 0


def rewritten(data, host, port):
    """A vector aimed at our origin: its first host becomes ours, in the target and in Host."""
    found = re.search(rb"http://([^/ ?\r\n]+)", data)
    if not found:
        return None
    return data.replace(found.group(1), f"{host}:{port}".encode())


def test_ambiguous_bodies_do_not_get_through(proxy, make_proxy, sink, name):
    """Faults inside bodies: the server may see the head and whole chunks before it, never a complete request."""
    with make_proxy("bodies", ports=[sink.port], config={"limits": LIMITS, "timeouts": {"linger": "100ms"}}) as p:
        tried = 0
        for file in sorted(VECTORS.glob("request.*chunk*.raw")):
            if file.name.split(".")[1].startswith(("ok", "more")):
                continue
            data = rewritten(file.read_bytes(), name(), sink.port)
            if not data:
                continue
            tried += 1
            before = len(sink.requests)
            connections = sink.connections
            s = p.raw()
            s.sendall(data)
            try:
                read_all(s)
            except socket.timeout:
                raise AssertionError(f"{file.name}: no answer")
            s.close()
            if sink.connections > connections:
                wait_until(lambda: len(sink.requests) > before, "the origin's connection to end")
                seen = sink.requests[-1]["data"]
                assert not seen.endswith(b"0\r\n\r\n"), (file.name, seen)
        assert tried > 10


@pytest.mark.parametrize("kind", ["response"])
def test_malformed_responses(make_proxy, sink, name, kind):
    """A server's malformed answer is 502 with a reason, when nothing of it was passed on; else the connection is cut."""
    wrong = []
    with make_proxy("responses", ports=[sink.port], config={"limits": LIMITS, "timeouts": {"linger": "100ms"}}) as p:
        host = name()
        sink.close_after = True
        for file in sorted(VECTORS.glob(f"{kind}.*.raw")):
            expected = file.name.split(".")[1]
            if expected.startswith("ok") or expected == "more":
                continue
            sink.response = file.read_bytes()
            s = p.raw()
            s.sendall(request("GET", host, sink.port, "/"))
            s.settimeout(5)
            try:
                data = read_all(s)
            except socket.timeout:
                wrong.append((file.name, "hangs"))
                continue
            finally:
                s.close()
            if data.startswith(b"HTTP/1.1 502 "):
                if b"response_" not in data:
                    wrong.append((file.name, data[:300]))
            elif data.endswith(b"0\r\n\r\n") or not data.startswith(b"HTTP/1.1 "):
                wrong.append((file.name, data[:300]))
        sink.response, sink.close_after = Sink.response, False
        assert not wrong, wrong
        wait_until(lambda: p.status()["flows"] == 0, "the flows to end")
        p.ledger.read()
        bad = [x for x in p.ledger.exchanges.values() if x.close and x.reason == "completed"]
        assert not bad, bad
