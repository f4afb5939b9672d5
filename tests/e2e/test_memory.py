"""What was seen before: rarity, volume, rhythm and habit as facts; kept across a restart; rules that ask for them."""
import shutil
import sqlite3

from harness import to_yaml, wait_until

AT_ONCE = {"history": {"min_days": 0, "min_hosts": 0}}


def fetch(p, http, host, path="/hello"):
    answer = p.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{host}:{http.port}{path}")
    assert answer.stdout == b"200", answer
    return p.exchange(host)


def seen(x, what):
    return x.get(f"unmapped.destination.{what}")


def test_a_destination_becomes_known_and_stays_so(make_proxy, http, name):
    domain = "exeat.test"
    p = make_proxy("known", config=AT_ONCE)
    with p:
        first = fetch(p, http, name())
        assert seen(first, "domain") == domain
        assert seen(first, "hosts") == seen(first, "senders") == 0 and seen(first, "last_seen_days") is None
        assert seen(first, "new_for_host") is True and seen(first, "new_for_sender") is True
        assert "curl" in first.get("unmapped.sender.stable")
        second = fetch(p, http, name())
        assert seen(second, "hosts") == seen(second, "senders") == seen(second, "users") == 1
        assert seen(second, "new_for_host") is seen(second, "new_for_sender") is seen(second, "new_for_user") is False
        assert second.get("unmapped.known.hosts") == 1
        assert second.get("unmapped.address.hosts") == 1
        p.daemon.end(expected=0)
        p.daemon = None
        database = sqlite3.connect(f"file:{p.state}/history.db?mode=ro", uri=True)
        assert database.execute("SELECT count FROM sightings WHERE kind = 2 AND name = ?", (domain,)).fetchall() == [(2,)]
        database.close()
        p.with_agent = False
        p.start()
        p.with_agent = True
        p.wait_agent()
        third = fetch(p, http, name())
        assert seen(third, "hosts") == 1 and seen(third, "new_for_sender") is False
        assert third.get("unmapped.volume.out_24h") > 2 * first.get("traffic.bytes_out")


def test_nothing_is_rare_before_there_is_history(make_proxy, http, name):
    with make_proxy("young") as p:
        x = fetch(p, http, name())
        x = fetch(p, http, name())
        assert x.get("unmapped.known.days") == 0 and x.get("unmapped.known.hosts") == 1
        assert seen(x, "hosts") is None and seen(x, "new_for_host") is None and seen(x, "first_seen_days") is None
        assert seen(x, "domain")


def test_the_policy_says_who_approved(make_proxy, http, name):
    p = make_proxy("approved", config={"history": dict(AT_ONCE["history"], popularity_list="popular.csv")})
    (p.folder / "popular.csv").write_text("1,example.com\n42,exeat.test\n")
    with p:
        x = fetch(p, http, name())
        assert seen(x, "popularity") == 42
        assert x.get("unmapped.sender.approved") is True
        assert x.get("unmapped.sender.approved_by") in ("executable", "package", "sha256")


SPLIT = """title: Ten pieces are one upload
id: 22222222-0000-4000-8000-000000000001
level: high
logsource: {product: exeat}
detection:
  selection:
    exeat.volume.out_1h|gt: 40000
    exeat.destination.domain: exeat.test
  condition: selection
"""
ACTIONS = {"version": 1, "actions": [{"rule": "22222222-0000-4000-8000-000000000001", "action": "block"}]}


def test_small_pieces_add_up(make_proxy, http, name, tmp_path):
    """50 processes with 4 KiB each, to as many names: the volume is the domain's."""
    pieces = tmp_path / "piece"
    pieces.write_bytes(b"x" * 4096)
    refused, volumes = 0, []
    p = make_proxy("pieces", config=AT_ONCE)
    rules = p.folder / "rules"
    rules.mkdir()
    (rules / "split.yml").write_text(SPLIT)
    actions = p.folder / "actions.yaml"
    actions.write_text(to_yaml(ACTIONS) + "\n")
    p.config["policy"].update(rules=[str(rules)], actions=str(actions))
    p.write()
    with p:
        for _ in range(20):
            host = name()
            answer = p.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{pieces}",
                           f"http://{host}:{http.port}/echo")
            x = p.exchange(host)
            volumes.append(x.get("unmapped.volume.out_1h"))
            refused += answer.stdout == b"403"
            names = seen(x, "names")
    assert refused >= 8, volumes
    assert 40000 < max(volumes) < 50000
    assert names >= 8


def test_a_volume_cuts_in_the_middle(make_proxy, echo, name):
    """What was sent before counts: the second tunnel is cut where both together have sent too much, not at its end."""
    p = make_proxy("middle", config=AT_ONCE)
    rules = p.folder / "rules"
    rules.mkdir()
    (rules / "split.yml").write_text(SPLIT.replace("40000", "3000000"))
    (p.folder / "actions.yaml").write_text(to_yaml(ACTIONS) + "\n")
    p.config["policy"].update(rules=["rules"], actions="actions.yaml")
    p.write()
    with p:
        for kind in ("whole", "part"):
            host = name()
            s, _ = p.connect(host, echo.port)
            s.settimeout(20)
            try:
                for _ in range(125):  # 2 MB
                    s.sendall(b"x" * 16384)
                    left = 16384
                    while left > 0:
                        got = len(s.recv(left))
                        assert got > 0
                        left -= got
            except (ConnectionError, AssertionError):
                assert kind == "part"
            s.close()
            x = p.exchange(host)
            if kind == "whole":
                assert x.get("traffic.bytes_out") == 125 * 16384 and x.verdict == "allow"
            else:
                assert x.verdict_reason == "rule" and 900000 < x.get("traffic.bytes_out") < 1100000
                assert x.get("unmapped.payload.out_random") is False and x.get("unmapped.payload.out_bytes") == 1024


def test_a_damaged_database_is_set_aside_and_said(make_proxy, http, name):
    p = make_proxy("damaged")
    with p:
        fetch(p, http, name())
        p.daemon.end(expected=0)
        p.daemon = None
        for part in ("-wal", "-shm"):
            (p.state / f"history.db{part}").unlink(missing_ok=True)
        (p.state / "history.db").write_bytes(b"not a database " * 1000)
        if p.user:
            shutil.chown(p.state / "history.db", p.user)
        p.with_agent = False
        p.start()
        p.with_agent = True
        p.wait_agent()
        assert "is damaged" in p.daemon.log
        assert (p.state / "history.db.damaged").exists()
        fetch(p, http, name())
        wait_until(lambda: p.status()["history"]["written"] > 0, "rows in the new database")
        assert p.status()["history"]["available"] is True


def test_hellos_are_known_by_what_sends_them(make_proxy, https, name):
    """curl's is OpenSSL's and contradicts nothing; it is new for the sender once."""
    with make_proxy("hellos", config=AT_ONCE) as p:
        for first in (True, False):
            host = name()
            p.run("curl", "-sSk", "-o", "/dev/null", f"https://{host}:{https.port}/hello")
            x = p.exchange(host)
            assert x.get("unmapped.ja4.application") == "openssl" and x.get("unmapped.hello.grease") is False
            assert x.get("unmapped.ja4.contradicts_sender") is False
            assert x.get("unmapped.ja4.new_for_sender") is first
            assert x.get("unmapped.ja4.hosts") == (0 if first else 1)
