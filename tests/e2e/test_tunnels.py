"""Tunnels: both families, who speaks first, half-close, gigabytes, thousands that are idle, a parent proxy."""
import json
import os
import resource
import socket
import subprocess
import zlib

import pytest

import origins
from harness import (ANYBODY, Background, RAW_CLIENT, build_option, default_baseline, read_all, read_head, sanitized, tool,
                     wait_until)
from test_terminate import inspection, terminating  # noqa: F401: a fixture among them

GIB = 1 << 30


def test_ipv6_listener_and_origin(proxy, http, https, authority, name):
    v6 = f"http://[::1]:{proxy.port}"
    host = name("v6")
    r = proxy.run(tool("curl"), "-sS", "--proxy", v6, f"http://{host}:{http.port}/hello")
    assert b"hello" in r.stdout, r
    x = proxy.exchange(host)
    assert x.get("dst_endpoint.ip") == "::1" and x.get("src_endpoint.ip") == "::1"
    assert x.confidence == "exact" and x.executable == tool("curl")
    r = proxy.run(tool("curl"), "-sS", "--proxy", v6, "--cacert", authority.ca, f"https://[::1]:{https.port}/hello")
    assert b"hello" in r.stdout, r
    x = proxy.exchange("::1", where=lambda x: x.get("dst_endpoint.port") == https.port)
    assert x.get("dst_endpoint.hostname") is None and "H15" in x.get("unmapped.anomalies")


def test_server_speaks_first(proxy, greeter, name):
    host = name()
    s, head = proxy.connect(host, greeter.port)
    assert " 200 " in head
    assert s.recv(100) == b"SSH-2.0-test\r\n"
    s.sendall(b"SSH-2.0-me\r\n")
    assert s.recv(100) == b"SSH-2.0-me\r\n"
    s.close()
    x = proxy.exchange(host)
    assert x.get("unmapped.first_speaker") == "server" and "H09" in x.get("unmapped.anomalies")
    assert x.get("app_protocol_name") == "ssh"


def test_hello_sent_with_the_connect_and_in_pieces(proxy, https, authority, name):
    """A real hello, one byte a segment, the first of them in the CONNECT's own segment."""
    import ssl
    host = name()
    context = ssl.create_default_context(cafile=authority.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    s = proxy.raw()
    s.sendall(f"CONNECT {host}:{https.port} HTTP/1.1\r\nHost: {host}:{https.port}\r\n\r\n".encode() + hello[:7])
    assert " 200 " in read_head(s)
    for byte in hello[7:]:
        s.sendall(bytes([byte]))
    while True:
        incoming.write(s.recv(65536))
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            s.sendall(outgoing.read())
    s.sendall(outgoing.read())
    s.close()
    x = proxy.exchange(host)
    assert x.get("tls.sni") == host and x.get("unmapped.hello.ja4")


def test_half_close(proxy, echo, name):
    host = name()
    s, _ = proxy.connect(host, echo.port)
    s.sendall(b"to be echoed")
    s.shutdown(socket.SHUT_WR)
    assert read_all(s) == b"to be echoed"
    s.close()
    x = proxy.exchange(host)
    assert x.reason == "completed" and x.get("traffic.bytes_out") == x.get("traffic.bytes_in") == 12


def test_client_reset_is_passed_on(proxy, echo, name):
    import struct
    host = name()
    s, _ = proxy.connect(host, echo.port)
    s.sendall(b"x")
    assert s.recv(1) == b"x"
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    x = proxy.exchange(host)
    assert x.reason == "client_reset" and x.get("activity_name") == "Reset"


def test_urgent_byte_does_not_spin(proxy, echo, name):
    host = name()
    s, _ = proxy.connect(host, echo.port)
    s.sendall(b"before")
    assert s.recv(6) == b"before"
    s.send(b"!", socket.MSG_OOB)
    s.sendall(b"after")
    seen = b""
    while len(seen) < 6:
        seen += s.recv(100)
    assert seen == b"!after"
    before = cpu_ticks(proxy.daemon.pid)
    s.sendall(b"still")
    assert s.recv(100) == b"still"
    assert cpu_ticks(proxy.daemon.pid) - before < 50
    s.close()
    proxy.exchange(host)


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_proxy_protocol(make_proxy, http, name):
    """A balancer says who the client is; its senders are remote."""
    with make_proxy("balanced", config={"listen": {"proxy_protocol_from": ["127.0.0.8/32"]}},
                    baseline=default_baseline(extra=[{"name": "far", "match": {"client_network": "192.0.2.0/24", "confidence": ANYBODY},
                                                      "allow": [{"use": "tests"}]}])) as p:
        host = name()
        s = p.raw(source="127.0.0.8")
        s.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 3128\r\n"
                  + f"GET http://{host}:{http.port}/hello HTTP/1.1\r\nHost: {host}:{http.port}\r\nConnection: close\r\n\r\n".encode())
        assert b"hello" in read_all(s)
        s.close()
        x = p.exchange(host)
        assert x.get("src_endpoint.ip") == "192.0.2.7" and x.confidence == "unknown" and x.executable is None
        assert x.get("unmapped.behind") == "127.0.0.8" and x.entry == "far"
        # from anybody else the header is no request
        s = p.raw()
        s.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 3128\r\nGET / HTTP/1.1\r\n\r\n")
        assert b" 400 " in read_all(s).split(b"\r\n")[0]
        s.close()


def test_tls_to_the_proxy(make_proxy, http, authority, name):
    port = origins.free_port()
    p = make_proxy("tls")
    for part, path in (("tls_certificate", authority.cert), ("tls_key", authority.key)):
        copy = p.folder / part
        copy.write_bytes(open(path, "rb").read())
        copy.chmod(0o600)
        if p.user:
            import shutil
            shutil.chown(copy, p.user)
        p.config["listen"][part] = str(copy)
    p.config["listen"]["tls_addresses"] = [f"127.0.0.1:{port}"]
    p.write()
    with p:
        host = name()
        r = p.run(tool("curl"), "-sS", "--proxy", f"https://127.0.0.1:{port}", "--proxy-cacert", authority.ca,
                  f"http://{host}:{http.port}/hello")
        assert b"hello" in r.stdout, r
        x = p.exchange(host)
        assert x.executable == tool("curl") and x.get("unmapped.proxy_tls_version")
        host = name()
        r = p.run(tool("curl"), "-sS", "-p", "--proxy", f"https://127.0.0.1:{port}", "--proxy-cacert", authority.ca,
                  f"http://{host}:{http.port}/bytes/5000000")
        assert len(r.stdout) == 5000000, r.stderr
        assert p.exchange(host).reason == "completed"


# -- much --

def test_a_gigabyte_each_way(proxy, http, https, authority, name):
    """Through tunnels (down over TLS, up plain), summed while it passes."""
    if sanitized() or build_option("CMAKE_BUILD_TYPE") == "Debug":
        pytest.skip("a gigabyte is for the release build")
    expected = origins.payload_crc(GIB)
    host = name()
    child = subprocess.Popen([tool("curl"), "-sS", "-p", "--proxy", proxy.url, "--cacert", authority.ca,
                              f"https://{host}:{https.port}/bytes/{GIB}"], stdout=subprocess.PIPE)
    crc = length = 0
    for piece in iter(lambda: child.stdout.read(1 << 20), b""):
        crc, length = zlib.crc32(piece, crc), length + len(piece)
    assert child.wait() == 0 and length == GIB and crc == expected
    x = proxy.exchange(host)
    assert x.get("traffic.bytes_in") > GIB and x.executable == tool("curl")
    host = name()
    child = subprocess.Popen([tool("curl"), "-sS", "-p", "--proxy", proxy.url, "-X", "POST", "-T", "-",
                              f"http://{host}:{http.port}/echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def feed():
        for block in origins.payload(GIB):
            child.stdin.write(block)
        child.stdin.close()
    feeder = Background(feed)
    said = json.loads(child.stdout.read())
    feeder.result()
    assert child.wait() == 0 and said["length"] == GIB and said["crc"] == expected
    assert proxy.exchange(host).get("traffic.bytes_out") > GIB


def test_plain_http_in_bulk(proxy, http, name):
    """Not through a tunnel: parsed, bounded, and whole."""
    size = GIB // 8 if not sanitized() else GIB // 64
    for kind in ("bytes", "chunked"):
        host = name()
        child = subprocess.Popen([tool("curl"), "-sS", "--proxy", proxy.url, f"http://{host}:{http.port}/{kind}/{size}"],
                                 stdout=subprocess.PIPE)
        crc = 0
        for piece in iter(lambda: child.stdout.read(1 << 20), b""):
            crc = zlib.crc32(piece, crc)
        assert child.wait() == 0 and crc == origins.payload_crc(size)
        assert proxy.exchange(host).reason == "completed"


IDLE_CLIENT = """
import socket, sys
proxy, port, count = map(int, sys.argv[1:4])
request = f"CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n".encode()
held = []
for _ in range(count):
    s = socket.create_connection(("127.0.0.1", proxy), 30, (sys.argv[4], 0))
    s.sendall(request + b"not tls: relayed at once\\r\\n")
    assert b" 200 " in s.recv(4096)
    held.append(s)
print("ready", flush=True)
sys.stdin.read()
"""


def test_thousands_of_idle_tunnels(make_proxy, capfd):
    """5,000 idle tunnels: what one costs, and that all end with one close record. Several processes hold them: what an
    attribution costs grows with the descriptors of the process that asks."""
    wanted, children = (5000, 20) if not sanitized() else (500, 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * wanted + 500:
        pytest.skip(f"{hard} descriptors are allowed at most, {2 * wanted + 500} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    origin = origins.IdleOrigin()
    clients = []
    try:
        with make_proxy("idle", ports=[origin.port], config={
                "limits": {"flows": 8000, "flows_per_client": 8000, "exchanges_per_sender": 8000},
                "agent": {"timeout": "5s"}}) as p:
            before = p.daemon.rss_kib()
            argv = [os.path.realpath("/usr/bin/python3"), "-c", IDLE_CLIENT, str(p.port), str(origin.port),
                    str(wanted // children), RAW_CLIENT]
            clients = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(children)]
            for client in clients:
                assert client.stdout.readline() == b"ready\n"
            assert p.status()["flows"] == wanted
            each = (p.daemon.rss_kib() - before) / wanted
            with capfd.disabled():
                print(f" [{wanted} idle tunnels: {each:.1f} KiB each]", end="")
            assert sanitized() or each < 16, f"{each} KiB"
            for client in clients:
                client.stdin.close()
            origin.close()
            wait_until(lambda: p.status()["flows"] == 0, "the tunnels to end", 30)
            for x in p.exchanges("127.0.0.1", wanted):
                # the origin ends with bytes unread, so either side's end may come first
                assert x.reason in ("completed", "server_reset") and x.confidence == "exact", x
    finally:
        for client in clients:
            client.kill()
            client.wait()
        origin.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- through another exeatd --

def two_proxies(make_proxy, config=None):
    """The near one, which knows the processes, and its parent, which wants a password."""
    gate = default_baseline(extra=[{"name": "near", "match": {"proxy_user": "near", "confidence": ANYBODY}, "allow": [{"use": "tests"}]}])
    gate["senders"] = gate["senders"][1:2]
    far = make_proxy("far", agent=False, baseline=dict(gate, unknown_sender={"action": "block"}))
    far.config["auth"] = {"password_file": far.write_passwords(near="key"), "required": True}
    far.config["agent"] = {"socket": None}
    far.write()
    near = make_proxy("near", dns=None, config=config)
    secret = near.folder / "parent.password"
    secret.write_text("key\n")
    secret.chmod(0o600)
    if near.user:
        import shutil
        shutil.chown(secret, near.user)
    near.config["parents"] = [{"match": ["direct.exeat.test"], "direct": True},
                              {"match": ["any"], "proxies": [f"127.0.0.1:{origins.free_port()}", f"127.0.0.1:{far.port}"],
                               "user": "near", "password_file": str(secret)}]
    near.write()
    return near, far


@pytest.fixture
def chain(make_proxy):
    near, far = two_proxies(make_proxy)
    with far, near:
        yield near, far


def test_through_a_parent(chain, http, https, authority, dns, name):
    near, far = chain
    host = name()
    r = near.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
    assert b"hello from the origin" in r.stdout, r
    x, y = near.exchange(host), far.exchange(host)
    assert x.executable == tool("curl") and x.get("unmapped.parent")
    assert y.entry == "near" and y.get("actor.user.name") == "near" and y.confidence != "exact"
    host = name()
    r = near.curl(f"http://{host}:{http.port}/hello")
    assert b"hello from the origin" in r.stdout, r
    assert near.exchange(host).get("proxy_http_request.http_method") == "GET"
    assert far.exchange(host).get("proxy_http_request.http_method") == "CONNECT"
    seen = http.requests_for(host)[0]["headers"]
    assert "proxy-authorization" not in seen


def test_certificates_and_sessions_through_a_parent(make_proxy, https, authority, inspection, name):  # noqa: F811
    """A probe takes the way of its tunnel, and so does the session that is taken up again."""
    config = terminating(inspection, authority)
    config["policy"]["handling"] = "peek"
    near, far = two_proxies(make_proxy, {**config, "listen": {"workers": 1}})
    host, ca = name("v4"), ("--cacert", authority.ca, "--cacert", inspection.certificate)
    with far, near:
        r = near.curl(*ca[:2], f"https://{host}:{https.port}/hello")
        assert b"hello from the origin" in r.stdout, r
        x = near.exchange(host)
        assert x.get("unmapped.chain.source") == "probed" and x.get("unmapped.chain.trusted") is True, x
        assert len(far.exchanges(host, 2)) == 2  # the tunnel's, and the probe's
        near.config["policy"]["handling"] = "terminate"
        near.write()
        near.reload()
        host = name("v4")
        for count in (1, 2):
            r = near.curl(*ca[2:], f"https://{host}:{https.port}/hello")
            assert b"hello from the origin" in r.stdout, r
            tunnels = near.exchanges(host, count, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
        assert [t.get("unmapped.server_hello.resumed") for t in tunnels] == [False, True], tunnels
        assert all(t.get("unmapped.chain.source") == "terminated" and t.get("unmapped.parent") for t in tunnels)


def test_a_parent_that_refuses(chain, http, name):
    near, far = chain
    host = name("private")
    r = near.curl("-i", f"http://{host}:{http.port}/hello")
    assert b" 502 " in r.stdout.split(b"\r\n")[0] and b"parent_refused" in r.stdout, r
    assert near.exchange(host).reason == "parent_refused"
    assert far.exchange(host).reason == "address_prohibited"
