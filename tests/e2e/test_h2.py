"""HTTP/2 inside tunnels whose TLS ends at the proxy: each stream is an exchange of its own."""
import json
import os
import pathlib
import subprocess

import pytest

import origins
from harness import read_head, sanitized, tool, wait_until
from test_terminate import Inspection, inside_of, inspection, open_tls, terminating, tunnel_of  # noqa: F401: a fixture among them

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def h2(authority, h2_port):
    p = subprocess.Popen([tool("node"), HERE / "h2_origin.js", str(h2_port), authority.key, authority.cert], stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    yield h2_port
    p.kill()
    p.wait()


@pytest.fixture(scope="module")
def proxy(make_proxy, inspection, authority):  # noqa: F811
    with make_proxy("h2", config=terminating(inspection, authority)) as p:
        yield p


def node(proxy, inspection, url, what, *more, seconds=60, **environment):  # noqa: F811
    r = proxy.run(tool("node"), HERE / "h2_client.js", url, what, *map(str, more), seconds=seconds,
                  env=proxy.environment(NODE_EXTRA_CA_CERTS=str(inspection.certificate), **environment))
    assert r.returncode == 0, r
    seen = json.loads(r.stdout)
    assert seen.get("protocol") == "h2" and "timeout" not in seen, seen
    return seen


def test_curl(proxy, h2, inspection, name):  # noqa: F811
    host = name()
    url = f"https://{host}:{h2}/hello"
    r = proxy.run(tool("curl"), "-sS", "-D", "-", "--cacert", inspection.certificate, url, url)
    assert r.stdout.count(b"hello from the origin") == 2 and r.stdout.count(b"HTTP/2 200") == 2, r
    assert b"alt-svc" not in r.stdout
    t = tunnel_of(proxy, host)
    assert t.reason == "completed" and t.get("unmapped.inside.protocol") == "h2"
    inside = inside_of(proxy, t)
    assert len(inside) == 2 and all(x.reason == "completed" and x.decision for x in inside), inside
    x = inside[0]
    assert x.executable == tool("curl") and x.confidence == "exact"
    assert x.get("http_request.url.url_string") == url and x.get("http_response.code") == 200
    assert t.get("traffic.bytes_in") == sum(x.get("traffic.bytes_in") for x in inside)


def test_a_server_that_speaks_no_http2_is_reached_by_http1(proxy, https, inspection, name):  # noqa: F811
    host = name()
    r = proxy.run(tool("curl"), "-sS", "--http2", "-D", "-", "--cacert", inspection.certificate, f"https://{host}:{https.port}/hello")
    assert b"HTTP/1.1 200" in r.stdout, r


def test_streams_are_decided_one_by_one(make_proxy, h2, inspection, authority, name, tmp_path):  # noqa: F811
    host = name()
    rules = tmp_path / "rules"
    rules.mkdir()
    os.chmod(tmp_path, 0o755)
    (rules / "blocked.yml").write_text("title: Path that is blocked\nid: 7c4f2f2e-6a0e-4f4e-9d0c-1c5d2b3a4f5e\nstatus: stable\nlevel: high\n"
                                       "author: tests\nlogsource:\n  category: proxy\ndetection:\n  selection:\n    cs-uri-stem: /blocked\n"
                                       "  condition: selection\n")
    actions = tmp_path / "actions.yaml"
    actions.write_text("version: 1\nactions:\n  - rule: 7c4f2f2e-6a0e-4f4e-9d0c-1c5d2b3a4f5e\n    action: block\n")
    config = terminating(inspection, authority)
    config["policy"] |= {"rules": [str(rules)], "actions": str(actions)}
    with make_proxy("h2rules", config=config) as p:
        seen = node(p, inspection, f"https://{host}:{h2}/", "many")
        good, blocked, headers, reset, half, last = seen["answers"]
        assert good["status"] == last["status"] == headers["status"] == 200
        assert blocked["status"] == 403 and "rule" in blocked["body"] and "proxy-status" in blocked["headers"], blocked
        assert reset["code"] == 11 and half["code"] in (1, 2) and half["bytes"] == 4, (reset, half)
        assert "altsvc" not in seen
        t = tunnel_of(p, host)
        six = wait_until(lambda: len(i := inside_of(p, t)) == 6 and i, "six exchanges")
        reasons = sorted((x.get("http_request.url.url_string").rsplit("/", 1)[1], x.reason) for x in six)
        assert reasons == [("blocked", "rule"), ("half", "server_reset"), ("headers", "completed"), ("hello", "completed"),
                           ("hello", "completed"), ("reset", "server_reset")], reasons


def test_another_authority_is_misdirected(proxy, h2, inspection, name):  # noqa: F811
    host = name()
    seen = node(proxy, inspection, f"https://{host}:{h2}/", "authority")
    assert seen["answer"]["status"] == 421 and seen["good"]["status"] == 200
    inside = inside_of(proxy, tunnel_of(proxy, host))
    assert sorted(x.reason for x in inside) == ["completed", "host_misdirected"]


def test_both_directions_stream_at_once(proxy, h2, inspection, name):  # noqa: F811
    seen = node(proxy, inspection, f"https://{name()}:{h2}/", "talk")
    a = seen["answer"]
    assert a["status"] == 200 and a["bytes"] == 200 and a["trailers"]["grpc-status"] == "0", seen


def test_websockets_over_http2(proxy, h2, inspection, name):  # noqa: F811
    host = name()
    seen = node(proxy, inspection, f"https://{host}:{h2}/", "websocket")
    assert seen["answer"]["status"] == 200 and seen["answer"]["bytes"] == 17, seen
    x = proxy.exchange(host, where=lambda x: x.get("unmapped.tunnel"))
    assert x.reason == "completed" and x.get("http_request.url.url_string") == f"https://{host}:{h2}/chat"
    assert x.get("unmapped.websocket.used") is True and x.get("unmapped.websocket.messages_out") == 1, x
    assert x.get("unmapped.websocket.payload_out") == "text" and x.get("unmapped.websocket.fault_out") is None
    assert x.get("unmapped.websocket.fault_in") == "mask"  # that origin sends back what it got, masked


WEBSOCKET = "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"


@pytest.mark.parametrize("what", ["text", "tls", "raw"])
def test_websockets_over_http1(proxy, https, inspection, name, what):  # noqa: F811
    host = name()
    tls = open_tls(proxy, host, https.port, inspection)
    tls.sendall(WEBSOCKET.format(host).encode())
    assert " 101 " in read_head(tls)
    assert "sec-websocket-extensions" not in https.requests_for(host)[-1]["headers"]
    hello = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + bytes(40)
    tls.sendall({"text": b"\x81\x85\0\0\0\0hello", "tls": b"\x82" + bytes([0x80 | len(hello)]) + bytes(4) + hello, "raw": hello}[what])
    tls.settimeout(0.5)
    try:
        tls.recv(100)
    except (TimeoutError, OSError):
        pass
    tls.close()
    x = proxy.exchange(host, where=lambda x: x.get("unmapped.tunnel"))
    assert x.get("unmapped.websocket.used") is True, x
    if what == "raw":
        assert x.get("unmapped.websocket.fault_out") == "reserved"
    else:
        assert x.get("unmapped.websocket.payload_out") == what and x.get("unmapped.websocket.messages_out") == 1


def test_a_lost_server_is_said(proxy, h2, inspection, name):  # noqa: F811
    host = name()
    seen = node(proxy, inspection, f"https://{host}:{h2}/cut", "get")
    assert seen["answer"]["status"] == 502, seen
    x, = inside_of(proxy, tunnel_of(proxy, host))
    assert x.reason in ("response_incomplete", "server_reset")


@pytest.mark.parametrize("way", ["download", "upload"])
def test_a_gigabyte_in_constant_memory(proxy, h2, inspection, name, way):  # noqa: F811
    size = 1 << 26 if sanitized() else 1 << 30
    node(proxy, inspection, f"https://{name()}:{h2}/bytes/1000000", "get")
    before = proxy.daemon.rss_kib()
    url = f"https://{name()}:{h2}/bytes/{size}"
    seen = node(proxy, inspection, url, "get", seconds=300) if way == "download" else node(proxy, inspection, url, "upload", size, seconds=300)
    a = seen["answer"]
    assert a["status"] == 200 and (a["bytes"] == size if way == "download" else a["body"] == str(size)), a
    assert sanitized() or proxy.daemon.rss_kib() - before < 32 << 10


def test_h2load(proxy, h2, name):
    host, requests = name(), 1000
    forward = origins.Forward(proxy, host, h2)
    r = subprocess.run([tool("h2load"), "-n", str(requests), "-c", "2", "-m", "50", f"--connect-to=127.0.0.1:{forward.port}",
                        f"https://{host}:{h2}/hello"], capture_output=True, timeout=120)
    assert f"{requests} succeeded, 0 failed, 0 errored".encode() in r.stdout, r
    inside = wait_until(lambda: len(i := proxy.ledger.find(lambda x: x.close and x.get("unmapped.tunnel") and host in str(
        x.get("http_request.url.url_string")))) == requests and i, "as many exchanges", 60)
    assert all(x.reason == "completed" and x.decision for x in inside)


def test_chromium(proxy, h2, name, tmp_path):
    host = name()
    argv = [tool("chromium"), f"--proxy-server={proxy.url}", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}", "--ignore-certificate-errors", "--virtual-time-budget=10000", "--dump-dom",
            f"https://{host}:{h2}/hello"]
    r = proxy.run(*argv, seconds=120)
    assert b"hello from the origin" in r.stdout, r
    x = proxy.exchange(host, where=lambda x: x.get("unmapped.tunnel") and "/hello" in str(x.get("http_request.url.url_string")))
    assert x.reason == "completed"
