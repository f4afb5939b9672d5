"""Running it: reload, drain, a second one, what is wrong with a configuration, a full disk, status."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import origins
from harness import Answer, BUILD, Background, Program, default_baseline, open_for_others, patience, read_all, tool, wait_until
from test_terminate import Inspection, terminating


def exeatd(*argv):
    return subprocess.run([BUILD / "exeatd", *map(str, argv)], capture_output=True, text=True, timeout=20 * patience())


# -- reload --

def test_reload_cuts_what_is_no_longer_allowed(make_proxy, echo, http, name):
    with make_proxy("revoke") as p:
        gone, stays = name(), "127.0.0.1"
        tunnels = []
        for host in (gone, stays):
            s, _ = p.connect(host, echo.port)
            s.sendall(b"x")
            assert s.recv(1) == b"x"
            tunnels.append(s)
        p.baseline["destination_sets"]["tests"] = [{"network": "127.0.0.0/8"}]
        p.write()
        p.reload()
        with pytest.raises(ConnectionResetError):
            assert tunnels[0].recv(1) == b"never"
        tunnels[1].sendall(b"y")
        assert tunnels[1].recv(1) == b"y"
        x = p.exchange(gone)
        assert x.reason == "policy_changed" and x.decision["unmapped"]["verdict"]["action"] == "allow"
        assert p.status()["generation"] == 2
        host = name()
        assert b"baseline_destination" in p.curl(f"http://{host}:{http.port}/").stdout
        for s in tunnels:
            s.close()


def test_reload_keeps_what_the_configuration_says(make_proxy, echo, name):
    with make_proxy("keep", config={"policy": {"on_revoke": "keep"}}) as p:
        host = name()
        s, _ = p.connect(host, echo.port)
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        p.baseline["destination_sets"]["tests"] = [{"network": "127.0.0.0/8"}]
        p.write()
        p.reload()
        wait_until(lambda: p.counter("redecided") == 1, "the flow to be decided again")
        s.sendall(b"y")
        assert s.recv(1) == b"y"
        s.close()
        x = p.exchange(host)
        assert x.verdict == "alert" and x.get("unmapped.verdict.would_block") is True and x.reason == "completed"


def test_a_bad_reload_changes_nothing(make_proxy, http, name):
    with make_proxy("bad") as p:
        good = p.baseline_path.read_text()
        p.baseline_path.write_text(good.replace("executable:", "executible:", 1))
        line = next(n for n, l in enumerate(good.splitlines(), 1) if "executable:" in l)
        said = p.reload(good=False)
        assert f"{p.baseline_path}:{line}:" in said and "executible" in said, said
        assert p.status()["generation"] == 1 and "executible" in p.status()["reload_error"]
        assert b"hello" in p.curl(f"http://{name()}:{http.port}/hello").stdout
        p.baseline_path.write_text(good)
        p.config_path.write_text(p.config_path.read_text() + "nonsense: 1\n")
        said = p.reload(good=False)
        assert f"{p.config_path}:" in said and "nonsense" in said, said
        p.config["listen"]["workers"] = 3
        p.write()
        assert "listen.workers" in p.reload(good=False)
        p.config["listen"]["workers"] = 2
        p.write()
        p.reload()
        assert p.status()["reload_error"] is None
        assert b"hello" in p.curl(f"http://{name()}:{http.port}/hello").stdout


def test_reload_under_load(make_proxy, http, name):
    """Exchanges go on while the policy is published again and again."""
    with make_proxy("load") as p:
        stop, failures, done = threading.Event(), [], []

        def ask():
            s = p.raw()
            while not stop.is_set():
                s.sendall(f"GET http://127.0.0.1:{http.port}/hello HTTP/1.1\r\nHost: 127.0.0.1:{http.port}\r\n\r\n".encode())
                answer = Answer(s)
                (done if answer.status == 200 else failures).append(answer.status)
            s.close()
        askers = [Background(ask) for _ in range(4)]
        for generation in range(2, 12):
            p.reload()
            assert p.status()["generation"] == generation
        stop.set()
        for a in askers:
            a.result()
        assert not failures and len(done) > 20
        p.exchanges("127.0.0.1", len(done))


def test_rotated_records(make_proxy, http, name):
    """The file is moved away, USR1 opens it anew: nothing is lost between the two."""
    with make_proxy("rotate") as p:
        first, second = name(), name()
        p.curl(f"http://{first}:{http.port}/hello")
        p.exchange(first)
        moved = p.ledger.path.with_suffix(".1")
        p.ledger.path.rename(moved)
        p.daemon.child.send_signal(signal.SIGUSR1)
        wait_until(p.ledger.path.exists, "a new file")
        p.ledger.offset = 0
        p.curl(f"http://{second}:{http.port}/hello")
        p.exchange(second)
        assert first in moved.read_text() and second not in moved.read_text()


# -- stopping --

def test_term_drains_then_cuts(make_proxy, http, echo, name):
    """What ends in time ends well; the rest is cut at the deadline; new ones are not taken."""
    p = make_proxy("drain", config={"timeouts": {"drain": "1500ms"}})
    with p:
        s, _ = p.connect("127.0.0.1", echo.port)
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        http.reached.clear()
        http.release.clear()
        host = name()
        answer = Background(p.curl, f"http://{host}:{http.port}/wait")
        assert http.reached.wait(10)
        begun = time.monotonic()
        p.daemon.child.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in p.daemon.log, "the drain")
        s.sendall(b"y")
        assert s.recv(1) == b"y"
        http.release.set()
        assert answer.result().stdout == b"waited\n"
        assert p.daemon.child.wait(20 * patience()) == 0
        assert 1 < time.monotonic() - begun < 6 * patience()
        assert read_all(s) == b""
        s.close()
        assert p.exchange(host).reason == "completed"
        assert p.exchange("127.0.0.1").reason == "stopping"


def test_a_second_term_ends_at_once(make_proxy, echo):
    with make_proxy("now", config={"timeouts": {"drain": "60s"}}) as p:
        s, _ = p.connect("127.0.0.1", echo.port)
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        p.daemon.child.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in p.daemon.log, "the drain")
        p.daemon.child.send_signal(signal.SIGTERM)
        p.daemon.child.wait(10 * patience())
        s.close()


def test_kill_leaves_whole_lines(make_proxy, http, name):
    """SIGKILL may lose records that were under way, never leave a second daemon unable to start or to append."""
    p = make_proxy("kill")
    with p:
        first, second = name(), name()
        p.curl(f"http://{first}:{http.port}/hello")
        p.exchange(first)
        p.daemon.child.kill()
        p.daemon.child.wait()
        with open(p.ledger.path, "a") as f:
            f.write('{"torn":')
        p.daemon.log_file.close()
        import harness
        p.daemon = harness.start_and_wait_ready("again", [BUILD / "exeatd", "--config", p.config_path], p.folder)
        p.wait_agent()
        p.curl(f"http://{second}:{http.port}/hello")
        lines = wait_until(lambda: (lambda t: t if second in t and t.endswith("\n") else None)(p.ledger.path.read_text()),
                           "records behind the torn line").splitlines()
        assert sum(1 for l in lines if l == '{"torn":') == 1
        p.ledger.path.write_text("\n".join(l for l in lines if l != '{"torn":') + "\n")
        p.ledger.offset = 0
        p.ledger.exchanges.clear()


# -- starting --

def test_a_second_exeatd_is_refused(make_proxy):
    with make_proxy("first") as p:
        r = exeatd("--config", p.config_path)
        assert r.returncode in (1, 2) and f"another exeatd is running (pid {p.daemon.pid})" in r.stderr, r
        other = make_proxy("second")
        other.config["listen"]["addresses"] = p.config["listen"]["addresses"]
        other.write()
        assert p.status()["pid"] == p.daemon.pid
        shutil.rmtree(other.folder)


@pytest.mark.parametrize("change,place,word", [
    ("lissen:\n  addresses: []\n", "exeat.yaml:1:1", "lissen"),
    ("listen:\n  addresses: [\"127.0.0.1:99999\"]\n", "exeat.yaml:2:", "127.0.0.1:3128"),
    ("timeouts:\n  head: 10\n", "exeat.yaml:2:", "unit"),
    ("connect:\n  ports: [443, 443]\n", "exeat.yaml:2:", ""),
    ("listen: [\n", "exeat.yaml:", ""),
    ("listen:\n  tls_addresses: [\"127.0.0.1:3129\"]\n", "exeat.yaml", "tls_certificate"),
    ("policy:\n  baseline: not-there.yaml\n", "not-there.yaml", ""),
])
def test_what_is_wrong_has_a_place(tmp_path, change, place, word):
    if not BUILD:
        pytest.skip("no exeatd is built")
    (tmp_path / "exeat.yaml").write_text(change)
    (tmp_path / "baseline.yaml").write_text("version: 1\nmode: enforce\nsenders: []\n")
    for arguments in (["--check"], []):
        r = exeatd("--config", tmp_path / "exeat.yaml", *arguments)
        assert r.returncode == 2, r
        assert place in r.stderr and word in r.stderr, r
    if (BUILD / "exeat").exists():
        r = subprocess.run([BUILD / "exeat", "config", "check", tmp_path / "exeat.yaml"], capture_output=True, text=True)
        assert r.returncode == 2 and place in r.stderr + r.stdout, r


def test_a_port_that_is_taken(make_proxy):
    listener = socket.create_server(("127.0.0.1", 0))
    p = make_proxy("taken")
    p.config["listen"]["addresses"] = [f"127.0.0.1:{listener.getsockname()[1]}"]
    p.write()
    r = exeatd("--config", p.config_path)
    assert r.returncode == 1 and "cannot listen on 127.0.0.1" in r.stderr, r
    listener.close()
    shutil.rmtree(p.folder)


def test_root_is_given_up(make_proxy):
    if os.geteuid() != 0:
        pytest.skip("not started as root")
    with make_proxy("root") as p:
        status = open(f"/proc/{p.daemon.pid}/status").read()
        assert "Uid:\t65534\t65534\t65534\t65534" in status and "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status


# -- a full disk --

@pytest.mark.parametrize("handling", ["plain", "terminate"])
def test_a_full_disk(make_proxy, http, https, authority, name, handling, tmp_path):
    """audit.full: closed. When records can't be written and the queue is full nobody is let out; then it recovers."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    origin, config, ca = http, {}, []
    if handling == "terminate":
        open_for_others(tmp_path)
        inspection = Inspection(tmp_path)
        origin, config, ca = https, terminating(inspection, authority), ["--cacert", inspection.certificate]
    p = make_proxy("disk", config={**config, "audit": {"queue_records": 64}})
    disk = p.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", str(disk)],
                      capture_output=True).returncode != 0:
        shutil.rmtree(p.folder)
        pytest.skip("tmpfs can't be mounted here")
    p.config["audit"]["file"] = str(disk / "audit.jsonl")
    p.ledger.path = disk / "audit.jsonl"
    p.write()
    try:
        with p:
            url = lambda: f"http{'s' if ca else ''}://{name()}:{origin.port}/hello"
            (disk / "ballast").write_bytes(bytes(40 << 10))

            def refused():
                r = p.curl("-v", *ca, url())
                return b"ledger_full" in r.stdout + r.stderr
            for _ in range(200):
                if refused():
                    break
            else:
                raise AssertionError("the disk is full and still records are promised")
            seen = len(origin.requests)
            assert refused() and len(origin.requests) == seen
            assert p.status()["ledger"]["last_error"]
            (disk / "ballast").unlink()
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            wait_until(lambda: not refused(), "recovery")
            wait_until(lambda: p.status()["ledger"]["queued"] == 0, "the queue")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


# -- status --

def test_status(make_proxy, echo, name):
    if not (BUILD / "exeat").exists():
        pytest.skip("exeat is not built")
    with make_proxy("status") as p:
        host = name()
        s, _ = p.connect(host, echo.port)
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        run = lambda *a: subprocess.run([BUILD / "exeat", "status", "--socket", str(p.admin_socket), *a],
                                        capture_output=True, text=True, timeout=20 * patience())
        r = run("--json", "--flows")
        assert r.returncode in (0, 3), r
        said = json.loads(r.stdout)
        assert said["status"]["flows"] == 1 and said["status"]["totals"]["exchanges"] == 1
        assert host in json.dumps(said["flows"]) and "python3" in json.dumps(said["flows"])
        r = run("--flows")
        assert r.returncode in (0, 3) and host in r.stdout and "\x1b" not in r.stdout, r
        s.close()
        p.exchange(host)
    r = run()
    assert r.returncode == 1 and r.stderr, r


def test_health_checks_leave_no_record(make_proxy):
    with make_proxy("health") as p:
        for _ in range(20):
            p.raw().close()
        wait_until(lambda: p.counter("connections_silent") == 20, "the count")
        assert not p.ledger.find(lambda x: True)
