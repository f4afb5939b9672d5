"""learn, propose, review, shadow, approve, enforce, drift: on a fresh state folder, and on records written here."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess

import pytest

import harness
from harness import BUILD, Proxy, default_baseline, tool, wait_until

PYTHON = os.path.realpath("/usr/bin/python3")
SOURCE = pathlib.Path(__file__).resolve().parents[2]


def exeat(*argv, code=0):
    r = subprocess.run([str(BUILD / "exeat"), *map(str, argv)], capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r
    return r.stdout


def record(number, host, path, package=None, on="ws-1", script=None, writable=False, sha256=None, port=443, beacon=None, anomalies=(),
           confidence="exact", borrowed=(), blocked=False, user="alice", kind="c"):
    file = {"path": path, "name": os.path.basename(path), "type_id": 1}
    if sha256:
        file["hashes"] = [{"algorithm_id": 3, "algorithm": "SHA-256", "value": sha256}]
    stable = f"package {package} {path}" if package else f"path {path}" if not writable else f"sha256 {sha256}"
    return {"metadata": {"uid": f"{number}.{kind}", "correlation_uid": str(number)}, "class_uid": 4001, "time": 1790000000000 + number,
            "action_id": 2 if blocked else 1, "status_id": 1, "device": {"hostname": on},
            "actor": {"process": {"file": file, "user": {"name": user}}}, "src_endpoint": {"ip": "127.0.0.1"},
            "dst_endpoint": {"hostname": host, "port": port}, "traffic": {"bytes_out": 100},
            "unmapped": {"sender": {"confidence": confidence, "stable": stable + (f" script {script}" if script else ""),
                                    "borrowed": list(borrowed),
                                    "details": {"package": {"name": package, "version": "1"} if package else None, "script": script,
                                                "script_kind": "file" if script else None, "script_writable_by_user": False,
                                                "writable_by_user": writable}},
                         "anomalies": list(anomalies), **({"beacon": {"score": beacon}} if beacon else {})}}


@pytest.fixture
def place(tmp_path):
    """A configuration with a baseline, and a folder for records."""
    (tmp_path / "baseline.yaml").write_text(
        "# ours\nversion: 1\nmode: enforce\nunknown_sender:\n  action: block\nsenders:\n  - name: apt\n    match: {package: apt}\n"
        "    allow:\n      - {domain: debian.org}\n  - name: nobody\n    match: {executable: /usr/bin/nobody}\n    allow: [{use: some}]\n"
        "destination_sets:\n  some:\n    - {host: example.com}\n")
    (tmp_path / "exeat.yaml").write_text(f"process: {{state_folder: {tmp_path}}}\npolicy: {{baseline: baseline.yaml}}\n")
    (tmp_path / "records").mkdir()
    return tmp_path


def write(place, records, name="audit.jsonl"):
    with open(place / "records" / name, "a") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)


def test_what_is_proposed_and_what_is_not(place):
    n = iter(range(1, 100000))
    for on in ("ws-1", "ws-2"):
        for _ in range(2):
            for host in ("a.vendor.example", "b.vendor.example", "c.vendor.example", "d.vendor.example", "e.vendor.example", "one.other.example"):
                write(place, [record(next(n), host, "/usr/bin/editor", "editor", on)])
            write(place, [record(next(n), "deb.debian.org", "/usr/lib/apt/methods/http", "apt", on),
                          record(next(n), "x.example", "/usr/bin/curl", "curl", on),
                          record(next(n), "x.example", "/usr/bin/python3.11", "python3.11-minimal", on),
                          record(next(n), "py.example", "/usr/bin/python3.11", "python3.11-minimal", on, script="/usr/share/tool/run.py"),
                          record(next(n), "w.example", "/home/a/tool", None, on, writable=True, sha256="a" * 64),
                          record(next(n), "p.example", "/opt/tool", None, on),
                          record(next(n), "beacon.example", "/usr/bin/editor", "editor", on, beacon=0.9),
                          record(next(n), "odd.example", "/usr/bin/editor", "editor", on, anomalies=["H14"]),
                          record(next(n), "who.example", "/usr/bin/editor", "editor", on, confidence="stale"),
                          record(next(n), "pre.example", "/usr/bin/editor", "editor", on, borrowed=["preload"]),
                          record(next(n), "blocked.example", "/usr/bin/editor", "editor", on, blocked=True)])
    write(place, [record(next(n), "lonely.example", "/usr/bin/editor", "editor") for _ in range(9)])
    at = ("--config", place / "exeat.yaml")
    assert "learned from 73 exchanges" in exeat("baseline", "learn", "--audit", place / "records", *at)
    assert "learned from 0 exchanges" in exeat("baseline", "learn", "--audit", place / "records", *at)
    text = exeat("baseline", "propose", *at)
    proposal = place / "proposal.yaml"
    proposal.write_text(text)
    for wanted in ('match: {package: "editor"}', '- {domain: "vendor.example", ports: [443]}', '- {host: "one.other.example", ports: [443]}',
                   f'match: {{sha256: "{"a" * 64}"}}', 'match: {executable: "/opt/tool"}',
                   'match: {executable: "/usr/bin/python3.11", script: "/usr/share/tool/run.py"}', "4 times, 2 hosts, 1 users, 2026-"):
        assert wanted in text, (wanted, text)
    entries = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for unwanted in ("curl", "x.example", "lonely", "beacon", "odd", "who.example", "pre.example", "blocked", "debian"):
        assert unwanted not in entries, unwanted
    for reason in ("a transfer tool", "an interpreter", "too few hosts", "like a beacon", "anomalous", "not always known", "borrowed"):
        assert f": {reason}" in text or reason in text, reason
    drift = exeat("baseline", "diff", "--count", 1, "--hosts", 1, *at, code=1)
    assert "x.example:443" in drift and "nobody" in drift and "deb.debian.org" not in drift

    # shadow: what enforcing it would have blocked, before and with the proposal
    for i, r in enumerate([json.loads(line) for line in (place / "records/audit.jsonl").read_text().splitlines()]):
        r["metadata"]["uid"] = r["metadata"]["uid"].replace(".c", ".d")
        write(place, [r], "decisions.jsonl")
    without = json.loads(exeat("baseline", "shadow", "--json", "--audit", place / "records/decisions.jsonl", *at, code=1))
    with_it = json.loads(exeat("baseline", "shadow", "--json", "--audit", place / "records/decisions.jsonl", *at, proposal, code=1))
    assert without["now_blocked"] > with_it["now_blocked"] > 0 and with_it["same"] > without["same"]
    assert any(d["destination"] == "x.example:443" and d["now"] == "blocked" for d in with_it["differences"])

    exeat("baseline", "approve", *at, proposal, code=2)  # nobody answers for it
    exeat("baseline", "approve", "--owner", "alice", *at, proposal)
    after = (place / "baseline.yaml").read_text()
    assert after.startswith("# ours\n") and 'owner: "alice"' in after and after.index("vendor.example") < after.index("destination_sets")
    assert "# 0 entries" in exeat("baseline", "propose", *at)
    exeat("baseline", "approve", "--owner", "alice", *at, proposal, code=2)  # the names are there already
    assert (place / "baseline.yaml").read_text() == after
    exeat("replay", "--audit", place / "records/decisions.jsonl", "--policy", place, code=1)
    exeat("replay", "--audit", place / "nowhere", "--policy", place, code=2)
    assert "pairs forgotten" in exeat("baseline", "expire", "--days", 1, *at)
    assert len(exeat("baseline", "show", "--json", *at).splitlines()) == 0


def test_hostile_records_are_only_text(place):
    write(place, [record(i, "h.example", '/opt/a"\n  - name: evil\x1b[31m', None, f"ws-{i}") for i in range(1, 5)])
    (place / "records/junk.jsonl").write_bytes(b"\x00\xff{}\n[]\n" + b"x" * 3000000 + b"\n{\"class_uid\":4001}\n")
    at = ("--config", place / "exeat.yaml")
    exeat("baseline", "learn", "--audit", place / "records", *at)
    text = exeat("baseline", "propose", *at)
    assert "\x1b" not in text and "\n  - name: evil" not in text
    assert "# 0 entries" in text and "cannot be printed" in text
    assert "\x1b" not in exeat("baseline", "show", *at)


def test_from_real_traffic_to_enforcement(make_proxy, https, authority, name):
    """Report mode, a program that isn't in the baseline, learned on a single host; then enforced."""
    openssl = tool("openssl")
    baseline = default_baseline(mode="report")
    baseline["senders"] = [s for s in baseline["senders"] if s["match"].get("executable") != tool("wget")]
    with make_proxy("workflow", baseline=baseline) as p:
        host = name()
        for _ in range(3):
            r = p.run(tool("wget"), "-q", "-O", "-", f"--ca-certificate={authority.ca}", f"https://{host}:{https.port}/hello")
            assert b"hello" in r.stdout, r
        wait_until(lambda: len([x for x in p.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host)]) == 3, "three records")
        at = ("--config", p.config_path)
        exeat("baseline", "learn", *at)
        assert "transfer tool" in exeat("baseline", "propose", "--hosts", 1, *at), "wget is never approved as a whole"
        shown = [json.loads(line) for line in exeat("baseline", "show", "--json", *at).splitlines()]
        assert [s["count"] for s in shown if s["host"] == host] == [3]
        assert openssl


# -- exceptions --

def test_an_exception_by_command_lets_out_for_a_while(make_proxy, http, name):
    """Refused; let out by an exception with owner, ticket and reason; refused again when it has ended, and that is said everywhere."""
    wget = tool("wget")
    baseline = default_baseline()
    baseline["senders"] = [s for s in baseline["senders"] if s["match"].get("executable") != wget]
    host = name()
    url = f"http://{host}:{http.port}/hello"
    with make_proxy("exception", baseline=baseline) as p:
        at = ("--config", p.config_path)
        ask = ("baseline", "except", *at, "--match", f"executable={wget}", "--host", f"{host}:{http.port}")
        p.run(wget, "-q", "-O", "-", url)
        assert p.exchange(host).reason == "baseline_sender"
        before = p.baseline_path.read_text()
        exeat(*ask, code=2)  # nobody answers for it
        exeat(*ask, "--owner", "alice", "--ticket", "OPS-17", "--reason", "try", "--days", "91", code=2)
        exeat(*ask, "--owner", "alice", "--ticket", "OPS-17", "--reason", "try", "--match", "executible=/x", code=2)
        assert p.baseline_path.read_text() == before
        exeat(*ask, "--owner", "alice", "--ticket", "OPS-17", "--reason", 'the "vendor" is late')
        p.reload()
        assert b"hello" in p.run(wget, "-q", "-O", "-", url).stdout
        let_out = p.exchange(host, lambda x: x.close and x.reason == "completed")
        assert let_out.get("unmapped.verdict.exception") == "OPS-17" and let_out.entry == "exception OPS-17"
        days = (let_out.get("unmapped.verdict.exception_expires") - let_out.get("time")) / 86400000
        assert 6 < days <= 7, "seven days unless told"
        shown = [json.loads(line) for line in exeat("baseline", "show", "--json", *at).splitlines()]
        assert [(s["ticket"], s["owner"], s["expired"]) for s in shown if "ticket" in s] == [("OPS-17", "alice", False)]
        assert "OPS-17" not in exeat("baseline", "expire", *at)
        assert "ends soon" not in exeat("status", *at) and "has ended" not in exeat("status", *at)

        text = p.baseline_path.read_text()
        for key, when in (("granted", "2026-01-01"), ("expires", "2026-01-08")):
            text = re.sub(key + r': "[^"]*"', f'{key}: "{when}"', text)
        p.baseline_path.write_text(text)
        p.reload()
        p.run(wget, "-q", "-O", "-", url)
        ended = p.exchange(host, lambda x: x.close and x.reason == "exception_expired")
        assert ended.get("status_detail") == "exception OPS-17 (OPS-17) ended 2026-01-08T00:00:00Z"
        assert ended.get("unmapped.verdict.exception") == "OPS-17"
        assert "exception, ended" in exeat("baseline", "show", *at) and "OPS-17" in exeat("baseline", "expire", *at)
        assert "an exception in the baseline has ended: exception OPS-17 (OPS-17, alice)" in exeat("status", *at, code=3)


# -- the house's own certificates --

def sha256_of(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(pem).read_text())).hexdigest()


def test_certificates_of_the_house_are_known_where_it_says_so(make_proxy, https, self_signed, authority, name):
    """A root that servers don't send, by its file; a self-signed certificate by its hash; each in its scope, and until its day."""
    ours, elsewhere, appliance, old = name(), name(), name(), name()
    baseline = default_baseline()
    in_2099 = {"owner": "it", "purpose": "internal services", "expires": "2099-01-01"}
    baseline["pki"] = [
        {"name": "office", "sha256": sha256_of(authority.ca), "certificate": authority.ca, "destinations": [{"host": ours}], **in_2099},
        {"name": "appliance", "sha256": sha256_of(authority.self_signed), "destinations": [{"host": appliance}], **in_2099},
        {"name": "old", "sha256": sha256_of(authority.self_signed), "destinations": [{"host": old}], **in_2099, "expires": "2026-01-01"}]
    config = {"policy": {"handling": "peek", "chain": "wait", "rules": [str(SOURCE / "policy/rules/attack/an1498.yml")]}}
    with make_proxy("pki", baseline=baseline, config=config) as p:
        for host, port, expected in ((ours, https.port, ("private_known", "office")), (elsewhere, https.port, ("private_unknown", None)),
                                     (appliance, self_signed.port, ("private_known", "appliance")), (old, self_signed.port, ("self_signed", None))):
            p.run(tool("wget"), "-q", "-O", "-", "--no-check-certificate", f"https://{host}:{port}/hello")
            record = p.exchange(host)
            assert (record.get("unmapped.chain.class"), record.get("unmapped.chain.exception")) == expected, record
            assert record.get("unmapped.chain.trusted") is False
        p.baseline["pki"][0]["sha256"] = "0" * 64
        p.write()
        p.reload(good=False)
        assert "no certificate with this sha256" in p.status()["reload_error"]


# -- another file --

@pytest.mark.skipif(os.geteuid() != 0, reason="a file that users cannot write is needed")
def test_a_changed_hash_voids_or_carries_over(make_proxy, http, name):
    """Approved by path, or by path and hash; then each file becomes another. What is by hash is refused, with the entry's name; the other is
    let out, and the record says that the file is new."""
    folder = pathlib.Path(f"/usr/local/lib/exeat-test-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        tools = {what: folder / what for what in ("pinned", "free")}
        for path in tools.values():
            shutil.copy(tool("wget"), path)
        sha256 = hashlib.sha256(tools["pinned"].read_bytes()).hexdigest()
        baseline = {"version": 1, "senders": [
            {"name": "pinned", "match": {"executable": str(tools["pinned"]), "sha256": sha256}, "allow": [{"domain": "exeat.test"}]},
            {"name": "free", "match": {"executable": str(tools["free"])}, "allow": [{"domain": "exeat.test"}]}]}
        with make_proxy("hash", baseline=baseline, config={"agent": {"hash_wait": "5s"}}) as p:
            def run(what):
                host = name()
                p.run(tools[what], "-q", "-O", "-", f"http://{host}:{http.port}/hello")
                return p.exchange(host)
            for what in tools:
                x = run(what)
                assert (x.reason, x.entry, x.get("unmapped.sender.hash_new")) == ("completed", what, False), x
            for path in tools.values():
                path.write_bytes(path.read_bytes() + b"another")
            x = run("pinned")
            assert (x.reason, x.entry, x.get("unmapped.sender.hash_new")) == ("hash_changed", "pinned", True), x
            x = run("free")
            assert (x.reason, x.entry, x.get("unmapped.sender.hash_new")) == ("completed", "free", True), x
            x = run("free")
            assert (x.reason, x.get("unmapped.sender.hash_new")) == ("completed", False), x

            at = ("--config", p.config_path)
            exeat("baseline", "learn", *at)
            drift = exeat("baseline", "diff", *at, code=1)
            assert re.search(rf"path {tools['pinned']}: .* was {sha256[:12]}...; the entry pinned names the old one", drift), drift
            assert re.search(rf"path {tools['free']}: .*; the entry free carries over", drift), drift
    finally:
        shutil.rmtree(folder)


def test_an_update_of_a_package_is_told(place):
    """By package it carries over; by hash alone it does not, and that is told from what was refused."""
    n = iter(range(1, 1000))
    tool_at = "/home/a/tool"
    (place / "baseline.yaml").write_text(
        "version: 1\nsenders:\n  - name: editor\n    match: {package: editor}\n    allow: [{domain: vendor.example}]\n"
        f"  - name: tool\n    match: {{sha256: {'1' * 64}}}\n    allow: [{{host: t.example}}]\n")
    for sha256, version in (("1" * 64, "1"), ("2" * 64, "2")):
        write(place, [record(next(n), "vendor.example", "/usr/bin/editor", "editor", sha256=sha256),
                      record(next(n), "t.example", tool_at, writable=True, sha256=sha256, blocked=version == "2")])
    at = ("--config", place / "exeat.yaml")
    exeat("baseline", "learn", "--audit", place / "records", *at)
    drift = exeat("baseline", "diff", *at, code=1)
    assert "package editor /usr/bin/editor: 222222222222... since 2026-" in drift and "; the entry editor carries over" in drift, drift
    assert f"file {tool_at}: 222222222222" in drift and "the entry tool names the old one and does not hold any more" in drift, drift


def test_what_is_not_used_expires(place):
    """Learning goes by the records' own time: what was not seen for 90 days before the newest is forgotten."""
    day = 86400000
    at = ("--config", place / "exeat.yaml")
    write(place, [record(1, "old.example", "/usr/bin/editor", "editor"), record(80 * day, "kept.example", "/usr/bin/editor", "editor")])
    exeat("baseline", "learn", "--audit", place / "records", *at)
    write(place, [record(100 * day, "new.example", "/usr/bin/editor", "editor")])
    assert "1 pairs forgotten: not seen for 90 days" in exeat("baseline", "learn", "--audit", place / "records", *at)
    shown = [json.loads(line)["host"] for line in exeat("baseline", "show", "--json", *at).splitlines()]
    assert shown == ["kept.example", "new.example"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a program that users cannot write is needed")
def test_the_whole_way_on_a_fresh_state_folder(make_proxy, http, name):
    """Report, learn, propose, review the difference, shadow, approve, enforce: what was learned goes on, what is new is refused, and drift says
    what nobody uses any more."""
    folder = pathlib.Path(f"/usr/local/lib/exeat-test-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        program = folder / "reporter"
        shutil.copy(tool("wget"), program)
        usual, other = name(), name()
        with make_proxy("way", baseline={"version": 1, "mode": "report", "senders": [
                {"name": "nobody", "match": {"executable": "/usr/bin/nobody"}, "allow": [{"host": "example.com"}]}]}) as p:
            at = ("--config", p.config_path)

            def fetch(host, count):
                p.run(program, "-q", "-O", "-", f"http://{host}:{http.port}/hello")
                return p.exchanges(host, count)[-1]
            for i in range(3):
                x = fetch(usual, i + 1)
            assert x.reason == "completed" and x.get("unmapped.verdict.would_block") is True
            exeat("baseline", "learn", *at)
            assert "# 0 entries" in exeat("baseline", "propose", *at), "one host alone shows it"
            proposal = p.folder / "proposal.yaml"
            proposal.write_text(exeat("baseline", "propose", "--hosts", 1, *at))
            assert f'executable: "{program}"' in proposal.read_text() and f'host: "{usual}"' in proposal.read_text()
            assert f"path {program} -> {usual}:{http.port}" in exeat("baseline", "diff", *at, code=1)
            without = json.loads(exeat("baseline", "shadow", "--json", *at, code=1))
            with_it = json.loads(exeat("baseline", "shadow", "--json", *at, proposal))
            assert without["now_blocked"] == 3 and with_it["now_blocked"] == 0 and with_it["same"] == 3, (without, with_it)
            exeat("baseline", "approve", "--owner", "alice", *at, proposal)
            p.baseline_path.write_text(p.baseline_path.read_text().replace("mode: report", "mode: enforce"))
            p.reload()
            assert fetch(usual, 4).reason == "completed"
            x = fetch(other, 1)
            assert x.reason == "baseline_destination" and x.entry == f"path {program}", x
            exeat("baseline", "learn", *at)
            drift = exeat("baseline", "diff", *at, code=1)
            assert "nobody" in drift and other not in drift and usual not in drift, drift
    finally:
        shutil.rmtree(folder)


def test_tables_of_ones_own_take_the_place_of_those_built_in(make_proxy, http, name):
    """policy.destinations and policy.senders: beside what is built in or in its place; read again by a reload; what is wrong has its place."""
    def places(kind, tenants, beside):
        (p.folder / "destinations.yaml").write_text(
            f"version: 1\nbeside_built_in: {str(beside).lower()}\nkinds: {{{kind}: {{tenants: [{tenants}]}}}}\n")

    p = make_proxy("tables", baseline={"version": 1, "mode": "enforce", "senders": [
        {"name": "clients", "match": {"package": "curl"}, "allow": [{"any": True}]},
        {"name": "a store", "match": {"package": "apt"}, "allow": [{"host": "pastebin.com"}]}]})
    p.config["policy"].update({"destinations": "destinations.yaml", "senders": "senders.yaml"})
    p.write()
    (p.folder / "senders.yaml").write_text("version: 1\nbeside_built_in: true\nsenders: [{kind: security, packages: [curl]}]\n")
    places("own_kind", "exeat.test", True)
    r = subprocess.run([BUILD / "exeat", "config", "check", p.config_path], capture_output=True, text=True, timeout=60)
    assert r.returncode == 2 and "pastebin.com is pastebin.com (paste," in r.stderr and "destinations.yaml)" in r.stderr, r
    places("own_kind", "exeat.test", False)
    with p:
        def kinds():
            host = name()
            p.curl(f"http://{host}:{http.port}/hello")
            x = p.exchange(host)
            return x.get("unmapped.destination.kind"), x.get("unmapped.sender.kind")
        assert kinds() == ("own_kind", "security")
        places("another", "exeat.test", False)
        (p.folder / "senders.yaml").write_text("version: 1\nsenders: []\n")
        p.reload()
        assert kinds() == ("another", None)
        places("broken", "192.0.2.1", False)
        assert "destinations.yaml:3:" in p.reload(good=False)
        places("broken", "elsewhere.example", False)
        (p.folder / "senders.yaml").write_text("version: 1\nsenders:\n  - {kind: uploader, packages: [x]}\n")
        assert "senders.yaml:3:12" in p.reload(good=False)
        assert kinds() == ("another", None)
