"""Terminated TLS as people's programs and scanners meet it: each client with the inspection CA from `exeat ca export` and without it;
sslscan and testssl.sh against the side that clients see; failures of the disk."""
import base64
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import pytest

import origins
from harness import BUILD, default_baseline, open_for_others, sanitized, tool, wait_until
from test_clients import git_backend, git_environment, git_repositories

JAVA = """
import java.net.*;
public class Get {
    public static void main(String[] a) throws Exception {
        URLConnection c = new URL(a[0]).openConnection();
        c.setConnectTimeout(20000);
        c.setReadTimeout(20000);
        System.out.write(c.getInputStream().readAllBytes());
        System.out.flush();
    }
}
"""
NODE = """
const http = require('http'), https = require('https'), url = new URL(process.argv[1]), proxy = new URL(process.env.https_proxy);
http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host, headers: {Host: url.host}}).on('connect', (r, s) =>
  https.get(url, {socket: s, agent: false, servername: url.hostname}, (q) => q.pipe(process.stdout))
    .on('error', (e) => { console.error(e.message); process.exit(1); })).end();
"""
REQUESTS = "import requests, sys; sys.stdout.write(requests.get(sys.argv[1], timeout=20).text)"
URLLIB = "import urllib.request, sys; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"
PYTHON = "/usr/bin/python3"


class Side:
    """A proxy that terminates everybody, with a CA made by `exeat ca`; and what `exeat ca export` gives to clients."""

    def __init__(self, make_proxy, authority, folder):
        self.folder = pathlib.Path(folder)
        open_for_others(self.folder)
        self.exeat("init", "--name", "Inspection of the tests")
        os.chmod(self.folder / "ca", 0o755)
        for form, name in (("bundle", "inspection-bundle.pem"), ("jks", "inspection-bundle.jks")):
            self.exeat("export", "--format", form, "--output", self.folder / "ca" / name)
        self.variables = self.exeat("export", "--format", "env")
        self.proxy = make_proxy("clients", baseline=default_baseline(mode="report"), config={
            "policy": {"handling": "terminate"}, "tls_origin": {"ca_file": authority.ca},
            "inspection": {"ca_certificate": str(self.folder / "ca/inspection-ca.pem"), "ca_key": str(self.folder / "ca/inspection-ca.key")}})

    def exeat(self, verb, *argv):
        r = subprocess.run([BUILD / "exeat", "ca", verb, "--state", self.folder, *argv], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r
        return r.stdout

    def allow_port(self, port):
        self.proxy.config["connect"]["ports"] = [*self.proxy.config["connect"]["ports"], port]
        self.proxy.write()
        self.proxy.reload()

    def run(self, argv, with_ca):
        """As a shell that has, or has not, taken over the exported lines; and the one file, where a program reads no variable."""
        (self.folder / ".wgetrc").write_text(f"ca_certificate={self.folder}/ca/inspection-bundle.pem\n" if with_ca else "")
        lines = self.variables if with_ca else ""
        return self.proxy.run("sh", "-c", lines + '\nexec "$@"', "sh", *argv, env=self.proxy.environment(HOME=str(self.folder)))


@pytest.fixture(scope="module")
def side(make_proxy, authority):
    with tempfile.TemporaryDirectory(prefix="exeat-state-") as folder:
        side = Side(make_proxy, authority, folder)
        with side.proxy:
            yield side


def java(side):
    source = side.folder / "Get.java"
    source.write_text(JAVA)
    return [tool("java"), "-Dhttps.proxyHost=127.0.0.1", f"-Dhttps.proxyPort={side.proxy.port}", source]


CLIENTS = {
    "curl": lambda side: [tool("curl"), "-sS"],
    "wget": lambda side: [tool("wget"), "-O-", "--tries=1"],
    "urllib": lambda side: [PYTHON, "-c", URLLIB],
    "requests": lambda side: [PYTHON, "-c", REQUESTS],
    "node": lambda side: [tool("node"), "-e", NODE],
    "java": java,
}
# where the record says that such a client looks for roots
ROOTS = {"curl": "CURL_CA_BUNDLE", "wget": "--ca-certificate", "urllib": "SSL_CERT_FILE", "requests": "REQUESTS_CA_BUNDLE",
         "node": "NODE_EXTRA_CA_CERTS", "java": "JAVA_TOOL_OPTIONS"}
# those that end the connection without an alert: the record says what it may be
REASONS = {"wget": "client_reset", "node": "client_tls_failed"}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_with_the_exported_ca_and_without(side, https, name, client):
    host = name()
    argv = [*CLIENTS[client](side), f"https://{host}:{https.port}/hello"]
    r = side.run(argv, with_ca=True)
    assert b"hello from the origin" in r.stdout, r
    t = tunnel_of(side.proxy, host)
    assert t.reason == "completed" and t.get("unmapped.chain.source") == "terminated" and t.get("unmapped.inside.protocol") == "http/1.1", t
    asked = len(https.requests_for(host))
    host = name()
    argv[-1] = f"https://{host}:{https.port}/hello"
    r = side.run(argv, with_ca=False)
    assert r.returncode != 0 and b"hello" not in r.stdout, r
    t = tunnel_of(side.proxy, host)
    assert t.reason == REASONS.get(client, "client_rejected") and ROOTS[client] in t.get("status_detail"), t
    assert asked == 1 and not https.requests_for(host)


def tunnel_of(proxy, host):
    return proxy.exchange(host, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")


def test_cargo_fetches_a_dependency(side, authority, name, tmp_path, make_proxy):
    """From git's own server over https, by what cargo was built with (libgit2 and libcurl)."""
    open_for_others(tmp_path)
    work, bare = git_repositories(tmp_path)
    (work / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\n[lib]\npath = "lib.rs"\n')
    (work / "lib.rs").write_text("")
    git = dict(env={**os.environ, **git_environment(tmp_path)}, check=True, capture_output=True)
    for argv in (["add", "-A"], ["commit", "-q", "-m", "a library"], ["push", "-q", str(bare), "HEAD"]):
        subprocess.run([tool("git"), "-C", work, *argv], **git)
    host = name()
    server = origins.Origin(git_backend(tmp_path / "www"), tls=authority.server_context())
    user = tmp_path / "user"
    (user / "src").mkdir(parents=True)
    (user / "src/lib.rs").write_text("")
    (user / "Cargo.toml").write_text('[package]\nname = "user"\nversion = "0.1.0"\n[dependencies]\n'
                                     f'tiny = {{ git = "https://{host}:{server.port}/repo.git" }}\n')
    cargo = [tool_as_named("cargo"), "fetch", "--manifest-path", user / "Cargo.toml"]
    try:
        side.allow_port(server.port)

        def fetch(with_ca, home):
            lines = side.variables if with_ca else ""
            return side.proxy.run("sh", "-c", lines + '\nexec "$@"', "sh", *cargo, env=side.proxy.environment(
                CARGO_HOME=str(tmp_path / home), CARGO_NET_RETRY="0", CARGO_NET_GIT_FETCH_WITH_CLI="false"))
        r = fetch(False, "without")
        assert r.returncode != 0 and b"ertificate" in r.stderr, r
        for t in tunnels_of(side.proxy, host):  # which way depends on what libcurl was built with
            assert t.reason in ("client_rejected", "client_reset", "client_tls_failed", "completed") and "CARGO_HTTP_CAINFO" in t.get("status_detail"), t
        r = fetch(True, "with")
        assert r.returncode == 0 and list((tmp_path / "with/git/checkouts").glob("*/*/lib.rs")), r
        done = wait_until(lambda: [t for t in tunnels_of(side.proxy, host) if t.reason == "completed"], "a tunnel that ended well")
        assert all(t.get("unmapped.chain.source") == "terminated" for t in done)
    finally:
        server.stop()


def npm_registry(address, packages):
    """What npm asks a registry for: a document of each package, and its archive."""
    def archive(name):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            for path, text in (("package.json", json.dumps({"name": name, "version": "1.0.0", "dependencies": packages[name]})), ("index.js", "")):
                entry = tarfile.TarInfo("package/" + path)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        return data.getvalue()
    archives = {name: archive(name) for name in packages}

    def document(name):
        hashed = base64.b64encode(hashlib.sha512(archives[name]).digest()).decode()
        return json.dumps({"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {
            "name": name, "version": "1.0.0", "dependencies": packages[name],
            "dist": {"tarball": f"{address()}/{name}/-/{name}-1.0.0.tgz", "integrity": "sha512-" + hashed}}}}).encode()

    class Registry(origins.HttpHandler):
        def do_GET(self):
            name = self.path.split("/")[1]
            body = b"" if name not in packages else archives[name] if self.path.endswith(".tgz") else document(name)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/octet-stream" if self.path.endswith(".tgz") else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    return Registry


@pytest.mark.parametrize("elsewhere", [False, True], ids=["", "with a cafile configured"])
def test_npm_installs(side, authority, name, tmp_path, elsewhere):
    """Documents and archives of four packages, which depend on each other; also where .npmrc names roots of its own."""
    if not shutil.which("npm"):
        pytest.skip("no npm")
    open_for_others(tmp_path)
    host, packages = name(), {"one": {"two": "^1.0.0", "three": "^1.0.0"}, "two": {"four": "1.0.0"}, "three": {"four": "^1.0.0"}, "four": {}}
    server = origins.Origin(npm_registry(lambda: f"https://{host}:{server.port}", packages), tls=authority.server_context())
    (tmp_path / "package.json").write_text('{"name": "user", "version": "1.0.0", "dependencies": {"one": "1.0.0"}}')
    argv = [tool("node"), os.path.realpath(shutil.which("npm")), "install", "--no-audit", "--no-fund", "--no-update-notifier",
            "--fetch-retries=0", "--registry", f"https://{host}:{server.port}/"]
    try:
        side.allow_port(server.port)

        def install(with_ca):
            (side.folder / ".npmrc").write_text(f"cafile={authority.ca}\n" if elsewhere else "")
            return side.run(["sh", "-c", 'cd "$0" && exec "$@"', tmp_path, *argv], with_ca)
        r = install(False)
        assert r.returncode != 0 and not (tmp_path / "node_modules").exists(), r
        t = tunnels_of(side.proxy, host)[0]
        assert t.reason == "client_tls_failed" and "cafile" in t.get("status_detail"), t
        r = install(True)
        assert r.returncode == 0 and all((tmp_path / "node_modules" / p / "index.js").exists() for p in packages), r
        wait_until(lambda: 4 == len(side.proxy.ledger.find(lambda x: x.close and x.reason == "completed" and (x.get("http_request.url.url_string") or "").startswith(
            f"https://{host}:{server.port}/") and x.get("http_request.url.url_string").endswith(".tgz"))), "a record of each archive")
    finally:
        server.stop()


def tool_as_named(name):
    """Not the file behind it: what rustup puts there looks at the name by which it is called."""
    tool(name)
    return shutil.which(name)


def tunnels_of(proxy, host):
    return wait_until(lambda: proxy.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host and
                                                x.get("proxy_http_request.http_method") == "CONNECT"), f"tunnels to {host}")


# ---- scanners ----

# what sslscan says of a server that compresses, renegotiates insecurely, or lets itself be brought down
WEAK = {("compression", "1", None), ("renegotiation", "1", "0"), ("fallback", "0", None)}


def test_sslscan_finds_nothing_weak(side, https, name):
    host = name()
    with origins.Forward(side.proxy, host, https.port) as door:
        r = subprocess.run([tool("sslscan"), "--no-colour", "--xml=-", f"--sni-name={host}", f"127.0.0.1:{door.port}"], capture_output=True,
                           text=True, timeout=240)
    import xml.etree.ElementTree as tree
    found = tree.fromstring(r.stdout).find("ssltest")
    on = {(p.get("type"), p.get("version")) for p in found.findall("protocol") if p.get("enabled") == "1"}
    assert on == {("tls", "1.2"), ("tls", "1.3")}, r.stdout
    ciphers = [c for c in found.findall("cipher")]
    assert ciphers and all(int(c.get("bits")) >= 128 and c.get("strength") in ("strong", "acceptable") for c in ciphers), r.stdout
    assert all("GCM" in c.get("cipher") or "CHACHA20" in c.get("cipher") for c in ciphers), r.stdout
    beats = found.findall("heartbleed")
    assert beats and all(h.get("vulnerable") == "0" for h in beats), r.stdout
    found_weak = [(tag.tag, tag.attrib) for tag in found if (tag.tag, tag.get("supported"), tag.get("secure")) in WEAK]
    assert not found_weak, r.stdout


@pytest.mark.skipif(sanitized(), reason="it takes minutes, and shows nothing that the release does not")
def test_testssl_finds_nothing_weak(side, https, name, tmp_path):
    host, report = name(), tmp_path / "report.json"
    with origins.Forward(side.proxy, host, https.port) as door:
        r = subprocess.run([tool("testssl"), "--quiet", "--color", "0", "--warnings", "off", "--openssl-timeout", "20", "--ip", "127.0.0.1",
                            "--nodns", "min", "-p", "-s", "-f", "-H", "-I", "-T", "-R", "-C", "-Z", "-W", "-D", "-F", "-J", "-L",
                            "--jsonfile", report, f"https://{host}:{door.port}/"], capture_output=True, text=True, timeout=400,
                           stdin=subprocess.DEVNULL)
    assert report.exists(), r
    rows = json.loads(report.read_text())
    said = {row["id"]: row for row in rows}
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert said[old]["finding"].startswith("not offered"), said[old]
    for new in ("TLS1_2", "TLS1_3"):
        assert said[new]["finding"].startswith("offered"), said[new]
    for check in ("heartbleed", "CCS", "ticketbleed", "CRIME_TLS", "SWEET32", "FREAK", "DROWN", "LOGJAM", "LUCKY13"):
        assert said[check]["severity"] in ("OK", "INFO"), said[check]
    bad = [row for row in rows if row["severity"] in ("MEDIUM", "HIGH", "CRITICAL")]
    assert not bad and len(rows) > 30, rows
