"""Pins: a program with a root of its own doesn't accept the inspection CA. That outlives a restart; in enforce it is a proposal, which somebody
approves; browsers, interpreters and transfer tools never have one."""
import os
import pathlib
import shutil
import subprocess

import pytest

import harness
from harness import default_baseline, tool, wait_until
from test_terminate import inspection, terminating, tunnel_of  # noqa: F401: a fixture


@pytest.fixture
def programs():
    """Two programs with their own roots: curl under other names, which no package owns."""
    folder = pathlib.Path(f"/usr/local/lib/exeat-test-{os.getpid()}")
    folder.mkdir(mode=0o755)
    for what in ("strict", "lenient"):
        shutil.copy(tool("curl"), folder / what)
        (folder / what).chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def exeat(p, *argv, code=0):
    r = subprocess.run([harness.BUILD / "exeat", *map(str, argv), "--config", p.config_path], capture_output=True, timeout=60)
    assert r.returncode == code, r.stdout + r.stderr
    return r.stdout.decode()


def restart(p):
    p.daemon.end()
    p.daemon = harness.start_and_wait_ready(f"{p.name}-exeatd", [harness.BUILD / "exeatd", "--config", p.config_path], p.folder)
    p.wait_agent()


@pytest.mark.skipif(os.geteuid() != 0, reason="a file that users cannot write is needed")
def test_a_pin_from_alert_to_approval(make_proxy, https, inspection, authority, programs, name, tmp_path):  # noqa: F811
    strict, lenient = programs / "strict", programs / "lenient"
    baseline = default_baseline(extra=[
        {"name": "strict", "match": {"executable": str(strict)}, "allow": [{"use": "tests"}]},
        {"name": "lenient", "mode": "report", "match": {"executable": str(lenient)}, "allow": [{"use": "tests"}]}])
    with make_proxy("pins", config=terminating(inspection, authority), baseline=baseline) as p:
        host, other = name(), name()

        def ask(program, to=host, root=authority.ca):
            """One request; its tunnel's record."""
            before = {x.uid for x in p.ledger.find(lambda x: x.close)}
            r = p.run(program, "-sS", "--cacert", root, f"https://{to}:{https.port}/hello")
            x = wait_until(lambda: p.ledger.find(lambda x: x.close and x.uid not in before and
                                                 x.get("proxy_http_request.http_method") == "CONNECT"), "the tunnel's record")[0]
            return r.returncode, x.reason, x.get("unmapped.verdict.handling"), x.get("unmapped.verdict.handling_why")

        refused = (60, "client_rejected", "terminate", None)
        assert [ask(program) for program in (strict, lenient, tool("curl"))] == [refused] * 3
        assert p.status()["pins"] == []  # once is not enough
        restart(p)
        assert [ask(program) for program in (strict, lenient, tool("curl"))] == [refused] * 3
        pins = {pin["executable"]: pin for pin in p.status()["pins"]}
        assert set(pins) == {str(strict), str(lenient)}  # and no transfer tool
        assert pins[str(strict)]["times"] == 2 and pins[str(strict)]["host"] == host and pins[str(strict)]["why"] == "unknown_ca"
        restart(p)
        assert ask(lenient) == (0, "completed", "peek", "pinned")
        assert ask(strict) == (60, "client_rejected", "terminate", "pin_proposed")
        assert ask(tool("curl")) == refused

        wait_until(lambda: "3 times" in exeat(p, "baseline", "propose"), "the history on disk")
        text = exeat(p, "baseline", "propose")
        assert "# 2 pins, to be peeked at; 0 are left out, 0 are approved already" in text
        assert f'name: "pin path {strict} -> {host}"' in text and "3 times (3 alerts, last unknown_ca; 0 without a word)" in text
        assert "adds: true" in text and "curl ->" not in text
        proposal = tmp_path / "proposal.yaml"
        proposal.write_text(text)
        exeat(p, "baseline", "approve", "--owner", "alice", proposal)
        assert "owner: \"alice\"" in p.baseline_path.read_text()
        p.reload()
        assert ask(strict) == (0, "completed", "peek", None)
        assert ask(strict, other) == refused  # nothing else about it has changed
        assert ask(strict, other, inspection.certificate) == (0, "completed", "terminate", None)
        assert "# 0 pins, to be peeked at; 0 are left out, 2 are approved already" in exeat(p, "baseline", "propose")
