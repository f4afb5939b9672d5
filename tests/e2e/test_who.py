"""Who a sender is beyond its file: since when it is known, whether its package vouches for it, the job that keeps starting it."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from harness import tool

CGROUPS = [p for p in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(p + "/cgroup.procs")]


def details(x, name):
    return x.get("unmapped.sender.details." + name)


def test_since_when(make_proxy, http, name):
    """The first time is kept while the agent is not there."""
    with make_proxy("since") as p:
        hosts = [name() for _ in range(3)]
        before = int(time.time() * 1000)
        p.curl(f"http://{hosts[0]}:{http.port}/")
        first = details(p.exchange(hosts[0]), "first_seen_ms")
        assert before - 1000 <= first <= int(time.time() * 1000)
        p.curl(f"http://{hosts[1]}:{http.port}/")
        assert details(p.exchange(hosts[1]), "first_seen_ms") == first
        p.agent.end()
        p.wait_agent(False)
        p.start_agent()
        p.wait_agent()
        p.curl(f"http://{hosts[2]}:{http.port}/")
        x = p.exchange(hosts[2])
        assert details(x, "first_seen_ms") == first and details(x, "first_seen_by_user_ms") == first


def test_package_vouches_for_its_file(make_proxy, http, name):
    baseline = {"version": 1, "senders": [
        {"name": "it", "match": {"sha256": hashlib.sha256(pathlib.Path(tool("curl")).read_bytes()).hexdigest()},
         "allow": [{"domain": "exeat.test"}]}]}
    with make_proxy("package", baseline=baseline, config={"agent": {"hash_wait": "5s"}}) as p:
        host = name()
        p.curl(f"http://{host}:{http.port}/")
        x = p.exchange(host)
        assert x.verdict == "allow", x
        assert details(x, "package.name") == "curl" and details(x, "package.verified") is True, x


@pytest.mark.skipif(os.geteuid() != 0 or not CGROUPS, reason="needs root and cgroup v2")
def test_job_of_a_unit(make_proxy, http, name):
    """A process in a service's cgroup: the unit's file, and the timer that starts it."""
    unit = f"exeat-test-{os.getpid()}"
    place = pathlib.Path("/run/systemd/system")
    made = not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    service, timer = place / f"{unit}.service", place / f"{unit}.timer"
    service.write_text("[Service]\nExecStart=/usr/bin/curl\n")
    timer.write_text("[Timer]\nOnCalendar=hourly\n")
    group = pathlib.Path(CGROUPS[0]) / "system.slice" / f"{unit}.service"
    group.mkdir(parents=True)
    try:
        with make_proxy("job") as p:
            host = name()
            p.run("/bin/sh", "-c", f'echo $$ >{group}/cgroup.procs; exec {tool("curl")} -sS --proxy {p.url} "$0"',
                  f"http://{host}:{http.port}/")
            x = p.exchange(host)
            job = details(x, "job")
            assert details(x, "unit") == unit + ".service"
            assert job["kind"] == "timer" and job["file"] == str(service), job
            assert job["trigger"] == "OnCalendar=hourly" and job["trigger_file"] == str(timer), job
            assert job["sha256"] == hashlib.sha256(service.read_bytes()).hexdigest()
            assert job["owner"] == "root" and abs(job["changed_ms"] / 1000 - service.stat().st_ctime) < 1
            assert job["first_seen_ms"] <= time.time() * 1000
    finally:
        group.rmdir()
        service.unlink()
        timer.unlink()
        if made:
            shutil.rmtree(place)


def test_places(make_proxy, http, name, tmp_path_factory):
    """A program's copy in a hidden temporary folder says so, and is not the program that was approved."""
    folder = tmp_path_factory.mktemp("places") / ".hidden"
    folder.mkdir()
    copy = folder / "curl"
    shutil.copy(tool("curl"), copy)
    with make_proxy("places") as p:
        host = name()
        subprocess.run([copy, "-sS", "--proxy", p.url, f"http://{host}:{http.port}/"], capture_output=True)
        x = p.exchange(host)
        assert x.verdict == "block" and x.reason == "baseline_sender", x
        assert x.get("unmapped.sender.path_class") == ["temporary", "hidden"], x
