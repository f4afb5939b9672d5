"""What is around findings: the self-test against the live policy, what is covered, a case as a bundle."""
import hashlib
import json
import subprocess
import time

import pytest

import harness
import origins
from fake_agent import HISTORY, FakeAgent
from harness import wait_until
from test_findings import POLICY, exeat, finding, lines, make

ANALYTICS = ["AN0402", "AN0759", "AN0761", "AN1415", "AN1498"]


def selftest(proxy, code=0):
    report = json.loads(exeat(proxy, "findings", "selftest", "--json", "--config", str(proxy.config_path), code=code))
    assert [a["analytic"] for a in report["analytics"]] == ANALYTICS
    return {a["analytic"]: a for a in report["analytics"]}


def agent_sees(proxy, kind):
    return kind not in proxy.status()["workers"][0]["agent"]["not_observable"]


def need_history(proxy):
    for kind in ("exec_archiver", "archive_written", "sensitive_access"):
        if not agent_sees(proxy, kind):
            pytest.skip("the agent sees no history here")


def test_selftest_fires_all_five_and_leaves_nothing(dns):
    with make(dns, [], policy={"handling": "peek", "rules": [str(POLICY / "rules/attack")]}) as p:
        need_history(p)
        report = selftest(p)
        assert all(a["fired"] and a["whole"] for a in report.values()), report
        # each rule that is shipped, and not only one of each analytic; those below findings.level make no finding
        states = {r["title"]: r["state"] for a in report.values() for r in a["rules"]}
        assert len(states) == sum(f.read_text().count("\nname: ") for f in (POLICY / "rules/attack").glob("*.yml"))
        if agent_sees(p, "tls_library_unexpected"):
            assert {s for s in states.values()} == {"fired", "below_level"}, states
            assert sum(s == "below_level" for s in states.values()) == 2, states
        # what is said of it: each is a test, created and closed at once
        findings = wait_until(lambda: [f for f in lines(p) if f["activity_id"] == 3], "closed findings")
        assert all(f["unmapped"]["finding"]["test"] for f in lines(p))
        assert {f["finding_info"]["analytic"]["category"] for f in findings} == set(ANALYTICS)
        record = report["AN0761"]["record"]
        x = wait_until(lambda: p.ledger.find(lambda x: x.uid == record and x.close), "its record")[0]
        assert x.get("unmapped.test") is True and x.decision["unmapped"]["test"] is True
        # nothing is open, nobody is riskier, no counter of traffic moved; again is as good as the first time
        assert exeat(p, "findings", "list", "--config", str(p.config_path)) == ""
        assert p.status()["totals"]["exchanges"] == 0
        assert all(a["fired"] for a in selftest(p).values())
        text = exeat(p, "findings", "selftest", "--config", str(p.config_path))
        assert text.count("fired  ") == 5 and "MISSING" not in text
        # and what learns from records doesn't learn it
        exeat(p, "baseline", "learn", "--config", str(p.config_path))
        assert "selftest" not in exeat(p, "baseline", "show", "--config", str(p.config_path))


def test_selftest_fails_for_what_is_missing(dns, tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    for name in ("an0761.yml", "an1498.yml", "an0402.yml"):
        (rules / name).write_text((POLICY / "rules/attack" / name).read_text())
    tmp_path.chmod(0o755)
    # an analytic that asks for certificates alone, where nobody looks at any; one that a suppression silences; two that aren't there
    (rules / "an1498.yml").write_text((rules / "an1498.yml").read_text().replace("or kit or handshake", "or kit"))
    p = make(dns, [], policy={"rules": [str(rules)]}, findings={"suppressions": "suppressions.yaml"})
    (p.folder / "suppressions.yaml").write_text("""version: 1
suppressions:
  - rule: 0402a000-0000-4e78-8ea7-000000000001
    domain: exeat-selftest.invalid
    owner: alice
    ticket: SEC-1
    expires: 2999-01-01T00:00:00Z
""")
    with p:
        report = selftest(p, code=1)
        assert {a for a in report if report[a]["fired"]} == {"AN0761"}
        assert "no rule of it is loaded" in report["AN1415"]["missing"][0]
        assert report["AN0402"]["rules"][0]["state"] == "suppressed" and report["AN0402"]["rules"][0]["ticket"] == "SEC-1"
        assert report["AN1498"]["missing"] == ["certificates are not looked at where policy.handling is tunnel"]
        assert "chain_class" in report["AN1498"]["rules"][0]["unobservable"]


def test_selftest_says_which_rule_was_changed(dns, tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (POLICY / "rules/attack").glob("*.yml"):
        (rules / path.name).write_text(path.read_text().replace("beacon_score|gte: 0.75", "beacon_score|gte: 7.5"))
    tmp_path.chmod(0o755)
    with make(dns, [], policy={"rules": [str(rules)]}) as p:
        need_history(p)
        report = selftest(p, code=1)
        assert report["AN0761"]["fired"] and not report["AN0761"]["whole"]
        assert report["AN0761"]["missing"] == ["an0761_beacon is not true of what the test pretends: was it changed?"]
        # certificates are not looked at here: what cannot be answered is no fault
        assert report["AN0759"]["whole"] and any(r["state"] == "not_fired" for r in report["AN0759"]["rules"])
        assert "IN PART" in exeat(p, "findings", "selftest", "--config", str(p.config_path), code=1)


def test_selftest_without_an_agent(dns):
    p = make(dns, [])
    p.with_agent = False
    with p:
        report = selftest(p, code=1)
        assert report["AN1415"]["missing"] == ["no host agent is connected"]
        assert not report["AN0759"]["fired"] and report["AN1498"]["fired"]


def test_coverage_says_what_was_observed_of_which_hosts(dns, https, authority, name):
    with make(dns, [https.port]) as p:
        def report():
            whole = json.loads(exeat(p, "status", "coverage", "--json", "--config", str(p.config_path)))
            return whole, {a["analytic"]: a for a in whole["analytics"]}

        whole, by = report()
        assert sorted(by) == ANALYTICS and by["AN0761"]["platforms"] == [] and len(by["AN0759"]["rules"]) >= 3
        assert whole["agents"][0]["platform"] == "linux"
        host = name()
        p.curl("--cacert", authority.ca, f"https://{host}:{https.port}/hello")
        p.exchange(host)

        def shares(analytic):
            _, found = report()
            facts = {f["fact"]: f["platforms"] for f in found[analytic]["facts"]}
            return found[analytic]["platforms"], facts
        platforms, facts = wait_until(lambda: shares("AN0761") if shares("AN0761")[0] else None, "the host")
        assert platforms == [{"platform": "linux", "hosts": 1, "observed": 1, "share": 1.0}]
        assert facts["dest_hosts"][0]["observed"] == 1  # no history is asked for in this configuration
        # certificates are not looked at: what AN1498 asks about them was not observed of anybody
        platforms, facts = shares("AN1498")
        assert facts["chain_class"][0]["observed"] == 0 and facts["anomalies"][0]["observed"] == 1
        assert platforms[0]["observed"] == 0
        if not agent_sees(p, "archive_written"):
            assert shares("AN1415")[1]["history_archive_written_age_s"][0]["observed"] == 0
        before = report()[1]["AN0761"]
        p.daemon.end(expected=0)
        p.daemon = None
        p.daemon = harness.start_and_wait_ready("coverage-again", [harness.BUILD / "exeatd", "--config", p.config_path], p.folder)
        assert wait_until(lambda: report()[1]["AN0761"]["platforms"], "it after a restart") == before["platforms"]
        assert report()[1]["AN0761"]["facts"] == before["facts"]
        text = exeat(p, "status", "coverage", "--config", str(p.config_path))
        assert "chain_class" in text and "linux 0 of 1 (0 %)" in text and "linux 1 of 1 (100 %)" in text


def run(*argv, cwd, code=0):
    r = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r
    return r.stdout


def test_case_export_opens_with_public_tools(dns, authority, name, tmp_path):
    self_signed = origins.Origin(origins.HttpHandler, tls=authority.server_context(self_signed=True))
    p = make(dns, [self_signed.port], policy={"handling": "peek", "chain": "wait", "rules": [str(POLICY / "rules/attack")]},
             tls_origin={"ca_file": str(authority.ca)})
    p.write_passwords(bob="not in any bundle")
    with p:
        host = name()
        p.curl("-k", f"https://{host}:{self_signed.port}/hello")
        f = finding(p, "AN1498")
        uid = f["finding_info"]["uid"]
        wait_until(lambda: uid in exeat(p, "findings", "list", "--config", str(p.config_path)), "the finding in the database")
        x = p.exchange(host)
        leaf = x.get("unmapped.chain.certificates")[0]
        out = tmp_path / "case.tar.gz"

        def exported():  # certificates reach the database some seconds after the record
            out.unlink(missing_ok=True)
            said = exeat(p, "case", "export", "--config", str(p.config_path), "--out", str(out), uid[:20])
            return said if f"{leaf[:40]}.pem" in run("tar", "tzf", out, cwd=tmp_path) else None
        said = wait_until(exported, "the certificate in the bundle")
        exeat(p, "case", "export", "--config", str(p.config_path), "--out", str(out), uid, code=1)  # nothing is overwritten
        key = p.folder / "case.key"
        assert key.stat().st_mode & 0o777 == 0o600 and out.stat().st_mode & 0o777 == 0o600
        run("tar", "xzf", out, cwd=tmp_path)
        case = tmp_path / f"case-{uid}"
        assert "Verified OK" in run("openssl", "dgst", "-sha256", "-verify", "case.pub", "-signature", "MANIFEST.sig", "MANIFEST.sha256", cwd=case)
        run("sha256sum", "--check", "--strict", "MANIFEST.sha256", cwd=case)
        der = subprocess.run(["openssl", "pkey", "-pubin", "-in", "case.pub", "-outform", "DER"], cwd=case, capture_output=True, check=True).stdout
        assert hashlib.sha256(der).hexdigest() in said
        # every file is in the manifest, and a changed one is noticed
        files = {str(f.relative_to(case)) for f in case.rglob("*") if f.is_file()}
        assert {line.split("  ")[1] for line in (case / "MANIFEST.sha256").read_text().splitlines()} == files - {"MANIFEST.sha256", "MANIFEST.sig"}
        # what is in it
        load = {f: json.loads((case / f).read_text()) for f in files if f.endswith(".json")}
        assert load["finding.json"]["uid"] == uid and load["finding.json"]["analytic"] == "AN1498"
        records = [json.loads(line) for line in (case / "records.jsonl").read_text().splitlines()]
        assert {r["class_uid"] for r in records} == {2004, 4001}
        ledger = (p.state / "audit.jsonl").read_bytes()
        for place, line in zip(load["records-where.json"]["lines"], (case / "records.jsonl").read_bytes().splitlines(keepends=True)):
            assert ledger[place["offset"]:].startswith(line) and hashlib.sha256(line).hexdigest() == place["sha256"]
        assert load["process-tree.json"][0]["process"]["file"]["path"].endswith("curl") and load["process-tree.json"][0]["confidence"] == "exact"
        assert load["hello.json"][0]["tls"]["sni"] == host and load["chains.json"][0]["chain"]["class"] == "self_signed"
        assert "Issuer" in run("openssl", "x509", "-in", f"chains/{leaf[:40]}.pem", "-noout", "-text", cwd=case)
        assert (case / "policy/rules/an1498.yml").read_text() == (POLICY / "rules/attack/an1498.yml").read_text()
        assert (case / "policy/baseline.yaml").read_text() == p.baseline_path.read_text()
        assert load["policy/versions.json"]["generation_running"] == load["policy/versions.json"]["records"][0]["policy_generation"]
        assert [a["analytic"] for a in load["coverage.json"]["analytics"]] == ANALYTICS
        assert load["losses.json"]["records_not_found"] == []
        # frozen with the finding, for when ledger and agent have forgotten it
        if load["history.json"]:
            assert load["frozen-history.json"] == load["finding.json"]["history"] == load["history.json"][0]["history"]
            # and the agent keeps what it knew, as it was asked to
            assert load["agent-history.json"]["outcome"] == "kept" and load["agent-history.json"]["history"]
            assert "kept by the agent until" in exeat(p, "findings", "show", "--config", str(p.config_path), uid)
        # nothing secret: no key, no password
        whole = b"".join(f.read_bytes() for f in case.rglob("*") if f.is_file())
        assert b"PRIVATE KEY" not in whole and b"not in any bundle" not in whole and b"$6$" not in whole
        (case / "finding.json").write_text((case / "finding.json").read_text().replace("AN1498", "AN0000"))
        run("sha256sum", "--check", "--status", "MANIFEST.sha256", cwd=case, code=1)


ARCHIVE = {"kind": "archive_written", "class": "gzip", "count": 1, "at_least": False, "first_s": 9, "last_s": 9, "pid": 7, "name": "tar",
           "path": "/tmp/x.tgz", "bytes": 10240}


def with_agent(dns, port, **agent):
    """A proxy whose agent is the test's."""
    p = make(dns, [port], mode="report")
    p.with_agent = False
    return p, FakeAgent(p.agent_socket, **agent)


def show_until(p, uid, text):
    """What is shown of the finding, which reaches the database some seconds after its record, once it says so."""
    argv = [harness.BUILD / "exeat", "findings", "show", "--config", str(p.config_path), uid]

    def said():
        shown = subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
        return shown if text in shown else None
    return wait_until(said, f"finding {uid}: {text}")


def open_case(p, uid, folder):
    out = folder / f"{uid}-{len(list(folder.iterdir()))}.tar.gz"
    exeat(p, "case", "export", "--config", str(p.config_path), "--out", str(out), uid)
    run("tar", "xzf", out, cwd=folder)
    files = {f.name: f.read_text() for f in (folder / f"case-{uid}").glob("*.json")}
    return {name: json.loads(text) for name, text in files.items()}


def test_the_agent_keeps_the_history_that_a_finding_is_about(dns, https, authority, name, tmp_path):
    p, agent = with_agent(dns, https.port, keep=64)
    until = int(time.time()) + 7 * 86400
    agent.until_ms = until * 1000
    with p:
        p.wait_agent()
        p.curl("--cacert", authority.ca, f"https://{name()}:{https.port}/hello")
        f = finding(p, "AN0761")
        uid = f["finding_info"]["uid"]
        said = show_until(p, uid, "kept by the agent until")
        assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)) in said
        assert agent.keeps[0]["seconds"] == 7 * 86400 and len(agent.keeps) == 1
        ref = agent.keeps[0]["sender_ref"]
        # what has been seen since the finding was made comes from the agent, into the bundle
        agent.kept_history = {**HISTORY, "window_s": 7200, "seen": [ARCHIVE]}
        case = open_case(p, uid, tmp_path)
        assert case["agent-history.json"]["outcome"] == "kept" and case["agent-history.json"]["until_ms"] == until * 1000
        assert case["agent-history.json"]["history"]["seen"][0]["path"] == "/tmp/x.tgz"
        assert case["agent-history.json"]["host"] == "ws-17" and case["finding.json"]["kept_ref"] == ref
        assert agent.keeps[-1]["sender_ref"] == ref and agent.keeps[-1]["seconds"] == 0
        # the next line of the ledger about it says so, too
        exeat(p, "findings", "close", "--config", str(p.config_path), uid)
        closed = finding(p, "AN0761", lambda x: x["activity_id"] == 3 and x["finding_info"]["uid"] == uid)
        assert closed["unmapped"]["finding"]["agent_history"] == {"outcome": "kept", "until": until * 1000, "sender_ref": ref}
        # an agent that is gone is not waited for
        agent.outcome, agent.kept_history = "unknown", None
        case = open_case(p, uid, tmp_path)
        assert case["agent-history.json"]["outcome"] == "unknown"
        assert any("knows nothing of that process any more" in x for x in case["losses.json"]["missing"])
    agent.stop()


def test_an_agent_that_is_full_or_older(dns, https, authority, name, tmp_path):
    p, agent = with_agent(dns, https.port, keep=1)
    agent.outcome = "full"
    with p:
        p.wait_agent()
        p.curl("--cacert", authority.ca, f"https://{name()}:{https.port}/hello")
        uid = finding(p, "AN0761")["finding_info"]["uid"]
        show_until(p, uid, "not kept by the agent: full")
    agent.stop()
    p, agent = with_agent(dns, https.port)
    with p:
        p.wait_agent()
        p.curl("--cacert", authority.ca, f"https://{name()}:{https.port}/hello")
        uid = finding(p, "AN0761")["finding_info"]["uid"]
        show_until(p, uid, "the agent was not asked to keep it")
        case = open_case(p, uid, tmp_path)
        assert "agent-history.json" not in case and case["frozen-history.json"]["window_s"] == 3600
        assert any("no agent was asked" in x for x in case["losses.json"]["missing"])
        assert agent.keeps == [] and agent.errors == []
    agent.stop()
