"""The programs as people meet them: init, run, status, config, signals, exit codes, and manual pages that leave nothing out.

EXEAT_BUILD is the folder of the built programs. No internet, no origin beside a small one of our own.
"""
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from harness import open_for_others
from origins import free_port

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("EXEAT_BUILD", os.path.join(ROOT, "build/dev"))
DEADLINE_S = 20


def program(name):
    return os.path.join(BUILD, name)


def exeat(*args, **more):
    return subprocess.run([program("exeat"), *args], capture_output=True, text=True, timeout=DEADLINE_S, **more)


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail("never: " + what)


@pytest.fixture(scope="module")
def origin():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"hello\n")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def state(tmp_path, origin):
    """A state folder of `exeat init`, whose proxy may reach the origin."""
    open_for_others(tmp_path)  # exeatd becomes another user
    folder = str(tmp_path / "state")
    port = free_port()
    made = exeat("init", "--state", folder, "--listen", f"127.0.0.1:{port}")
    assert made.returncode == 0, made.stderr
    with open(folder + "/exeat.yaml") as f:
        text = f.read().replace("allow_networks: []", "allow_networks: [127.0.0.0/8]", 1)
        text = text.replace("agent.sock\n", "agent.sock\n  timeout: 5s\n", 1)  # a busy machine is no fault
    with open(folder + "/exeat.yaml", "w") as f:
        f.write(text + f"\nhttp: {{ports: [80, {origin}]}}\nconnect: {{ports: [443, {origin}]}}\n")
    set_mode(folder, "open")
    return folder, port


def set_mode(folder, mode):
    with open(folder + "/baseline.yaml") as f:
        text = f.read()
    with open(folder + "/baseline.yaml", "w") as f:
        f.write(re.sub(r"(?m)^mode: .*$", "mode: " + mode, text))


class Running:
    def __init__(self, folder, *args):
        self.log_path = folder + "/log"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([program("exeat"), "run", "--state", folder, *args], stdout=log, stderr=log)
        wait_until(lambda: "exeat is ready" in self.log() or self.process.poll() is not None, "ready")

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def children(self):
        out = subprocess.run(["pgrep", "-P", str(self.process.pid), "-a"], capture_output=True, text=True).stdout
        return {line.split()[1].split("/")[-1]: int(line.split()[0]) for line in out.splitlines()}

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def running(state):
    r = Running(state[0])
    assert r.process.poll() is None, r.log()
    yield r
    if r.process.poll() is None:
        r.stop()


def get(port, url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{port}"}))
    try:
        with opener.open(url, timeout=DEADLINE_S) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_what_init_makes_has_the_analytics_in_force(running, state):
    status = json.loads(exeat("status", "--json", "--state", state[0]).stdout)["status"]
    assert status["rules"]["loaded"] >= 9, status["rules"]
    found = exeat("findings", "list", "--json", "--state", state[0])
    assert (found.returncode, found.stdout) == (0, ""), found
    wait_until(lambda: json.loads(exeat("findings", "selftest", "--json", "--state", state[0]).stdout)["agent"], "the agent")
    test = json.loads(exeat("findings", "selftest", "--json", "--state", state[0]).stdout)
    fired = sum(a["fired"] for a in test["analytics"])
    assert fired == 5 if os.getuid() == 0 else fired >= 1, test  # who isn't root has an agent that sees less


def test_init_makes_and_never_overwrites(tmp_path):
    folder = str(tmp_path / "s")
    assert exeat("init", "--state", folder).returncode == 0
    before = {}
    for base, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(base, name)
            before[path] = open(path, "rb").read()
            if name.endswith(".key"):
                assert os.stat(path).st_mode & 0o777 == 0o600
    assert any(p.endswith("development-ca.key") for p in before)
    again = exeat("init", "--state", folder)
    assert again.returncode == 0 and "made" not in again.stdout
    assert {p: open(p, "rb").read() for p in before} == before
    assert exeat("config", "check", folder + "/exeat.yaml").returncode == 0
    verified = subprocess.run(["openssl", "verify", "-CAfile", folder + "/ca/development-ca.pem", folder + "/ca/proxy.pem"],
                              capture_output=True)
    assert verified.returncode == 0, verified.stdout


def test_run_serves_and_stops(state, running, origin):
    folder, port = state
    assert set(running.children()) == {"exeatd", "exeat-agent"}
    assert get(port, f"http://127.0.0.1:{origin}/") == 200
    status = json.loads(exeat("status", "--state", folder, "--json").stdout)["status"]
    assert status["mode"] == "open" and status["totals"]["exchanges"] == 1
    assert all(w["answered"] and w["agent"]["connected"] for w in status["workers"])
    table = exeat("status", "--state", folder)
    assert table.returncode == 0 and "\x1b" not in table.stdout and "enforce" not in table.stdout
    pids = running.children().values()
    assert running.stop() == 0, running.log()
    assert not any(alive(pid) for pid in pids)
    records = [json.loads(line) for line in open(folder + "/data/audit.jsonl")]
    assert len(records) == 2
    gone = exeat("status", "--state", folder)
    assert gone.returncode == 1 and "no exeatd is running" in gone.stderr


def test_live_flows_are_shown(state, running, origin):
    folder, port = state
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(f"CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n".encode())
        assert b" 200 " in s.recv(1000)
        shown = json.loads(exeat("status", "--state", folder, "--json", "--flows").stdout)
        flow = next(f for f in shown["flows"] if f.get("host") == "127.0.0.1")
        assert flow["port"] == origin and flow["pid"] == os.getpid()
        assert f"127.0.0.1:{origin}" in exeat("status", "--state", folder, "--flows").stdout
        # TERM waits for the tunnel, a second one does not
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping: flows have" in running.log(), "draining")
        assert running.process.poll() is None
        assert running.stop(signal.SIGINT) == 0


def test_reload(state, running, origin):
    folder, port = state
    url = f"http://127.0.0.1:{origin}/"
    assert get(port, url) == 200
    set_mode(folder, "enforce")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in running.log(), "the new policy")
    assert get(port, url) == 403
    set_mode(folder, "oppen")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload refused" in running.log(), "the refusal")
    assert re.search(r"baseline\.yaml:\d+:\d+: ", running.log())
    assert get(port, url) == 403  # the old one stays
    status = exeat("status", "--state", folder)
    assert status.returncode == 3 and "last reload was refused" in status.stdout
    set_mode(folder, "open")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "generation 3" in running.log(), "the mended policy")
    assert get(port, url) == 200
    assert exeat("status", "--state", folder).returncode == 0


def test_a_restart_option_is_not_reloaded(state, running):
    with open(state[0] + "/exeat.yaml", "a") as f:
        f.write("audit: {queue_records: 100}\n")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "audit.queue_records has changed, which needs a restart" in running.log(), "the refusal")


def test_rotation(state, running, origin):
    folder, port = state
    records = folder + "/data/audit.jsonl"
    get(port, f"http://127.0.0.1:{origin}/")
    wait_until(lambda: os.path.getsize(records) > 0, "the first records")
    os.rename(records, records + ".1")
    running.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(records), "the new file")
    get(port, f"http://127.0.0.1:{origin}/")
    wait_until(lambda: os.path.getsize(records) > 0, "the records after it")


def test_a_second_proxy_is_refused(state, running):
    second = subprocess.run([program("exeatd"), "--config", state[0] + "/exeat.yaml"], capture_output=True, text=True,
                            timeout=DEADLINE_S)
    assert second.returncode == 1 and "another exeatd is running" in second.stderr
    assert running.process.poll() is None


@pytest.mark.parametrize("victim", ["exeatd", "exeat-agent"])
def test_when_one_dies_so_does_the_other(running, victim):
    children = running.children()
    os.kill(children[victim], signal.SIGKILL)
    assert running.process.wait(DEADLINE_S) == 1
    assert f"{victim} was killed by signal 9" in running.log()
    assert not any(alive(pid) for pid in children.values())


def test_no_orphans(running):
    children = running.children()
    running.process.kill()
    running.process.wait(DEADLINE_S)
    wait_until(lambda: not any(alive(pid) for pid in children.values()), "the end of both")


def test_run_refuses_what_is_wrong(state, tmp_path):
    folder, _ = state
    nothing = exeat("run", "--state", str(tmp_path / "none"))
    assert nothing.returncode == 2 and "exeat init" in nothing.stderr
    set_mode(folder, "oppen")
    wrong = exeat("run", "--state", folder)
    assert wrong.returncode == 2 and re.search(r"baseline\.yaml:\d+:\d+: ", wrong.stderr)
    check = exeat("config", "check", "--json", folder + "/exeat.yaml")
    said = json.loads(check.stdout)
    assert check.returncode == 2 and said["ok"] is False and said["line"] > 0 and said["column"] > 0


def test_show_reads_back(state, tmp_path):
    shown = exeat("config", "show", state[0] + "/exeat.yaml")
    assert shown.returncode == 0
    (tmp_path / "baseline.yaml").write_text(open(state[0] + "/baseline.yaml").read())
    (tmp_path / "shown.yaml").write_text(shown.stdout)
    again = exeat("config", "show", str(tmp_path / "shown.yaml"))
    assert again.returncode == 0, again.stderr
    assert again.stdout == shown.stdout


@pytest.mark.parametrize("args,hint", [
    (["--nonsense"], "exeat help"), (["stauts"], "exeat status"), (["config"], "config check"), (["status", "-x"], "--help"),
    (["init", "--listen", "nowhere"], "ADDRESS:PORT"), (["run", "extra"], "--help"), (["config", "show", "a", "b"], "--help"),
    (["run", "--state", "a", "--config", "b"], "exclude"), (["status", "--state"], "--help"),
])
def test_wrong_usage_is_2_with_a_hint(args, hint):
    result = exeat(*args)
    assert result.returncode == 2 and hint in result.stderr and result.stdout == ""


def test_status_shows_no_hostile_bytes(tmp_path):
    """A liar on the admin socket cannot reach the terminal."""
    path = str(tmp_path / "s")
    body = json.dumps({"version": "\x1b[2Jx\u202e\u0007", "mode": "\x9b31m", "workers": [], "listeners": [{"address": "\r"}]})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)

        def answer():
            with server.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        out = exeat("status", "--socket", path).stdout
        thread.join()
    assert "\\x1b[2Jx" in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)


COMMANDS = [["init"], ["run"], ["status"], ["config", "check"], ["config", "show"], ["config", "reference"], ["inspect", "hello"]]


def options_of(help_text):
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", help_text))


def page(name):
    with open(f"{ROOT}/packaging/man/{name}") as f:
        return f.read().replace("\\-", "-")


def test_every_command_explains_itself_and_stands_in_the_manual():
    listed = exeat("help").stdout
    manual = page("exeat.1")
    for words in COMMANDS:
        name = " ".join(words)
        told = exeat(*words, "--help")
        assert told.returncode == 0 and "usage: exeat " + name in told.stdout
        assert "example" in told.stdout and re.search("exit (codes|status)", told.stdout)
        assert exeat("help", *words).stdout == told.stdout
        assert re.search(rf"(?m)^  {name} ", listed) and f".SS exeat {name}\n" in manual
        assert not [o for o in options_of(told.stdout) if o not in manual and o not in ("-r", "-p", "-d")], name
    assert set(re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", listed)) >= {" ".join(w) for w in COMMANDS}


@pytest.mark.parametrize("name", ["exeatd", "exeat-agent"])
def test_the_daemons_stand_in_the_manual(name):
    told = subprocess.run([program(name), "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    manual = page(name + ".8")
    assert not [o for o in options_of(told.stdout) if o not in manual]
    assert subprocess.run([program(name), "--version"], capture_output=True, text=True).stdout.startswith(name)


def test_the_generated_documentation_is_up_to_date():
    result = subprocess.run([f"{ROOT}/packaging/man/generate.sh", program("exeat"), "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr + "run packaging/man/generate.sh"


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
@pytest.mark.parametrize("name", ["exeat.1", "exeatd.8", "exeat-agent.8", "exeat.yaml.5"])
def test_manual_pages_are_well_formed(name):
    man = subprocess.run(["man", "--warnings", "-l", f"{ROOT}/packaging/man/{name}"], capture_output=True, text=True,
                         env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
    assert man.returncode == 0 and man.stderr == ""


def ask_admin(path, request):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(DEADLINE_S)
        s.connect(path)
        try:
            s.sendall(request)
            answer = b""
            while part := s.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            return None
    return answer


def test_admin_refuses_what_it_does_not_know(state, running):
    path = state[0] + "/data/admin.sock"
    for request, status in [(b"GET /nope HTTP/1.0", b"404"), (b"POST /status HTTP/1.0", b"405"), (b"junk", b"405"),
                            (b"GET /status", b"400"), (b"GET /status HTTP/2.0", b"400"), (b"GET /flows?most=0 HTTP/1.0", b"404"),
                            (b"GET /flows?most=5x HTTP/1.0", b"404"), (b"GET /flows?most=-1 HTTP/1.0", b"404"),
                            (b"GET /flows?most=99999999999999999999 HTTP/1.1", b"200"), (b"GET /status HTTP/1.0", b"200")]:
        answer = ask_admin(path, request + b"\r\nHost: x\r\n\r\n")
        assert answer.split(b" ")[1] == status, request
        json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert ask_admin(path, b"G" * 100000) in (None, b"")
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]  # more than it takes: the rest is dropped, the proxy lives
    for s in idle:
        s.connect(path)
    for s in idle:
        s.close()
    wait_until(lambda: exeat("status", "--state", state[0]).returncode == 0, "an answer after the crowd")
    assert os.stat(path).st_mode & 0o777 == 0o660


def test_a_full_disk_refuses_and_is_said(state, origin):
    folder, port = state
    with open(folder + "/exeat.yaml", "a") as f:
        f.write("audit: {file: /dev/full, queue_records: 64}\n")
    running = Running(folder, "--no-agent")
    answers = [get(port, f"http://127.0.0.1:{origin}/") for _ in range(40)]
    assert answers.count(200) == 32 and answers[-1] == 503  # two records each, then there is no room
    status = exeat("status", "--state", folder)
    assert status.returncode == 3 and "No space left" in status.stdout
    assert running.process.poll() is None
    assert running.stop() == 1 and "64 records could not be written" in running.log()
