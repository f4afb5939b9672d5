"""The matrix of server handshakes (test_peek.py) where nothing is read and where TLS ends here: the record's chain and its source are right,
or, where a server speaks what we don't, the reason is."""
import os
import re

import pytest

from harness import open_for_others, tool
from test_peek import MATRIX, keys, port, serve, sha256, trickle  # noqa: F401
from test_terminate import Inspection, terminating

OLD = ("1.0", "1.1")
OK = re.compile(rb"HTTP/1\.[01] 200 ")


@pytest.fixture(scope="module")
def inspection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    open_for_others(folder)
    return Inspection(folder)


@pytest.fixture(scope="module")
def tunnelling(make_proxy, port):  # noqa: F811
    with make_proxy("tunnelling", ports=[port]) as p:
        yield p


@pytest.fixture(scope="module")
def ending(make_proxy, authority, inspection, port):  # noqa: F811
    config = terminating(inspection, authority, client_certificate="without")
    with make_proxy("ending", ports=[port], config={**config, "listen": {"workers": 1}}) as p:
        p.ca = inspection.certificate
        yield p


def ask(p, host, port, *argv):  # noqa: F811
    """One request by openssl through the proxy: what came back."""
    return p.run(tool("openssl"), "s_client", "-proxy", f"127.0.0.1:{p.port}", "-connect", f"{host}:{port}", "-servername", host, "-ign_eof",
                 *argv, input=f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())


def tunnel(p, host):
    return p.exchange(host, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")


def options_of(keys, client, kind):  # noqa: F811
    certificate = keys.leaves["ec"]
    return [*client, "-cert", certificate[0], "-key", certificate[1]] if "client certificate" in kind else client


@pytest.mark.parametrize("kind", MATRIX)
def test_tunnel(tunnelling, keys, name, port, kind):  # noqa: F811
    leaf, server, client, *_ = MATRIX[kind]
    with serve(*server, leaf=keys.leaves[leaf], port=port):
        host = name()
        assert OK.search(ask(tunnelling, host, port, *options_of(keys, client, kind)).stdout)
        x = tunnelling.exchange(host)
    assert x.get("unmapped.chain") == {"source": "unavailable", "why": "policy"} and x.reason == "completed"
    assert x.get("tls.version") == "unknown" and x.get("unmapped.tls_history") is None and x.get("unmapped.hello.version")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tunnel_of_the_rest(tunnelling, keys, name, port, trickle, version, tmp_path):  # noqa: F811
    """A chain of over 64 KiB with a stapled response, a byte at a time; then the session taken up again: all of it passes, none of it is read."""
    host, session = name(), tmp_path / "session"
    with serve(version, "-cert_chain", keys.extra(20, 50), "-status_file", keys.staple, leaf=keys.leaves["ec"], port=trickle):
        said = ask(tunnelling, host, port, "-status", "-sess_out", session)
        assert OK.search(said.stdout) and b"Cert Status: good" in said.stdout, said
        said = ask(tunnelling, host, port, "-sess_in", session)
        assert OK.search(said.stdout) and b"Reused, TLS" in said.stdout, said
        for x in tunnelling.exchanges(host, 2):
            assert x.get("unmapped.chain") == {"source": "unavailable", "why": "policy"} and x.reason == "completed"


@pytest.mark.parametrize("kind", MATRIX)
def test_terminate(ending, keys, name, port, kind):  # noqa: F811
    """What the client offers is not what the server is asked: those are two handshakes."""
    leaf, server, _, version, *_ = MATRIX[kind]
    with serve(*server, leaf=keys.leaves[leaf], port=port):
        host = name()
        said = ask(ending, host, port, "-CAfile", ending.ca, "-verify_return_error")
        x = tunnel(ending, host)
    if version in OLD:
        assert x.reason == "server_tls_failed" and x.get("unmapped.chain.source") == "unavailable", x
        return
    assert OK.search(said.stdout), said
    chain = x.get("unmapped.chain")
    assert chain["source"] == "terminated" and chain["trusted"] is True and chain["class"] == "private_known", chain
    assert chain["certificates"] == [sha256(keys.leaves[leaf][0])] and x.get("tls.certificate.issuer") == "CN=Exeat test CA"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("size", [(29, 0), (20, 50)])
def test_long_chains(ending, keys, name, port, version, size):  # noqa: F811
    count, padding = size
    extra = keys.extra(count, padding)
    assert not padding or os.path.getsize(extra) > 64 * 1024
    with serve(version, "-cert_chain", extra, leaf=keys.leaves["ec"], port=port):
        host = name()
        said = ask(ending, host, port, "-CAfile", ending.ca, "-verify_return_error")
        chain = tunnel(ending, host).get("unmapped.chain")
    assert OK.search(said.stdout), said
    assert chain["source"] == "terminated" and chain["length"] == count + 1 == len(chain["certificates"]) and "C24" in chain["errors"]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_one_byte_fragments(ending, keys, name, port, trickle, version):  # noqa: F811
    with serve(version, leaf=keys.leaves["ec"], port=trickle):
        host = name()
        said = ask(ending, host, port, "-CAfile", ending.ca, "-verify_return_error")
        chain = tunnel(ending, host).get("unmapped.chain")
    assert OK.search(said.stdout), said
    assert chain["source"] == "terminated" and chain["certificates"] == [sha256(keys.leaves["ec"][0])]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption_by_the_client(ending, keys, name, port, version, tmp_path):  # noqa: F811
    """The client takes up its session with us: the chain is that of the server all the same."""
    session = tmp_path / "session"
    with serve(version, leaf=keys.leaves["ec"], port=port):
        host, seen = name(), set()
        for option in ("-sess_out", "-sess_in"):
            said = ask(ending, host, port, option, session, version, "-CAfile", ending.ca)
            assert OK.search(said.stdout), said
            assert (b"Reused, TLS" in said.stdout) == (option == "-sess_in")
            found = [x for x in ending.exchanges(host, 2 if seen else 1, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
                     if x.uid not in seen]
            seen |= {x.uid for x in found}
            chain = found[0].get("unmapped.chain")
            assert chain["source"] == "terminated" and chain["certificates"] == [sha256(keys.leaves["ec"][0])]
