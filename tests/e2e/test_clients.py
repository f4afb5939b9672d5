"""Real clients through the real proxy: each gets its answer, and the records name the program that asked."""
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import origins
from harness import Program, default_baseline, get_path, open_for_others, tool, wait_until

PYTHON = os.path.realpath("/usr/bin/python3")


def allowed(exchange, executable, reason=("completed", "client_reset"), port=None):
    """What every allowed exchange's records say. (A client that is gone when the server says goodbye resets: both are fine.)"""
    assert exchange.decision, exchange
    assert exchange.verdict == "allow", exchange
    assert exchange.confidence == "exact", exchange
    assert exchange.executable == executable, exchange
    assert get_path(exchange.decision, "actor.process.file.path") == executable
    assert exchange.reason in ((reason,) if isinstance(reason, str) else reason), exchange
    assert get_path(exchange.decision, "disposition") == "Allowed"
    assert get_path(exchange.decision, "device.hostname") == socket.gethostname()
    if port:
        assert exchange.get("dst_endpoint.port") == port
    return exchange


def blocked(exchange, executable, reason):
    assert exchange.decision, exchange
    assert exchange.verdict == "block", exchange
    assert exchange.executable == executable, exchange
    assert exchange.reason == reason and exchange.verdict_reason == reason, exchange
    assert get_path(exchange.decision, "disposition") == "Blocked"
    assert not exchange.get("traffic.bytes_out")
    return exchange


def closed(proxy, host):
    """However many exchanges a client needed, when one at least is over."""
    return wait_until(lambda: proxy.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host),
                      f"records of {host}")


def test_curl_http(proxy, http, name):
    host = name()
    r = proxy.curl(f"http://{host}:{http.port}/hello?secret=1")
    assert b"hello from the origin" in r.stdout, r
    x = allowed(proxy.exchange(host), tool("curl"), port=http.port)
    assert x.get("proxy_http_request.http_method") == "GET"
    assert x.get("proxy_http_response.code") == 200
    assert x.get("proxy_http_request.url.url_string") == f"http://{host}:{http.port}/hello"
    assert "secret" not in json.dumps(x.decision["proxy_http_request"])
    assert x.get("dst_endpoint.ip") in ("127.0.0.1", "::1")
    seen = http.requests_for(host)
    assert len(seen) == 1 and seen[0]["path"] == "/hello?secret=1"
    assert "via" in seen[0]["headers"] and "proxy-connection" not in seen[0]["headers"]


def test_curl_https(proxy, https, authority, name):
    host = name()
    r = proxy.curl("--cacert", authority.ca, "--http1.1", f"https://{host}:{https.port}/hello")
    assert b"hello from the origin" in r.stdout, r
    x = allowed(proxy.exchange(host), tool("curl"), port=https.port)
    assert x.get("app_protocol_name") == "tls"
    assert x.get("tls.sni") == host and x.get("tls.version") == "unknown"  # the server's flight is not read
    assert x.get("unmapped.hello.alpn") == ["http/1.1"]
    assert x.get("unmapped.hello.ja4").startswith("t13d")
    assert x.get("unmapped.chain.source") == "unavailable"
    assert x.get("traffic.bytes_in") > 500 and x.get("traffic.bytes_out") > 300


def test_curl_keeps_the_connection(proxy, http, name):
    host = name()
    url = f"http://{host}:{http.port}/hello"
    r = proxy.curl(url, url, url)
    assert r.stdout.count(b"hello from the origin") == 3, r
    for x in proxy.exchanges(host, 3):
        allowed(x, tool("curl"))
    assert len({s["connection"] for s in http.requests_for(host)}) == 1


def test_curl_posts(proxy, http, name):
    host = name()
    size = 300000
    body = b"".join(origins.payload(size))
    r = proxy.curl("-X", "POST", "--data-binary", "@-", f"http://{host}:{http.port}/echo", input=body)
    assert json.loads(r.stdout)["crc"] == origins.payload_crc(size), r
    x = allowed(proxy.exchange(host), tool("curl"))
    assert x.get("traffic.bytes_out") >= size


def test_self_signed_server(proxy, self_signed, name):
    """The tunnel is let out; that nobody vouches for the certificate is the client's to see."""
    host = name()
    r = proxy.curl(f"https://{host}:{self_signed.port}/hello")
    assert r.returncode == 60, r
    allowed(proxy.exchange(host), tool("curl"), reason="client_reset")  # curl closes with bytes unread
    assert proxy.curl("-k", f"https://{host}:{self_signed.port}/hello").returncode == 0


def test_wget(proxy, http, https, authority, name):
    host = name()
    r = proxy.run(tool("wget"), "-qO-", f"http://{host}:{http.port}/hello")
    assert b"hello from the origin" in r.stdout, r
    allowed(proxy.exchange(host), tool("wget"))
    host = name()
    r = proxy.run(tool("wget"), "-qO-", f"--ca-certificate={authority.ca}", f"https://{host}:{https.port}/hello")
    assert b"hello from the origin" in r.stdout, r
    assert allowed(proxy.exchange(host), tool("wget")).get("tls.sni") == host


def test_openssl_s_client(proxy, https, authority, name):
    host = name()
    r = proxy.run(tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{proxy.port}", "-connect", f"{host}:{https.port}",
                  "-servername", host, "-CAfile", authority.ca, "-verify_return_error", "-quiet", "-ign_eof",
                  input=b"GET /close HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert r.returncode == 0, r
    assert b"until close" in r.stdout
    # who closes first, with a close_notify of the other unread, is a race between the two
    allowed(proxy.exchange(host), tool("openssl"), reason=("completed", "server_reset", "client_reset"))


# -- interpreters: judged by the script they run --

URLLIB = """
import sys, urllib.request, urllib.error, ssl
try:
    context = ssl.create_default_context(cafile=sys.argv[2])
    print(urllib.request.urlopen(sys.argv[1], context=context if sys.argv[1].startswith("https") else None).read().decode())
except urllib.error.HTTPError as e:
    print("status", e.code, e.read().decode())
except OSError as e:
    print("failed", e)
"""
REQUESTS = """
import sys, requests
try:
    r = requests.get(sys.argv[1], verify=sys.argv[2])
    print(r.status_code, r.text)
except requests.exceptions.RequestException as e:
    print("failed", e)
"""
NODE = """
const [url, proxy, ca] = process.argv.slice(2);
const http = require('http'), tls = require('tls'), fs = require('fs'), u = new URL(url), p = new URL(proxy);
function show(r) { let t = ''; r.on('data', d => t += d); r.on('end', () => console.log(r.statusCode, t)); }
if (u.protocol == 'http:') http.get({host: p.hostname, port: p.port, path: url, headers: {Host: u.host}}, show);
else http.request({host: p.hostname, port: p.port, method: 'CONNECT', path: u.host, headers: {Host: u.host}})
  .on('connect', (r, socket) => {
    if (r.statusCode != 200) { console.log('refused', r.statusCode); return socket.destroy(); }
    const s = tls.connect({socket, servername: u.hostname, ca: fs.readFileSync(ca)}, () =>
      http.get({createConnection: () => s, path: u.pathname, headers: {Host: u.host, Connection: 'close'}}, show));
  }).end();
"""


@pytest.fixture(scope="module")
def scripts():
    """Two copies of each script: only the one under `good` stands in the baseline. Not under /tmp: a path is an identity only
    where users can't write."""
    if os.geteuid() != 0:
        pytest.skip("only root can put a script where users can't write")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exeat-scripts-", dir="/var/lib"))
    for kind in ("good", "bad"):
        (folder / kind).mkdir()
        for file, text in (("fetch.py", URLLIB), ("fetch_requests.py", REQUESTS + f"# {kind}\n"), ("fetch.js", NODE)):
            (folder / kind / file).write_text(text)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def script_proxy(make_proxy, scripts):
    """fetch.py and fetch.js are known by their path, fetch_requests.py by its bytes."""
    node = os.path.realpath(shutil.which("node") or "/usr/bin/node")
    digest = hashlib.sha256((scripts / "good/fetch_requests.py").read_bytes()).hexdigest()
    matches = {"fetch.py": {"executable": PYTHON, "script": str(scripts / "good/fetch.py")},
               "fetch_requests.py": {"executable": PYTHON, "script_sha256": digest},
               "fetch.js": {"executable": node, "script": str(scripts / "good/fetch.js")}}
    extra = [{"name": f"good {file}", "match": match, "allow": [{"use": "tests"}]} for file, match in matches.items()]
    with make_proxy("scripts", baseline=default_baseline(extra=extra)) as p:
        yield p


@pytest.mark.parametrize("file", ["fetch.py", "fetch_requests.py"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_python(script_proxy, scripts, http, https, authority, name, file, scheme):
    port = {"http": http, "https": https}[scheme].port
    host = name()
    argv = lambda kind, host: (PYTHON, scripts / kind / file, f"{scheme}://{host}:{port}/hello", authority.ca)
    r = script_proxy.run(*argv("good", host))
    assert b"hello from the origin" in r.stdout, r
    x = allowed(script_proxy.exchange(host), PYTHON)
    assert x.entry == f"good {file}"
    assert x.get("unmapped.sender.details.script") == str(scripts / "good" / file)
    host = name()
    r = script_proxy.run(*argv("bad", host))
    assert b"403" in r.stdout and b"hello from" not in r.stdout, r
    for x in script_proxy.exchanges(host, 1):
        blocked(x, PYTHON, "baseline_sender")
    assert not http.requests_for(host) and not https.requests_for(host)


def test_python_one_liner_is_nobody(script_proxy, http, name):
    """-c runs no file: the interpreter alone is not approved."""
    host = name()
    r = script_proxy.run(PYTHON, "-c", f"import urllib.request; urllib.request.urlopen('http://{host}:{http.port}/')")
    assert b"403" in r.stderr, r
    x = blocked(script_proxy.exchange(host), PYTHON, "baseline_sender")
    assert x.get("unmapped.sender.details.script") is None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_node(script_proxy, scripts, http, https, authority, name, scheme):
    node = tool("node")
    port = {"http": http, "https": https}[scheme].port
    host = name()
    argv = lambda kind, host: (node, scripts / kind / "fetch.js", f"{scheme}://{host}:{port}/hello", script_proxy.url,
                               authority.ca)
    r = script_proxy.run(*argv("good", host))
    assert b"200 " in r.stdout and b"hello from the origin" in r.stdout, r
    allowed(script_proxy.exchange(host), node)
    host = name()
    r = script_proxy.run(*argv("bad", host))
    assert b"403" in r.stdout, r
    blocked(script_proxy.exchange(host), node, "baseline_sender")


# -- tools with several requests --

def git_environment(folder):
    return dict(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", HOME=str(folder), GIT_TERMINAL_PROMPT="0",
                GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@t.test", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@t.test")


def git_run(folder, *argv):
    return subprocess.run([tool("git"), *map(str, argv)], check=True, capture_output=True,
                          env=dict(os.environ, **git_environment(folder)))


def git_repositories(folder):
    """A work tree with a commit, and the bare repository that is served from folder/www."""
    work, bare = folder / "work", folder / "www/repo.git"
    git_run(folder, "init", "-q", work)
    (work / "file").write_text("content\n")
    git_run(folder, "-C", work, "add", "file")
    git_run(folder, "-C", work, "commit", "-q", "-m", "one")
    git_run(folder, "clone", "-q", "--bare", work, bare)
    return work, bare


def test_git_clone(name, tmp_path, make_proxy):
    """A clone over http from a repository served as plain files."""
    _, bare = git_repositories(tmp_path)
    git_run(tmp_path, "-C", bare, "update-server-info")
    files = serve_files(tmp_path / "www")
    try:
        host = name()
        with make_proxy("git", ports=[files.port]) as p:
            r = p.run(tool("git"), "clone", "-q", f"http://{host}:{files.port}/repo.git", tmp_path / "clone",
                      env=p.environment(**git_environment(tmp_path)))
            assert r.returncode == 0, r
            assert (tmp_path / "clone/file").read_text() == "content\n"
            found = closed(p, host)
            for x in found:
                allowed(x, "/usr/lib/git-core/git-remote-http")
    finally:
        files.stop()


def git_backend(root):
    """git's own smart server (git-http-backend(1)) behind an Origin's handler."""
    class Backend(origins.HttpHandler):
        def _body(self):
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _serve(self):
            path, _, query = self.path.partition("?")
            env = dict(os.environ, **git_environment(root), GIT_PROJECT_ROOT=str(root), GIT_HTTP_EXPORT_ALL="1",
                       REMOTE_USER="tester", REQUEST_METHOD=self.command, PATH_INFO=path, QUERY_STRING=query,
                       CONTENT_TYPE=self.headers.get("Content-Type", ""), GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
                       HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""))
            answer = subprocess.run([tool("git"), "-c", "safe.directory=*", "http-backend"], input=self._body(),
                                    capture_output=True, env=env, check=True).stdout
            head, _, body = answer.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
            status = [v for k, v in fields if k.lower() == "status"] or ["200 OK"]
            self.send_response(int(status[0].split()[0]))
            for key, value in fields:
                if key.lower() != "status":
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve
    return Backend


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_smart_http(name, tmp_path, make_proxy, authority, scheme):
    """clone, push (two MiB: git sends it in chunks) and fetch with git's own server, plain and through a tunnel."""
    work, bare = git_repositories(tmp_path)
    git_run(tmp_path, "-C", bare, "config", "http.receivepack", "true")
    server = origins.Origin(git_backend(tmp_path / "www"), tls=authority.server_context() if scheme == "https" else None)
    host = name()
    url = f"{scheme}://{host}:{server.port}/repo.git"
    try:
        with make_proxy("git", ports=[server.port]) as p:
            env = p.environment(**git_environment(tmp_path), GIT_SSL_CAINFO=authority.ca)

            def git(*argv):
                r = p.run(tool("git"), *argv, env=env)
                assert r.returncode == 0, r
            clone = tmp_path / "clone"
            git("clone", "-q", url, clone)
            assert (clone / "file").read_text() == "content\n"
            (clone / "large").write_bytes(os.urandom(2 << 20))
            git("-C", clone, "add", "large")
            git("-C", clone, "commit", "-q", "-m", "two")
            git("-C", clone, "push", "-q", "origin", "HEAD")
            assert git_run(tmp_path, "-C", bare, "rev-parse", "HEAD").stdout == \
                git_run(tmp_path, "-C", clone, "rev-parse", "HEAD").stdout
            git("-C", work, "pull", "-q", url)
            assert (work / "large").read_bytes() == (clone / "large").read_bytes()
            for x in closed(p, host):
                allowed(x, "/usr/lib/git-core/git-remote-http", port=server.port)
                if scheme == "https":
                    assert x.get("app_protocol_name") == "tls" and x.get("tls.sni") == host
    finally:
        server.stop()


def serve_files(folder):
    import http.server

    class Files(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass
    return origins.Origin(Files)


def test_apt_update(make_proxy, name, tmp_path_factory):
    """apt-get update from a repository of our own, with every path of apt's moved to a folder."""
    apt = tool("apt-get")
    folder = tmp_path_factory.mktemp("apt")
    open_for_others(folder)
    release = folder / "www/dists/tiny/main/binary-all"
    release.mkdir(parents=True)
    (release / "Packages").write_text("Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t.test>\n"
                                      "Filename: pool/tiny.deb\nSize: 1\nDescription: none\n")
    for part in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
        (folder / part).mkdir(parents=True)
    files = serve_files(folder / "www")
    host = name()
    (folder / "etc/sources.list").write_text(f"deb [trusted=yes arch=all] http://{host}:{files.port} tiny main\n")
    try:
        with make_proxy("apt", ports=[files.port]) as p:
            options = [f"Dir::State={folder}/state", f"Dir::Cache={folder}/cache", f"Dir::Etc={folder}/etc",
                       f"Dir::State::status={folder}/state/status", "Dir::Etc::sourcelist=sources.list",
                       f"Acquire::http::Proxy={p.url}", "Acquire::Languages=none", "APT::Sandbox::User=root",
                       "APT::Architecture=all", "Acquire::AllowInsecureRepositories=true"]
            (folder / "state/status").write_text("")
            r = p.run(apt, *[a for o in options for a in ("-o", o)], "update", env=dict(os.environ, LC_ALL="C"))
            assert r.returncode == 0 and b"Packages" in r.stdout, r
            assert list((folder / "state/lists").glob("*Packages*")), r
            found = closed(p, host)
            assert len(found) >= 2
            for x in found:
                allowed(x, "/usr/lib/apt/methods/http")
                assert x.get("unmapped.sender.details.package.name") == "apt"
    finally:
        files.stop()


def test_apt_update_from_this_machines_sources(make_proxy):
    """apt-get update with this machine's own list of sources, where they can be reached without us as well."""
    apt = tool("apt-get")

    def update(folder, run, *options):
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        folder.chmod(0o755)
        wanted = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}", "APT::Sandbox::User=root",
                  "Acquire::Languages=none", "Acquire::Retries=0", "APT::Update::Error-Mode=any", *options]
        return run([apt, *[a for o in wanted for a in ("-o", o)], "update"])

    hosts, found = set(), set()

    def addresses():
        listed = subprocess.run([apt, "indextargets", "--format", "$(URI)"], capture_output=True, text=True).stdout
        hosts.update(line.split("/")[2].split(":")[0] for line in listed.split() if "://" in line)
        for host in hosts:
            found.update(info[4][0] for info in socket.getaddrinfo(host, 80, proto=socket.IPPROTO_TCP))
        return sorted(f"{a}/{128 if ':' in a else 32}" for a in found)
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory(prefix="exeat-apt-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        try:
            here = update(folder / "without", lambda argv: subprocess.run(argv, env=env, capture_output=True, timeout=120))
            allow = addresses()
        except (subprocess.TimeoutExpired, OSError):
            pytest.skip("this machine's sources cannot be reached")
        if here.returncode != 0 or not list((folder / "without/lists").glob("*Packages*")):
            pytest.skip("this machine's sources cannot be reached")
        methods = {"name": "apt", "match": {"package": "apt"}, "allow": [{"host": host} for host in sorted(hosts)]}
        with make_proxy("aptown", dns=None, baseline={"version": 1, "mode": "enforce", "unknown_sender": {"action": "block"},
                                                      "senders": [methods]},
                        config={"guard": {"allow_networks": ["127.0.0.0/8", "::1/128", *allow]}}) as p:
            r = update(folder / "through", lambda argv: p.run(argv[0], *argv[1:], seconds=180),
                       f"Acquire::http::Proxy={p.url}", f"Acquire::https::Proxy={p.url}")
            assert r.returncode == 0, r
            lists = [sorted(f.name for f in (folder / way / "lists").glob("*Packages*")) for way in ("without", "through")]
            assert lists[0] == lists[1]
            found = wait_until(lambda: p.ledger.find(lambda x: x.close), "records of apt")
            assert found
            for x in found:
                allowed(x, "/usr/lib/apt/methods/http")


def test_npm(make_proxy, name, tmp_path):
    """npm writes a title over its arguments, so that nobody can say which script runs: refused as a process, let out as
    an authenticated user."""
    tool("npm")
    node = tool("node")

    class Registry(origins.HttpHandler):
        def _do_hello(self, rest, crc, length):
            self._send(json.dumps({"name": "tiny", "dist-tags": {"latest": "1.2.3"},
                                   "versions": {"1.2.3": {"name": "tiny", "version": "1.2.3", "dist": {}}}}).encode(),
                       kind="application/json")
    registry = origins.Origin(Registry)
    extra = [{"name": "builder", "match": {"proxy_user": "builder"}, "allow": [{"use": "tests"}]}]
    p = make_proxy("npm", ports=[registry.port], baseline=default_baseline(extra=extra))
    p.config["auth"] = {"password_file": p.write_passwords(builder="secret")}
    p.write()

    def view(host, proxy_url):
        return p.run(shutil.which("npm"), "view", "tiny", "version", f"--registry=http://{host}:{registry.port}/",
                     f"--proxy={proxy_url}", f"--cache={tmp_path}/{host}", "--no-update-notifier", "--fetch-retries=0",
                     env=dict(os.environ, HOME=str(tmp_path), no_proxy="", NO_PROXY=""))
    try:
        with p:
            host = name()
            r = view(host, p.url)
            assert b"403" in r.stderr, r
            for x in closed(p, host):
                blocked(x, node, "baseline_sender")
            host = name()
            r = view(host, p.url.replace("//", "//builder:secret@"))
            assert r.stdout.strip() == b"1.2.3", r
            for x in closed(p, host):
                assert allowed(x, node).entry == "builder"
                assert x.get("actor.user.name") == "builder"
    finally:
        registry.stop()


def test_chromium(proxy, https, name, tmp_path):
    """A headless browser fetches a page through CONNECT."""
    tool("chromium")
    host = name()
    argv = [shutil.which("chromium"), f"--proxy-server={proxy.url}", "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", f"--user-data-dir={tmp_path}/profile",
            "--ignore-certificate-errors", "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=5000", "--dump-dom",
            f"https://{host}:{https.port}/hello"]
    r = proxy.run(*argv, env=dict(os.environ, HOME=str(tmp_path)), seconds=90)
    assert b"hello from the origin" in r.stdout, r
    found = closed(proxy, host)
    for x in found:
        assert x.verdict == "allow" and x.confidence == "exact" and x.executable.endswith("/chromium"), x
    assert any("h2" in (x.get("unmapped.hello.alpn") or []) for x in found), found


H2_SERVER = """
const http2 = require('http2'), fs = require('fs'), [port, key, cert] = process.argv.slice(2);
http2.createSecureServer({key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true},
  (q, r) => r.end('over HTTP/' + q.httpVersion)).listen(port, '::', () => console.log('listening'));
"""


def test_h2_inside_a_tunnel(proxy, h2_port, authority, name, tmp_path):
    node = tool("node")
    (tmp_path / "h2.js").write_text(H2_SERVER)
    server = Program("h2", [node, tmp_path / "h2.js", h2_port, authority.key, authority.cert], tmp_path)
    try:
        wait_until(lambda: "listening" in server.log, "the h2 origin")
        host = name()
        r = proxy.curl("--cacert", authority.ca, "--http2", f"https://{host}:{h2_port}/")
        assert r.stdout == b"over HTTP/2.0", r
        x = allowed(proxy.exchange(host), tool("curl"))
        assert x.get("unmapped.hello.alpn") == ["h2", "http/1.1"]
    finally:
        server.end(expected=None)
