"""Handling `peek`: every kind of handshake passes unharmed, and the record names the right chain and where it is from."""
import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

import harness
import origins
from harness import tool, wait_until, read_all

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*argv, **more):
    return subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True, **more)


class Keys:
    """Leaves of several kinds below one CA, and a long chain."""

    def __init__(self, folder, authority):
        self.folder, self.ca = folder, authority.ca
        self.ca_key = os.path.join(os.path.dirname(authority.ca), "ca.key")
        self.leaves = {}
        kinds = {"ec": EC, "rsa": ["-newkey", "rsa:2048", "-nodes"], "ed25519": ["-newkey", "ed25519", "-nodes"]}
        for kind, how in kinds.items():
            self.leaves[kind] = self.issue(kind, how)
        self.other_name = self.issue("other", EC, names="DNS:elsewhere.test")
        self.staple, self.revoked = self._staple("good"), self._staple("revoked")

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name, how, names="DNS:*.exeat.test", padding=0):
        cert, key, csr, ext = (self.path(f"{name}.{end}") for end in ("pem", "key", "csr", "ext"))
        openssl("req", *how, "-keyout", key, "-out", csr, "-subj", f"/CN={name}.exeat.test")
        more = "".join(f",DNS:x{i}.{'y' * 60}.exeat.test" for i in range(padding))
        with open(ext, "w") as f:
            f.write(f"subjectAltName={names}{more}\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n"
                    "keyUsage=critical,digitalSignature,keyEncipherment\n")
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", "7",
                "-extfile", ext, "-out", cert)
        return cert, key

    def extra(self, count, padding=0):
        """A file of that many certificates to be sent behind the leaf."""
        path = self.path(f"extra-{count}-{padding}.pem")
        one = open(self.issue(f"pad{padding}", EC, padding=padding)[0]).read()
        with open(path, "w") as f:
            f.write(one * count)
        return path

    def _staple(self, status):
        index, response, request = (self.path(f"{status}.{n}") for n in ("index", "der", "request"))
        cert = self.leaves["ec"][0]
        serial = openssl("x509", "-in", cert, "-noout", "-serial").stdout.decode().strip().split("=")[1]
        with open(index, "w") as f:
            state, when = ("V", "") if status == "good" else ("R", "250101000000Z")
            f.write(f"{state}\t351231235959Z\t{when}\t{serial}\tunknown\t/CN=ec.exeat.test\n")
        openssl("ocsp", "-issuer", self.ca, "-cert", cert, "-reqout", request, "-no_nonce")
        openssl("ocsp", "-index", index, "-CA", self.ca, "-rsigner", self.ca, "-rkey", self.ca_key, "-reqin", request,
                "-respout", response, "-ndays", "3")
        return response


@pytest.fixture(scope="module")
def keys(authority):
    folder = tempfile.mkdtemp(prefix="exeat-peek-")
    yield Keys(folder, authority)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def serve(*argv, leaf, port):
    """openssl s_server, which answers each request with a page about the session."""
    cert, key = leaf
    child = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-www", "-quiet",
                              *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def listens():
        if child.poll() is not None:
            raise AssertionError(child.stderr.read())
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    try:
        wait_until(listens, "s_server")
        yield
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


@pytest.fixture(scope="module")
def port():
    return origins.free_port()


@pytest.fixture(scope="module")
def peeking(make_proxy, authority, port):
    with make_proxy("peeking", ports=[port], config={"policy": {"handling": "peek", "chain": "background"},
                                                     "tls_origin": {"ca_file": authority.ca}}) as p:
        yield p


def ask(p, host, port, *argv, good=True):
    """One request by openssl through the proxy."""
    argv = [tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{p.port}", "-connect", f"{host}:{port}", "-servername", host,
            "-ign_eof", *map(str, argv)]
    r = subprocess.run(argv, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=60 * harness.patience(),
                       env=p.environment())
    assert not good or b"HTTP/1.0 200" in r.stdout, (r.stdout[-2000:], r.stderr[-2000:])
    return r


def sha256(cert):
    return hashlib.sha256(openssl("x509", "-in", cert, "-outform", "DER").stdout).hexdigest()


LEGACY = ["-cipher", "ALL:@SECLEVEL=0"]
MATRIX = {
    # name: (leaf, server's arguments, client's arguments, version, source, history, anomalies that must be there)
    "1.0": ("rsa", ["-tls1", *LEGACY], ["-tls1", *LEGACY], "1.0", "observed", "CsxknGIFtif", {"H18"}),
    "1.1": ("rsa", ["-tls1_1", *LEGACY], ["-tls1_1", *LEGACY], "1.1", "observed", "CsxknGIFtif", {"H18"}),
    "1.2": ("ec", ["-tls1_2"], [], "1.2", "observed", "CsxknGIFtif", set()),
    "1.2 RSA": ("rsa", ["-tls1_2"], [], "1.2", "observed", "CsxknGIFtif", set()),
    "1.2 RSA key exchange": ("rsa", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"], [], "1.2", "observed", "CsxnGIFtif", {"H20"}),
    "1.2 Ed25519": ("ed25519", ["-tls1_2"], [], "1.2", "observed", "CsxknGIFtif", set()),
    "1.2 client certificate": ("ec", ["-tls1_2", "-verify", "1"], [], "1.2", "observed", "CsxkrnXGYIFtif", {"H40"}),
    "1.3": ("ec", [], [], "1.3", "probed", "CsidID", set()),
    "1.3 RSA": ("rsa", [], [], "1.3", "probed", "CsidID", set()),
    "1.3 Ed25519": ("ed25519", [], [], "1.3", "probed", "CsidID", set()),
    "1.3 retry": ("ec", ["-groups", "P-384"], ["-groups", "X25519:P-384"], "1.3", "probed", None, {"H23"}),
    "1.3 client certificate": ("ec", ["-verify", "1"], [], "1.3", "probed", "CsidID", set()),
}


@pytest.mark.parametrize("kind", MATRIX)
def test_matrix(peeking, keys, name, port, kind):
    leaf, server, client, version, source, history, anomalies = MATRIX[kind]
    if "client certificate" in kind:
        client = client + ["-cert", keys.leaves["ec"][0], "-key", keys.leaves["ec"][1]]
    with serve(*server, leaf=keys.leaves[leaf], port=port):
        host = name()
        ask(peeking, host, port, *client)
        x = peeking.exchange(host)
    chain = x.get("unmapped.chain")
    assert chain["source"] == source, chain
    assert chain["certificates"] == [sha256(keys.leaves[leaf][0])], chain
    assert chain["class"] == "private_known" and chain["trusted"] is True, chain
    assert x.get("tls.version") == version
    assert x.get("tls.certificate.issuer") == "CN=Exeat test CA"
    assert len(x.get("tls.ja3s_hash.value")) == 32
    if history:
        assert x.get("unmapped.tls_history") == history
    found = set(x.get("unmapped.anomalies") or [])
    assert anomalies <= found and not (found & {"H09", "H18", "H20", "H22", "H23", "H25", "H27", "H28", "H40"}) - anomalies, found
    assert x.get("unmapped.tls_established") is True
    assert "P17" not in chain.get("anomalies", [])
    assert x.get("unmapped.verdict.handling") == "peek"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("size", [(29, 0), (20, 50)])
def test_long_chains(peeking, keys, name, port, version, size):
    count, padding = size
    extra = keys.extra(count, padding)
    with serve(version, "-cert_chain", extra, leaf=keys.leaves["ec"], port=port):
        host = name()
        ask(peeking, host, port)
        x = peeking.exchange(host)
    chain = x.get("unmapped.chain")
    assert chain["length"] == count + 1 and len(chain["certificates"]) == count + 1
    assert "C24" in chain["errors"] and "C20" in chain["errors"]
    assert chain["source"] == ("observed" if version == "-tls1_2" else "probed")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_stapled(peeking, keys, name, port, version, status):
    with serve(version, "-status_file", keys.staple if status == "good" else keys.revoked, leaf=keys.leaves["ec"], port=port):
        host = name()
        ask(peeking, host, port, "-status")
        x = peeking.exchange(host)
    assert x.get("unmapped.tls_history") == ("CsxuknGIFtif" if version == "-tls1_2" else "CsidID")
    assert x.get("unmapped.chain.trusted") is (status == "good")
    assert ("C18" in (x.get("unmapped.chain.errors") or [])) is (status == "revoked")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("tickets", [True, False])
def test_resumption(peeking, keys, name, port, version, tickets, tmp_path):
    session = tmp_path / "session"
    with serve(version, *([] if tickets else ["-no_ticket"]), leaf=keys.leaves["ec"], port=port):
        host = name()
        ask(peeking, host, port, "-sess_out", session)
        first = peeking.exchange(host)
        assert first.get("unmapped.server_hello.resumed") is False
        ask(peeking, host, port, "-sess_in", session)
        second = [x for x in peeking.exchanges(host, 2) if x.uid != first.uid][0]
    assert second.get("unmapped.server_hello.resumed") is True
    assert "H28" not in (second.get("unmapped.anomalies") or [])  # the full handshake was seen
    assert second.get("unmapped.chain.source") == "probed"
    assert second.get("unmapped.chain.certificates") == [sha256(keys.leaves["ec"][0])]


@pytest.fixture
def trickle(port):
    """What listens on the port sends a server's bytes on one at a time: the server's own port."""
    inner, listener = origins.free_port(), socket.create_server(("127.0.0.1", port))

    def down(client):
        with client, socket.create_connection(("127.0.0.1", inner)) as server:
            threading.Thread(target=origins.copy, args=(client, server), daemon=True).start()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while data := server.recv(65536):
                    for i in range(len(data)):
                        client.sendall(data[i:i + 1])
            except OSError:
                pass

    def accept():
        try:
            while True:
                threading.Thread(target=down, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass
    threading.Thread(target=accept, daemon=True).start()
    yield inner
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_one_byte_fragments(peeking, keys, name, port, trickle, version):
    with serve(version, leaf=keys.leaves["ec"], port=trickle):
        host = name()
        ask(peeking, host, port)
        x = peeking.exchange(host)
    assert x.get("unmapped.chain.source") == ("observed" if version == "-tls1_2" else "probed")
    assert x.get("unmapped.chain.certificates") == [sha256(keys.leaves["ec"][0])]


def test_what_is_wrong_is_said(peeking, keys, name, port):
    with serve("-tls1_2", leaf=keys.other_name, port=port):
        host = name()
        ask(peeking, host, port)
        chain = peeking.exchange(host).get("unmapped.chain")
    assert chain["trusted"] is False and "C07" in chain["errors"] and chain["source"] == "observed"


def test_a_client_that_turns_away(peeking, keys, name, port):
    with serve("-tls1_2", leaf=keys.leaves["ec"], port=port):
        host = name()
        r = peeking.curl(f"https://{host}:{port}/")
        assert r.returncode == 60
        x = peeking.exchange(host)
    assert x.get("unmapped.tls_history") == "CsxknL"
    assert {"H25", "H27"} <= set(x.get("unmapped.anomalies"))
    assert x.get("unmapped.chain.source") == "observed"


def test_waiting_for_the_chain(make_proxy, authority, https, name):
    """chain: wait: the decision record has the certificates already."""
    with make_proxy("waiting", config={"policy": {"handling": "peek", "chain": "wait"},
                                       "tls_origin": {"ca_file": authority.ca}}) as p:
        host = name()
        for count in (1, 2, 3):
            r = p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/")
            assert r.returncode == 0, r.stderr
            for x in p.exchanges(host, count):
                assert harness.get_path(x.decision, "unmapped.chain.source") == "probed", x.decision["unmapped"]
                assert harness.get_path(x.decision, "unmapped.chain.trusted") is True
        assert 1 <= p.counter("probes") <= 2  # one a worker: then it is known


def test_never_probed_and_refused(make_proxy, authority, keys, name, port):
    with make_proxy("strict", ports=[port], config={
            "policy": {"handling": "peek", "chain": "never", "untrusted_chain": "refuse"},
            "tls_origin": {"ca_file": authority.ca}}) as p:
        with serve(leaf=keys.leaves["ec"], port=port):
            host = name()
            ask(p, host, port)
            chain = p.exchange(host).get("unmapped.chain")
            assert (chain["source"], chain["why"]) == ("unavailable", "policy")
            assert p.counter("probes") == 0
        with serve("-tls1_2", leaf=keys.other_name, port=port):
            host = name()
            ask(p, host, port, good=False)
            x = p.exchange(host)
            assert x.reason == "chain_untrusted" and x.verdict == "block"


def test_tunnel_reads_nothing(make_proxy, keys, name, port):
    with make_proxy("closed", ports=[port]) as p:
        with serve("-tls1_2", leaf=keys.leaves["ec"], port=port):
            host = name()
            ask(p, host, port)
            x = p.exchange(host)
    assert x.get("unmapped.chain") == {"source": "unavailable", "why": "policy"}
    assert x.get("unmapped.tls_history") is None


def test_not_tls(peeking, echo, name):
    host = name()
    s, head = peeking.connect(host, echo.port)
    assert " 200 " in head
    s.sendall(b"hello there\n")
    assert s.recv(100)
    s.close()
    assert peeking.exchange(host).get("unmapped.chain") == {"source": "unavailable", "why": "not_tls"}


def test_a_server_that_answers_no_tls(peeking, echo, name):
    """It echoes the hello: not a server's flight, and told so; the bytes pass."""
    host = name()
    context = ssl._create_unverified_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    s, _ = peeking.connect(host, echo.port)
    s.sendall(hello)
    got = b""
    while len(got) < len(hello):
        got += s.recv(65536)
    assert got == hello
    s.close()
    x = peeking.exchange(host)
    assert x.get("unmapped.chain.why") == "malformed"
    assert "H08" in x.get("unmapped.anomalies")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_2", "-tls1_3"])
def test_inspect_host(keys, authority, port, version):
    """The command asks a live server what inspect chain says of the file."""
    leaf = keys.leaves["rsa"]
    exeat = str(harness.BUILD / "exeat")
    options = ["--name", "a.exeat.test", "--trust", authority.ca, "--time", subprocess.run(
        ["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True).stdout.strip()]
    with serve(version, "-cipher", "ALL:@SECLEVEL=0", leaf=leaf, port=port):
        live = subprocess.run([exeat, "inspect", "host", *options, f"127.0.0.1:{port}"], capture_output=True)
        assert live.returncode == 0, live
    still = subprocess.run([exeat, "inspect", "chain", *options, leaf[0]], capture_output=True)
    assert json.loads(live.stdout) == json.loads(still.stdout)
    wrong = subprocess.run([exeat, "inspect", "host", f"127.0.0.1:{port}"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "cannot be reached" in wrong.stderr


@pytest.mark.parametrize("handling", ["tunnel", "peek"])
def test_tls_that_stops_being_tls(make_proxy, authority, https, name, handling):
    """A true handshake, then something else: told, whichever way the bytes are moved. True TLS is not told of."""
    with make_proxy("faked", config={"policy": {"handling": handling}}) as p:
        context = ssl.create_default_context(cafile=authority.ca)
        for spoil in (False, True):
            host = name()
            s, _ = p.connect(host, https.port)
            with context.wrap_socket(s, server_hostname=host, suppress_ragged_eofs=True) as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
                assert tls.recv(1000)
                if spoil:
                    os.write(tls.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32) + b"not a record")
            x = p.exchange(host)
            if spoil:
                assert x.get("unmapped.tls_anomalies") == ["H02", "H04"], x
                assert x.get("unmapped.tls_fault").startswith("client: type, after ")
            else:
                assert x.get("unmapped.tls_anomalies") is None, x


def test_chains_of_a_destination(make_proxy, authority, keys, name, port):
    """The same leaf again is nothing new; another key, then another issuer, at the same name is (P14). One key under two names (P13).
    Certificates and chains are in the database. A session is taken up that was never seen to begin (H28)."""
    renewed = keys.issue("renewed", EC)
    reused = keys.path("reused.pem"), keys.leaves["ec"][1]
    openssl("req", "-x509", "-key", reused[1], "-out", reused[0], "-days", "7", "-subj", "/CN=other.exeat.test",
            "-addext", "subjectAltName=DNS:*.exeat.test")
    with make_proxy("past", ports=[port], config={"policy": {"handling": "peek"}, "tls_origin": {"ca_file": authority.ca}}) as p:
        host = name()
        told = []
        for count, leaf in enumerate([keys.leaves["ec"], keys.leaves["ec"], renewed, keys.leaves["ec"], reused], 1):
            with serve("-tls1_2", leaf=leaf, port=port):
                ask(p, host, port)
                xs = p.exchanges(host, count)
                x = [x for x in xs if x.uid not in {u for u, _ in told}][0]
                told.append((x.uid, (x.get("unmapped.chain.changed"),
                                     sorted(set(x.get("unmapped.chain.anomalies") or []) & {"P13", "P14", "P15"}))))
        assert [t for _, t in told] == [(None, []), (None, []), ("key", ["P14"]), (None, []), ("issuer", ["P13", "P14"])], told

        session = keys.path("session")
        with serve("-tls1_2", leaf=keys.leaves["ec"], port=port):
            openssl("s_client", "-connect", f"127.0.0.1:{port}", "-sess_out", session, "-ign_eof", input=b"GET / HTTP/1.0\r\n\r\n")
            other = name()
            ask(p, other, port, "-sess_in", session)
            x = p.exchange(other)
            assert x.get("unmapped.server_hello.resumed") is True and "H28" in x.get("unmapped.anomalies"), x
        p.daemon.end()
        rows = subprocess.run(["/usr/bin/python3", "-c", """
import sqlite3, sys, glob
for path in glob.glob(sys.argv[1] + "/*.db") + glob.glob(sys.argv[1] + "/*.sqlite*"):
    if path.endswith(("-wal", "-shm")): continue
    db = sqlite3.connect(path)
    for d, s, c in db.execute("select destination, source, length(certificates) from chains"): print(d, s, c)
    for (h,) in db.execute("select hex(sha256) from certificates"): print(h.lower())
""", str(p.state)], capture_output=True, text=True).stdout
        assert f"{host}:{port} observed 32" in rows, rows
        assert sha256(keys.leaves["ec"][0]) in rows and sha256(renewed[0]) in rows


def test_a_probe_that_is_shown_something_else(peeking, keys, name, port):
    """The tunnel gets TLS 1.3, whoever comes next TLS 1.2 with another key: P17. (That the same server is no mismatch, the matrix
    shows: its anomalies are asked for there.)"""
    inner = [origins.free_port(), origins.free_port()]
    listener = socket.create_server(("127.0.0.1", port))
    seen = []

    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", inner[1 if seen else 0]))
                seen.append(1)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    try:
        with serve("-tls1_3", leaf=keys.leaves["ec"], port=inner[0]), serve("-tls1_2", leaf=keys.leaves["rsa"], port=inner[1]):
            host = name()
            ask(peeking, host, port)
            x = peeking.exchange(host)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    assert x.get("unmapped.chain.source") == "probed" and "P17" in x.get("unmapped.chain.anomalies"), x
