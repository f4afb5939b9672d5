"""H42: real handshakes inside a tunnel's TLS, told by the sizes of its records; the same server asked without one."""
import socket
import ssl
import threading

import pytest

from harness import Proxy


class Inner:
    """TLS over another TLS socket, by memory BIOs."""

    def __init__(self, outer, context, **how):
        self.outer, self.get, self.put = outer, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.get, self.put, **how)

    def do(self, what, *args):
        while True:
            try:
                result, again = what(*args), False
            except ssl.SSLWantReadError:
                result, again = None, True
            if self.put.pending:
                self.outer.sendall(self.put.read())
            if not again:
                return result
            data = self.outer.recv(65536)
            if not data:
                return None
            self.get.write(data)


def without_tickets(context):
    """On loopback, whether session tickets arrive before or after what the client says next is a race that no network has."""
    context.num_tickets = 0
    return context


def serve(listener, authority):
    """Outer TLS; the first byte says whether TLS comes inside. Then each line is answered by many bytes."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            outer = without_tickets(authority.server_context()).wrap_socket(plain, server_side=True)
            if outer.recv(1) == b"t":
                inner = Inner(outer, without_tickets(authority.server_context()), server_side=True)
                inner.do(inner.tls.do_handshake)
                inner.do(inner.tls.read, 1000)
                inner.do(inner.tls.write, b"x" * 5000)
            else:
                while outer.recv(1000):
                    outer.sendall(b"x" * 3000)
            outer.close()
        except OSError:
            pass


@pytest.fixture(scope="module")
def nested(authority):
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, authority), daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def client_context(authority, version=None):
    context = ssl.create_default_context(cafile=authority.ca)
    if version:
        context.maximum_version = version
    return context


def tunnel(p, authority, host, port):
    s, head = p.connect(host, port)
    assert " 200 " in head
    return client_context(authority).wrap_socket(s, server_hostname=host)


def test_a_handshake_inside_is_told(dns, authority, nested, name):
    with Proxy("nested", dns=dns, ports=[nested]) as p:
        for version in (None, ssl.TLSVersion.TLSv1_2):
            host = name("nested")
            outer = tunnel(p, authority, host, nested)
            outer.sendall(b"t")
            inner = Inner(outer, client_context(authority, version), server_hostname=host)
            inner.do(inner.tls.do_handshake)
            inner.do(inner.tls.write, b"GET / HTTP/1.1\r\n\r\n" * 8)
            assert inner.do(inner.tls.read, 1000)
            outer.close()
            assert "H42" in (p.exchange(host).get("unmapped.tls_anomalies") or []), version
        host = name("plain")
        outer = tunnel(p, authority, host, nested)
        outer.sendall(b"p")
        for length in (350, 64, 80, 93, 126):  # as long as the parts of a handshake, and yet none
            outer.sendall(b"q" * length)
            left = 3000
            while left:
                left -= len(outer.recv(left))
        outer.close()
        assert p.exchange(host).get("unmapped.tls_anomalies") is None
