"""Every way of saying no: the status, Proxy-Status, the body for tools and for people, and the record that the body names."""
import pathlib
import subprocess

import pytest

import origins
from harness import ANYBODY, BUILD, Answer, default_baseline, get_path, open_for_others, read_all, tool, wait_until


def get(proxy, url, *more, html=False, source=None):
    """The answer to one absolute-form GET from the test process."""
    s = proxy.raw(**({"source": source} if source else {}))
    host = url.split("/")[2]
    accept = "Accept: text/html,*/*\r\n" if html else ""
    s.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n{accept}{''.join(m + chr(13) + chr(10) for m in more)}\r\n".encode())
    answer = Answer(s)
    s.close()  # the close record is written when the lingering ends
    return answer


def check_refusal(proxy, answer, status, reason, error=None):
    """What every refusal says; returns the exchange that its record id names."""
    assert answer.status == status, answer.head
    said = answer.fields["proxy-status"]
    assert said.startswith(proxy.name) and reason in said, said
    if error:
        assert f"error={error}" in said, said
    assert answer.fields["content-type"].startswith("application/json")
    assert answer.json["error"] == reason and answer.json["message"], answer.json
    x = proxy.record_of(answer.json["record"])
    assert x.reason == reason, x
    assert not x.get("traffic.bytes_in") and not x.get("traffic.bytes_out"), x
    return x


def connect_refused(proxy, host, port, status, reason, error=None):
    s, head = proxy.connect(host, port)
    # read_head() took the head: parse it again with the body behind it
    length = int(next(l for l in head.split("\r\n") if l.lower().startswith("content-length")).split(":")[1])
    body = b""
    while len(body) < length:
        body += s.recv(length - len(body))
    answer = Answer.__new__(Answer)
    answer.head, answer.body = head, body
    answer.status = int(head.split(" ")[1])
    answer.fields = {l.split(":")[0].lower(): l.partition(":")[2].strip() for l in head.split("\r\n")[1:] if l}
    assert read_all(s) == b""
    s.close()
    return check_refusal(proxy, answer, status, reason, error)


CASES = [  # the kind of name, the port (an attribute of the fixtures), status, reason, RFC 9209 error
    ("nx", "http", 502, "dns_not_found", "destination_not_found"),
    ("servfail", "http", 502, "dns_failed", "dns_error"),
    ("drop", "http", 504, "dns_timeout", "dns_timeout"),
    ("v4", "closed", 502, "connect_refused", "connection_refused"),
    ("private", "http", 403, "address_prohibited", "destination_ip_prohibited"),
    ("linklocal", "http", 403, "address_prohibited", "destination_ip_prohibited"),
    ("mapped", "http", 403, "address_prohibited", "destination_ip_prohibited"),
    ("any", "http", 403, "address_prohibited", "destination_ip_prohibited"),
]


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
@pytest.mark.parametrize("kind,where,status,reason,error", CASES)
def test_destination(proxy, http, closed_port, dns, name, method, kind, where, status, reason, error):
    host = name(kind)
    port = http.port if where == "http" else closed_port
    before = http.connections
    if method == "CONNECT":
        x = connect_refused(proxy, host, port, status, reason, error)
    else:
        answer = get(proxy, f"http://{host}:{port}/")
        x = check_refusal(proxy, answer, status, reason, error)
    assert x.get("dst_endpoint.hostname") == host
    assert dns.count(host) >= 1
    if reason == "address_prohibited":
        assert x.verdict == "block" and get_path(x.decision, "disposition") == "Blocked"
        assert http.connections == before
    else:
        assert x.get("activity_name") == "Fail"


def test_mixed_addresses_use_the_allowed_ones(proxy, http, name):
    host = name("mixed")
    answer = get(proxy, f"http://{host}:{http.port}/hello")
    assert answer.status == 200
    assert proxy.exchange(host).get("dst_endpoint.ip") == "127.0.0.1"


def test_literal_private_address(proxy, http):
    x = connect_refused(proxy, "10.1.2.3", 443, 403, "baseline_destination")
    assert x.get("dst_endpoint.hostname") is None and x.get("dst_endpoint.ip") == "10.1.2.3"


def test_the_proxy_itself_is_no_destination(make_proxy):
    p = make_proxy("self")
    p.config["connect"]["ports"] = p.config["connect"]["ports"] + [p.port]
    p.write()
    with p:
        connect_refused(p, "127.0.0.1", p.port, 403, "address_prohibited")


def test_blocked_name_is_not_resolved(proxy, http, dns, name):
    """A name can carry data: nothing leaves for one that the baseline doesn't know."""
    host = name("ok", "blocked.example")
    for method in ("GET", "CONNECT"):
        if method == "GET":
            answer = get(proxy, f"http://{host}:{http.port}/")
            x = check_refusal(proxy, answer, 403, "baseline_destination", "http_request_denied")
        else:
            x = connect_refused(proxy, host, http.port, 403, "baseline_destination", "http_request_denied")
        assert x.verdict == "block" and x.entry == "raw"
    # a name that is allowed, asked afterwards, reaches the DNS server: so would have the others
    later = name()
    get(proxy, f"http://{later}:{http.port}/hello")
    assert dns.count(later) >= 1
    assert dns.count(host) == 0
    assert not [q for q in dns.queries if q.endswith("blocked.example")]


def test_html_for_people(proxy, http, name):
    host = name("ok", "blocked.example")
    answer = get(proxy, f"http://{host}/", html=True)
    assert answer.status == 403 and answer.fields["content-type"].startswith("text/html")
    x = proxy.exchange(host)
    text = answer.body.decode()
    assert x.uid in text and host in text and "baseline_destination" in text


def test_the_sender_is_named(proxy, http, name):
    """From 127.0.0.1 the test process is judged as what it is."""
    host = name()
    answer = get(proxy, f"http://{host}:{http.port}/", source="127.0.0.1")
    x = check_refusal(proxy, answer, 403, "baseline_sender", "http_request_denied")
    assert "/usr/bin/python3" in answer.json["sender"] and x.executable.startswith("/usr/bin/python3")
    assert x.confidence == "exact"


def test_malformed_and_misdirected(proxy, http, name):
    host = name()
    cases = [
        (f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "not_a_proxy_request"),
        (f"GET ftp://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, "scheme_unsupported"),
        (f"GET http://{host}:{http.port}/ HTTP/1.1\r\nHost: other.exeat.test:{http.port}\r\n\r\n", 421, "host_misdirected"),
        (f"CONNECT {host}:25 HTTP/1.1\r\nHost: {host}:25\r\n\r\n", 403, "port_not_allowed"),
        (f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n", 400, None),
        (f"CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: 0x7f.1:443\r\n\r\n", 400, None),
        (f"CONNECT 2130706433:443 HTTP/1.1\r\nHost: 2130706433:443\r\n\r\n", 400, None),
        (f"TRACE http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 405, "method_unsupported"),
        (f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nX: {'x' * 70000}\r\n\r\n", 431, "request_too_large"),
        (f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nVia: 1.1 {proxy.name}\r\n\r\n", 502, "loop"),
    ]
    for text, status, reason in cases:
        s = proxy.raw()
        s.sendall(text.encode())
        answer = Answer(s)
        assert answer.status == status, (text[:80], answer.head)
        s.close()
        x = proxy.record_of(answer.json["record"])
        assert reason is None or x.reason == reason == answer.json["error"], (text[:80], x)
    assert not http.requests_for(host)


def test_what_follows_a_refused_connect_is_not_read(proxy, http, name):
    host, other = name("ok", "blocked.example"), name()
    s = proxy.raw()
    s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"
              f"GET http://{other}:{http.port}/ HTTP/1.1\r\nHost: {other}:{http.port}\r\n\r\n".encode())
    assert Answer(s).status == 403
    assert read_all(s) == b""
    s.close()
    proxy.exchange(host)
    assert not http.requests_for(other) and not proxy.ledger.find(lambda x: x.get("dst_endpoint.hostname") == other)


def test_one_refused_exchange_does_not_poison_the_next(proxy, http, name):
    bad, good = name("ok", "blocked.example"), name()
    s = proxy.raw()
    s.sendall(f"GET http://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n".encode())
    assert Answer(s).status == 403
    s.sendall(f"GET http://{good}:{http.port}/hello HTTP/1.1\r\nHost: {good}:{http.port}\r\n\r\n".encode())
    assert Answer(s).status == 200
    s.close()
    assert proxy.exchange(bad).verdict == "block" and proxy.exchange(good).verdict == "allow"


def test_a_refused_upload_is_answered(proxy, name):
    """The client is still sending: a plain close would reset the connection before it has read the answer."""
    host = name("ok", "blocked.example")
    body = b"".join(origins.payload(20 << 20))
    r = proxy.curl("-X", "POST", "--data-binary", "@-", "-H", "Expect:", "-w", "%{http_code}", f"http://{host}/", input=body)
    assert b"403" in r.stdout and b"baseline_destination" in r.stdout, r
    x = proxy.exchange(host)
    assert x.verdict == "block" and not x.get("traffic.bytes_out")


# -- 407 --

@pytest.fixture(scope="module")
def auth_proxy(make_proxy):
    extra = [{"name": "ann", "match": {"proxy_user": "ann", "confidence": ANYBODY}, "allow": [{"domain": "exeat.test"}]}]
    baseline = default_baseline(extra=extra)
    p = make_proxy("auth", baseline=dict(baseline, senders=baseline["senders"][1:]))
    p.config["auth"] = {"password_file": p.write_passwords(ann="right", bob="right"), "required": True}
    p.write()
    with p:
        yield p


@pytest.mark.parametrize("user,status,reason", [(None, 407, "auth_required"), ("ann:wrong", 407, "auth_failed"),
                                                ("nobody:right", 407, "auth_failed"), ("ann:right", 200, None)])
def test_authentication(auth_proxy, http, name, user, status, reason):
    host = name()
    r = auth_proxy.curl(*(["-U", user] if user else []), "-i", f"http://{host}:{http.port}/hello")
    assert f" {status} ".encode() in r.stdout.split(b"\r\n")[0], r
    x = auth_proxy.exchange(host)
    if reason:
        assert b"Proxy-Authenticate: Basic realm=" in r.stdout and reason.encode() in r.stdout
        assert x.reason == reason and not http.requests_for(host)
    else:
        assert x.entry == "ann" and x.get("actor.user.name") == "ann"
        assert "proxy-authorization" not in http.requests_for(host)[0]["headers"]
    assert "ann:wrong" not in str(x.close) and "ann:right" not in str(x.close)


def test_a_user_without_an_entry(auth_proxy, https, name):
    host = name()
    r = auth_proxy.run(tool("wget"), "-q", "-O-", "--proxy-user=bob", "--proxy-password=right",
                       f"http://{host}:{https.port}/", env=auth_proxy.environment())
    assert r.returncode != 0
    assert [x for x in auth_proxy.exchanges(host, 1) if x.executable == tool("wget")]


# -- 429 --

def test_too_many_connections(make_proxy, echo):
    with make_proxy("limit", config={"limits": {"flows_per_client": 3}}) as p:
        held = [p.connect("127.0.0.1", echo.port) for _ in range(3)]
        assert all(" 200 " in head for _, head in held)
        s = p.raw()
        s.sendall(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n")
        answer = Answer(s)
        assert answer.status == 429 and int(answer.fields["retry-after"]) > 0
        assert answer.json["error"] == "client_limit"
        s.close()
        for h, _ in held:
            h.close()
        wait_until(lambda: p.status()["flows"] == 0, "the flows to end")
        s, head = p.connect("127.0.0.1", echo.port)
        assert " 200 " in head
        s.close()


def test_too_many_exchanges_of_a_sender(make_proxy, http, echo, name):
    with make_proxy("sender", config={"limits": {"exchanges_per_sender": 2}}) as p:
        held = [p.connect("127.0.0.1", echo.port)[0] for _ in range(2)]
        for s in held:
            s.sendall(b"x")
            assert s.recv(1) == b"x"
        host = name()
        answer = get(p, f"http://{host}:{http.port}/")
        assert answer.status == 429 and answer.json["error"] == "sender_limit" and answer.fields["retry-after"]
        assert p.curl(f"http://{name()}:{http.port}/hello").returncode == 0  # another program has its own
        for s in held:
            s.close()
        wait_until(lambda: p.status()["flows"] == 0, "the flows to end")
        assert get(p, f"http://{name()}:{http.port}/hello").status == 200


def test_too_many_requests(make_proxy, http, name):
    with make_proxy("rate", config={"limits": {"requests_per_client": 5}}) as p:
        host = name()
        s = p.raw()
        for number in range(6):
            s.sendall(f"GET http://{host}:{http.port}/hello HTTP/1.1\r\nHost: {host}:{http.port}\r\n\r\n".encode())
            answer = Answer(s)
            assert answer.status == (200 if number < 5 else 429), number
        assert answer.fields["retry-after"]
        s.close()


# -- after the 200 --

def test_ech_names_of_ones_own(make_proxy, echo, name, tmp_path):
    """A hello that hides its name shows another: excused where the list says that name stands for the host, after a reload; a list that can't be
    read is refused with its place, and the old one stays."""
    open_for_others(tmp_path)
    names = tmp_path / "ech_names.yaml"
    hello = (pathlib.Path(__file__).parent.parent / "sim/bytes/hello_ech").read_bytes()  # shows example.com

    def write(public_name, domain):
        names.write_text(f"version: 1\nnames:\n  - {{public_name: {public_name}, domains: [{domain}]}}\n")
    write("example.com", "elsewhere.test")
    with make_proxy("ech", config={"policy": {"sni_mismatch": "refuse", "ech_names": str(names)}}) as p:
        def ask():
            host = name()
            s, head = p.connect(host, echo.port)
            assert " 200 " in head
            s.sendall(hello)
            answer = s.recv(1)
            s.close()
            x = p.exchange(host)
            return answer == hello[:1], x.reason == "sni_mismatch", x.get("unmapped.tls_ech_public_name")
        refused = (False, True)
        assert ask()[:2] == refused
        write("example.net", "exeat.test")
        p.reload()
        assert ask()[:2] == refused
        write("example.com", "exeat.test")
        p.reload()
        assert ask() == (True, False, True)
        write("example.com", "co.uk")
        assert f"{names}:3:" in p.reload(good=False)
        assert ask() == (True, False, True)


def test_sni_mismatch(make_proxy, https, authority, name):
    with make_proxy("sni", config={"policy": {"sni_mismatch": "refuse"}}) as p:
        host, other = name(), name()
        before = len(https.requests)
        r = p.run(tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{p.port}", "-connect", f"{host}:{https.port}",
                  "-servername", other)
        assert r.returncode != 0 and b"alert access denied" in r.stderr, r
        x = p.exchange(host)
        assert x.verdict == "block" and x.reason == "sni_mismatch" and "H14" in x.get("unmapped.anomalies")
        assert len(https.requests) == before
        host = name()
        r = p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
        assert r.returncode == 0 and p.exchange(host).verdict == "allow"


def test_report_mode_lets_out_and_says_so(make_proxy, http, name):
    with make_proxy("report", baseline=default_baseline(mode="report")) as p:
        host = name("ok", "elsewhere.example")
        assert b"hello" in p.curl(f"http://{host}:{http.port}/hello").stdout
        x = p.exchange(host)
        assert x.verdict == "alert" and x.get("unmapped.verdict.would_block") is True
        assert x.verdict_reason == "baseline_destination" and x.reason == "completed"
        assert x.get("disposition") == "Alert"


def test_https_absolute_form(make_proxy, https, self_signed, authority, name):
    """The proxy itself makes the TLS connection, and verifies."""
    with make_proxy("origin-tls", config={"tls_origin": {"ca_file": authority.ca}}) as p:
        host = name()
        answer = get(p, f"https://{host}:{https.port}/hello")
        assert answer.status == 200 and b"hello from the origin" in answer.body
        assert p.exchange(host).verdict == "allow"
        host = name()
        answer = get(p, f"https://{host}:{self_signed.port}/hello")
        check_refusal(p, answer, 502, "server_certificate", "tls_certificate_error")


# -- who is unsure, and where anybody can have a place --

def check_says(proxy, *notes):
    said = subprocess.run([BUILD / "exeat", "config", "check", proxy.config_path], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and said.stdout.endswith(": ok\n"), said
    for note in notes:
        assert note in said.stdout, said.stdout
    assert said.stdout.count("note:") == len(notes), said.stdout


def test_unsure_is_not_yes(make_proxy, http, name):
    """Nobody says who the client is: what is about its network alone holds where it names that, and nowhere else."""
    baseline = default_baseline()
    baseline["senders"] = [{"name": "raw", "match": {"client_network": "127.0.0.0/8"}, "allow": [{"use": "tests"}]}]
    with make_proxy("unsure", agent=False, baseline=baseline) as p:
        check_says(p, '"raw" holds for senders that are exact alone')
        check_refusal(p, get(p, f"http://{name()}:{http.port}/hello"), 403, "sender_unknown")
        baseline["senders"][0]["match"]["confidence"] = ["exact", "unknown"]
        p.write()
        p.reload()
        check_says(p)
        assert get(p, f"http://{name()}:{http.port}/hello").status == 200


def test_any_leaves_out_places_of_many(make_proxy, http, name):
    """Anywhere is not everybody's place: one tenant's host is approved beside it."""
    many = f"many-{name()}"
    ours, theirs, shared = f"ours.{many}", f"theirs.{many}", name()
    baseline = default_baseline()
    allow = [{"any": True}]
    del baseline["destination_sets"]
    baseline["senders"] = [{"name": "raw", "match": {"client_network": "127.0.0.0/8", "confidence": ANYBODY}, "allow": allow}]
    p = make_proxy("many", baseline=baseline)
    (p.folder / "destinations.yaml").write_text(
        f"version: 1\nkinds:\n  cdn:\n    tenants: [{many}]\n    shared: [{shared}]\n")
    p.config["policy"]["destinations"] = "destinations.yaml"
    p.write()

    def status(host):
        return get(p, f"http://{host}:{http.port}/hello").status
    with p:
        check_says(p, "does not hold for places of many tenants")
        assert status(name()) == 200
        for host in (ours, theirs, shared):
            answer = get(p, f"http://{host}:{http.port}/hello")
            check_refusal(p, answer, 403, "many_tenants", "http_request_denied")
        allow.append({"host": ours})
        p.write()
        p.reload()
        assert [status(ours), status(theirs), status(shared)] == [200, 403, 403]
