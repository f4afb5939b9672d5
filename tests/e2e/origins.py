"""What the proxy is to reach in the tests: HTTP, HTTPS, WebSocket, raw TCP and DNS servers in threads of the test process.

Each origin listens on 127.0.0.1 and on ::1 at the same port, keeps what it was asked, and is killed by stop().
Payloads are made while they are sent (block k begins with its number), so that a gigabyte is never held.
"""
import base64
import hashlib
import json
import select
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import zlib
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

BLOCK = 1 << 16
_FILLER = hashlib.shake_128(b"exeat").digest(BLOCK - 8)


def payload(count):
    """Blocks of `count` bytes in all."""
    for number in range(0, count, BLOCK):
        block = struct.pack(">Q", number) + _FILLER
        yield block if count - number >= BLOCK else block[: count - number]


def payload_crc(count):
    crc = 0
    for block in payload(count):
        crc = zlib.crc32(block, crc)
    return crc


def free_port():
    """A port that is free on both loopbacks now, outside of the range the kernel hands out by itself."""
    low = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
    import random
    for _ in range(200):
        port = random.randrange(10000, max(low, 11000))
        try:
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as s:
                    s.bind((address, port))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    block_on_close = False

    def __init__(self, family, address, handler, origin):
        self.address_family = family
        self.origin = origin
        super().__init__(address, handler)

    def get_request(self):
        sock, address = super().get_request()
        self.origin.note_connection(sock)
        return sock, address

    def handle_error(self, request, client_address):
        pass  # a client that went away is no fault of the test's


def copy(a, b):
    """All that a says, and that it ended, to b."""
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Door:
    """A port of its own; each connection is `serve`d on a thread of its own."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Forward(Door):
    """Every connection is a tunnel through the proxy to one server: for clients that know no proxies."""

    def __init__(self, proxy, host, port):
        self.proxy, self.target = proxy, (host, port)
        super().__init__()

    def serve(self, client):
        try:
            with client:
                server, head = self.proxy.connect(*self.target, seconds=60)
                with server:
                    if " 200 " not in head:
                        return
                    back = threading.Thread(target=copy, args=(server, client), daemon=True)
                    back.start()
                    copy(client, server)
                    back.join()
        except OSError:
            pass


class Origin:
    """A threaded server; `handler` is a socketserver handler class."""

    def __init__(self, handler, tls=None, port=None):
        self.port = port or free_port()
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.release = threading.Event()  # lets /wait go on
        self.reached = threading.Event()  # /wait was asked for
        self.lock = threading.Lock()
        self._open = set()
        self._handler = handler
        self._servers = []
        self.start()

    def start(self):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            server = _Server(family, (address, self.port), self._handler, self)
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def note_connection(self, sock):
        with self.lock:
            self.connections += 1
            self._open.add(sock)

    def note_request(self, request):
        with self.lock:
            self.requests.append(request)

    def forget(self, sock):
        with self.lock:
            self._open.discard(sock)

    def cut(self):
        """Resets every connection."""
        with self.lock:
            for sock in self._open:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._open.clear()

    def stop(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []
        self.cut()

    def requests_for(self, host):
        with self.lock:
            return [r for r in self.requests if r["headers"].get("host", "").split(":")[0] == host]


class HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def setup(self):
        self.origin = self.server.origin
        if self.origin.tls:
            raw = self.request
            self.request = self.origin.tls.wrap_socket(raw, server_side=True)
            self.origin.forget(raw)
            self.origin._open.add(self.request)
        super().setup()

    def finish(self):
        try:
            super().finish()
        finally:
            self.origin.forget(self.request)
            if self.origin.tls:
                self._say_goodbye()

    def _say_goodbye(self):
        try:
            self.request.settimeout(1)
            self.request.unwrap()  # close_notify: without it a client takes the end for a truncation
        except (OSError, ValueError):
            pass
        self.request.close()

    def log_message(self, *args):
        pass

    def handle_expect_100(self):
        good = super().handle_expect_100()
        self.wfile.flush()
        return good

    def _body(self):
        """Length and checksum of the request's body; small ones also as they came."""
        crc, length, kept = 0, 0, b""
        for piece in self._body_pieces():
            crc, length = zlib.crc32(piece, crc), length + len(piece)
            if length <= BLOCK:
                kept += piece
        return crc, length, kept

    def _body_pieces(self):
        self.trailers = {}
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                if size == 0:
                    break
                yield self.rfile.read(size)
                self.rfile.readline()
            for line in iter(self.rfile.readline, b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                self.trailers[name.lower()] = value.strip()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, BLOCK))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def _send(self, body, status=200, kind="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self):
        path = urlsplit(self.path).path.strip("/").split("/")
        crc, length, body = (0, 0, b"") if path[0] in ("ws",) else self._body()
        self.origin.note_request({"method": self.command, "path": self.path, "version": self.request_version,
                                  "headers": {k.lower(): v for k, v in self.headers.items()},
                                  "names": [k.lower() for k in self.headers.keys()],
                                  "trailers": getattr(self, "trailers", {}), "length": length, "crc": crc,
                                  "body": body, "connection": id(self.connection)})
        getattr(self, "_do_" + path[0], self._do_hello)(path[1:], crc, length)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer

    def _do_hello(self, rest, crc, length):
        self._send(b"<!doctype html><title>t</title><p id=said>hello from the origin</p>\n", kind="text/html")

    def _do_echo(self, rest, crc, length):
        self._send(json.dumps({"crc": crc, "length": length, "trailers": self.trailers,
                               "headers": {k.lower(): v for k, v in self.headers.items()}}).encode(),
                   kind="application/json")

    def _do_bytes(self, rest, crc, length):
        self.send_response(200)
        self.send_header("Content-Length", rest[0])
        self.end_headers()
        for block in payload(int(rest[0])):
            self.wfile.write(block)

    def _do_chunked(self, rest, crc, length):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Sum")
        self.end_headers()
        for block in payload(int(rest[0])):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        self.wfile.write(b"0\r\nX-Sum: %d\r\n\r\n" % payload_crc(int(rest[0])))

    def _do_wait(self, rest, crc, length):
        self.origin.reached.set()
        self.origin.release.wait(30)
        self._send(b"waited\n")

    def _do_half(self, rest, crc, length):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def _do_close(self, rest, crc, length):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"until close")
        self.close_connection = True

    def _do_status(self, rest, crc, length):
        self._send(b"", status=int(rest[0]))

    def _do_raw(self, rest, crc, length):
        """Answers with the bytes that the path holds in base64."""
        self.wfile.write(base64.urlsafe_b64decode(rest[0]))
        self.close_connection = True

    def _do_ws(self, rest, crc, length):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                break
            length = head[1] & 127
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            mask, data = self.rfile.read(4), self.rfile.read(length)
            plain = bytes(b ^ mask[i & 3] for i, b in enumerate(data))
            size = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length)
            self.wfile.write(bytes([0x80 | head[0] & 15]) + size + plain)
            self.wfile.flush()
        self.close_connection = True


def websocket_echo(sock, text):
    """Sends one masked text frame, returns the echo's payload."""
    data, mask = text.encode(), b"\x11\x22\x33\x44"
    sock.sendall(bytes([0x81, 0x80 | len(data)]) + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))
    answer = b""
    while len(answer) < 2 or len(answer) < 2 + answer[1]:
        piece = sock.recv(4096)
        if not piece:
            break
        answer += piece
    return answer[2:].decode()


class EchoHandler(socketserver.BaseRequestHandler):
    """Raw TCP: speaks first when asked to by the class, then echoes until EOF."""
    greeting = b""

    def handle(self):
        self.server.origin.note_request({"headers": {}, "peer": self.client_address})
        try:
            self.request.sendall(self.greeting)
            while True:
                data = self.request.recv(BLOCK)
                if not data:
                    break
                self.request.sendall(data)
        except OSError:
            pass
        finally:
            self.server.origin.forget(self.request)


class GreetingHandler(EchoHandler):
    greeting = b"SSH-2.0-test\r\n"


class IdleOrigin:
    """Accepts and holds connections, in one thread; never says a word."""

    def __init__(self):
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        self.held = []
        self._stop_r, self._stop_w = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(self._stop_r, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._stop_r.fileno():
                    return
                self.held.append(self.listener.accept()[0])

    def close(self):
        """Ends its connections."""
        for s in self.held:
            s.close()
        self.held = []

    def stop(self):
        self._stop_w.send(b"x")
        self._thread.join()
        self.close()
        for s in (self.listener, self._stop_r, self._stop_w):
            s.close()


class Dns:
    """A DNS server over UDP. The first label of a name, up to its first '-', says what the answer is."""
    ANSWERS = {
        "ok": ["127.0.0.1", "::1"], "v4": ["127.0.0.1"], "v6": ["::1"],
        "private": ["10.11.12.13"], "linklocal": ["169.254.169.254"], "mapped": ["::ffff:10.11.12.13"],
        "mixed": ["10.11.12.13", "127.0.0.1"], "any": ["0.0.0.0"], "blackhole": ["127.0.0.77"],
    }

    def __init__(self):
        self.queries = []
        self.lock = threading.Lock()
        self.dropped = threading.Event()  # a query for drop-... has come
        self.port = free_port()
        self.sock = None
        self.start()

    def start(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._run, args=(self.sock,), daemon=True)
        self._thread.start()

    def stop(self):
        sock, self.sock = self.sock, None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join(5)
        sock.close()

    def count(self, name):
        with self.lock:
            return sum(1 for q in self.queries if q == name.lower())

    def _run(self, sock):
        while True:
            data, peer = sock.recvfrom(2048)
            if data == b"stop":
                return
            answer = self._answer(data)
            if answer:
                sock.sendto(answer, peer)

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1: at + 1 + query[at]].decode("latin-1").lower())
            at += query[at] + 1
        question, kind = query[12: at + 5], struct.unpack(">H", query[at + 1: at + 3])[0]
        with self.lock:
            self.queries.append(".".join(labels))
        what = labels[0].split("-")[0]
        if what == "drop":
            self.dropped.set()
            return None
        code = {"nx": 3, "servfail": 2}.get(what, 0)
        records = b""
        count = 0
        for address in self.ANSWERS.get(what, self.ANSWERS["ok"]) if code == 0 else []:
            v6 = ":" in address
            if (kind, v6) not in ((1, False), (28, True)):
                continue
            data = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address)
            records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
            count += 1
        return query[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, count, 0, 0) + question + records


class Authority:
    """A certificate authority of its own and one certificate for *.exeat.test, made by openssl."""

    def __init__(self, folder):
        self.ca, self.cert, self.key = (f"{folder}/{n}" for n in ("ca.pem", "origin.pem", "origin.key"))
        run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True)
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("req", "-x509", *ec, "-keyout", f"{folder}/ca.key", "-out", self.ca, "-days", "7",
            "-subj", "/CN=Exeat test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        run("req", *ec, "-keyout", self.key, "-out", f"{folder}/origin.csr", "-subj", "/CN=origin")
        with open(f"{folder}/ext", "w") as f:
            f.write("subjectAltName=DNS:*.exeat.test,DNS:exeat.test,IP:127.0.0.1,IP:::1\n"
                    "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n")
        run("x509", "-req", "-in", f"{folder}/origin.csr", "-CA", self.ca, "-CAkey", f"{folder}/ca.key",
            "-CAcreateserial", "-days", "7", "-extfile", f"{folder}/ext", "-out", self.cert)
        self.self_signed, self.self_signed_key = f"{folder}/self.pem", f"{folder}/self.key"
        run("req", "-x509", *ec, "-keyout", self.self_signed_key, "-out", self.self_signed, "-days", "7",
            "-subj", "/CN=self.exeat.test", "-addext", "subjectAltName=DNS:*.exeat.test")

    def server_context(self, self_signed=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self_signed:
            context.load_cert_chain(self.self_signed, self.self_signed_key)
        else:
            context.load_cert_chain(self.cert, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context
