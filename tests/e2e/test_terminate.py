"""Tunnels whose TLS ends at the proxy: real clients with and without the inspection CA, what the records say, what is refused."""
import json
import os
import pathlib
import ssl
import subprocess
import tempfile

import pytest

import origins
from test_baseline_workflow import sha256_of
from harness import BUILD, default_baseline, open_for_others, read_head, sanitized, tool, wait_until


class Inspection:
    """The inspection CA of a test: made by openssl, as an administrator might."""

    def __init__(self, folder, days=30):
        self.folder = pathlib.Path(folder)
        self.certificate, self.key = self.folder / "inspection.pem", self.folder / "inspection.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        self.key, "-out", self.certificate, "-days", str(days), "-subj", "/CN=Inspection of the tests",
                        "-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE"],
                       check=True, capture_output=True)
        os.chmod(self.key, 0o600)
        os.chmod(self.certificate, 0o644)


@pytest.fixture(scope="module")
def inspection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    open_for_others(folder)
    return Inspection(folder)


def terminating(inspection, authority, **more):
    config = {"policy": {"handling": "terminate"}, "tls_origin": {"ca_file": authority.ca},
              "inspection": {"ca_certificate": str(inspection.certificate), "ca_key": str(inspection.key), **more}}
    return config


@pytest.fixture(scope="module")
def proxy(make_proxy, inspection, authority):
    with make_proxy("terminate", config=terminating(inspection, authority)) as p:
        yield p


def tunnel_of(proxy, host):
    return proxy.exchange(host, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")


def inside_of(proxy, tunnel):
    return wait_until(lambda: proxy.ledger.find(lambda x: x.close and x.get("unmapped.tunnel") == tunnel.uid),
                      f"exchanges inside {tunnel}")


def test_curl(proxy, https, inspection, name):
    host = name()
    r = proxy.run(tool("curl"), "-sS", "-v", "--cacert", inspection.certificate, f"https://{host}:{https.port}/hello",
                  f"https://{host}:{https.port}/hello")
    assert r.stdout.count(b"hello") == 2, r
    assert b"Inspection of the tests" in r.stderr
    t = tunnel_of(proxy, host)
    assert t.reason == "completed" and t.get("unmapped.chain.source") == "terminated" and t.get("unmapped.chain.trusted") is True
    assert t.get("unmapped.verdict.handling") == "terminate" and t.get("unmapped.inside.protocol") == "http/1.1"
    inside = inside_of(proxy, t)
    assert len(inside) == 2 and all(x.reason == "completed" for x in inside), inside
    x = inside[0]
    assert x.executable == tool("curl") and x.confidence == "exact" and x.decision
    assert x.close["class_uid"] == x.decision["class_uid"] == 4002 and x.close["activity_name"] == "Get"
    assert x.get("http_request.url.url_string") == f"https://{host}:{https.port}/hello"
    assert x.get("http_response.code") == 200 and x.get("http_response.body_length") == len(r.stdout) // 2
    assert t.get("traffic.bytes_in") == sum(x.get("traffic.bytes_in") for x in inside)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_with_servers_are_resumed(make_proxy, authority, inspection, name, version):
    """One worker, two programs one after the other: the second handshake is short, as the server and the record say."""
    context = authority.server_context()
    context.maximum_version = version
    origin = origins.Origin(origins.HttpHandler, tls=context)
    try:
        with make_proxy("resume", config={**terminating(inspection, authority), "listen": {"workers": 1}}, ports=[origin.port]) as p:
            host = name("v4")  # one address: sessions are kept by it
            for count in (1, 2):
                r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{origin.port}/hello")
                assert b"hello" in r.stdout, r
                tunnels = p.exchanges(host, count, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
            assert [t.get("unmapped.server_hello.resumed") for t in tunnels] == [False, True], tunnels
            assert all(t.get("unmapped.chain.trusted") is True and t.get("unmapped.chain.source") == "terminated" for t in tunnels)
            assert len({str(t.get("unmapped.chain.certificates")) for t in tunnels}) == 1
            assert context.session_stats()["hits"] == 1
    finally:
        origin.stop()


def test_without_the_ca_the_record_says_why(proxy, https, name):
    host = name()
    r = proxy.run(tool("curl"), "-sS", f"https://{host}:{https.port}/hello")
    assert r.returncode == 60, r
    t = tunnel_of(proxy, host)
    assert t.reason == "client_rejected" and "unknown_ca" in t.get("status_detail") and "CURL_CA_BUNDLE" in t.get("status_detail")


def test_a_server_that_does_not_verify_is_refused_with_a_reason(proxy, self_signed, inspection, name):
    host = name()
    r = proxy.run(tool("curl"), "-sS", "-i", "--cacert", inspection.certificate, f"https://{host}:{self_signed.port}/hello")
    assert b" 502 " in r.stdout and b"server_certificate" in r.stdout and b"C01" in r.stdout, r
    t = tunnel_of(proxy, host)
    assert t.get("unmapped.chain.trusted") is False and "C01" in t.get("unmapped.chain.errors")


@pytest.mark.parametrize("bad_chain", ["refuse", "mimic"])
def test_the_house_s_own_certificates_are_no_bad_chain(make_proxy, self_signed, inspection, authority, name, tmp_path, bad_chain):
    """A root by its file, or as the server sends it, and a self-signed one by its hash: where the baseline expects them they are let through;
    elsewhere, or after their day, they are what they were."""
    sent = bad_chain == "mimic"
    (tmp_path / "chain.pem").write_text(pathlib.Path(authority.cert).read_text() + pathlib.Path(authority.ca).read_text() * sent)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", authority.key)
    https = origins.Origin(origins.HttpHandler, tls=context)
    ours, elsewhere, appliance, old = name(), name(), name(), name()
    baseline = default_baseline()
    until = {"owner": "it", "purpose": "internal services", "expires": "2099-01-01"}
    signed = sha256_of(authority.self_signed)
    baseline["pki"] = [
        {"name": "office", "sha256": sha256_of(authority.ca), **({} if sent else {"certificate": authority.ca}),
         "destinations": [{"host": ours}], **until},
        {"name": "appliance", "sha256": signed, "destinations": [{"host": appliance}], **until},
        {"name": "old", "sha256": signed, "destinations": [{"host": old}], **until, "expires": "2026-01-01"}]
    config = terminating(inspection, authority, bad_chain=bad_chain)
    del config["tls_origin"]
    with make_proxy("own", ports=[https.port], baseline=baseline, config=config) as p:
        for host, port, own in ((ours, https.port, "office"), (elsewhere, https.port, None), (appliance, self_signed.port, "appliance"),
                                (old, self_signed.port, None), (ours, https.port, "office")):
            r = p.run(tool("curl"), "-sS", "-i", "--cacert", inspection.certificate, f"https://{host}:{port}/hello")
            if own:
                assert b" 200 " in r.stdout and b"hello" in r.stdout, r
            elif bad_chain == "refuse":
                assert b" 502 " in r.stdout and b"server_certificate" in r.stdout, r
            else:
                assert r.returncode == 60, r
        for host, own in ((appliance, "appliance"), (elsewhere, None)):
            t = tunnel_of(p, host)
            assert (t.get("unmapped.chain.exception"), t.get("unmapped.chain.trusted")) == (own, False), t
    https.release.set()
    https.stop()


def test_mimicked_faults_fail_in_the_client(make_proxy, self_signed, inspection, authority, name):
    host = name()
    with make_proxy("mimic", config=terminating(inspection, authority, bad_chain="mimic")) as p:
        r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{self_signed.port}/hello")
        assert r.returncode == 60 and b"self-signed" in r.stderr, r
        assert tunnel_of(p, host).reason == "client_rejected"
        r = p.run(tool("curl"), "-sSk", f"https://{host}:{self_signed.port}/hello")
        assert b"hello" in r.stdout, r


def test_other_clients(proxy, https, inspection, name):
    url = lambda host: f"https://{host}:{https.port}/hello"
    ca = str(inspection.certificate)
    runs = {
        "wget": ([tool("wget"), "-qO-", f"--ca-certificate={ca}"], {}),
        "node": ([tool("node"), "--use-openssl-ca", "-e", NODE], {"NODE_EXTRA_CA_CERTS": ca}),
        "git": ([tool("git"), "ls-remote"], {"GIT_SSL_CAINFO": ca}),
    }
    for what, (argv, env) in runs.items():
        host = name()
        extra = [host, https.port] if what == "node" else [url(host)]
        r = proxy.run(*argv, *extra, env=proxy.environment(**env))
        t = tunnel_of(proxy, host) if what != "node" else None
        if what == "wget":
            assert b"hello" in r.stdout, (what, r)
        if t:
            assert t.get("unmapped.chain.source") == "terminated", (what, t, r)
            assert inside_of(proxy, t), what


NODE = """
const http = require('http'), tls = require('tls');
const [host, port] = process.argv.slice(1), proxy = new URL(process.env.https_proxy);
http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: host + ':' + port}).on('connect', (r, s) => {
  const t = tls.connect({socket: s, servername: host}, () => t.write('GET /hello HTTP/1.1\\r\\nHost: ' + host + ':' + port +
    '\\r\\nConnection: close\\r\\n\\r\\n'));
  t.pipe(process.stdout);
}).end();
"""


def open_tls(proxy, host, port, inspection, sni=None, alpn=("http/1.1",), **more):
    s, head = proxy.connect(host, port)
    assert " 200 " in head
    context = ssl.create_default_context(cafile=str(inspection.certificate))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(s, server_hostname=sni or host, **more)


def ask(tls, host, path="/hello"):
    tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return read_head(tls)


def test_another_host_inside_is_misdirected(proxy, https, inspection, name):
    host, other = name(), name("other")
    tls = open_tls(proxy, host, https.port, inspection)
    assert " 421 " in ask(tls, other)
    tls.close()
    t = tunnel_of(proxy, host)
    assert inside_of(proxy, t)[0].reason == "host_misdirected"


def test_bodies_that_nothing_explains(proxy, https, inspection, name):
    """Random bytes said to be text are T02; random bytes said to be an archive are not; text is text."""
    bodies = [(os.urandom(3000), "text/plain", True), (os.urandom(3000), "application/zip", False), (b"words " * 500, "text/plain", False)]
    for body, kind, odd in bodies:
        host = name()
        r = proxy.run(tool("curl"), "-sS", "--cacert", inspection.certificate, "-H", f"Content-Type: {kind}", "--data-binary", "@-",
                      f"https://{host}:{https.port}/echo", input=body)
        x, = inside_of(proxy, tunnel_of(proxy, host))
        assert x.close["activity_name"] == "Post" and x.get("http_request.body_length") == len(body)
        assert bool(x.get("unmapped.payload.request_unexplained")) is odd, (kind, x)
        assert x.get("unmapped.request.content_type") == kind


def test_keep_alive_and_leaf(proxy, https, inspection, name):
    host = name()
    tls = open_tls(proxy, host, https.port, inspection)
    assert tls.version() == "TLSv1.3" and tls.selected_alpn_protocol() == "http/1.1"
    issuer = dict(x[0] for x in tls.getpeercert()["issuer"])
    assert issuer["commonName"] == "Inspection of the tests"
    tls.close()
    t = tunnel_of(proxy, host)
    assert t.reason == "completed", t


def test_noise_does_not_step_out_of_inspection(proxy, echo, name):
    host = name()
    s, head = proxy.connect(host, echo.port)
    s.sendall(b"\x00" + os.urandom(200))
    with pytest.raises(ConnectionResetError):
        s.recv(100)
    s.close()
    t = tunnel_of(proxy, host)
    assert t.reason == "handling_downgrade" and t.verdict == "block"


def test_an_entry_may_name_who_is_not_terminated(make_proxy, https, inspection, authority, name):
    baseline = default_baseline()
    for sender in baseline["senders"]:
        if sender["name"] == "curl":
            sender["handling"] = "tunnel"
    with make_proxy("named", config=terminating(inspection, authority), baseline=baseline) as p:
        host = name()
        r = p.run(tool("curl"), "-sS", "--cacert", authority.ca, f"https://{host}:{https.port}/hello")
        assert b"hello" in r.stdout, r
        assert tunnel_of(p, host).get("unmapped.verdict.handling") == "tunnel"


class TlsEchoHandler(origins.EchoHandler):
    def setup(self):
        self.request = self.server.origin.tls.wrap_socket(self.request, server_side=True)
        super().setup()


@pytest.fixture(scope="module")
def tls_echo(authority):
    origin = origins.Origin(TlsEchoHandler, tls=authority.server_context())
    yield origin
    origin.stop()


def test_bytes_that_are_not_http_are_relayed(make_proxy, tls_echo, authority, inspection, name):
    with make_proxy("bytes", config=terminating(inspection, authority), ports=[tls_echo.port]) as p:
        host = name()
        tls = open_tls(p, host, tls_echo.port, inspection, alpn=())
        tls.sendall(b"\x01\x02\x03 not http")
        assert tls.recv(100) == b"\x01\x02\x03 not http"
        tls.close()
        t = tunnel_of(p, host)
        assert t.get("unmapped.inside.first_speaker") == "client" and t.get("unmapped.inside.protocol") == "unknown"
        host = name()
        tls = open_tls(p, host, tls_echo.port, inspection, alpn=())
        tls.sendall(os.urandom(400))
        assert tls.recv(10)
        tls.close()
        assert tunnel_of(p, host).get("unmapped.payload.fully_encrypted") is True


def children_of(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def test_a_dead_signing_process_is_replaced(make_proxy, https, inspection, authority, name):
    with make_proxy("signer", config=terminating(inspection, authority)) as p:
        keeper, = children_of(p.daemon.pid)
        signer, = wait_until(lambda: children_of(keeper), "the signing process")
        wait_until(lambda: open(f"/proc/{signer}/comm").read().strip() == "exeat-signer", "its name")
        os.kill(signer, 9)
        wait_until(lambda: (c := children_of(keeper)) and c != [signer], "another signing process")
        host = name()
        r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{https.port}/hello")
        assert b"hello" in r.stdout, (r, p.daemon.log)
        os.kill(keeper, 9)
        for _ in range(3):  # root's key: exeatd itself may read it no more
            host = name()
            r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{https.port}/hello")
            if p.user:
                assert r.returncode != 0
                assert tunnel_of(p, host).reason == "signer_unavailable"
            else:
                assert b"hello" in r.stdout, (r, p.daemon.log)


def exeat_ca(*argv, expected=0, **more):
    r = subprocess.run([str(BUILD / "exeat"), "ca", *map(str, argv)], capture_output=True, timeout=30, **more)
    assert r.returncode == expected, r
    assert b"PRIVATE KEY" not in r.stdout + r.stderr
    return r.stdout


def test_exeat_ca(make_proxy, https, authority, name):
    """Made, shown, exported, used, and rotated under a running proxy."""
    with tempfile.TemporaryDirectory(prefix="exeat-state-") as folder:
        os.chmod(folder, 0o755)
        life_of_a_ca(make_proxy, https, authority, name, pathlib.Path(folder))


def life_of_a_ca(make_proxy, https, authority, name, state):
    exeat_ca("show", "--state", state, expected=1)
    exeat_ca("init", "--state", state, "--name", "First")
    os.chmod(state / "ca", 0o755)
    key = state / "ca/inspection-ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    exeat_ca("init", "--state", state, expected=1)
    assert key.read_bytes() == before
    first = json.loads(exeat_ca("show", "--state", state, "--json"))["current"]
    assert first["subject"] == "CN=First" and first["state"] == "valid"
    bundle = state / "bundle.pem"
    config = {"policy": {"handling": "terminate"}, "tls_origin": {"ca_file": authority.ca},
              "inspection": {"ca_certificate": str(state / "ca/inspection-ca.pem"), "ca_key": str(key)}}
    with make_proxy("ca", config=config) as p:
        def curl(works=True):
            host = name()
            r = p.run(tool("curl"), "-sSv", f"https://{host}:{https.port}/hello",
                      env=p.environment(CURL_CA_BUNDLE=str(bundle)))
            assert (b"hello" in r.stdout) == works, (r, p.daemon.log)
            return r.stderr
        exeat_ca("export", "--state", state, "--format", "bundle", "--output", bundle)
        assert b"CN=First" in curl()
        exeat_ca("rotate", "--state", state, "--now", expected=1)  # clients don't know the next one yet
        exeat_ca("rotate", "--state", state, "--name", "Second")
        exeat_ca("export", "--state", state, "--format", "bundle", "--output", bundle)
        assert b"CN=First" in curl()
        exeat_ca("rotate", "--state", state, "--now")
        assert key.read_bytes() != before and json.loads(exeat_ca("show", "--state", state, "--json"))["next"] is None
        p.reload()
        assert b"CN=Second" in curl()
    env = exeat_ca("export", "--state", state, "--format", "env", "--bundle", bundle).decode()
    out = subprocess.run(["sh", "-ec", env + "\nprintf %s \"$NODE_EXTRA_CA_CERTS\""], capture_output=True, check=True).stdout.decode()
    assert out == str(state / "ca/inspection-ca.pem")
    exeat_ca("export", "--state", state, "--format", "der", "--output", state / "x.der")
    assert (state / "x.der").read_bytes()[:1] == b"\x30"


@pytest.mark.parametrize("what", ["missing", "other key", "not a ca", "readable"])
def test_a_ca_that_cannot_be_used(make_proxy, authority, tmp_path, what):
    """Said at the start, with the file."""
    open_for_others(tmp_path)
    ca, other = Inspection(tmp_path), tmp_path / "other"
    other.mkdir()
    key = ca.key
    if what == "missing":
        ca.certificate.unlink()
    elif what == "other key":
        key = Inspection(other).key
    elif what == "not a ca":
        subprocess.run(["openssl", "req", "-x509", "-key", ca.key, "-out", ca.certificate, "-days", "30", "-subj", "/CN=x",
                        "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
    elif what == "readable":
        os.chmod(key, 0o644)
    config = terminating(ca, authority)
    config["inspection"]["ca_key"] = str(key)
    with pytest.raises(AssertionError, match="did not become ready"):
        with make_proxy("bad", config=config):
            pass


def test_a_refused_browser_is_shown_a_page(make_proxy, https, inspection, authority, name):
    """Chromium, which is not let out by this baseline: the page, in a document that it takes for the site's."""
    chromium = tool("chromium")
    baseline = default_baseline()
    baseline["senders"] = [s for s in baseline["senders"] if "chromium" not in s["name"]]
    with make_proxy("page", config=terminating(inspection, authority, page=True), baseline=baseline) as p, \
            tempfile.TemporaryDirectory() as home:
        host = name()
        r = p.run(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
                  f"--proxy-server={p.url}", "--ignore-certificate-errors", "--virtual-time-budget=5000",
                  "--dump-dom", f"https://{host}:{https.port}/", seconds=90)
        assert b"baseline_sender" in r.stdout and b"did not let this request out" in r.stdout, r
        t = p.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host)
        assert t and all(x.verdict == "block" for x in t)
        assert not https.requests_for(host)


# ---- those who want out ----

def test_alerts_teach_nothing_in_enforce(proxy, https, inspection, name):
    """Ten clients that say unknown_ca: the eleventh is terminated as the first was."""
    host = name()
    for _ in range(10):
        s, head = proxy.connect(host, https.port)
        assert " 200 " in head
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(s, server_hostname=host)
    tls = open_tls(proxy, host, https.port, inspection)
    issuer = dict(x[0] for x in tls.getpeercert()["issuer"])
    assert issuer["commonName"] == "Inspection of the tests"
    tls.close()
    ended = proxy.exchanges(host, count=11, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
    assert sum(x.reason == "client_rejected" for x in ended) == 10
    assert not any(p["host"] == host for p in proxy.status()["pins"])


@pytest.mark.parametrize("answer", ["refuse", "without"])
def test_a_server_that_asks_for_a_client_certificate(make_proxy, authority, inspection, name, answer):
    context = authority.server_context()
    context.verify_mode = ssl.CERT_REQUIRED if answer == "refuse" else ssl.CERT_OPTIONAL
    context.load_verify_locations(str(authority.ca))
    origin = origins.Origin(origins.HttpHandler, tls=context)
    try:
        with make_proxy("asks", config=terminating(inspection, authority, client_certificate=answer), ports=[origin.port]) as p:
            host = name()
            r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{origin.port}/hello")
            t = tunnel_of(p, host)
            if answer == "refuse":
                assert r.returncode != 0 and t.reason == "handling_downgrade" and not origin.requests_for(host), (r, t)
            else:
                assert b"hello" in r.stdout and t.reason == "completed", (r, t)
    finally:
        origin.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_goes_through_where_the_baseline_says_so(make_proxy, authority, inspection, name, version):
    """curl --cert, which trusts the server's own CA alone: its handshake is with the server. The other host isn't named: refused."""
    context = authority.server_context()
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(authority.ca))
    origin = origins.Origin(origins.HttpHandler, tls=context)
    host = name()
    baseline = default_baseline()
    baseline["destination_sets"]["tests"] = [{"host": host, "client_certificate": "tunnel"}] + baseline["destination_sets"]["tests"]
    try:
        with make_proxy("mutual", config=terminating(inspection, authority), baseline=baseline, ports=[origin.port]) as p:
            for _ in range(2):
                r = p.run(tool("curl"), "-sS", "--cacert", str(authority.ca), "--cert", str(authority.cert), "--key",
                          str(authority.key), f"https://{host}:{origin.port}/hello")
                assert b"hello" in r.stdout, r
            for t in p.exchanges(host, count=2):
                assert t.verdict == "allow" and t.get("unmapped.verdict.handling") == "peek", t
                assert t.get("unmapped.verdict.handling_why") == "client_certificate", t
            other = name()
            r = p.run(tool("curl"), "-sS", "--cacert", str(authority.ca), "--cert", str(authority.cert), "--key",
                      str(authority.key), f"https://{other}:{origin.port}/hello")
            assert r.returncode != 0 and tunnel_of(p, other).reason == "handling_downgrade" and not origin.requests_for(other), r
    finally:
        origin.stop()


def test_tls_inside_tls_is_revealed(make_proxy, tls_echo, authority, inspection, name):
    """A hello inside the terminated tunnel: relayed as bytes, and said to be TLS."""
    with make_proxy("inner", config=terminating(inspection, authority), ports=[tls_echo.port]) as p:
        host = name()
        tls = open_tls(p, host, tls_echo.port, inspection, alpn=())
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="hidden.test")
        with pytest.raises(ssl.SSLWantReadError):
            inner.do_handshake()
        tls.sendall(outgoing.read())
        assert tls.recv(10)
        tls.close()
        t = tunnel_of(p, host)
        assert t.get("unmapped.inside.protocol") == "tls" and "H42" in t.get("unmapped.anomalies"), t


class HandshakeResetHandler(origins.EchoHandler):
    """Resets after so many bytes of the client's hello."""
    after = 1

    def handle(self):
        import struct
        self.request.recv(type(self).after)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


@pytest.mark.parametrize("after", [1, 5, 100, 4096])
def test_a_server_that_resets_in_the_handshake(make_proxy, authority, inspection, name, after):
    handler = type("Handler", (HandshakeResetHandler,), {"after": after})
    origin = origins.Origin(handler)
    try:
        with make_proxy("resets", config=terminating(inspection, authority), ports=[origin.port]) as p:
            host = name()
            r = p.run(tool("curl"), "-sS", "--cacert", inspection.certificate, f"https://{host}:{origin.port}/")
            assert r.returncode != 0
            assert tunnel_of(p, host).reason in ("server_tls_failed", "server_reset")
    finally:
        origin.stop()


def test_versions_and_weaknesses(proxy, https, inspection, name):
    """What sslscan would look for on the client's side: TLS 1.2 and 1.3 only, forward secrecy, no compression, no renegotiation, no
    static RSA, no 0-RTT, tickets."""
    port = https.port

    def s_client(*argv, host=None):
        host = host or name()
        return proxy.run(tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{proxy.port}", "-connect", f"{host}:{port}", "-servername", host,
                         "-CAfile", inspection.certificate, *argv, input=b"").stdout.decode()
    assert "Protocol  : TLSv1.3" in s_client("-tls1_3") or "TLSv1.3" in s_client("-tls1_3")
    assert "Verify return code: 0" in s_client("-tls1_2")
    for old in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in s_client(old, "-cipher", "DEFAULT:@SECLEVEL=0")
    for weak in ("AES128-SHA", "AES256-GCM-SHA384", "NULL", "RC4-SHA:DES-CBC3-SHA", "aNULL", "EXPORT"):
        assert "Cipher is (NONE)" in (out := s_client("-tls1_2", "-cipher", weak + ":@SECLEVEL=0")) or "Cipher is" not in out, weak
    out = s_client("-tls1_2")
    assert "Compression: NONE" in out and "Secure Renegotiation IS supported" in out
    assert "Max Early Data: 0" in s_client("-tls1_3") or "Early data was not sent" in s_client("-tls1_3")


def test_a_gigabyte_each_way(make_proxy, https, inspection, authority, name):
    """In constant memory; a sanitizer's quarantine isn't, so that it gets less."""
    size = 1 << (22 if sanitized() else 30)
    with make_proxy("gigabyte", config=terminating(inspection, authority)) as p:
        curl = [tool("curl"), "-sS", "--cacert", inspection.certificate]
        assert b"hello" in p.run(*curl, f"https://{name()}:{https.port}/hello").stdout
        before = p.daemon.rss_kib()
        host = name()
        r = p.run(*curl, "-o", "/dev/null", "-w", "%{size_download}", f"https://{host}:{https.port}/bytes/{size}", seconds=240)
        assert r.stdout == str(size).encode(), r
        source = f"head -c {size} /dev/zero | {tool('curl')} -sS --cacert {inspection.certificate} -T - https://{host}:{https.port}/echo -o /dev/null"
        r = p.run("sh", "-c", source, seconds=240)
        assert r.returncode == 0, r
        if not sanitized():
            assert p.daemon.rss_kib() - before < 16 << 10, (before, p.daemon.rss_kib())
        down, up = sorted(inside_of(p, tunnel_of_first(p, host)) + inside_of(p, tunnel_of_last(p, host)), key=lambda x: x.close["time"])
        assert down.get("http_response.body_length") == size and up.get("http_request.body_length") == size


def tunnels(proxy, host):
    found = proxy.exchanges(host, count=2, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
    return sorted(found, key=lambda x: x.close["time"])


def tunnel_of_first(proxy, host):
    return tunnels(proxy, host)[0]


def tunnel_of_last(proxy, host):
    return tunnels(proxy, host)[1]
