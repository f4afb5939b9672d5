"""Clients that speak HTTP/2 only, servers that speak HTTP/1.1 only: each request arrives once, as it was meant, or not at all."""
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading

import pytest

import origins
from harness import open_for_others, sanitized, tool, wait_until
from test_h2 import node
from test_terminate import inspection, open_tls, terminating, tunnel_of  # noqa: F401: a fixture among them


@pytest.fixture(scope="module")
def nginx(authority, tmp_path_factory):
    """It speaks HTTP/1.1 only, refuses clients that don't offer it, and closes each connection after 50 requests."""
    folder, port = tmp_path_factory.mktemp("nginx"), origins.free_port()
    open_for_others(folder)
    (folder / "hello").write_text("hello from nginx\n")
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}/body; client_max_body_size 100m;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl; listen [::1]:{port} ssl; ssl_certificate {authority.cert}; ssl_certificate_key {authority.key};
    keepalive_requests 50; root {folder};
  }}
}}
""")
    p = subprocess.Popen([tool("nginx"), "-c", folder / "nginx.conf", "-e", folder / "error.log"])

    def listens():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, "nginx")
    p.port, p.folder = port, folder
    yield p
    p.terminate()
    p.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def strict(authority):
    origin = Strict(authority)
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def proxy(make_proxy, inspection, authority, nginx, strict):  # noqa: F811
    with make_proxy("h2toh1", config=terminating(inspection, authority), ports=[nginx.port, strict.port]) as p:
        yield p


# ---- well-behaved clients ----

def test_h2load(proxy, nginx, name):
    host, requests, log = name("v4"), 1000, nginx.folder / "access.log"
    before = len(log.read_text().splitlines())
    forward = origins.Forward(proxy, host, nginx.port)
    r = subprocess.run([tool("h2load"), "-n", str(requests), "-c", "2", "-m", "50", "--npn-list=h2", f"--connect-to=127.0.0.1:{forward.port}",
                        f"https://{host}:{nginx.port}/hello"], capture_output=True, timeout=120)
    assert f"{requests} succeeded, 0 failed, 0 errored".encode() in r.stdout and b"Application protocol: h2" in r.stdout, r
    inside = wait_until(lambda: len(i := proxy.ledger.find(lambda x: x.close and x.get("unmapped.tunnel") and host in str(
        x.get("http_request.url.url_string")))) == requests and i, "as many exchanges", 60)
    assert all(x.reason == "completed" and x.decision for x in inside)
    lines = wait_until(lambda: len(t := log.read_text().splitlines()[before:]) >= requests and t, "its log")
    assert len(lines) == requests and all('"GET /hello HTTP/1.1" 200' in line for line in lines)


def test_curl(proxy, nginx, inspection, name):  # noqa: F811
    """What knows both is spoken to in HTTP/1.1, as before."""
    host = name("v4")
    r = proxy.run(tool("curl"), "-sS", "-D", "-", "--http2", "--cacert", inspection.certificate, f"https://{host}:{nginx.port}/hello")
    assert b"HTTP/1.1 200" in r.stdout and b"hello from nginx" in r.stdout, r
    assert tunnel_of(proxy, host).get("unmapped.inside.protocol") == "http/1.1"


def test_much_each_way_in_constant_memory(proxy, https, inspection, name):  # noqa: F811
    host, size = name("v4"), 1 << 26
    node(proxy, inspection, f"https://{host}:{https.port}/bytes/1000000", "get", H2_ONLY="1")
    before = proxy.daemon.rss_kib()
    seen = node(proxy, inspection, f"https://{host}:{https.port}/bytes/{size}", "get", H2_ONLY="1")
    assert seen["answer"]["status"] == 200 and seen["answer"]["bytes"] == size, seen
    seen = node(proxy, inspection, f"https://{host}:{https.port}/sink", "upload", size, H2_ONLY="1")
    assert seen["answer"]["status"] == 200 and https.requests_for(host)[-1]["length"] == size, seen
    assert sanitized() or proxy.daemon.rss_kib() - before < 32 << 10


# ---- a client that sends what it likes, and a server that takes nothing amiss silently ----

class Strict(origins.Door):
    """One request after the other, each read to the byte; anything that could be read in two ways is kept as `odd`."""

    def __init__(self, authority):
        self.context = authority.server_context()
        self.requests, self.odd, self.answers, self.lock = [], [], {}, threading.Lock()
        super().__init__()

    def serve(self, s):
        try:
            with self.context.wrap_socket(s, server_side=True) as tls:
                reader = tls.makefile("rb")
                while request := self.read(reader):
                    with self.lock:
                        self.requests.append(request)
                    answer = self.answers.get(request[1], b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen")
                    tls.sendall(answer)
                    if b"onnection: close" in answer or b"ength" not in answer and b"chunked" not in answer:
                        tls.unwrap()
                        return
        except (OSError, ValueError, ssl.SSLError):
            pass

    def read(self, reader):
        """(method, target, fields, body), or None at the end."""
        first = reader.readline()
        if not first:
            return None
        lines = [first]
        while lines[-1] != b"\r\n":
            line = reader.readline()
            if not line:
                return None
            lines.append(line)
        if any(not line.endswith(b"\r\n") or re.search(rb"[\r\n\0]", line[:-2]) for line in lines):
            self.odd.append(lines)
        match = re.fullmatch(rb"(\S+) (/[!-~]*|\*) HTTP/1\.1", lines[0][:-2])
        fields = []
        for line in lines[1:-1]:
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ((?:\S(?:.*\S)?)?)", line[:-2])
            if not field:
                self.odd.append(lines)
                continue
            fields.append((field[1].decode().lower(), field[2]))
        names = [n for n, _ in fields]
        lengths, coding = [v for n, v in fields if n == "content-length"], [v for n, v in fields if n == "transfer-encoding"]
        if not match or names.count("host") != 1 or len(lengths) + len(coding) > 1 or "connection" in names or any(c != b"chunked" for c in coding):
            self.odd.append(lines)
            raise ValueError
        return match[1], match[2], dict(fields), self.body(reader, int(lengths[0]) if lengths else 0, bool(coding))

    def body(self, reader, length, chunked):
        if not chunked:
            body = reader.read(length)
            if len(body) < length:
                raise ValueError("cut short")
            return body
        body = b""
        while True:
            line = reader.readline()
            if not re.fullmatch(rb"[0-9a-f]+\r\n", line):
                raise ValueError("cut short")
            if int(line, 16) == 0:
                break
            body += reader.read(int(line, 16))
            assert reader.read(2) == b"\r\n"
        while (line := reader.readline()) != b"\r\n":
            if not line:
                raise ValueError("cut short")
        return body


class Frames:
    """HTTP/2 by hand: every field literal and as given (RFC 7541, 6.2.2), every frame as told."""

    def __init__(self, proxy, host, port, inspection):  # noqa: F811
        self.tls = open_tls(proxy, host, port, inspection, alpn=("h2",))
        assert self.tls.selected_alpn_protocol() == "h2"
        self.tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, b""))
        self.next, self.buffer, self.over = 1, b"", {}
        self.bodies, self.resets, self.gone = {}, {}, None

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    @staticmethod
    def number(value):
        out, value = b"\x7f", value - 127
        while value >= 128:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    def block(self, fields):
        text = b""
        for pair in fields:
            text += b"\0" + b"".join((bytes([len(s)]) if len(s) < 127 else self.number(len(s))) + s for s in pair)
        return text

    def send(self, fields, data=(), trailers=None, end=True):
        """A request; `data`: DATA frames. Returns the stream's number."""
        stream, self.next = self.next, self.next + 2
        last = not data and trailers is None and end
        out = self.frame(1, 4 | last, stream, self.block(fields))
        for n, piece in enumerate(data):
            out += self.frame(0, int(n == len(data) - 1 and trailers is None and end), stream, piece)
        if trailers is not None:
            out += self.frame(1, 5, stream, self.block(trailers))
        self.tls.sendall(out)
        return stream

    def wait(self, stream):
        """"seen", another body, ("reset", code) or ("gone", code): how it ended."""
        while stream not in self.over and self.gone is None:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                data = self.tls.recv(65536)
                if not data:
                    self.gone = -1
                    return ("gone", -1)
                self.buffer += data
            self.take()
        return self.over.get(stream, ("gone", self.gone))

    def take(self):
        length, kind, flags, stream = int.from_bytes(self.buffer[:3], "big"), self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        if kind == 0:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        if kind == 3:
            self.over.setdefault(stream, ("reset", int.from_bytes(payload, "big")))
        if kind == 7 and int.from_bytes(payload[4:8], "big"):
            self.gone = int.from_bytes(payload[4:8], "big")
        if kind == 4 and not flags & 1:
            self.tls.sendall(self.frame(4, 1, 0, b""))
        if kind in (0, 1) and flags & 1:
            self.over.setdefault(stream, self.bodies.get(stream, b"").decode("latin-1"))


def head(host, path=b"/x", method=b"GET", more=(), scheme=b"https", authority=None):
    return [(b":method", method), (b":scheme", scheme), (b":authority", host if authority is None else authority), (b":path", path), *more]


INNER = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKS = b"0\r\n\r\n" + INNER
F = lambda *pairs: [(n.encode("latin-1"), v.encode("latin-1") if isinstance(v, str) else v) for n, v in pairs]

# what -> (fields beside the usual ones or the whole head, DATA frames, trailers)
REFUSED = {
    # two ways to say where a body ends
    "transfer-encoding": (lambda h: head(h, method=b"POST", more=F(("transfer-encoding", "chunked"))), [CHUNKS], None),
    "transfer-encoding, not chunked": (lambda h: head(h, method=b"POST", more=F(("transfer-encoding", "identity"))), [INNER], None),
    "length and coding": (lambda h: head(h, method=b"POST", more=F(("content-length", "5"), ("transfer-encoding", "chunked"))), [CHUNKS], None),
    "length of 0 and a body": (lambda h: head(h, method=b"POST", more=F(("content-length", "0"))), [INNER], None),
    "shorter than its length": (lambda h: head(h, method=b"POST", more=F(("content-length", "100"))), [INNER], None),
    "longer than its length": (lambda h: head(h, method=b"POST", more=F(("content-length", "3"))), [b"abc" + INNER], None),
    "longer, in a later frame": (lambda h: head(h, method=b"POST", more=F(("content-length", "3"))), [b"abc", INNER], None),
    "length without a body": (lambda h: head(h, more=F(("content-length", "35"))), [], None),
    "two lengths": (lambda h: head(h, method=b"POST", more=F(("content-length", "3"), ("content-length", "35"))), [INNER], None),
    "two lengths in one": (lambda h: head(h, method=b"POST", more=F(("content-length", "3, 3"))), [b"abc"], None),
    "a length with a sign": (lambda h: head(h, method=b"POST", more=F(("content-length", "+3"))), [b"abc"], None),
    "a length in hexadecimal": (lambda h: head(h, method=b"POST", more=F(("content-length", "0x3"))), [b"abc"], None),
    "a length with zeros before": (lambda h: head(h, method=b"POST", more=F(("content-length", "003"))), [b"abc"], None),
    "a length past 64 bits": (lambda h: head(h, method=b"POST", more=F(("content-length", "18446744073709551619"))), [b"abc"], None),
    "what looks like a length": (lambda h: head(h, method=b"POST", more=F(("content_length", "100"))), [b"abc"], None),
    "what looks like a coding": (lambda h: head(h, method=b"POST", more=F(("transfer_encoding", "chunked"))), [b"abc"], None),
    # lines within a line
    "CR LF in a value": (lambda h: head(h, more=F(("x", "a\r\n\r\n" + INNER.decode()))), [], None),
    "LF in a value": (lambda h: head(h, more=F(("x", "a\nhost: b"))), [], None),
    "CR in a value": (lambda h: head(h, more=F(("x", "a\rhost: b"))), [], None),
    "NUL in a value": (lambda h: head(h, more=F(("x", "a\0b"))), [], None),
    "CR LF in a name": (lambda h: head(h, more=F(("x: a\r\ntransfer-encoding", "chunked"))), [], None),
    "a colon in a name": (lambda h: head(h, more=F(("transfer-encoding: chunked\r\nx", "a"))), [], None),
    "a colon alone in a name": (lambda h: head(h, more=F(("x:y", "a"))), [], None),
    "white space in a name": (lambda h: head(h, more=F(("transfer-encoding ", "chunked"))), [], None),
    "white space before a name": (lambda h: head(h, more=F((" x", "folded"))), [], None),
    "a name of nothing": (lambda h: head(h, more=F(("", "a"))), [], None),
    "large letters": (lambda h: head(h, more=F(("Transfer-Encoding", "chunked"))), [], None),
    "a name beyond ASCII": (lambda h: head(h, more=F(("x\xe9", "a"))), [], None),
    "CR LF in the path": (lambda h: head(h, b"/ HTTP/1.1\r\nHost: a\r\n\r\n" + INNER), [], None),
    "a space in the path": (lambda h: head(h, b"/ HTTP/1.1"), [], None),
    "a tab in the path": (lambda h: head(h, b"/\tHTTP/1.1"), [], None),
    "NUL in the path": (lambda h: head(h, b"/\0"), [], None),
    "a fragment": (lambda h: head(h, b"/#a"), [], None),
    "bytes beyond ASCII in the path": (lambda h: head(h, b"/\xc3\xa9"), [], None),
    "no path": (lambda h: head(h)[:3], [], None),
    "an empty path": (lambda h: head(h, b""), [], None),
    "an absolute path": (lambda h: head(h, b"https://other.exeat.test/"), [], None),
    "a path without its slash": (lambda h: head(h, b"x"), [], None),
    "an asterisk for GET": (lambda h: head(h, b"*"), [], None),
    "CR LF in the method": (lambda h: head(h, method=b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"), [], None),
    "a space in the method": (lambda h: head(h, method=b"GET /x HTTP/1.1 GET"), [], None),
    "a method of nothing": (lambda h: head(h, method=b""), [], None),
    "CONNECT": (lambda h: [(b":method", b"CONNECT"), (b":authority", h)], [], None),
    "an extended CONNECT": (lambda h: head(h, method=b"CONNECT", more=()) + F((":protocol", "websocket")), [], None),
    "CR LF in the authority": (lambda h: head(h, authority=h + b"\r\nX: y"), [], None),
    "a space in the authority": (lambda h: head(h, authority=h + b" a"), [], None),
    "somebody in the authority": (lambda h: head(h, authority=b"a@" + h), [], None),
    "another authority": (lambda h: head(h, authority=b"other.exeat.test"), [], None),
    "no authority": (lambda h: [f for f in head(h) if f[0] != b":authority"], [], None),
    "another Host": (lambda h: head(h, more=F(("host", "other.exeat.test"))), [], None),
    "two Hosts": (lambda h: head(h, more=[(b"host", h), (b"host", h)]), [], None),
    "another scheme": (lambda h: head(h, scheme=b"http"), [], None),
    "CR LF in the scheme": (lambda h: head(h, scheme=b"https\r\nX: y"), [], None),
    "two paths": (lambda h: head(h) + F((":path", "/smuggled")), [], None),
    "two methods": (lambda h: head(h) + F((":method", "POST")), [], None),
    "a status": (lambda h: head(h) + F((":status", "200")), [], None),
    "an unknown pseudo-header": (lambda h: head(h) + F((":smuggled", "1")), [], None),
    "a pseudo-header late": (lambda h: [(b":method", b"GET"), (b"x", b"y"), *head(h)[1:]], [], None),
    # what is about a connection
    "connection": (lambda h: head(h, more=F(("connection", "close"))), [], None),
    "connection names a field": (lambda h: head(h, more=F(("connection", "content-length"), ("content-length", "3"))), [b"abc"], None),
    "keep-alive": (lambda h: head(h, more=F(("keep-alive", "1"))), [], None),
    "proxy-connection": (lambda h: head(h, more=F(("proxy-connection", "close"))), [], None),
    "upgrade": (lambda h: head(h, more=F(("upgrade", "h2c"))), [], None),
    "te": (lambda h: head(h, more=F(("te", "chunked"))), [], None),
    "another expectation": (lambda h: head(h, method=b"POST", more=F(("expect", "smuggling"))), [b"abc"], None),
    "a pseudo-header as a trailer": (lambda h: head(h, method=b"POST"), [b"abc"], F((":path", "/smuggled"))),
    "a length as a trailer": (lambda h: head(h, method=b"POST"), [b"abc"], F(("content-length", "100"))),
    "a coding as a trailer": (lambda h: head(h, method=b"POST"), [b"abc"], F(("transfer-encoding", "chunked"))),
    "CR LF in a trailer": (lambda h: head(h, method=b"POST"), [b"abc"], F(("x", "a\r\n\r\n" + INNER.decode()))),
}


def plain(method, path, body=b"", **fields):
    return method, path, fields, body


# what -> (head, DATA frames, trailers), the request that the server must see
MEANT = {
    "GET": ((lambda h: head(h), [], None), plain(b"GET", b"/x")),
    "an odd path, as it is": ((lambda h: head(h, b"//a/../b;c?d=%0d%0a&e=http://f/"), [], None), plain(b"GET", b"//a/../b;c?d=%0d%0a&e=http://f/")),
    "OPTIONS of everything": ((lambda h: head(h, b"*", b"OPTIONS"), [], None), plain(b"OPTIONS", b"*")),
    "another method": ((lambda h: head(h, method=b"DELETE"), [], None), plain(b"DELETE", b"/x")),
    "crumbs of cookies": ((lambda h: head(h, more=F(("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f"))), [], None),
                          plain(b"GET", b"/x", cookie=b"a=b; c=d; e=f", x=b"y")),
    "te: trailers": ((lambda h: head(h, more=F(("te", "trailers"))), [], None), plain(b"GET", b"/x", te=None)),
    "the proxy's password": ((lambda h: head(h, more=F(("proxy-authorization", "Basic eA=="))), [], None), plain(b"GET", b"/x", **{"proxy-authorization": None})),
    "Host that says the same": ((lambda h: head(h, more=[(b"host", h)]), [], None), plain(b"GET", b"/x")),
    "a POST of nothing": ((lambda h: head(h, method=b"POST"), [], None), plain(b"POST", b"/x", **{"content-length": b"0"})),
    "a length of 0": ((lambda h: head(h, method=b"POST", more=F(("content-length", "0"))), [b""], None), plain(b"POST", b"/x", **{"content-length": b"0"})),
    "a body with its length": ((lambda h: head(h, method=b"POST", more=F(("content-length", "35"))), [INNER[:3], INNER[3:34], INNER[34:35]], None),
                               plain(b"POST", b"/x", INNER[:35])),
    "a body that looks like chunks": ((lambda h: head(h, method=b"POST"), [CHUNKS], None), plain(b"POST", b"/x", CHUNKS)),
    "a GET with a body": ((lambda h: head(h, more=F(("content-length", "3"))), [b"abc"], None), plain(b"GET", b"/x", b"abc")),
    "trailers, but those that mean something": ((lambda h: head(h, method=b"POST"), [b"abc"], F(("x-sum", "1"), ("host", "b"), ("trailer", "x"), ("cookie", "a=b"))),
                                                plain(b"POST", b"/x", b"abc", **{"x-sum": None})),
    "a value beyond ASCII": ((lambda h: head(h, more=F(("x", "\xe9"))), [], None), plain(b"GET", b"/x", x=b"\xe9")),
    "an empty value": ((lambda h: head(h, more=F(("x", ""))), [], None), plain(b"GET", b"/x", x=b"")),
}


def good(c, strict, host, n):
    """The connection, or a new one where the last was given up, still serves."""
    stream = c.send(head(host, b"/good/%d" % n))
    assert c.wait(stream) == "seen", c.over
    return plain(b"GET", b"/good/%d" % n)


def same(seen, meant, host):
    method, path, fields, body = meant
    return seen[0] == method and seen[1] == path and seen[3] == body and seen[2]["host"] == host and \
        all(seen[2].get(n) == v for n, v in fields.items())


def test_nothing_is_smuggled(proxy, strict, inspection, name):  # noqa: F811
    """Every request that the server saw is one that was meant, and was seen once; whatever is refused leaves no byte behind."""
    text = name("v4")
    host = f"{text}:{strict.port}".encode()
    c, before, meant, wrong = Frames(proxy, text, strict.port, inspection), len(strict.requests), [], []
    for n, (what, (fields, data, trailers)) in enumerate(REFUSED.items()):
        if c.gone is not None:
            c = Frames(proxy, text, strict.port, inspection)
        end = c.wait(c.send(fields(host), data, trailers))
        if end == "seen":
            wrong.append(what)
        if c.gone is not None:
            c = Frames(proxy, text, strict.port, inspection)
        meant.append(good(c, strict, host, n))
    assert not wrong, wrong
    for what, ((fields, data, trailers), request) in MEANT.items():
        assert c.wait(c.send(fields(host), data, trailers)) == "seen", what
        meant.append(request)
    seen = strict.requests[before:]
    assert len(seen) == len(meant) and all(same(s, m, host) for s, m in zip(seen, meant)), [
        (s, m) for s, m in zip(seen, meant) if not same(s, m, host)]
    assert not strict.odd


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX-Sum: 1\r\n\r\n", "ok"),
    "until-close": (b"HTTP/1.1 200 OK\r\n\r\nok", "ok"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok", "ok"),
    "interim": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
    "nothing": (b"HTTP/1.1 204 No Content\r\nX-Length: 0\r\n\r\n", ""),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", ""),
    "about-connections": (b"HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2\r\nContent-Length: 2\r\n\r\nok", "ok"),
    # what must not look whole, or is no answer
    "short": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nok", ("reset", 2)),
    "no-last-chunk": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", ("reset", 2)),
    "broken-chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nok\r\n", ("reset", 2)),
    "two-lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "response_malformed"),
    "switched": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\nX-Length: 1\r\n\r\n", "response_malformed"),
    "no-http": (b"SSH-2.0-length\r\n", "response_malformed"),
    "folded": (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "response_malformed"),
    "closes": (b"onnection: close", "response_malformed"),
    # a second answer that nobody asked for belongs to nobody
    "two-answers": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "ok"),
}


def test_answers(proxy, strict, inspection, name):  # noqa: F811
    text = name("v4")
    host = f"{text}:{strict.port}".encode()
    c = Frames(proxy, text, strict.port, inspection)
    for n, (what, (answer, meant)) in enumerate(ANSWERS.items()):
        path = b"/answers/" + what.encode()
        strict.answers[path] = answer
        end = c.wait(c.send(head(host, path)))
        assert end == meant or (meant == "response_malformed" and meant in end), (what, end)
        good(c, strict, host, 1000 + n)
    strict.answers[b"/answers/head"] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    assert c.wait(c.send(head(host, b"/answers/head", b"HEAD"))) == ""
    good(c, strict, host, 2000)
    exchanges = wait_until(lambda: len(i := proxy.ledger.find(lambda x: x.close and "/answers/" in str(
        x.get("http_request.url.url_string")))) == len(ANSWERS) + 1 and i, "all exchanges")
    reasons = {x.get("http_request.url.url_string").rsplit("/", 1)[1]: x.reason for x in exchanges}
    assert reasons["short"] == reasons["no-last-chunk"] == "response_incomplete" and reasons["broken-chunk"] == "response_malformed", reasons
    assert reasons["length"] == reasons["until-close"] == reasons["head"] == "completed", reasons


def test_many_at_once_are_each_answered_with_their_own(proxy, https, inspection, name):  # noqa: F811
    text = name("v4")
    host = f"{text}:{https.port}".encode()
    c = Frames(proxy, text, https.port, inspection)
    streams = [c.send(head(host, b"/bytes/%d" % (100 + n) if n % 5 else b"/close")) for n in range(60)]
    for n, stream in enumerate(streams):
        end = c.wait(stream)
        assert end == "until close" if n % 5 == 0 else len(end) == 100 + n, (n, end)
