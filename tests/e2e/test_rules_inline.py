"""Sigma rules decided while the connection is open: each phase, the actions, modes, what isn't known, reload."""
import json
import shutil
import subprocess
import threading

import pytest

from harness import BUILD, SOURCE, Answer, Proxy, default_baseline, open_for_others, read_all, to_yaml, tool, wait_until
from test_terminate import Inspection, terminating

HOST = """title: Tunnels to the dump
id: 11111111-0000-4000-8000-000000000001
author: Ann Example
license: DRL 1.1
status: stable
level: high
tags: [attack.exfiltration]
logsource: {category: proxy}
detection:
  selection: {cs-host|startswith: dump-}
  condition: selection
"""
SNI = """title: A name in the hello only
id: 11111111-0000-4000-8000-000000000002
level: medium
logsource: {category: proxy}
detection:
  selection: {r-dns|startswith: hidden-}
  condition: selection
"""
JA4 = """title: Not what a browser says
id: 11111111-0000-4000-8000-000000000003
level: low
logsource: {product: zeek, service: ssl}
detection:
  selection: {ja4|re: '^t1[0-9][di][0-9]{4}', server_name|startswith: greeted-}
  condition: selection
"""
URL = """title: A page that nobody needs
id: 11111111-0000-4000-8000-000000000004
level: high
logsource: {category: proxy}
detection:
  url: {c-uri|contains: '/secret?'}
  agent: {c-useragent|contains: sqlmap}
  condition: 1 of *
"""
VOLUME = """title: Much goes out
id: 11111111-0000-4000-8000-000000000005
level: high
logsource: {category: proxy}
detection:
  selection: {cs-bytes|gt: 200000, cs-host|startswith: volume-}
  condition: selection
"""
STATUS = """title: A teapot
id: 11111111-0000-4000-8000-000000000006
level: informational
logsource: {category: proxy}
detection:
  selection: {sc-status: 204, cs-host|startswith: status-}
  condition: selection
"""
NOT_URL = """title: Not the page everybody reads
id: 11111111-0000-4000-8000-000000000007
level: high
logsource: {category: proxy}
detection:
  host: {cs-host|startswith: negated-}
  page: {c-uri|contains: '/hello'}
  condition: host and not page
"""
PROCESS = """title: curl in a shell
id: 11111111-0000-4000-8000-000000000008
level: low
logsource: {category: process_creation, product: linux}
detection:
  selection: {Image|endswith: /curl, CommandLine|contains: process-}
  condition: selection
"""
TWO = """title: Asked for once
id: 11111111-0000-4000-8000-000000000009
name: asked
logsource: {category: proxy}
detection:
  selection: {cs-host|startswith: often-}
  condition: selection
---
title: Asked for thrice
id: 11111111-0000-4000-8000-00000000000a
level: high
correlation:
  type: event_count
  rules: [asked]
  group-by: [r-dns]
  timespan: 10m
  condition: {gte: 3}
"""
RULES = {"host": HOST, "sni": SNI, "ja4": JA4, "url": URL, "volume": VOLUME, "status": STATUS, "not_url": NOT_URL,
         "process": PROCESS, "two": TWO}
IDS = {name: text.split("id: ")[1].split("\n")[0] for name, text in RULES.items()}
IDS["thrice"] = "11111111-0000-4000-8000-00000000000a"
BLOCKED = ["host", "sni", "ja4", "url", "volume", "not_url", "thrice"]


def write_rules(proxy, rules=None, actions=None):
    folder = proxy.folder / "rules"
    folder.mkdir(exist_ok=True)
    for name, text in (rules or RULES).items():
        (folder / f"{name}.yml").write_text(text)
    entries = [{"rule": IDS[n], "action": "block"} for n in BLOCKED] if actions is None else actions
    (proxy.folder / "actions.yaml").write_text(to_yaml({"version": 1, "actions": entries}) + "\n")


def make(dns, ports, mode="enforce", rules=None, actions=None, name="rules"):
    p = Proxy(name, dns=dns, ports=ports, baseline=default_baseline(mode=mode),
              config={"policy": {"rules": ["rules"], "actions": "actions.yaml"}})
    write_rules(p, rules, actions)
    return p


@pytest.fixture(scope="module")
def rules(dns, http, https):
    with make(dns, [http.port, https.port]) as p:
        yield p


def fired(x, record="close"):
    """What the record says of each rule: {id: entry}."""
    return {r["id"]: r for r in ((getattr(x, record) or {}).get("unmapped", {}).get("rules") or [])}


def test_a_host_is_blocked_at_connect(rules, https, name, dns):
    host = name("dump")
    s, head = rules.connect(host, https.port)
    assert head.startswith("HTTP/1.1 403") and "Tunnels to the dump" in head + read_all(s).decode()
    x = rules.exchange(host)
    assert x.reason == x.verdict_reason == "rule" and x.verdict == "block"
    assert x.entry == "Tunnels to the dump" and x.get("firewall_rule.uid") == IDS["host"]
    entry = fired(x, "decision")[IDS["host"]]
    assert entry == {"id": IDS["host"], "title": "Tunnels to the dump", "author": "Ann Example", "license": "DRL 1.1",
                     "level": "high", "status": "stable", "phase": "connect", "action": "block", "outcome": "taken"}
    assert x.get("dst_endpoint.ip") is None, "nothing left: not even a DNS query"


def test_a_plain_request_by_host_url_and_user_agent(rules, http, name):
    for kind, path, agent, by, phase in (("dump", "/hello", "x", "host", "connect"),
                                         ("ok", "/secret?a=1", "x", "url", "request"),
                                         ("ok", "/hello", "sqlmap/1.7", "url", "connect"),
                                         ("ok", "/" + "a" * 9000 + "/secret?b", "x", "url", "request")):
        host = name(kind)
        r = rules.curl("-A", agent, "-i", f"http://{host}:{http.port}{path}")
        assert b"403" in r.stdout.split(b"\r\n")[0], r.stdout
        x = rules.exchange(host)
        assert fired(x)[IDS[by]]["phase"] == phase and x.get("firewall_rule.uid") == IDS[by], x
    host = name("ok")
    assert b"hello" in rules.curl(f"http://{host}:{http.port}/hello").stdout
    assert fired(rules.exchange(host)) == {}


def test_a_name_in_the_hello_is_blocked_there(rules, https, name):
    host, hidden = name("ok"), name("hidden")
    r = rules.run(tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{rules.port}", "-connect", f"{host}:{https.port}",
                  "-servername", hidden)
    assert r.returncode != 0 and b"alert" in r.stderr
    x = rules.exchange(host)
    assert x.verdict_reason == "rule" and fired(x)[IDS["sni"]]["phase"] == "hello"
    assert x.get("traffic.bytes_out") == 0


def test_a_hello_is_blocked_by_its_ja4(rules, https, authority, name):
    host = name("greeted")
    r = rules.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
    assert r.returncode != 0
    x = rules.exchange(host)
    assert x.verdict_reason == "rule" and fired(x)[IDS["ja4"]]["phase"] == "hello"


def test_a_tunnel_is_cut_by_volume(rules, name, http):
    host = name("volume")
    s, head = rules.connect(host, http.port)
    assert " 200 " in head
    s.sendall(f"POST /sink HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000000\r\n\r\n".encode())
    with pytest.raises(OSError):
        for _ in range(2000):
            s.sendall(b"x" * 10000)
        s.recv(1000)
        raise OSError
    x = rules.exchange(host)
    entry = fired(x)[IDS["volume"]]
    assert x.reason == "rule" and entry["phase"] == "relay" and entry["outcome"] == "taken"
    assert 200000 < x.get("traffic.bytes_out") < 4 << 20
    assert fired(x, "decision") == {} and x.decision["disposition"] == "Allowed"


def test_not_over_a_fact_that_is_unknown(rules, http, name):
    """In a tunnel nobody sees the URL: it neither blocks nor is it forgotten."""
    host = name("negated")
    s, head = rules.connect(host, http.port)
    assert " 200 " in head
    s.sendall(f"GET /other HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    read_all(s)
    s.close()
    x = rules.exchange(host)
    assert fired(x) == {} and IDS["not_url"] in x.get("unmapped.rules_not_evaluable"), x
    host = name("negated")
    assert b"hello" in rules.curl(f"http://{host}:{http.port}/hello").stdout
    assert fired(rules.exchange(host)) == {}
    host = name("negated")
    assert b"403" in rules.curl("-i", f"http://{host}:{http.port}/other").stdout
    assert fired(rules.exchange(host))[IDS["not_url"]]["phase"] == "request"
    counts = {c["rule"]: c for c in rules.status()["rules"]["counts"]}
    assert counts[IDS["not_url"]]["matched"] >= 1 and counts[IDS["not_url"]]["not_evaluable"] >= 1


def test_alerts_do_not_block(rules, http, name):
    host = name("process")
    r = rules.curl(f"http://{host}:{http.port}/hello")
    assert b"hello" in r.stdout
    x = rules.exchange(host)
    entry = fired(x)[IDS["process"]]
    assert entry["action"] == "alert" and entry["outcome"] == "taken" and entry["phase"] == "connect"
    assert x.verdict == "alert" and x.get("disposition") == "Alert"


def test_a_correlation_counts_over_all_workers(rules, http, name):
    host = name("often")
    answers = [Answer(s).status for s in (_get(rules, host, http.port) for _ in range(5))]
    assert answers == [200, 200, 403, 403, 403]
    xs = rules.exchanges(host, 5)
    assert sum(IDS["thrice"] in fired(x) for x in xs) == 3
    assert not any(IDS["two"] in fired(x) for x in xs), "a rule that is only counted is not reported"


def _get(proxy, host, port):
    s = proxy.raw()
    s.sendall(f"GET http://{host}:{port}/hello HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    return s


def test_report_mode_and_simulation(dns, http, name):
    entries = [{"rule": IDS["url"], "action": "block", "simulate": True}, {"level": ["high", "critical"], "action": "cut"}]
    with make(dns, [http.port], mode="report", actions=entries, name="report") as p:
        host = name("dump")
        assert b"hello" in p.curl(f"http://{host}:{http.port}/hello").stdout
        x = p.exchange(host)
        assert fired(x)[IDS["host"]]["outcome"] == "reported" and x.get("unmapped.verdict.would_block")
        assert x.verdict == "alert"
        host = name("ok")
        p.curl(f"http://{host}:{http.port}/secret?x")
        x = p.exchange(host)
        assert fired(x)[IDS["url"]]["outcome"] == "simulated" and not x.get("unmapped.verdict.would_block")


def test_cut_gives_no_answer_and_unknown_can_block(dns, http, name):
    entries = [{"rule": IDS["host"], "action": "cut"},
               {"rule": IDS["not_url"], "action": "block", "on_unevaluable": "refuse"}]
    with make(dns, [http.port], actions=entries, name="strict") as p:
        host = name("dump")
        s = _get(p, host, http.port)
        assert read_all(s) == b""
        assert p.exchange(host).reason == "rule"
        host = name("negated")
        s, head = p.connect(host, http.port)
        assert " 200 " in head
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_all(s) == b""
        x = p.exchange(host)
        assert x.reason == "rule" and "not known" in x.get("status_detail")
        host = name("ok")
        s, head = p.connect(host, http.port)
        s.sendall(f"GET /hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b"hello" in read_all(s), "its host says no already"
        s.close()


def replay(p, policy, code):
    r = subprocess.run([str(BUILD / "exeat"), "replay", "--audit", str(p.folder / "state"), "--policy", str(policy), "--json"],
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r.stdout + r.stderr
    return json.loads(r.stdout)["rules"]


def test_replay_tries_rules_on_the_past(dns, http, name, tmp_path):
    """What other rules would have done, by sender and destination, and what they could not know; the same rules: nothing else."""
    with make(dns, [http.port], rules={"url": URL, "volume": VOLUME}, actions=[], name="replayed") as p:
        dump, ok, negated, often = name("dump"), name("ok"), name("negated"), name("often")
        p.curl(f"http://{dump}:{http.port}/hello")
        p.curl("-A", "sqlmap", f"http://{ok}:{http.port}/hello")
        p.curl(f"http://{ok}:{http.port}/secret?x")
        for _ in range(3):
            p.curl(f"http://{often}:{http.port}/hello")
        s, head = p.connect(negated, http.port)
        assert " 200 " in head
        s.sendall(f"GET /other HTTP/1.1\r\nHost: {negated}\r\nConnection: close\r\n\r\n".encode())
        read_all(s)
        s.close()
        p.exchange(dump)
        p.exchange(negated)
        p.exchanges(ok, 2)
        p.exchanges(often, 3)
        shutil.copy(p.folder / "baseline.yaml", tmp_path)
        (tmp_path / "rules").mkdir()
        for which in ("url", "volume"):
            shutil.copy(p.folder / f"rules/{which}.yml", tmp_path / "rules")
        same = replay(p, tmp_path, 0)
        assert [(m["would"], m["rule"], m["count"], m["as_recorded"]) for m in same["matches"]] == [("alert", IDS["url"], 1, 1)]
        assert any(u["rule"] == IDS["url"] for u in same["not_known"]), "records keep no queries"

        (tmp_path / "rules/url.yml").unlink()
        for which in ("host", "two", "not_url"):
            (tmp_path / f"rules/{which}.yml").write_text(RULES[which])
        (tmp_path / "actions.yaml").write_text(to_yaml({"version": 1, "actions": [
            {"rule": [IDS["host"], IDS["not_url"]], "action": "block"}]}) + "\n")
        other = replay(p, tmp_path, 1)
        found = {(m["would"], m["rule"], m["destination"]): m for m in other["matches"]}
        assert set(found) == {("block", IDS["host"], f"{dump}:{http.port}"), ("alert", IDS["thrice"], f"{often}:{http.port}"),
                              ("gone", IDS["url"], f"{ok}:{http.port}")}
        assert all("curl" in m["sender"] and m["count"] == 1 + (m["would"] == "gone") for m in other["matches"]), other
        assert other["block"] == 1 and other["exchanges"] == 7
        assert {"rule": IDS["not_url"], "exchanges": 1} in other["not_known"], "its tunnel did not show the URL"


def test_reload(dns, http, name):
    with make(dns, [http.port], rules={"status": STATUS}, actions=[], name="reloaded") as p:
        host = name("dump")
        s, head = p.connect(host, http.port)
        assert " 200 " in head
        s.sendall(f"GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b"hello" in s.recv(4096)
        write_rules(p)
        (p.folder / "rules/bad.yml").write_text("title: Bad\nlogsource: {category: proxy}\ndetection: {condition: x}\n")
        log = p.reload()
        assert "bad.yml:3" in log and "rejected" in log
        assert read_all(s) == b"", "a live tunnel that a new rule does not let out is cut"
        x = p.exchange(host)
        assert x.reason == "policy_changed" and fired(x)[IDS["host"]]
        # a rule that is to block and can't be loaded refuses all: the old policy stays
        (p.folder / "rules/host.yml").write_text(HOST.replace("cs-host", "cs-hots"))
        log = p.reload(good=False)
        assert "host.yml:10" in log and "to block" in log
        host = name("dump")
        assert p.connect(host, http.port)[1].startswith("HTTP/1.1 403")
        # an action for a rule that isn't there
        (p.folder / "rules/host.yml").unlink()
        log = p.reload(good=False)
        assert "actions.yaml:" in log and IDS["host"] in log


MARK = """title: Policy {n}
id: 22222222-0000-4000-8000-00000000000{n}
logsource: {{category: proxy}}
detection:
  selection: {{cs-host|startswith: marked-}}
  condition: selection
"""


def many(count, n):
    """`count` rules that match nothing here, and one that says which policy it is."""
    kinds = ("{cs-host|endswith: '.bad%d.example'}", "{c-uri|contains: '/gate%d.php', cs-method: POST}",
             "{c-useragent|contains: 'agent-%d/'}", "{c-uri|re: '/[a-z]{4,8}%d/[0-9]+\\.bin'}", "{cs-bytes|gt: 1%06d}")
    rules = [MARK.format(n=n)]
    for i in range(count):
        rules.append(f"title: rule {i}\nid: {i:08d}-0000-4000-8000-000000000000\nlogsource: {{category: proxy}}\n"
                     f"detection: {{s: {kinds[i % len(kinds)] % (i + n)}, condition: s}}\n")
    return "---\n".join(rules)


def test_reload_of_thousands_under_load(dns, http, name):
    """Nothing is dropped, and no exchange is judged by two policies."""
    with make(dns, [http.port], rules={"many": many(4000, 1)}, actions=[], name="many") as p:
        host, going, served, failed = name("marked"), threading.Event(), [0], []

        def ask():
            while not going.is_set():
                try:
                    answer = Answer(_get(p, host, http.port))
                    assert answer.status == 200 and b"hello" in answer.body
                    served[0] += 1
                    going.wait(0.002)  # the compiler wants to have its turn, too
                except Exception as e:  # pylint: disable=broad-except
                    failed.append(repr(e))
                    return
        threads = [threading.Thread(target=ask) for _ in range(4)]
        s, head = p.connect(name("marked"), http.port)
        assert " 200 " in head
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")  # or it would be a tunnel in which nobody says anything
        assert b"hello" in Answer(s).body
        for t in threads:
            t.start()
        for n in (2, 3):
            write_rules(p, {"many": many(4000, n)}, [])
            p.reload()
            before = served[0]
            wait_until(lambda before=before: served[0] > before + 20 or failed, "more answers")
        going.set()
        for t in threads:
            t.join()
        assert not failed, failed
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"hello" in read_all(s), "a tunnel that lives through all of it"
        s.close()
        xs = wait_until(lambda: [x for x in p.ledger.find(lambda x: x.close) if x.get("dst_endpoint.hostname") == host],
                        "records")
        generations = set()
        for x in xs:
            for record in filter(None, (x.decision, x.close)):
                g = record["unmapped"]["policy_generation"]
                generations.add(g)
                said = [(r["title"], r.get("generation", g)) for r in record["unmapped"]["rules"]]
                assert said[0] == (f"Policy {g}", g), record
                assert all(title == f"Policy {n}" and n < g for title, n in said[1:]), record  # what the ones before had said
        assert generations == {1, 2, 3}


def test_a_pathological_rule(dns, http, name):
    """It costs its own place, or, where it is to block, the reload; never the proxy."""
    evil = URL.replace("c-uri|contains: '/secret?'", "c-uri|re: '^(.*foo.{0,30000})bar'")
    with make(dns, [http.port], rules={"host": HOST}, actions=[{"rule": IDS["host"], "action": "block"}], name="evil") as p:
        write_rules(p, {"evil": evil}, [{"rule": IDS["host"], "action": "block"}])
        log = p.reload(seconds=60)
        assert "evil.yml:6:" in log and "rejected" in log and "1 rules" in log
        host = name("dump")
        assert p.connect(host, http.port)[1].startswith("HTTP/1.1 403")
        write_rules(p, {"evil": evil}, [{"level": "high", "action": "block"}])
        log = p.reload(good=False, seconds=60)
        assert "evil.yml:6:" in log and "to block" in log
        assert p.connect(name("dump"), http.port)[1].startswith("HTTP/1.1 403")


def test_explain(rules, http, name):
    host = name("negated")
    s, head = rules.connect(host, http.port)
    assert " 200 " in head
    s.sendall(b"GET /other HTTP/1.1\r\nConnection: close\r\n\r\n")
    read_all(s)
    s.close()
    x = rules.exchange(host)
    config = ("--config", rules.config_path)
    r = rules.run(BUILD / "exeat", "rules", "explain", IDS["not_url"], "--record", x.uid, *config)
    said = r.stdout.decode()
    assert r.returncode == 0, r
    lines = [line.split() for line in said.splitlines()]
    assert lines[1][:2] == ["unknown", IDS["not_url"]] and ["unknown", "all", "of"] in lines and ["unknown", "not"] in lines
    assert "true    cs-host starts with \"negated-\"" in said and f'host = "{host}"' in said
    assert "unknown c-uri contains" in said and "url_whole (not seen in this exchange)" in said
    assert "not_url.yml:6:" in said
    # from a file, about a plain request that it blocked
    host = name("negated")
    assert b"403" in rules.curl("-i", f"http://{host}:{http.port}/other").stdout
    x = rules.exchange(host)
    r = rules.run(BUILD / "exeat", "rules", "explain", rules.folder / "rules/not_url.yml", "--record", x.uid, "--audit",
                  rules.ledger.path)
    said = r.stdout.decode()
    assert r.returncode == 0 and said.splitlines()[1].startswith("true"), r
    assert "false   c-uri contains" in said and f'url_whole = "http://{host}:{http.port}/other"' in said
    # a correlation says which of its rules
    r = rules.run(BUILD / "exeat", "rules", "explain", "Asked for thrice", "--record", x.uid, *config)
    assert r.returncode == 0 and b"false   11111111-0000-4000-8000-000000000009" in r.stdout, r
    for wrong in (("nobody", x.uid), (IDS["not_url"], "nobody")):
        assert rules.run(BUILD / "exeat", "rules", "explain", wrong[0], "--record", wrong[1], *config).returncode == 1
    assert rules.run(BUILD / "exeat", "rules", "explain", "x").returncode == 2


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_inside_a_terminated_tunnel(dns, https, authority, name, tmp_path, version):
    """The URL and the user agent of each request: the tunnel and its other requests go on."""
    open_for_others(tmp_path)
    inspection = Inspection(tmp_path)
    p = make(dns, [https.port], name="inside")
    p.config["policy"]["handling"] = "terminate"
    p.config.update({k: v for k, v in terminating(inspection, authority).items() if k != "policy"})
    p.write()
    with p:
        host = name()
        base = f"https://{host}:{https.port}"
        r = p.curl(version, "--cacert", inspection.certificate, "-o", "-", "-w", "%{http_code}\n", f"{base}/hello",
                   f"{base}/secret?x", f"{base}/hello")
        assert r.stdout.count(b"hello") == 2 and b"403" in r.stdout, r
        r = p.curl(version, "--cacert", inspection.certificate, "-H", "User-Agent: sqlmap/1", "-w", "%{http_code}\n", f"{base}/hello")
        assert b"403" in r.stdout, r
        def refused():
            return p.ledger.find(lambda x: x.close and x.reason == "rule")
        wait_until(lambda: len(refused()) == 2, "two refusals")
        blocked = refused()
        assert {fired(x)[IDS["url"]]["phase"] for x in blocked} <= {"request", "connect"}
        assert all(x.get("unmapped.tunnel") for x in blocked)


def test_the_rules_that_come_along(dns, http, name):
    """policy/rules load with policy/actions.yaml, and none is true of an ordinary request."""
    with Proxy("shipped", dns=dns, ports=[http.port], baseline=default_baseline(),
               config={"policy": {"rules": [str(SOURCE / "policy/rules")], "actions": str(SOURCE / "policy/actions.yaml")}}) as p:
        assert "0 rejected" in p.daemon.log
        host = name()
        assert b"hello" in p.curl(f"http://{host}:{http.port}/hello").stdout
        assert fired(p.exchange(host)) == {}
