"""TLS listeners that ask clients for a certificate: it is the client's role, for the baseline and in the records; others are refused."""
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess

import pytest

import origins
from harness import ANYBODY, DEADLINE, default_baseline, merge, open_for_others, patience, read_all, tool
from test_terminate import Inspection
from pki import Pki

ROLE = "uri:spiffe://exeat.test/gateway"
ENDED = {"start": "20200101000000Z", "end": "20200201000000Z"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    open_for_others(folder)
    made = Pki(folder)
    made.issue("gateway", "gateway", "URI:spiffe://exeat.test/gateway,DNS:GW.exeat.test,email:ops@exeat.test")
    made.issue("other", "other")
    made.issue("old", "gateway", "URI:spiffe://exeat.test/gateway", **ENDED)
    made.issue("server", "gateway", "URI:spiffe://exeat.test/gateway", purpose="serverAuth")
    made.issue("revoked", "gateway", "URI:spiffe://exeat.test/gateway")
    made.crl("none-revoked")
    made.revoke("revoked")
    made.crl()
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    made = Pki(tmp_path_factory.mktemp("stranger"))
    made.issue("gateway", "gateway", "URI:spiffe://exeat.test/gateway")
    return made


@pytest.fixture(scope="module")
def inspection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    open_for_others(folder)
    return Inspection(folder)


def read_until(sock, text):
    data = b""
    while text not in data:
        piece = sock.recv(4096)
        assert piece, data
        data += piece
    return data


class Inner:
    """A handshake that somebody else carries."""

    def __init__(self, host):
        self.out = ssl.MemoryBIO()
        self.tls = ssl._create_unverified_context().wrap_bio(ssl.MemoryBIO(), self.out, server_hostname=host)

    def hello(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.out.read()


def listening(make_proxy, authority, pki, entries=None, **listen):
    """A proxy with one TLS listener, `tls_port`; whoever has the role may reach the tests' hosts, nobody else."""
    port = origins.free_port()
    entries = entries or [{"name": "gateway", "match": {"role": ROLE, "confidence": ANYBODY}, "allow": [{"use": "tests"}]}]
    baseline = merge(default_baseline(), {"senders": entries})
    p = make_proxy("roles", baseline=baseline)
    p.tls_port = port
    p.raw_tls = lambda: socket.create_connection(("127.0.0.1", port), timeout=DEADLINE * patience())
    own = {}
    for part, path in (("tls_certificate", authority.cert), ("tls_key", authority.key)):
        shutil.copy(path, p.folder / part)
        (p.folder / part).chmod(0o600)
        if p.user:
            shutil.chown(p.folder / part, p.user)
        own[part] = str(p.folder / part)
    p.config["listen"].update(own, tls_addresses=[f"127.0.0.1:{port}"], tls_client_ca=str(pki.ca), **listen)
    p.write()
    return p


def curl(p, authority, url, certificate=None, *more):
    shown = ("--proxy-cert", certificate) if certificate else ()
    return p.run(tool("curl"), "-sS", "-m", "50", "--proxy", f"https://127.0.0.1:{p.tls_port}", "--proxy-cacert", authority.ca, *shown,
                 *more, url)


@pytest.fixture(scope="module")
def proxy(make_proxy, authority, pki):
    with listening(make_proxy, authority, pki, tls_client_crl=str(pki.path("crl"))) as p:
        yield p


def connection(p, context, session=None):
    raw = p.raw_tls()
    return context.wrap_socket(raw, server_hostname="exeat.test", session=session)


def client_context(authority, certificate=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=authority.ca)
    context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate)
    return context


def ask(sock, host, port, close=True):
    sock.sendall(f"GET http://{host}:{port}/hello HTTP/1.1\r\nHost: {host}:{port}\r\n{'Connection: close' if close else 'A: b'}\r\n\r\n".encode())


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_certificate_is_the_role(proxy, authority, pki, http, name, version):
    """... also where the session is resumed: what the ticket holds is the same certificate."""
    context, session = client_context(authority, pki.path("gateway"), version), None
    for resumed in (False, True):
        host = name()
        with connection(proxy, context, session) as s:
            ask(s, host, http.port)
            assert b"hello" in read_all(s)
            assert s.session_reused == resumed
            session = s.session
        x = proxy.exchange(host)
        assert x.entry == "gateway" and x.get("unmapped.proxy_tls_version") == version.name[-3:].replace("_", ".")
        assert x.get("unmapped.client_certificate.subject") == "CN=gateway"
        assert x.get("unmapped.client_certificate.issuer") == "CN=CA of the tests"
        sha256 = x.get("unmapped.client_certificate.sha256")
        assert x.get("unmapped.client_certificate.roles") == [f"sha256:{sha256}", "cn:gateway", ROLE, "dns:gw.exeat.test",
                                                              "email:ops@exeat.test"]


def test_curl_and_openssl(proxy, authority, pki, http, https, name):
    host, tunnelled, third = name(), name(), name()
    r = curl(proxy, authority, f"http://{host}:{http.port}/hello", pki.path("gateway"))
    assert b"hello" in r.stdout, r
    r = curl(proxy, authority, f"https://{tunnelled}:{https.port}/hello", pki.path("gateway"), "--cacert", authority.ca)
    assert b"hello" in r.stdout, r
    for x in (proxy.exchange(host), proxy.exchange(tunnelled)):
        assert x.entry == "gateway" and x.reason == "completed" and ROLE in x.get("unmapped.client_certificate.roles")
    r = proxy.run("openssl", "s_client", "-connect", f"127.0.0.1:{proxy.tls_port}", "-CAfile", authority.ca, "-verify_return_error", "-cert",
                  pki.path("gateway"), "-quiet", "-ign_eof",
                  input=f"GET http://{third}:{http.port}/hello HTTP/1.1\r\nHost: {third}:{http.port}\r\nConnection: close\r\n\r\n".encode())
    assert b"hello" in r.stdout, r
    assert proxy.exchange(third).entry == "gateway"


def test_another_role_or_none_is_not_let_out(proxy, authority, pki, http, name):
    for certificate, roles in ((pki.path("other"), "cn:other"), (None, None)):
        host = name()
        context = client_context(authority, certificate)
        with connection(proxy, context) as s:
            ask(s, host, http.port)
            assert b" 403 " in read_all(s)
        x = proxy.exchange(host)
        assert x.verdict == "block" and (roles is None or roles in x.get("unmapped.client_certificate.roles"))
        assert roles or x.get("unmapped.client_certificate") is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("which, alert, why", [("stranger", "UNKNOWN_CA", "unable to get local issuer certificate"),
                                               ("old", "CERTIFICATE_EXPIRED", "certificate has expired"),
                                               ("revoked", "CERTIFICATE_REVOKED", "certificate revoked"),
                                               ("server", "UNSUPPORTED_CERTIFICATE", "unsuitable certificate purpose")])
def test_what_is_not_accepted(proxy, authority, pki, stranger, version, which, alert, why):
    """In the handshake, with the alert that says why; the record names the certificate and no role."""
    context = client_context(authority, stranger.path("gateway") if which == "stranger" else pki.path(which), version)
    before = {x.uid for x in proxy.ledger.find(lambda x: True)}
    with pytest.raises(ssl.SSLError) as raised:
        with connection(proxy, context) as s:
            s.sendall(b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            s.recv(1)
    assert alert in raised.value.reason, raised.value
    x = proxy.exchange(where=lambda x: x.close and x.reason == "client_role" and x.uid not in before)
    assert why in x.get("status_detail") and x.get("unmapped.client_certificate.subject") == "CN=gateway"
    assert x.get("unmapped.client_certificate.roles") is None and x.decision is None


def test_required(make_proxy, authority, pki, http, name):
    with listening(make_proxy, authority, pki, tls_client_required=True) as p:
        r = curl(p, authority, f"http://{name()}:{http.port}/hello")
        assert r.returncode == 56 and b"certificate required" in r.stderr, r
        x = p.exchanges(where=lambda x: x.close and x.reason == "client_role")[0]
        assert x.get("status_detail") == "the client shows no certificate"
        host = name()
        assert b"hello" in curl(p, authority, f"http://{host}:{http.port}/hello", pki.path("gateway")).stdout
        # a listener without TLS is another door: the baseline says what comes in there
        assert p.exchange(host).entry == "gateway"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reload_ends_what_it_does_not_accept(make_proxy, authority, pki, stranger, http, name, version):
    """Another CA, another list: no ticket and no open connection carries the role across."""
    with listening(make_proxy, authority, pki, tls_client_crl=str(pki.path("none-revoked")), tls_client_required=True) as p:
        context = client_context(authority, pki.path("revoked"), version)
        host = name()
        s = connection(p, context)
        ask(s, host, http.port, close=False)
        assert b" 200 " in read_until(s, b"hello")
        other = connection(p, context)
        ask(other, host, http.port)
        read_all(other)
        session = other.session
        p.reload()  # nothing changed: the open connection goes on
        ask(s, host, http.port, close=False)
        assert b" 200 " in read_until(s, b"hello")
        p.config["listen"]["tls_client_crl"] = str(pki.path("crl"))
        p.write()
        p.reload()
        last = name()
        ask(s, last, http.port)
        assert b" 403 " in read_all(s)
        x = p.exchange(last)
        assert x.reason == "client_role" and x.get("unmapped.client_certificate.roles") is None
        with pytest.raises(ssl.SSLError) as raised:
            with connection(p, context, session) as again:
                again.sendall(b"GET ")
                again.recv(1)
        assert "CERTIFICATE_REVOKED" in raised.value.reason


def test_renegotiation_is_refused(proxy, authority, pki):
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.tls_port}", "-CAfile", authority.ca, "-tls1_2", "-cert", pki.path("gateway")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = b""
        while b"no renegotiation" not in said:
            piece = client.stdout.read1()
            assert piece, said
            said += piece
        client.kill()


def test_terminate_behind_a_tls_listener(make_proxy, authority, pki, https, name, inspection):
    """TLS to the proxy, and inside of it TLS that ends there too: the role is that of the exchanges inside."""
    entries = [{"name": "gateway", "match": {"role": ROLE, "confidence": ANYBODY}, "handling": "terminate", "allow": [{"use": "tests"}]}]
    p = listening(make_proxy, authority, pki, entries)
    p.config["inspection"] = {"ca_certificate": str(inspection.certificate), "ca_key": str(inspection.key)}
    p.config["tls_origin"] = {"ca_file": authority.ca}
    p.write()
    with p:
        host = name()
        r = curl(p, authority, f"https://{host}:{https.port}/bytes/300000", pki.path("gateway"), "--cacert", inspection.certificate)
        assert len(r.stdout) == 300000, r.stderr
        found = p.exchanges(host, 2)
        assert {x.entry for x in found} == {"gateway"} and {x.reason for x in found} == {"completed"}
        assert all(ROLE in x.get("unmapped.client_certificate.roles") for x in found), found
        assert sorted(str(x.get("unmapped.verdict.handling")) for x in found) == ["None", "terminate"]


def test_cut_in_both_layers(make_proxy, authority, pki, https, name, inspection):
    """A client that is gone in the middle of the handshake inside: a reason each, and nothing hangs."""
    reasons = {"client_reset", "client_tls_failed", "client_closed", "hello_malformed", "proxy_tls_failed", "handling_downgrade"}
    entries = [{"name": "gateway", "match": {"role": ROLE, "confidence": ANYBODY}, "handling": "terminate", "allow": [{"use": "tests"}]}]
    p = listening(make_proxy, authority, pki, entries)
    p.config["inspection"] = {"ca_certificate": str(inspection.certificate), "ca_key": str(inspection.key)}
    p.config["tls_origin"] = {"ca_file": authority.ca}
    p.write()
    context = client_context(authority, pki.path("gateway"))
    with p:
        for whole in (False, True):
            for sent in (1, 60, None):
                host = name()
                inner = Inner(host)
                with connection(p, context) as s:
                    s.sendall(f"CONNECT {host}:{https.port} HTTP/1.1\r\nHost: {host}:{https.port}\r\n\r\n".encode())
                    assert b" 200 " in read_until(s, b"\r\n\r\n")
                    hello = inner.hello()
                    s.sendall(hello[:sent])
                    if sent is None:
                        s.recv(1)
                    if whole:
                        with contextlib.suppress(OSError):
                            s.unwrap()
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                assert p.exchange(host).reason in reasons


def test_configuration(proxy, pki):
    """A role that nobody can have is a mistake, and is told."""
    before = dict(proxy.config["listen"])
    for option in ("tls_client_ca", "tls_client_crl"):
        proxy.config["listen"].pop(option, None)
    proxy.write()
    assert "role can never hold" in proxy.reload(good=False)
    proxy.config["listen"] = {**before, "tls_client_ca": str(pki.path("crl"))}
    proxy.write()
    assert "the clients' CA cannot be used" in proxy.reload(good=False)
    proxy.config["listen"] = before
    proxy.write()
    proxy.reload()
