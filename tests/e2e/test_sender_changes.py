"""A tunnel whose owner is not what it was: the agent says so without being asked, the proxy cuts it, the record tells why."""
import hashlib
import os
import subprocess
import time

import pytest

import harness
from harness import DEADLINE, default_baseline

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: who connected is told by BPF")
CODE = """
import os, socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"CONNECT " + sys.argv[2].encode() + b" HTTP/1.1\\r\\nHost: " + sys.argv[2].encode() + b"\\r\\n\\r\\n")
assert b" 200 " in s.recv(4096)
s.sendall(b"hello")
assert s.recv(5) == b"hello"
service = socket.create_server(("127.0.0.1", 0))
print(service.getsockname()[1], flush=True)
peer = service.accept() if sys.argv[3] == "relay" else None
sys.stdin.readline()
if sys.argv[3] == "relay":
    sys.exit()
os.set_inheritable(s.fileno(), True)
if sys.argv[3] == "exec":
    os.execv("/bin/sleep", ["sleep", "30"])
if os.fork() == 0:
    s.sendall(b"heirs")
    time.sleep(5)
os._exit(0)
"""


PYTHON = os.path.realpath("/usr/bin/python3")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "client.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def watching(dns, echo, script):
    entry = {"name": "script", "allow": [{"use": "tests"}],
             "match": {"executable": PYTHON, "script_sha256": hashlib.sha256(CODE.encode()).hexdigest()}}
    proxy = harness.Proxy("watch", dns=dns, ports=[echo.port], baseline=default_baseline(extra=[entry]))
    with proxy:
        if "by bpf" not in proxy.daemon.log:
            pytest.skip("no BPF here")
        yield proxy


def start(script, proxy, *arguments):
    """A client with a tunnel, and the port where it serves others."""
    client = subprocess.Popen([PYTHON, "-B", str(script), str(proxy.port), *arguments], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    return client, int(client.stdout.readline())


@pytest.mark.parametrize("what,reason", [("exec", "exec_changed"), ("fork", "handed_over")])
def test_a_tunnel_is_cut(watching, echo, script, name, what, reason):
    host = name()
    client, _ = start(script, watching, f"{host}:{echo.port}", what)
    time.sleep(1.5)  # until it is watched
    changed = time.monotonic()
    client.stdin.write("go\n")
    client.stdin.flush()
    x = watching.exchanges(host)[0]
    assert time.monotonic() - changed < DEADLINE
    client.kill()
    client.communicate()
    assert x.decision["unmapped"]["sender"]["confidence"] == "exact"
    assert x.reason == "sender_changed" and x.get("status_detail") == reason
    sender = x.close["unmapped"]["sender"]
    assert sender["confidence"] == "stale" and sender["reason"] == reason
    assert sender["changed_after_ms"] > 1000
    assert x.executable == PYTHON  # who connected


def test_whom_it_may_speak_for(watching, echo, script, name):
    host = name()
    client, port = start(script, watching, f"{host}:{echo.port}", "relay")
    other = subprocess.Popen([PYTHON, "-c", f"import socket,sys\ns=socket.create_connection(('127.0.0.1',{port}))\n"
                              "sys.stdin.read()"], stdin=subprocess.PIPE, start_new_session=True)
    time.sleep(9)  # two rounds, and a walk between them
    client.communicate("end\n")
    x = watching.exchanges(host)[0]
    other.communicate()
    assert x.reason == "completed"
    assert x.close["unmapped"]["sender"]["relaying_for"] == [{"pid": other.pid, "via": "loopback", "executable": PYTHON}]
