"""The rules of policy/rules/attack, event by event: what fires each, and near misses that must not."""
import json
import pathlib
import subprocess

import pytest

from harness import BUILD

RULES = pathlib.Path(__file__).resolve().parents[2] / "policy/rules/attack"

RARE = {"sender_approved": False, "method": "CONNECT", "port": 443, "tunnel_protocol": "tls", "dest_hosts": 1,
        "dest_new_for_host": True, "dest_new_for_user": True, "dest_domain": "new.example", "sender_kind": None,
        "sender_at_home": False}
GATHERED = {"history_sensitive_access_age_s": 30, "history_sensitive_classes": ["documents"], "tunnel_protocol": "tls",
            "dest_new_for_sender": True, "bytes_out": 300000, "sender_is_browser": False, "sender_kind": "transfer_tool",
            "access_expected": False}
PACKED = {**{k: v for k, v in GATHERED.items() if not k.startswith("history")}, "history_archive_written_age_s": 599}
RANDOM = {"anomalies": ["H01", "H43", "H44"], "tunnel_protocol": "unknown", "bytes_out": 200, "bytes_in": 1, "sender_not_tls_here": False}
CHAIN = {"chain_class": "self_signed", "chain_trusted": False, "issuer_first_seen_days": 0, "anomalies": []}
RARELY = {"sender_usual_executions": 400, "sender_usual_connected_share": 0.0025, "tunnel_protocol": "tls"}
SENDS = {"ratio": 0.9, "volume_out_1h": 2 << 20, "upload_to_p99": 12.5, "sender_is_browser": False}

A0761, A1415, A1415B, A0402, A1498 = (f"{n}a000-0000-4e78-8ea7-00000000000{i}" for n, i in
                                      (("0761", 1), ("1415", 1), ("1415", 2), ("0402", 1), ("1498", 1)))
A0759, A0759S, A0759C, A0759L, A0759V = (f"0759a000-0000-4e78-8ea7-00000000000{i}" for i in (1, 2, 3, 4, 5))
A0759B = "0759a000-0000-4e78-8ea7-000000000006"
A1498B = "1498a000-0000-4e78-8ea7-000000000002"
A0761B = "0761a000-0000-4e78-8ea7-000000000002"
SPLIT = {"sender_approved": False, "sender_confidence": "exact", "volume_ratio_24h": 0.74, "volume_out_24h": 1 << 20, "bytes_out": 4096, "sender_is_browser": False}
BEACON = {"sender_approved": False, "sender_confidence": "exact", "beacon_score": 0.76, "beacon_flows": 24, "sender_is_browser": False}

CASES = [
    ("a rare destination", RARE, {A0761}),
    ("blocked before it spoke", {**RARE, "tunnel_protocol": None}, {A0761}),
    ("new for the user only", {**RARE, "dest_new_for_host": False}, {A0761}),
    ("an approved sender", {**RARE, "sender_approved": True}, set()),
    ("a destination that three hosts know", {**RARE, "dest_hosts": 3}, set()),
    ("known to this host and user", {**RARE, "dest_new_for_host": False, "dest_new_for_user": False}, set()),
    ("no history yet", {k: v for k, v in RARE.items() if not k.startswith("dest_")}, set()),
    ("an updater at home", {**RARE, "sender_kind": "updater", "sender_at_home": True}, set()),
    ("an updater elsewhere", {**RARE, "sender_kind": "updater"}, {A0761}),
    ("a scanner at home", {**RARE, "sender_kind": "security", "sender_at_home": True}, {A0761}),
    ("plain HTTP", {**RARE, "method": "GET", "port": 80, "tunnel_protocol": None}, set()),

    ("gathered, then sent", GATHERED, {A1415, A1415B}),
    ("an archive instead", PACKED, {A1415, A1415B}),
    ("half of the archive", {**PACKED, "history_archive_bytes": 600000, "upload_to_archive": 0.5}, {A1415, A1415B}),
    ("less than half of it", {**PACKED, "history_archive_bytes": 3000000, "upload_to_archive": 0.1}, {A1415B}),
    ("all of a small one", {**PACKED, "history_archive_bytes": 9000, "upload_to_archive": 1.0, "bytes_out": 9100}, {A1415B}),
    ("npm packs what it publishes", {**PACKED, "access_expected": True}, set()),
    ("an archiver instead", {**{k: v for k, v in GATHERED.items() if not k.startswith("history")}, "history_exec_archiver_age_s": 1}, {A1415}),
    ("not much yet", {**GATHERED, "bytes_out": 262143}, {A1415B}),
    ("eleven minutes ago", {**GATHERED, "history_sensitive_access_age_s": 601}, set()),
    ("a browser", {**GATHERED, "sender_is_browser": True}, set()),
    ("where it always goes", {**GATHERED, "dest_new_for_sender": False}, set()),
    ("ssh reads its keys", {**GATHERED, "access_expected": True, "history_sensitive_classes": ["ssh_key"]}, set()),
    ("another reads ssh's keys", {**GATHERED, "history_sensitive_classes": ["ssh_key"], "bytes_out": 9000}, {A1415B}),
    ("aws reads its credentials", {**GATHERED, "access_expected": True, "history_sensitive_classes": ["cloud_credentials"]}, set()),

    ("random both ways", RANDOM, {A0402}),
    ("a little", {**RANDOM, "bytes_out": 199}, set()),
    ("one way", {**RANDOM, "bytes_in": 0}, set()),
    ("a protocol that is known", {**RANDOM, "tunnel_protocol": "ssh"}, set()),
    ("text", {**RANDOM, "anomalies": ["H01"]}, set()),
    ("a program that never speaks TLS there", {**RANDOM, "sender_not_tls_here": True}, set()),
    ("that, and TLS that stopped being TLS", {**RANDOM, "sender_not_tls_here": True, "anomalies": ["H02"]}, {A0402, A1498}),
    ("TLS that stopped being TLS", {"anomalies": ["H02"], "tunnel_protocol": "tls"}, {A0402, A1498}),

    ("self-signed this week", CHAIN, {A1498}),
    ("private and unknown", {**CHAIN, "chain_class": "private_unknown"}, {A1498}),
    ("the enterprise's own root", {**CHAIN, "chain_class": "private_known", "chain_trusted": True}, set()),
    ("an entry of the baseline's pki", {**CHAIN, "chain_exception": "office"}, set()),
    ("known for a week", {**CHAIN, "issuer_first_seen_days": 7}, set()),
    ("a public chain", {**CHAIN, "chain_class": "public", "chain_trusted": True}, set()),
    ("a person clicked through a warning", {**CHAIN, "sender_is_browser": True}, {A1498B}),
    ("a browser that another program drives", {**CHAIN, "sender_is_browser": False}, {A1498}),
    ("a person, a device of the house", {**CHAIN, "sender_is_browser": True, "chain_exception": "office"}, set()),
    ("a person, a kit's default", {**CHAIN, "sender_is_browser": True, "chain_kit": "some kit"}, {A1498, A1498B}),
    ("a kit's default", {**CHAIN, "issuer_first_seen_days": 90, "chain_kit": "some kit"}, {A1498}),
    ("fronting", {"anomalies": ["H14"], "chain_class": "public", "chain_trusted": True}, {A1498}),
    ("common oddities", {"anomalies": ["H12", "H16", "H30"], "chain_class": "public", "chain_trusted": True}, set()),

    ("hardly ever connects", RARELY, {A0759}),
    ("where it was on one other desk", {**RARELY, "dest_sender_hosts": 1}, {A0759}),
    ("where it goes from two desks", {**RARELY, "dest_sender_hosts": 2}, set()),
    ("not often enough to know", {**RARELY, "sender_usual_executions": 49}, set()),
    ("connects now and then", {**RARELY, "sender_usual_connected_share": 0.02}, set()),
    ("no TLS", {**RARELY, "tunnel_protocol": "ssh"}, set()),
    ("hardly ever, and an odd chain", {**RARELY, **CHAIN, "issuer_first_seen_days": 30}, {A0759, A0759C}),
    ("a TLS library that its package doesn't link", {"history_tls_library_unexpected": 1, "tunnel_protocol": "tls"}, {A0759L}),
    ("such a library, and no TLS", {"history_tls_library_unexpected": 1, "tunnel_protocol": "ssh"}, set()),
    ("its own TLS library", {"history_tls_library": 1, "tunnel_protocol": "tls"}, set()),
    ("sends as never before", SENDS, {A0759S}),
    ("a balanced exchange", {**SENDS, "ratio": 0.5}, set()),
    ("as much as always", {**SENDS, "upload_to_p99": 3}, set()),
    ("without a habit to compare", {k: v for k, v in SENDS.items() if k != "upload_to_p99"}, set()),
    ("under a MiB an hour", {**SENDS, "volume_out_1h": (1 << 20) - 1}, set()),
    ("a browser's upload", {**SENDS, "sender_is_browser": True}, set()),
    ("a mail's attachment", {**SENDS, "sender_approved": True, "sender_kind": "collaboration"}, set()),
    ("a mail to where nobody approved it", {**SENDS, "sender_approved": False, "sender_kind": "collaboration"}, {A0759S}),
    ("an approved script that sends as never before", {**SENDS, "sender_approved": True, "sender_kind": "interpreter"}, {A0759S}),
    ("a push", {**SENDS, "sender_approved": True, "sender_kind": "transfer_tool", "sender_package": "git"}, set()),
    ("a MiB a day in small pieces", SPLIT, {A0759V}),
    ("a MiB at once", {**SPLIT, "bytes_out": 1 << 20}, set()),
    ("less", {**SPLIT, "volume_out_24h": (1 << 20) - 1}, set()),
    ("as much comes back", {**SPLIT, "volume_ratio_24h": 0.1}, set()),
    ("what a sensor reports", {**SPLIT, "sender_approved": True}, set()),
    ("a host without an agent", {**SPLIT, "sender_confidence": "unknown"}, set()),
    ("a person's GiB", {**SPLIT, "sender_is_browser": True, "sender_approved": True, "volume_out_24h": 1 << 30}, {A0759B}),
    ("a person's meeting", {**SPLIT, "sender_is_browser": True, "volume_out_24h": 1 << 30, "volume_ratio_24h": 0.1}, set()),
    ("a person's uploads", {**SPLIT, "sender_is_browser": True}, set()),

    ("like clockwork", BEACON, {A0761B}),
    ("not so regular", {**BEACON, "beacon_score": 0.74}, set()),
    ("too short to tell", {**BEACON, "beacon_flows": 23}, set()),
    ("a mail program that polls", {**BEACON, "sender_approved": True}, set()),
    ("a screen without an agent", {**BEACON, "sender_confidence": "unknown"}, set()),
    ("a page that reloads itself", {**BEACON, "sender_is_browser": True}, set()),
]


def test_what_fires_and_what_must_not(tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps({k: v for k, v in event.items() if v is not None}) + "\n" for _, event, _ in CASES))
    out = subprocess.run([str(BUILD / "exeat"), "rules", "match", str(RULES), "--events", str(events)], capture_output=True, text=True,
                         timeout=120)
    assert out.returncode in (0, 1), out
    answers = [json.loads(line) for line in out.stdout.splitlines()]
    assert len(answers) == len(CASES)
    wrong = [(what, sorted(expected), answer["rules"]) for (what, _, expected), answer in zip(CASES, answers)
             if set(answer["rules"]) != expected]
    assert not wrong, wrong


def test_every_rule_fires_somewhere_and_has_a_runbook():
    fired = set().union(*(expected for _, _, expected in CASES))
    text = (RULES / "README.md").read_text()
    for path in RULES.glob("*.yml"):
        for line in path.read_text().splitlines():
            if line.startswith("id: "):
                assert line[4:] in fired, line
            if line.startswith("name: "):
                assert f"`{line[6:]}`" in text, line
    assert len(list(RULES.glob("*.yml"))) == 5
