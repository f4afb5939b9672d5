"""The real exeatd and exeat-agent for a test: a folder with their configuration, free ports, their records.

EXEAT_BUILD names the folder with the binaries (default: build/release, then build/dev). Nothing here sleeps to wait for
something to be ready: readiness is a message or a connection, and waiting for a record is looking at the file until a deadline.

The test process' own sockets are bound to 127.0.0.9 (RAW_CLIENT), which the baseline lets out by client network; real
programs connect from 127.0.0.1 and are judged as the processes they are.
"""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from origins import free_port

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
RAW_CLIENT = "127.0.0.9"
DEADLINE = 10.0
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"AddressSanitizer:DEADLYSIGNAL|MemorySanitizer|must\(|is broken")


def _build_folder():
    named = os.environ.get("EXEAT_BUILD")
    folders = [pathlib.Path(named)] if named else [SOURCE / "build/release", SOURCE / "build/dev"]
    for folder in folders:
        if (folder / "exeatd").exists() and (folder / "exeat-agent").exists():
            return folder.resolve()
    return None


BUILD = _build_folder()


def build_option(name):
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition("=")[2]
    return ""


def sanitized():
    return bool(build_option("EXEAT_SANITIZE"))


def patience():
    """Sanitized programs are slower; deadlines of the tests stretch with them."""
    return 4 if sanitized() else 1


def tool(name):
    """The real path of a client program: what its process' executable will be called."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return os.path.realpath(path)


def wait_until(condition, what, seconds=DEADLINE):
    """Looks until `condition()` gives something true, which is returned."""
    end = time.monotonic() + seconds * patience()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.004)


def parts_of(pid):
    """The processes that this one started, by name."""
    parts = {}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            parts[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
        except FileNotFoundError:
            pass  # ended meanwhile
    return parts


def part_of(pid, name):
    return wait_until(lambda: parts_of(pid).get(name), f"{name} of {pid}")


def get_path(record, path):
    for name in path.split("."):
        if not isinstance(record, dict) or name not in record:
            return None
        record = record[name]
    return record


class Exchange:
    """The records of one exchange: `decision` (None when it ended undecided) and `close`."""

    def __init__(self, uid):
        self.uid = uid
        self.decision = None
        self.close = None
        self.extra = []

    def add(self, record):
        kind = record["metadata"]["uid"].rsplit(".", 1)[1]
        name = {"d": "decision", "c": "close"}[kind]
        if getattr(self, name) is not None:
            self.extra.append(record)
        setattr(self, name, record)

    @property
    def reason(self):
        return self.close["status_code"]

    @property
    def verdict(self):
        return get_path(self.close, "unmapped.verdict.action")

    @property
    def verdict_reason(self):
        return get_path(self.close, "unmapped.verdict.reason")

    @property
    def executable(self):
        return get_path(self.close, "actor.process.file.path")

    @property
    def confidence(self):
        return get_path(self.close, "unmapped.sender.confidence")

    @property
    def entry(self):
        return get_path(self.close, "firewall_rule.name")

    def get(self, path):
        return get_path(self.close, path)

    def __repr__(self):
        sender = self.get("unmapped.sender.reason") if self.close else None
        return (f"<exchange {self.uid}: {self.verdict} {self.verdict_reason or ''} by {self.entry}; {self.executable} "
                f"{self.confidence} {sender or ''}; ended {self.reason}: {self.get('status_detail')}; "
                f"{json.dumps(self.close)[:6000]}>") if self.close else f"<exchange {self.uid}, no close>"


class Ledger:
    """audit.jsonl, read as it grows."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.offset = 0
        self.exchanges = {}
        self.findings = []  # OCSF Detection Findings, which are about exchanges
        self.torn = b""

    def read(self):
        if not self.path.exists():
            return
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        self.offset += len(data)
        *lines, self.torn = (self.torn + data).split(b"\n")
        for line in lines:
            record = json.loads(line)
            if record["class_uid"] == 2004:
                self.findings.append(record)
                continue
            uid = record["metadata"]["correlation_uid"]
            self.exchanges.setdefault(uid, Exchange(uid)).add(record)

    def find(self, condition):
        self.read()
        return [x for x in self.exchanges.values() if condition(x)]

    def check(self):
        """What must hold of all records: one close an exchange, at most one decision, never two, in the schema."""
        self.read()
        assert self.torn == b"", f"the last record is torn: {self.torn[:200]}"
        for x in self.exchanges.values():
            assert not x.extra, f"more than one record of a kind: {x.extra}"
            assert x.close, f"no close record: {x.decision}"
            allowed = x.verdict in ("allow", "alert")
            if x.decision:
                for path in ("src_endpoint", "start_time", "actor.process.pid"):
                    assert get_path(x.decision, path) == get_path(x.close, path), (path, x)
                assert x.decision["time"] <= x.close["time"]
            elif x.verdict:
                assert x.verdict != "block", f"blocked, with no decision record: {x}"
            if allowed and get_path(x.close, "traffic.bytes_out"):
                assert x.decision, f"bytes left and no decision record: {x}"
        self.check_schema()

    def check_schema(self):
        checker = _ocsf_checker()
        if not checker:
            return
        bad = {}
        of_exchanges = [r for x in self.exchanges.values() for r in (x.decision, x.close) if r]
        for record in of_exchanges + self.findings:
            for error in checker(record):
                bad.setdefault(error, record["metadata"]["uid"])
        assert not bad, f"records are not OCSF: {bad}"


_checker = []


def _ocsf_checker():
    """../shared/schemas/ocsf_check.py as a function from a record to its errors; None when it isn't there."""
    if not _checker:
        path = SOURCE.parent / "shared/schemas/ocsf_check.py"
        if not path.exists():
            _checker.append(None)
            return None
        spec = importlib.util.spec_from_file_location("ocsf_check", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        def check(record):
            event = {k: v for k, v in record.items() if k not in ("class_uid", "category_uid")}
            errors = module.validate(event, module.CLASS[record["class_uid"]])
            return [e for e in errors if not e.endswith((".class_uid", ".category_uid"))]

        _checker.append(check)
    return _checker[0]


class Program:
    """A child process with its output in a file; its end is looked at for sanitizer reports."""

    def __init__(self, name, argv, folder, **popen):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        self.log_file = open(self.log_path, "ab")
        environment = dict(os.environ, **popen.pop("env", {}))
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        environment.setdefault("TSAN_OPTIONS", f"halt_on_error=0 second_deadlock_stack=1 suppressions={HERE.parent}/tsan.supp")
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log_file,
                                      stderr=subprocess.STDOUT, env=environment, **popen)

    @property
    def pid(self):
        return self.child.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def end(self, how=signal.SIGTERM, expected=0, seconds=20):
        """Ends it and waits; `expected` is its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            status = self.child.wait(seconds * patience())
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not end:\n{self.log[-4000:]}")
        finally:
            self.log_file.close()
        report = SANITIZER.search(self.log)
        assert not report, f"{self.name}: {self.log[max(0, report.start() - 500):report.start() + 6000]}"
        assert expected is None or status == expected, f"{self.name} ended with {status}:\n{self.log[-4000:]}"
        return status

    def rss_kib(self):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])


def start_and_wait_ready(name, argv, folder):
    """Starts a program that says READY=1 to NOTIFY_SOCKET."""
    path = str(pathlib.Path(folder) / f"{name}.notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        os.chmod(path, 0o666)
        notify.settimeout(0.1)
        program = Program(name, argv, folder, env={"NOTIFY_SOCKET": path})
        end = time.monotonic() + DEADLINE * patience()
        while True:
            try:
                if b"READY=1" in notify.recv(4096):
                    break
            except socket.timeout:
                pass
            if program.child.poll() is not None or time.monotonic() > end:
                program.child.kill()
                raise AssertionError(f"{name} did not become ready:\n{program.log[-4000:]}")
    os.unlink(path)
    return program


# What most tests use: every program below may reach the tests' names and loopback; python is nobody.
ALLOWED_TOOLS = ["curl", "wget", "openssl"]
ALLOWED_PATHS = ["/usr/lib/git-core/git-remote-http", "/usr/lib/apt/methods/http", "/usr/lib/chromium/chromium"]
PLACES = [{"domain": "exeat.test"}, {"network": "127.0.0.0/8"}, {"network": "::1/128"}]


ANYBODY = ["exact", "stale", "ambiguous", "unknown"]  # whatever the agent says of who it is, if it says anything


def default_baseline(mode="enforce", extra=(), unknown="block"):
    senders = [{"name": "raw", "match": {"client_network": RAW_CLIENT + "/32", "confidence": ANYBODY}, "allow": [{"use": "tests"}]}]
    senders += list(extra)
    paths = {os.path.realpath(shutil.which(t)) for t in ALLOWED_TOOLS if shutil.which(t)}
    for path in sorted(paths | set(ALLOWED_PATHS)):
        match = {"executable": path}
        if path.endswith("/chromium"):
            match["borrowed"] = ["automated"]  # the tests' browser has no window
        senders.append({"name": os.path.basename(path), "match": match, "allow": [{"use": "tests"}]})
    return {"version": 1, "mode": mode, "unknown_sender": {"action": unknown},
            "destination_sets": {"tests": PLACES}, "senders": senders}


def open_for_others(folder):
    """exeatd and clients of other users may come in; nothing above the folder for temporary files is touched."""
    root = pathlib.Path(tempfile.gettempdir()).resolve()
    for path in (pathlib.Path(folder), *pathlib.Path(folder).parents):
        if root in path.resolve().parents and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)


def to_yaml(value, indent=""):
    """Dictionaries, lists, strings, numbers and truth values as YAML; strings are bare where they can be."""
    if isinstance(value, dict) and value:
        return "".join(f"\n{indent}{k}: {to_yaml(v, indent + '  ')}" for k, v in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{indent}- {to_yaml(v, indent + '  ').lstrip()}" for v in value)
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_./][\w ./-]*", value) and value not in ("null", "true"):
        return value
    return json.dumps(value)


def merge(base, more):
    out = dict(base)
    for key, value in more.items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


class Proxy:
    """exeatd with its agent, configured by dictionaries."""

    def __init__(self, name="proxy", dns=None, ports=(), config=None, baseline=None, agent=True, agent_options=()):
        if not BUILD:
            pytest.skip("no exeatd is built (EXEAT_BUILD)")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"exeat-{name}-"))
        os.chmod(self.folder, 0o755)
        self.name = name
        self.port = free_port()
        self.state = self.folder / "state"
        self.config_path = self.folder / "exeat.yaml"
        self.baseline_path = self.folder / "baseline.yaml"
        self.agent_socket = self.folder / "agent/agent.sock"
        self.admin_socket = self.folder / "state/admin.sock"
        self.ledger = Ledger(self.folder / "state/audit.jsonl")
        self.user = "nobody" if os.geteuid() == 0 else None
        self.config = merge(self._default_config(dns, sorted(set(ports) | {80, 443})), config or {})
        self.baseline = baseline or default_baseline()
        self.daemon = self.agent = None
        self.with_agent = agent
        self.agent_options = list(agent_options)
        self.write()

    def _default_config(self, dns, ports):
        return {
            "listen": {"addresses": [f"127.0.0.1:{self.port}", f"[::1]:{self.port}"], "workers": 2},
            "process": {"state_folder": str(self.state), **({"user": self.user} if self.user else {})},
            "agent": {"socket": str(self.agent_socket), "timeout": f"{500 * patience()}ms"},
            "connect": {"ports": ports}, "http": {"ports": ports, "via": self.name},
            "guard": {"allow_networks": ["127.0.0.0/8", "::1/128"]},
            "resolver": {"servers": [f"127.0.0.1:{dns.port}"], "timeout": "1s"} if dns else {},
            "timeouts": {"linger": "2s", "drain": "2s"},
            "policy": {"baseline": str(self.baseline_path)},
        }

    def write_passwords(self, **users):
        """The password file; its path."""
        path = self.folder / "passwords"
        hashes = {u: subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=p, capture_output=True, text=True,
                                    check=True).stdout.strip() for u, p in users.items()}
        path.write_text("".join(f"{u}:{h}\n" for u, h in hashes.items()))
        path.chmod(0o600)
        if self.user:
            shutil.chown(path, self.user)
        return str(path)

    def write(self):
        self.config_path.write_text(to_yaml(self.config) + "\n")
        self.baseline_path.write_text(to_yaml(self.baseline) + "\n")
        for path in (self.config_path, self.baseline_path):
            path.chmod(0o644)

    # -- life --

    def start(self):
        if self.with_agent:
            self.start_agent()
        self.daemon = start_and_wait_ready(f"{self.name}-exeatd", [BUILD / "exeatd", "--config", self.config_path],
                                           self.folder)
        if self.with_agent:
            self.wait_agent()
        return self

    def start_agent(self):
        argv = [BUILD / "exeat-agent", "--socket", self.agent_socket, "--foreground", "--state",
                self.folder / "known", *self.agent_options]
        if self.user:
            argv += ["--allow-user", self.user]
        self.agent = Program(f"{self.name}-agent", argv, self.folder)

        def listens():
            if self.agent.child.poll() is not None:
                raise AssertionError(f"the agent ended:\n{self.agent.log}")
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(self.agent_socket))
                return True
            except OSError:
                return False
        wait_until(listens, "the agent")

    def status(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            s.connect(str(self.admin_socket))
            s.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def wait_agent(self, connected=True):
        """Until every worker's link to the agent is up, or none is."""
        def links():
            return all(w["agent"]["connected"] == connected for w in self.status()["workers"])
        wait_until(links, f"the agent's links: connected {connected}")

    def counter(self, name):
        return self.status()["totals"][name]

    def reload(self, good=True, seconds=DEADLINE):
        """HUP, and what came of it: the log's new text."""
        before = len(self.daemon.log)
        self.daemon.child.send_signal(signal.SIGHUP)
        said = "is in force" if good else "reload refused"

        def new():
            text = self.daemon.log[before:]
            return text if said in text else None
        return wait_until(new, f"the reload: {said}", seconds)

    def stop(self, check=True, expected=0):
        try:
            if self.daemon:
                self.daemon.end(expected=expected)
            if self.agent:
                self.agent.end()
            if check:
                self.ledger.check()
        finally:
            for program in (self.daemon, self.agent):
                if program and program.child.poll() is None:
                    program.child.kill()
                    program.child.wait()
            if not os.environ.get("EXEAT_KEEP"):
                shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop(check=False, expected=None)
            raise

    def __exit__(self, kind, value, trace):
        self.stop(check=kind is None, expected=0 if kind is None else None)

    # -- clients --

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **more):
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")
        env = {k: v for k, v in os.environ.items() if k.lower() not in (*names, "no_proxy")}
        return dict(env, **{n: self.url for n in names}, no_proxy="", NO_PROXY="", **more)

    def run(self, *argv, seconds=60, **more):
        """Runs a client with the proxy in its environment."""
        more.setdefault("env", self.environment())
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([str(a) for a in argv], capture_output=True, timeout=seconds * patience(), **more)

    def curl(self, *argv, **more):
        return self.run(tool("curl"), "-sS", "-m", "50", "--proxy", self.url, *argv, **more)

    def raw(self, seconds=DEADLINE, source=RAW_CLIENT):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=seconds * patience(), source_address=(source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def connect(self, host, port, **more):
        """A tunnel from the test process itself: (socket, the answer's head). The 200's body is what follows."""
        s = self.raw(**more)
        s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        return s, read_head(s)

    # -- records --

    def exchanges(self, host=None, count=1, where=None):
        """The exchanges with `host` once `count` of them are closed; more than that is an error."""
        def is_ours(x):
            record = x.close or x.decision
            there = (get_path(record, "dst_endpoint.hostname"), get_path(record, "dst_endpoint.ip"))
            return (host is None or host in there) and (where is None or where(x))

        def done():
            found = self.ledger.find(is_ours)
            return found if sum(1 for x in found if x.close) >= count else None
        found = wait_until(done, f"{count} closed exchanges with {host}")
        assert len(found) == count, found
        return found

    def exchange(self, host=None, where=None):
        return self.exchanges(host, 1, where)[0]

    def record_of(self, answer_id):
        """The exchange that an answer's record id names."""
        return wait_until(lambda: self.ledger.find(lambda x: x.uid == answer_id and x.close), f"record {answer_id}")[0]


def read_head(sock):
    """Reads byte by byte up to the empty line, so that what follows stays in the socket. Returns its text."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    return head.decode("latin-1")


def read_all(sock):
    """Until EOF or reset."""
    data = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return data
            data += piece
    except ConnectionResetError:
        return data


class Answer:
    """One HTTP answer read from a socket."""

    def __init__(self, sock, body=True):
        self.head = read_head(sock)
        if not self.head:
            raise AssertionError("the connection was closed without an answer")
        lines = self.head.split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name:
                self.fields[name.lower()] = value.strip()
        self.body = b""
        if not body or self.status in (204, 304) or self.status < 200:
            return
        if "content-length" in self.fields:
            while len(self.body) < int(self.fields["content-length"]):
                piece = sock.recv(int(self.fields["content-length"]) - len(self.body))
                if not piece:
                    break
                self.body += piece
        elif self.fields.get("transfer-encoding") == "chunked":
            self._read_chunks(sock)
        else:
            self.body = read_all(sock)

    def _read_chunks(self, sock):
        f = sock.makefile("rb", buffering=0)
        def line():
            out = b""
            while not out.endswith(b"\r\n"):
                byte = f.read(1)
                if not byte:
                    raise AssertionError("the answer is cut short in its chunks")
                out += byte
            return out
        while True:
            size = int(line().split(b";")[0], 16)
            left = size
            while left:
                piece = f.read(left)
                if not piece:
                    raise AssertionError("the answer is cut short in a chunk")
                self.body += piece
                left -= len(piece)
            if size == 0:
                break
            line()
        self.trailers = {}
        for text in iter(line, b"\r\n"):
            name, _, value = text.decode("latin-1").partition(":")
            self.trailers[name.lower()] = value.strip()

    @property
    def json(self):
        return json.loads(self.body)


class Background:
    """Runs a function in a thread; result() waits, and raises what it raised."""

    def __init__(self, function, *args, **more):
        self.outcome = self.error = None

        def run():
            try:
                self.outcome = function(*args, **more)
            except BaseException as e:  # handed over to result()
                self.error = e
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def result(self, seconds=60):
        self.thread.join(seconds * patience())
        assert not self.thread.is_alive(), "still waiting"
        if self.error:
            raise self.error
        return self.outcome
