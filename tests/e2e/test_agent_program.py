"""exeat-agent as a program: options, folder, lock, privileges, signals. The answers are tests/unit/agent_attribution_test.c's."""
import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

import harness

AGENT = str(harness.BUILD / "exeat-agent")


def connect(path, deadline_s=10):
    until = time.monotonic() + deadline_s
    while True:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(10)
        try:
            link.connect(str(path))
            return link
        except OSError:
            link.close()
            assert time.monotonic() < until, "the agent does not serve"
            time.sleep(0.02)


def start(*options):
    return subprocess.Popen([AGENT, "--foreground", *options], stderr=subprocess.PIPE, text=True)


def end(agent):
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    return agent.stderr.read()


def status_of(pid):
    """Rights and what keeps them away, as numbers."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        rows = dict(line.split(":\t", 1) for line in status)
    return {name: int(value, 16) for name, value in rows.items() if name.startswith("Cap") or name in ("Seccomp", "NoNewPrivs")}


def test_help_and_usage():
    text = subprocess.run([AGENT, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--allow-user" in text and "examples:" in text
    assert subprocess.run([AGENT, "--bogus"], capture_output=True).returncode == 2
    assert subprocess.run([AGENT, "stray"], capture_output=True).returncode == 2


def test_serves_and_ends(tmp_path):
    path = tmp_path / "run" / "agent.sock"
    agent = start("--socket", str(path))
    link = connect(path)
    hello = json.loads(link.makefile().readline())
    assert hello["type"] == "hello" and hello["v"] == 1 and hello["host"]["name"]
    assert os.stat(path.parent).st_mode & 0o777 == 0o750
    second = subprocess.run([AGENT, "--foreground", "--socket", str(path)], capture_output=True, text=True)
    assert second.returncode == 1 and "another agent" in second.stderr
    assert "BPF" in end(agent)
    assert not path.exists()


def test_a_dead_agents_socket_is_replaced(tmp_path):
    path = tmp_path / "run" / "agent.sock"
    agent = start("--socket", str(path))
    connect(path)
    agent.kill()
    agent.wait()
    assert path.exists()
    agent = start("--socket", str(path))
    time.sleep(0.2)
    assert connect(path).recv(1) == b"{"
    end(agent)


def test_a_folder_open_to_others_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    refused = subprocess.run([AGENT, "--socket", str(folder / "s")], capture_output=True, text=True)
    assert refused.returncode == 1 and "others can write" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_privileges_are_dropped_before_it_listens(tmp_path):
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    path = tmp_path / "run" / "agent.sock"
    agent = start("--socket", str(path), "--user", "nobody", "--allow-user", "daemon")
    link = connect(path)
    assert json.loads(link.makefile().readline())["type"] == "hello"
    pid, uid, gid = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    assert pid == harness.part_of(agent.pid, "exeat-answerer") and uid == 65534
    rights = 1 << 19 | 1 << 2  # SYS_PTRACE, DAC_READ_SEARCH
    collector = status_of(harness.part_of(agent.pid, "exeat-collector"))
    assert collector["CapPrm"] == rights and collector["CapEff"] == rights and collector["NoNewPrivs"] == 1
    answerer = status_of(pid)
    assert {name: answerer[name] for name in answerer if name.startswith("Cap")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
    assert answerer["Seccomp"] == 2 and answerer["NoNewPrivs"] == 1
    asked = subprocess.run(["/usr/bin/python3", "-c", "import socket,sys\nu=socket.socket(socket.AF_UNIX)\n"
                            "u.connect(sys.argv[1])\nprint(len(u.recv(1)))", str(path)],
                           user="daemon", group="daemon", extra_groups=[], capture_output=True, text=True)
    assert asked.stdout == "1\n", asked.stderr
    end(agent)


def test_detaches_once_it_serves(tmp_path):
    path = tmp_path / "run" / "agent.sock"
    assert subprocess.run([AGENT, "--socket", str(path)], stderr=subprocess.DEVNULL, timeout=20).returncode == 0
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))  # at once: the parent waited
    pid = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    os.kill(pid, signal.SIGTERM)
    link.settimeout(10)
    while link.recv(4096):
        pass
