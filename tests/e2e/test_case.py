"""What is around findings: the self-test against the live policy, what is covered, a case as a bundle."""
import json
import os
import pathlib

import pytest

from harness import Proxy, wait_until
from test_findings import POLICY, exeat, lines, make

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
    with make(dns, []) as p:
        need_history(p)
        report = selftest(p)
        assert all(a["fired"] for a in report.values()), report
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
        text = exeat(p, "status", "coverage", "--config", str(p.config_path))
        assert "chain_class" in text and "linux 0 of 1 (0 %)" in text and "linux 1 of 1 (100 %)" in text
