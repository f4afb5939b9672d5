"""exeat-agent with BPF as a program: privileges given up and the kernel's records still readable, clients in other network
namespaces. Needs root, iproute2 and a kernel that takes the program; skipped otherwise. The rest is tests/unit/agent_connect_test.c's."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

import harness

AGENT = str(harness.BUILD / "exeat-agent")
SO_COOKIE = 57
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Agent:
    def __init__(self, folder, *options, prefix=()):
        self.path = str(folder / "run" / "agent.sock")
        self.process = subprocess.Popen([*prefix, AGENT, "--foreground", "--socket", self.path, *options],
                                        stderr=subprocess.PIPE, text=True)
        self.reconnect()

    def reconnect(self):
        until = time.monotonic() + 20
        while True:
            self.link = socket.socket(socket.AF_UNIX)
            self.link.settimeout(10 * harness.patience())  # its programs are loaded first
            try:
                self.link.connect(self.path)
                break
            except OSError:
                self.link.close()
                assert time.monotonic() < until and self.process.poll() is None, "the agent does not serve"
                time.sleep(0.02)
        self.lines = self.link.makefile()
        self.hello = json.loads(self.lines.readline())
        self.asked = 0

    @property
    def collector(self):
        return harness.part_of(self.process.pid, "exeat-collector")

    def greet(self, *endpoints):
        self.send({"v": 1, "type": "hello", "program": "test", "version": "1", "proxies": list(endpoints)})
        time.sleep(0.1)  # until it watches the ports

    def send(self, message):
        self.link.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, accepted, **more):
        self.asked += 1
        text = "%s:%d"
        self.send({"v": 1, "type": "ask", "id": self.asked, "nonce": "0123456789abcdef", "proto": "tcp",
                   "client": text % accepted.getpeername(), "proxy": text % accepted.getsockname(), "full": True,
                   "age_ms": 0, **more})
        answer = json.loads(self.lines.readline())
        while answer["type"] in ("around", "losses"):  # somebody on this host goes around the proxy, or is too fast to be followed
            answer = json.loads(self.lines.readline())
        assert answer["type"] == "answer" and answer["id"] == self.asked, answer
        return answer

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0
        return self.process.stderr.read()


def cookie(accepted):
    return {"proxy_cookie": int.from_bytes(accepted.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), "little")}


@pytest.fixture
def agent(tmp_path):
    a = Agent(tmp_path)
    if a.hello["capabilities"]["owner"] != "bpf":
        a.end()
        pytest.skip("; ".join(a.hello["capabilities"]["degraded"]))
    yield a
    a.end()


def listen(address="127.0.0.1"):
    s = socket.create_server((address, 0))
    s.settimeout(10)
    return s


CLIENT = ("import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
          "sys.stdin.read() if sys.argv[3]=='stay' else None\n")


def start_client(listener, stay, *prefix):
    host, port = listener.getsockname()
    return subprocess.Popen([*prefix, "/usr/bin/python3", "-c", CLIENT, host, str(port), "stay" if stay else "go"],
                            stdin=subprocess.PIPE)


def test_told_to_go_without(tmp_path):
    agent = Agent(tmp_path, "--no-bpf")
    said = agent.hello["capabilities"]
    assert said["owner"] == "proc" and said["bpf"] is False
    assert any("told to go without" in sentence for sentence in said["degraded"])
    agent.end()


def test_privileges_are_dropped_after_it_is_loaded(tmp_path, agent):
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    (tmp_path / "other").mkdir(mode=0o755)
    dropped = Agent(tmp_path / "other", "--user", "nobody")
    assert dropped.hello["capabilities"]["owner"] == "bpf"
    with open(f"/proc/{dropped.collector}/status", encoding="ascii") as status:
        capabilities = [line.split()[1] for line in status if line.startswith("CapPrm")]
    assert int(capabilities[0], 16) == 1 << 19 | 1 << 2  # SYS_PTRACE, DAC_READ_SEARCH
    listener = listen()
    dropped.greet("127.0.0.1:%d" % listener.getsockname()[1])
    client = start_client(listener, False)
    accepted = listener.accept()[0]
    client.wait()
    answer = dropped.ask(accepted, **cookie(accepted))
    assert (answer["confidence"], answer["basis"]) == ("exact", "connect")
    assert answer["sender"]["pid"] == client.pid
    dropped.end()


def test_another_users_listener_is_not_told(agent):
    listener = listen()
    agent.greet("127.0.0.1:1")
    client = start_client(listener, True)
    accepted = listener.accept()[0]
    assert agent.ask(accepted, **cookie(accepted))["reason"] == "not_ours"
    client.communicate()


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def namespace():
    """A namespace behind a veth pair: 198.51.100.1 here, .2 there."""
    if not shutil.which("ip"):
        pytest.skip("needs iproute2")
    name = "exeat%d" % os.getpid()
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        pytest.skip("ip netns is not permitted here")
    try:
        made = subprocess.run(["ip", "link", "add", name + "a", "type", "veth", "peer", "name", "inside", "netns", name],
                              capture_output=True, text=True)
        if made.returncode != 0:
            pytest.skip("no veth here: " + made.stderr)
        ip("addr", "add", "198.51.100.1/30", "dev", name + "a")
        ip("link", "set", name + "a", "up")
        ip("-n", name, "addr", "add", "198.51.100.2/30", "dev", "inside")
        ip("-n", name, "link", "set", "inside", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.parametrize("stay", [True, False])
def test_a_client_in_another_namespace(agent, namespace, stay):
    listener = listen("198.51.100.1")
    agent.greet("198.51.100.1:%d" % listener.getsockname()[1])
    client = start_client(listener, stay, "ip", "netns", "exec", namespace)
    accepted = listener.accept()[0]
    if not stay:
        client.wait()
    answer = agent.ask(accepted, **cookie(accepted))
    assert (answer["confidence"], answer["basis"], answer["other_namespace"]) == ("exact", "connect", True)
    assert answer["sender"]["pid"] == client.pid
    assert os.path.realpath("/usr/bin/python3") == answer["sender"]["executable"]
    if stay:  # and when the proxy does not say which socket it accepted
        assert agent.ask(accepted)["sender"]["pid"] == client.pid
    client.communicate()


@pytest.mark.parametrize("stay", [True, False])
def test_a_client_behind_address_translation(agent, namespace, stay):
    """The proxy sees an address that no client has. The sequence numbers of both ends are what says who it is."""
    if not shutil.which("nft"):
        pytest.skip("needs nftables")
    listener = listen("198.51.100.1")
    port = listener.getsockname()[1]
    agent.greet("198.51.100.1:%d" % port)
    rules = ("table ip %s {\nchain in {\ntype nat hook input priority 100;\n"
             "ip saddr 198.51.100.2 tcp dport %d snat to 198.51.100.99\n}\n}\n" % (namespace, port))
    if subprocess.run(["nft", "-f", "-"], input=rules, text=True, capture_output=True).returncode != 0:
        pytest.skip("no address translation here")
    try:
        ip("route", "add", "198.51.100.99", "dev", namespace + "a")
        client = start_client(listener, stay, "ip", "netns", "exec", namespace)
        accepted = listener.accept()[0]
        assert accepted.getpeername()[0] == "198.51.100.99"
        if not stay:
            client.wait()
        for more in [cookie(accepted)] + [{}] * stay:
            answer = agent.ask(accepted, **more)
            assert (answer["confidence"], answer["basis"], answer["other_namespace"]) == ("exact", "connect", True)
            assert answer["sender"]["pid"] == client.pid
        client.communicate()
    finally:
        subprocess.run(["nft", "delete", "table", "ip", namespace], check=True)


def test_the_same_addresses_elsewhere_change_nothing(agent, namespace):
    """A decoy with the same four numbers in a namespace of its own, while the real client is in another one."""
    listener = listen("198.51.100.1")
    port = listener.getsockname()[1]
    agent.greet("198.51.100.1:%d" % port)
    client = start_client(listener, True, "ip", "netns", "exec", namespace)
    accepted = listener.accept()[0]
    decoy_code = ("import socket,sys\nd=socket.create_server(('198.51.100.1',int(sys.argv[1])))\nc=socket.socket()\n"
                  "c.bind(('198.51.100.2',int(sys.argv[2])))\nc.connect(('198.51.100.1',int(sys.argv[1])))\n"
                  "print('made',flush=True)\nsys.stdin.read()\n")
    shell = ("ip link set lo up && ip addr add 198.51.100.1/32 dev lo && ip addr add 198.51.100.2/32 dev lo && "
             "exec /usr/bin/python3 -c \"$0\" %d %d" % (port, accepted.getpeername()[1]))
    decoy = subprocess.Popen(["unshare", "-n", "sh", "-c", shell, decoy_code], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    assert decoy.stdout.readline() == "made\n"
    for more in cookie(accepted), {}:
        answer = agent.ask(accepted, **more)
        assert answer["confidence"] == "exact" and answer["sender"]["pid"] == client.pid
    decoy.communicate()
    client.communicate()
