"""A client and a server that collude: a recorded handshake is played again, and what follows has the shape of TLS records and random bodies."""
import os
import socket
import ssl
import threading

import pytest

import origins
from test_terminate import inspection, terminating, tunnel_of  # noqa: F401: a fixture among them

PAYLOAD = [b"\x17\x03\x03\x02\x00" + os.urandom(512) for _ in range(4)]


def read(s, count):
    data = b""
    while len(data) < count and (more := s.recv(count - len(data))):
        data += more
    return data


def recorded(https, host):
    """The flights of a true handshake: the client's hello, the server's flight, the client's end."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["http/1.1"])
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    flights, server = [], b""
    with socket.create_connection(("127.0.0.1", https.port)) as s:
        while True:
            try:
                tls.do_handshake()
                return flights[0], server, outgoing.read()
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    flights.append(outgoing.read())
                    s.sendall(flights[-1])
                data = s.recv(65536)
                server += data
                incoming.write(data)


class Colluding(origins.Door):
    """It answers every hello as recorded; or, where it is clever, only the one that it knows, and has a true server answer the others."""

    def __init__(self, flights, clever, https):
        self.flights, self.clever, self.https = flights, clever, https
        self.told = b""
        super().__init__()

    def serve(self, s):
        hello, answer, end = self.flights
        try:
            got = s.recv(len(hello))
            if got == hello or not self.clever:
                s.sendall(answer)
                if read(s, len(end)) == end:
                    self.told += read(s, sum(map(len, PAYLOAD)))
                    s.sendall(b"".join(PAYLOAD))
                return
            with socket.create_connection(("127.0.0.1", self.https.port)) as true:
                true.sendall(got)
                threading.Thread(target=origins.copy, args=(s, true), daemon=True).start()
                origins.copy(true, s)
        except OSError:
            pass
        finally:
            s.close()


def play(p, host, server):
    """The client's part; what it was told behind the handshake."""
    hello, answer, end = server.flights
    s, head = p.connect(host, server.port)
    assert " 200 " in head
    with s:
        try:
            s.sendall(hello)
            got = b""
            while len(got) < len(answer) and answer.startswith(got) and (more := s.recv(len(answer) - len(got))):
                got += more  # until it is another than was recorded
            s.sendall(end + b"".join(PAYLOAD))
            return read(s, sum(map(len, PAYLOAD)))
        except OSError:
            return b""


@pytest.fixture(params=[False, True], ids=["simple", "clever"])
def server(request, https, name):
    host = name("v4")
    server = Colluding(recorded(https, host), request.param, https)
    server.host = host
    yield server
    server.close()


def test_where_tls_ends_at_the_proxy_nothing_of_it_gets_through(make_proxy, inspection, authority, server):  # noqa: F811
    with make_proxy("replayed", config=terminating(inspection, authority), ports=[server.port]) as p:
        assert play(p, server.host, server) != b"".join(PAYLOAD) and server.told == b""
        t = tunnel_of(p, server.host)
        assert t.reason == ("client_tls_failed" if server.clever else "server_tls_failed"), t


def test_where_it_is_peeked_at_its_certificates_are_no_ones(make_proxy, authority, server):
    """A clever pair passes for a true one: what is not opened can't be told from it."""
    with make_proxy("replayed", config={"policy": {"handling": "peek"}, "tls_origin": {"ca_file": authority.ca}}, ports=[server.port]) as p:
        assert play(p, server.host, server) == server.told == b"".join(PAYLOAD)
        x = p.exchange(server.host)
        chain = x.get("unmapped.chain")
        assert (chain["source"], chain.get("why")) == (("probed", None) if server.clever else ("unavailable", "probe_failed")), chain
