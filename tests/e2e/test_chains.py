"""`exeat chains`: what servers showed is kept, and shown while exeatd runs and when it doesn't."""
import json
import subprocess

import pytest

import harness
from harness import wait_until
from test_peek import EC, Keys, ask, keys, openssl, port, serve, sha256  # noqa: F401: fixtures


def chains(p, *argv, code=0):
    r = subprocess.run([harness.BUILD / "exeat", "chains", *map(str, argv), "--config", p.config_path], capture_output=True, timeout=60)
    assert r.returncode == code, r.stdout + r.stderr
    return r.stdout.decode()


def listed(p, *argv):
    return [json.loads(line) for line in chains(p, "list", "--json", *argv).splitlines()]


@pytest.fixture(scope="module")
def seen(make_proxy, authority, keys, port, tmp_path_factory):  # noqa: F811
    """One host that showed two chains, and one whose subject wants to be obeyed; (proxy, hosts, leaves)."""
    selfmade = [str(tmp_path_factory.mktemp("leaf") / n) for n in ("cert", "key")]
    host, odd = "ok-chains.exeat.test", "ok-chains-odd.exeat.test"
    openssl("req", "-x509", "-utf8", *EC, "-keyout", selfmade[1], "-out", selfmade[0], "-days", "3", "-subj",
            "/O=\u202eevil/CN=" + odd, "-addext", f"subjectAltName=DNS:{odd},DNS:{host}")
    with make_proxy("chains", ports=[port], config={"policy": {"handling": "peek", "chain": "never"},
                                                    "tls_origin": {"ca_file": authority.ca}}) as p:
        for leaf, to, times in ((keys.leaves["ec"], host, 2), (selfmade, host, 1), (selfmade, odd, 1)):
            with serve("-tls1_2", leaf=leaf, port=port):
                before = len(p.ledger.find(lambda x: x.close))
                for _ in range(times):
                    ask(p, to, port)
                wait_until(lambda: len(p.ledger.find(lambda x: x.close)) == before + times, "the records")
        wait_until(lambda: len(listed(p)) == 3 and all(c["senders"] for c in listed(p)), "the history on disk")
        yield p, (f"{host}:{port}", f"{odd}:{port}"), (sha256(keys.leaves["ec"][0]), sha256(selfmade[0]))


def check(p, hosts, leaves):
    first, second, odd = [[c for c in listed(p) if (c["destination"], c["sha256"][0]) == key][0]
                          for key in ((hosts[0], leaves[0]), (hosts[0], leaves[1]), (hosts[1], leaves[1]))]
    assert (first["class"], first["source"], first["count"], first["changed"]) == ("private_known", "observed", 2, [])
    assert first["issuer"] == "CN=Exeat test CA" and first["first"] <= first["last"]
    assert [(s["count"], "openssl" in s["sender"]) for s in first["senders"]] == [(2, True)]
    assert second["class"] == "self_signed" and second["count"] == 1 and "P14" in second["found"], second
    assert second["changed"] == ["class", "issuer", "key"]
    assert odd["changed"] == [] and "P14" not in odd["found"]


def test_list(seen):
    p, hosts, leaves = seen
    check(p, hosts, leaves)
    assert len(listed(p, "--host", hosts[0])) == len(listed(p, "--host", hosts[0].split(":")[0])) == 2
    assert [c["destination"] for c in listed(p, "--class", "private_known")] == [hosts[0]]
    assert [c["class"] for c in listed(p, "--issuer", "exeat TEST")] == ["private_known"]
    assert len(listed(p, "--since", "2020-01-01")) == 3 and listed(p, "--since", "2199-01-01T00:00:00Z") == []
    text = chains(p, "list")
    assert "\u202e" not in text and "changed from the one before: class issuer key" in text
    chains(p, "list", "--since", "soon", code=2)
    chains(p, "list", "surplus", code=2)


def test_show(seen, keys, tmp_path):  # noqa: F811
    p, hosts, leaves = seen
    pem, der = tmp_path / "chain.pem", tmp_path / "leaf.der"
    text = chains(p, "show", hosts[0], "--pem", pem, "--der", der)
    assert all(leaf in text for leaf in leaves) and "\u202e" not in text
    assert sha256(pem) == leaves[1] and openssl("x509", "-inform", "DER", "-in", der, "-noout", "-fingerprint", "-sha256")
    one = json.loads(chains(p, "show", "--json", leaves[0][:12].upper()))
    assert one["destination"] == hosts[0] and one["chain"][0]["sha256"] == leaves[0]
    assert one["chain"][0]["sans"] == ["*.exeat.test"]
    assert len(chains(p, "show", "--json", leaves[1]).splitlines()) == 2  # shown at both
    chains(p, "show", "elsewhere.exeat.test", code=1)
    chains(p, "show", "0" * 64, code=1)
    chains(p, "show", code=2)


def test_after_its_end(seen):
    """Nothing runs that could answer; what was in memory is on disk."""
    p, hosts, leaves = seen
    p.daemon.end()
    check(p, hosts, leaves)
