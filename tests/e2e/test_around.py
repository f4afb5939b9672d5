"""What goes around the proxy: attempts are counted by program, the nftables lock of packaging/ keeps all but the proxy inside, and the
agent finds out whether there is a lock. Needs root, and network namespaces of its own: nothing here touches the host's network."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import pytest

import harness
from harness import BUILD, wait_until
from test_agent_bpf import Agent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LOCK = harness.SOURCE / "packaging/nftables/exeat-lock.nft"
OUTSIDE = "203.0.114.1"  # nobody is asked: the namespaces end at a veth
PYTHON = os.path.realpath("/usr/bin/python3")

# A network whose packets go nowhere.
NETWORK = ("ip link set lo up && ip link add n0 type veth peer name n1 && ip link set n0 up && ip link set n1 up && "
           "ip addr add 192.168.77.1/24 dev n0 && ip route add default via 192.168.77.2 && ")

# Tries each place and says what came of it: an errno's name, "sent", or "waits".
TRY = """
import errno, os, socket, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
for place in sys.argv[2:]:
    transport, host, port = place.split("/")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
    s.setblocking(False)
    try:
        if transport == "tcp":
            s.settimeout(0.3)
            s.connect((host, int(port)))
        else:
            s.sendto(b"x", (host, int(port)))
        print("sent")
    except TimeoutError:
        print("waits")
    except OSError as e:
        print(errno.errorcode[e.errno])
"""


def need(*names):
    for name in names:
        if not shutil.which(name):
            pytest.skip(f"needs {name}")


def inside(*steps):
    """A shell's words in a network of its own."""
    made = subprocess.run(["unshare", "-n", "sh", "-c", NETWORK + " && ".join(steps)], capture_output=True, text=True)
    if "RTNETLINK" in made.stderr or "Unknown device" in made.stderr:
        pytest.skip("no veth here: " + made.stderr)
    return made


def try_as(uid, *places):
    return f"{PYTHON} -c '{TRY}' {uid} " + " ".join(places)


@pytest.fixture
def lock(tmp_path):
    """The rule set as it is, but for the proxy's user, whom this host may not have: uid 1 (daemon) stands in."""
    need("nft", "ip")
    path = tmp_path / "lock.nft"
    text = LOCK.read_text()
    assert text.count("define proxy_user = exeat\n") == 1
    path.write_text(text.replace("define proxy_user = exeat\n", "define proxy_user = daemon\n"))
    if subprocess.run(["unshare", "-n", "nft", "-f", path], capture_output=True).returncode != 0:
        pytest.skip("this kernel takes no such rules")
    return path


def test_lock(lock):
    """Nobody but the proxy gets out; inside is open; what is refused is refused at once and counted."""
    places = [f"tcp/{OUTSIDE}/443", f"udp/{OUTSIDE}/443", f"udp/{OUTSIDE}/53", "udp/192.168.77.9/53", "tcp/127.0.0.1/9"]
    r = inside(f"nft -f {lock}", f"nft -f {lock}", try_as(65534, *places), try_as(0, *places), try_as(1, *places),
               "nft list counter inet exeat_lock refused")
    said = r.stdout.split()
    assert said[:5] == ["EHOSTUNREACH", "EPERM", "EPERM", "sent", "ECONNREFUSED"], r
    assert said[5:10] == said[:5], r  # root is no exception
    assert said[10:15] == ["waits", "sent", "sent", "sent", "ECONNREFUSED"], r
    assert int(re.search(r"packets (\d+)", r.stdout)[1]) >= 6, r


def test_lock_is_taken_away(lock):
    r = inside(f"nft -f {lock}", "nft delete table inet exeat_lock", try_as(65534, f"udp/{OUTSIDE}/443"))
    assert r.stdout.split() == ["sent"], r


def test_lock_holds_what_is_forwarded(lock):
    """A container behind this host gets out no more than its programs do."""
    r = inside("ip netns add c$$ && ip link add c0 type veth peer name c1 netns c$$ && ip addr add 10.9.9.1/24 dev c0 && "
               "ip link set c0 up && ip -n c$$ addr add 10.9.9.2/24 dev c1 && ip -n c$$ link set c1 up && "
               "ip -n c$$ link set lo up && ip -n c$$ route add default via 10.9.9.1 && "
               "echo 1 > /proc/sys/net/ipv4/ip_forward", f"nft -f {lock}",
               f"ip netns exec c$$ {try_as(1, f'tcp/{OUTSIDE}/443')}; ip netns del c$$",
               "nft list counter inet exeat_lock refused_forwarded")
    if "Operation not permitted" in r.stderr or "Read-only" in r.stderr:
        pytest.skip(r.stderr)
    assert r.stdout.split()[0] == "EHOSTUNREACH", r
    assert int(re.search(r"packets (\d+)", r.stdout)[1]) >= 1, r


@pytest.mark.parametrize("locked", [False, True])
def test_agent_finds_out(lock, tmp_path, locked):
    """By trying, in its own network."""
    command = f"nft -f {lock} &&" if locked else ""
    agent = Agent(tmp_path, "--no-history", prefix=["unshare", "-n", "sh", "-c", f'{NETWORK} {command} exec "$@"', "sh"])
    assert agent.hello["around"]["lock"] is locked
    assert ("no lock" in agent.end()) is not locked


def test_no_way_out_is_no_lock(tmp_path):
    """Without a route nothing can be told."""
    agent = Agent(tmp_path, "--no-history", prefix=["unshare", "-n"])
    assert agent.hello["around"]["lock"] is None
    agent.end()


def around(agent, condition):
    """What it says unasked, until the condition holds."""
    while True:
        message = json.loads(agent.lines.readline())
        assert message["type"] == "around", message
        if condition(message):
            return message


def test_attempts_are_counted(tmp_path):
    agent = Agent(tmp_path, "--no-history")
    if not agent.hello["around"]["observed"]:
        why = agent.hello["around"]["why_not"]
        assert any("around" in sentence for sentence in agent.hello["capabilities"]["degraded"])
        agent.end()
        pytest.skip(why)
    program = tmp_path / "tool"
    shutil.copy(PYTHON, program)
    places = [f"tcp/{OUTSIDE}/443", f"tcp/{OUTSIDE}/25", f"udp/{OUTSIDE}/443", f"udp/{OUTSIDE}/53", f"udp/{OUTSIDE}/9999",
              "tcp/10.1.2.3/443", "tcp/127.0.0.1/443", "udp/192.168.1.1/53"]
    for parent in [tmp_path, *list(tmp_path.parents)[:2]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    for _ in range(2):
        inside(f"PYTHONHOME=/usr {program} -c '{TRY}' 65534 " + " ".join(places))

    def ours(message):
        return {s["transport"]: s for s in message["senders"] if s["executable"] == str(program)}
    said = around(agent, lambda m: sum(s["count"] for s in ours(m).values()) >= 8)
    tcp, udp = ours(said)["tcp"], ours(said)["udp"]
    assert tcp["count"] == 4 and udp["count"] == 4 and tcp["uid"] == udp["uid"] == 65534
    assert tcp["last"].startswith(OUTSIDE) and udp["last"].startswith(OUTSIDE)
    assert said["tcp"] >= 4 and said["udp"] >= 4
    assert f"{program} (tool, pid " in agent.end()


def test_a_proxy_is_no_way_around(tmp_path):
    """Who asks the agent is a proxy: what it reaches is its work."""
    agent = Agent(tmp_path, "--no-history")
    if not agent.hello["around"]["observed"]:
        agent.end()
        pytest.skip("not observed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("203.0.113.77", 53))  # of documentation, and no packet is sent
        s.connect((OUTSIDE, 53))
    inside(f"{PYTHON} -c '{TRY}' 65534 udp/{OUTSIDE}/443")
    said = around(agent, lambda m: any(s["uid"] == 65534 and s["udp"] if "udp" in s else s["uid"] == 65534
                                       for s in m["senders"]))
    assert all(s["pid"] != os.getpid() for s in said["senders"]), said
    agent.end()


def test_status_says_it(make_proxy):
    with make_proxy("around") as p:
        r = subprocess.run([BUILD / "exeat", "status", "--socket", p.admin_socket], capture_output=True, text=True)
        line = next(x for x in r.stdout.splitlines() if x.startswith("around"))
        assert "lock" in line, r
        known = p.status()["workers"][0]["agent"]["around"]
        assert known["lock"] in (True, False, None) and isinstance(known["tcp"], int), known
