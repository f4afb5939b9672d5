"""More happens on a host than the agent can take in: the proxy keeps its deadlines, what was missed is counted and said (in the
answer, in `exeat status`), and it goes on by itself. Needs root and BPF; skipped otherwise."""
import os
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, part_of, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

EVENTS = 100000
RING_RECORDS = 1024 * 1024 // 64  # no record is smaller: what the kernel keeps at most while nobody reads

# Begins and ends processes as fast as the kernel does: two events each.
FLOOD = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    for (long i = 0; argc > 1 && i < atol(argv[1]) / 2; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            return 1;
    }
    return 0;
}
"""


@pytest.fixture
def flood(tmp_path):
    (tmp_path / "flood.c").write_text(FLOOD)
    subprocess.run(["cc", "-O2", "-o", tmp_path / "flood", tmp_path / "flood.c"], check=True)
    return lambda: subprocess.Popen([tmp_path / "flood", str(EVENTS)])


@pytest.fixture
def flooded(make_proxy):
    with make_proxy("flooded", config={"agent": {"timeout": "500ms", "hash_wait": "0ms"}}) as p:
        if any("history:" in line for line in p.agent.log.splitlines()):
            pytest.skip(p.agent.log)
        yield p


def losses_shown(p):
    return p.status()["workers"][0]["agent"]["losses"]["events"]


def ask_until_exact(p, http, name):
    """The first exchange whose sender is known again."""
    found = []

    def is_exact():
        host = name()
        p.curl(f"http://{host}:{http.port}/hello")
        found.append(p.exchange(host))
        return found[-1].confidence == "exact"
    wait_until(is_exact, "exact senders again")
    return found[-1]


def test_a_full_ring(flooded, flood, http, name):
    """Nobody reads what the kernel tells, which is far more than it keeps."""
    assert losses_shown(flooded) == 0
    collector = part_of(flooded.agent.pid, "exeat-collector")
    os.kill(collector, signal.SIGSTOP)
    try:
        assert flood().wait() == 0
        host = name()
        flooded.curl(f"http://{host}:{http.port}/hello")
        x = flooded.exchange(host)  # it ended, and the client was told why
        assert x.reason == "sender_unknown" and x.confidence == "unknown" and x.close
    finally:
        os.kill(collector, signal.SIGCONT)
    lost = ask_until_exact(flooded, http, name).get("unmapped.sender.history.losses.events")
    assert lost >= EVENTS - RING_RECORDS
    wait_until(lambda: losses_shown(flooded) >= lost, "the losses in the status")
    shown = flooded.run(BUILD / "exeat", "status", "--socket", flooded.admin_socket).stdout.decode()
    assert any("missed" in line and "events of processes" in line for line in shown.splitlines()), shown


def test_a_hundred_thousand_events(flooded, flood, http, name, tmp_path):
    """Two floods while a program is executed and clients connect: each request ends, each execution was counted or is among the
    losses."""
    executions = 100
    program = shutil.copy("/usr/bin/curl", tmp_path / "worker")
    floods = [flood(), flood()]
    for i in range(executions):
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
        if i % 10 == 0:
            host = name()
            flooded.curl(f"http://{host}:{http.port}/hello")
            assert flooded.exchange(host).close
    assert [f.wait() for f in floods] == [0, 0]
    ask_until_exact(flooded, http, name)
    host = name()
    flooded.run(program, "-s", "-x", flooded.url, f"http://{host}:{http.port}/hello")
    history = flooded.exchange(host).get("unmapped.sender.history")
    assert history["usage"]["executions"]["count"] + history["losses"]["events"] >= executions + 1
