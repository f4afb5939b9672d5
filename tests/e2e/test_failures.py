"""What happens when a part dies in the middle: every flow ends with a reason, nothing hangs, and it fails as configured."""
import os
import signal
import socket
import time

import pytest

import origins
from harness import Answer, Background, default_baseline, part_of, parts_of, read_all, tool, wait_until


def get(s, host, port, path="/hello"):
    s.sendall(f"GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())


def kill(program):
    program.child.kill()
    program.child.wait()


# -- the agent --

def signal_agent(p, number):
    for pid in parts_of(p.agent.pid).values():
        os.kill(pid, number)


@pytest.mark.parametrize("policy", ["unknown", "refuse"])
def test_agent_dies(make_proxy, http, name, policy):
    """Without it senders are unknown, which the baseline blocks, or every flow is refused; once back they are exact."""
    with make_proxy(f"agent-{policy}", config={"agent": {"when_unavailable": policy}}) as p:
        url = lambda host: f"http://{host}:{http.port}/hello"
        assert b"hello" in p.curl(url(name())).stdout
        kill(p.agent)
        p.wait_agent(False)
        host = name()
        r = p.curl(url(host))
        assert b"sender_unknown" in r.stdout, r
        x = p.exchange(host)
        assert x.reason == "sender_unknown" and x.executable is None and x.confidence == "unknown"
        assert x.get("unmapped.sender.reason") == "agent_unavailable"
        host = name()  # the raw client is let out by its network, where the configuration lets the baseline decide
        s = p.raw()
        get(s, host, http.port)
        assert Answer(s).status == (200 if policy == "unknown" else 403)
        s.close()
        p.exchange(host)
        p.start_agent()
        p.wait_agent()
        host = name()
        assert b"hello" in p.curl(url(host)).stdout
        x = p.exchange(host)
        assert x.confidence == "exact" and x.executable == tool("curl")


def test_agent_is_unknown_allowed(make_proxy, http, name):
    """Fail open, said in the baseline: no agent at all, unknown senders are let out."""
    p = make_proxy("no-agent", agent=False, baseline=default_baseline(unknown="allow"))
    p.config["agent"] = {"socket": None}
    p.write()
    with p:
        host = name()
        assert b"hello" in p.curl(f"http://{host}:{http.port}/hello").stdout
        x = p.exchange(host)
        assert x.verdict == "allow" and x.confidence == "unknown" and x.entry == "unknown_sender"


def test_agent_stops_answering(make_proxy, http, name):
    """A stopped agent (SIGSTOP) is waited for as long as agent.timeout says, no longer."""
    with make_proxy("stopped", config={"agent": {"timeout": "200ms", "hash_wait": "0ms"}}) as p:
        signal_agent(p, signal.SIGSTOP)
        try:
            host, begun = name(), time.monotonic()
            assert b"sender_unknown" in p.curl(f"http://{host}:{http.port}/hello").stdout
            assert time.monotonic() - begun < 5
            assert p.exchange(host).get("unmapped.sender.reason")
        finally:
            signal_agent(p, signal.SIGCONT)
        def exact():
            host = name()
            p.curl(f"http://{host}:{http.port}/hello")
            return p.exchange(host).confidence == "exact"
        wait_until(exact, "exact senders again")


@pytest.mark.parametrize("part", ["exeat-collector", "exeat-answerer"])
def test_a_part_of_the_agent_is_killed(make_proxy, http, name, part):
    """While it is away senders are unknown and nothing waits longer than agent.timeout; another one is started without anybody's help."""
    with make_proxy(part, config={"agent": {"when_unavailable": "unknown"}}) as p:
        url = lambda host: f"http://{host}:{http.port}/hello"
        assert b"hello" in p.curl(url(name())).stdout
        killed = part_of(p.agent.pid, part)
        os.kill(killed, signal.SIGKILL)
        host = name()
        p.curl(url(host))
        assert p.exchange(host).close  # let out or not, by whom of them was still there: it ends
        wait_until(lambda: parts_of(p.agent.pid).get(part, killed) != killed, f"another {part}")
        p.wait_agent()
        host = name()
        assert b"hello" in p.curl(url(host)).stdout
        assert p.exchange(host).confidence == "exact"
        assert f"{part} was ended by signal 9" in p.agent.log


def test_agent_dies_with_asks_under_way(make_proxy, http, name):
    with make_proxy("asks", config={"agent": {"timeout": "5s"}}) as p:
        signal_agent(p, signal.SIGSTOP)
        host = name()
        waiting = [Background(p.curl, f"http://{host}:{http.port}/hello") for _ in range(5)]
        wait_until(lambda: p.status()["flows"] == 5, "five flows that wait")
        kill(p.agent)
        begun = time.monotonic()
        for w in waiting:
            assert b"sender_unknown" in w.result().stdout
        assert time.monotonic() - begun < 4
        p.exchanges(host, 5)
        p.agent = None


# -- the origin --

def test_origin_dies(make_proxy, name):
    """In the middle of a tunnel, of a response, and before one."""
    origin = origins.Origin(origins.HttpHandler)
    echo = origins.Origin(origins.EchoHandler)
    with make_proxy("origin", ports=[origin.port, echo.port]) as p:
        tunnel_host, wait_host = name(), name()
        tunnel, _ = p.connect(tunnel_host, echo.port)
        tunnel.sendall(b"x")
        assert tunnel.recv(1) == b"x"
        s = p.raw()
        get(s, wait_host, origin.port, "/wait")
        assert origin.reached.wait(10)
        echo.stop()
        origin.stop()
        read_all(tunnel)
        tunnel.close()
        x = p.exchange(tunnel_host)
        assert x.reason in ("completed", "server_reset") and x.decision
        answer = Answer(s)
        assert answer.status == 502, answer.head
        s.close()
        assert p.exchange(wait_host).reason in ("response_incomplete", "server_reset")
        host = name()
        assert b"connect_refused" in p.curl(f"http://{host}:{origin.port}/").stdout
        assert p.exchange(host).reason == "connect_refused"
        origin.release.set()


def test_a_silent_origin(make_proxy, http, name):
    with make_proxy("silent", config={"timeouts": {"response": "300ms"}}) as p:
        host = name()
        s = p.raw()
        get(s, host, http.port, "/wait")
        assert Answer(s).status == 504
        s.close()
        assert p.exchange(host).reason == "response_timeout"
    http.release.set()
    http.release.clear()


def test_an_origin_that_accepts_nothing(make_proxy, name):
    """A full backlog: SYNs are dropped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fill = []
    for _ in range(8):
        f = socket.socket()
        f.setblocking(False)
        f.connect_ex(("127.0.0.1", port))
        fill.append(f)
    with make_proxy("full", ports=[port], config={"dial": {"timeout": "400ms"}}) as p:
        host = name("v4")
        assert b"connect_timeout" in p.curl(f"http://{host}:{port}/").stdout
        assert p.exchange(host).reason == "connect_timeout"
    for f in fill + [listener]:
        f.close()


def test_a_client_that_stops_reading(make_proxy, http, name):
    """It is not buffered for, and not waited for without end."""
    with make_proxy("stuck", config={"timeouts": {"idle": "500ms"}}) as p:
        host = name()
        before = p.daemon.rss_kib()
        s = p.raw()
        get(s, host, http.port, "/bytes/200000000")
        x = p.exchange(host)
        assert x.reason in ("idle_timeout", "write_timeout"), x
        assert p.daemon.rss_kib() - before < 20000 or "SANITIZE" in p.name
        s.close()


@pytest.mark.parametrize("what,option,reason", [
    ("", "keepalive", None), ("GET http", "head", "request_timeout"), ("CONNECT", "first_byte", "first_byte_timeout"),
    ("HELLO", "hello", None), ("RELAY", "tunnel_idle", "idle_timeout")])
def test_a_client_that_says_no_more(make_proxy, echo, name, what, option, reason):
    """In each state where the client has the word, its time is limited."""
    with make_proxy("slow", config={"timeouts": {option: "300ms", "linger": "50ms"}}) as p:
        host = name()
        if what in ("", "GET http"):
            s = p.raw()
            s.sendall(what.encode())
        else:
            s, head = p.connect(host, echo.port)
            assert " 200 " in head
            s.sendall({"CONNECT": b"", "HELLO": b"\x16\x03\x01\x02\x00\x01", "RELAY": b"xyz"}[what])
        read_all(s)
        s.close()
        wait_until(lambda: p.status()["flows"] == 0, "the flow to end")
        if reason:
            assert p.exchange(where=lambda x: True).reason == reason
        elif what == "":
            assert p.counter("connections_silent") == 1 and not p.ledger.find(lambda x: True)


# -- the DNS server --

def test_dns_dies(make_proxy, http, name):
    server = origins.Dns()
    with make_proxy("dns", dns=server) as p:
        waiting_host = name("drop")
        waiting = Background(p.curl, f"http://{waiting_host}:{http.port}/")
        assert server.dropped.wait(10)
        server.stop()
        assert b"dns_" in waiting.result().stdout
        assert p.exchange(waiting_host).reason in ("dns_timeout", "dns_failed")
        host = name()
        assert b"dns_" in p.curl(f"http://{host}:{http.port}/").stdout
        assert p.exchange(host).reason in ("dns_timeout", "dns_failed")
        server.start()
        host = name()
        assert b"hello" in p.curl(f"http://{host}:{http.port}/hello").stdout
        p.exchange(host)
    server.stop()
