"""Timestamps of certificate transparency logs (SCTs): in the certificate, and beside it in a TLS extension; judged by `exeat inspect chain
--ct-logs` and, with peek.ct_logs, in every handling. Each with its near miss: the promise of a log about another certificate."""
import base64
import hashlib
import json
import os
import subprocess
import time

import pytest

import harness
from harness import tool
from test_peek import EC, Keys, ask, keys, openssl, port, serve, sha256  # noqa: F401: fixtures
from test_terminate import inspection, terminating, tunnel_of  # noqa: F401

SCTS_OID = bytes.fromhex("060a2b06010401d679020402")  # 1.3.6.1.4.1.11129.2.4.2
X509_ENTRY, PRECERT_ENTRY = 0, 1


def der(tag, content):
    size = len(content)
    digits = (size.bit_length() + 7) // 8
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | digits]) + size.to_bytes(digits, "big")) + content


def children(whole):
    """The values inside of a constructed one, each with its header."""
    def header(at):
        first = whole[at + 1]
        more = first & 0x7f if first & 0x80 else 0
        return 2 + more, int.from_bytes(whole[at + 2:at + 2 + more], "big") if more else first
    at, found = header(0)[0], []
    while at < len(whole):
        head, size = header(at)
        found.append(whole[at:at + head + size])
        at += head + size
    return found


def content(value):
    return b"".join(children(value))


class Log:
    """A log of our own: it promises whatever it is asked to."""

    def __init__(self, folder, name):
        self.key = str(folder / f"{name}.key")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        self.public = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER").stdout
        self.list = str(folder / f"{name}.json")
        with open(self.list, "w") as f:
            json.dump({"version": "3", "operators": [{"name": "tests", "logs": [
                {"description": name, "key": base64.b64encode(self.public).decode(), "state": {"usable": {}}}]}]}, f)
        os.chmod(self.list, 0o644)

    def sct(self, kind, entry):
        when = int(time.time() * 1000).to_bytes(8, "big")
        signed = b"\0\0" + when + kind.to_bytes(2, "big") + entry + b"\0\0"
        signature = openssl("dgst", "-sha256", "-sign", self.key, input=signed).stdout
        return (b"\0" + hashlib.sha256(self.public).digest() + when + b"\0\0" + b"\4\3" + len(signature).to_bytes(2, "big") +
                signature)


def listed(*scts):
    body = b"".join(len(s).to_bytes(2, "big") + s for s in scts)
    return len(body).to_bytes(2, "big") + body


def sized(body):
    return len(body).to_bytes(3, "big") + body


class Certificates:
    """A plain leaf, one with a promise of a log in it, and files of promises beside the plain one."""

    def __init__(self, keys, folder):  # noqa: F811
        self.keys, self.folder = keys, folder
        self.log, self.other_log = Log(folder, "log"), Log(folder, "other")
        self.plain, self.another = keys.issue("ctplain", EC), keys.issue("ctanother", EC)
        self.logged = self.embed("logged", self.plain)
        self.misplaced = self.embed("misplaced", self.plain, promised=self.another)
        self.beside = self.promise("beside", self.plain)
        self.beside_another = self.promise("beside-another", self.another)

    def der(self, leaf):
        return openssl("x509", "-in", leaf[0], "-outform", "DER").stdout

    def promise(self, name, leaf):
        """(the list, as `openssl s_server -serverinfo` wants it)"""
        scts = listed(self.log.sct(X509_ENTRY, sized(self.der(leaf))))
        raw, info = self.folder / f"{name}.scts", self.folder / f"{name}.pem"
        raw.write_bytes(scts)
        shown = (0x1180).to_bytes(4, "big") + (18).to_bytes(2, "big") + len(scts).to_bytes(2, "big") + scts
        info.write_text("-----BEGIN SERVERINFOV2 FOR SCTS-----\n" + base64.encodebytes(shown).decode() +
                        "-----END SERVERINFOV2 FOR SCTS-----\n")
        return raw, info

    def embed(self, name, leaf, promised=None):
        """The leaf with the log's promise about it (or about another one) in it, signed anew."""
        tbs, algorithm, _ = children(self.der(leaf))
        about = children(self.der(promised or leaf))[0]
        issuer = openssl("x509", "-in", self.keys.ca, "-noout", "-pubkey").stdout
        issuer = openssl("pkey", "-pubin", "-outform", "DER", input=issuer).stdout
        scts = listed(self.log.sct(PRECERT_ENTRY, hashlib.sha256(issuer).digest() + sized(about)))
        extension = der(0x30, SCTS_OID + der(4, der(4, scts)))
        parts = children(tbs)
        extensions = children(parts[-1])[0]
        tbs = der(0x30, b"".join(parts[:-1]) + der(0xa3, der(0x30, content(extensions) + extension)))
        signature = openssl("dgst", "-sha256", "-sign", self.keys.ca_key, input=tbs).stdout
        path = self.folder / f"{name}.pem"
        whole = der(0x30, tbs + algorithm + der(3, b"\0" + signature))
        path.write_bytes(openssl("x509", "-inform", "DER", input=whole).stdout)
        return str(path), leaf[1]


@pytest.fixture(scope="module")
def certificates(keys, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("ct")
    harness.open_for_others(folder)
    return Certificates(keys, folder)


@pytest.fixture(scope="module")
def public(authority):
    """The tests' CA is the system's root: only then are logs asked for."""
    with pytest.MonkeyPatch.context() as m:
        m.setenv("SSL_CERT_FILE", str(authority.ca))
        yield


def inspect(*argv):
    r = subprocess.run([harness.BUILD / "exeat", "inspect", "chain", *map(str, argv)], capture_output=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    report = json.loads(r.stdout)
    assert report["class"] == "public" and report["trusted"] is True  # trust doesn't hang on logs
    return report["scts"], "C27" in report["errors"]


def test_inspect_chain(public, certificates):
    c = certificates
    listed, other = ["--ct-logs", c.log.list], ["--ct-logs", c.other_log.list]
    assert inspect(*listed, c.logged[0]) == ("valid", False)
    assert inspect(*listed, c.misplaced[0]) == ("invalid", True)
    assert inspect(*other, c.logged[0]) == ("unknown_log", True)
    assert inspect(c.logged[0]) == ("not_checked", False)
    assert inspect(*listed, c.plain[0]) == ("none", True)
    assert inspect(*listed, "--scts", c.beside[0], c.plain[0]) == ("valid", False)
    assert inspect(*listed, "--scts", c.beside_another[0], c.plain[0]) == ("invalid", True)
    assert inspect(*other, "--scts", c.beside[0], c.plain[0]) == ("unknown_log", True)
    assert inspect("--scts", c.beside[0], c.plain[0]) == ("not_checked", False)


@pytest.fixture(scope="module")
def peeking(make_proxy, public, certificates, port):  # noqa: F811
    with make_proxy("ct", ports=[port], config={"policy": {"handling": "peek", "chain": "background"},
                                                "peek": {"ct_logs": certificates.log.list}}) as p:
        yield p


def judged(x):
    chain = x.get("unmapped.chain")
    assert chain["class"] == "public", chain
    return chain["source"], chain["scts"], "C27" in chain["errors"]


@pytest.mark.parametrize("version,source", [("-tls1_2", "observed"), ("-tls1_3", "probed")])
def test_peek(peeking, certificates, port, name, version, source):  # noqa: F811
    c = certificates
    for leaf, beside, scts in ((c.logged, None, "valid"), (c.misplaced, None, "invalid"), (c.plain, None, "none"),
                               (c.plain, c.beside, "valid"), (c.plain, c.beside_another, "invalid")):
        with serve(version, *(["-serverinfo", beside[1]] if beside else []), leaf=leaf, port=port):
            host = name()
            ask(peeking, host, port, "-serverinfo", 18)
            assert judged(peeking.exchange(host)) == (source, scts, scts != "valid"), (scts, beside)


def test_another_list_after_a_reload(peeking, certificates, port, name):  # noqa: F811
    """A list that can't be read is refused, and the old one stays."""
    def look():
        with serve("-tls1_2", leaf=certificates.logged, port=port):
            host = name()
            ask(peeking, host, port)
            return judged(peeking.exchange(host))[1]
    with open(certificates.log.list) as f:
        good = f.read()
    try:
        for text, fine, scts in (("{", False, "valid"), (open(certificates.other_log.list).read(), True, "unknown_log")):
            with open(certificates.log.list, "w") as f:
                f.write(text)
            assert fine or certificates.log.list in peeking.reload(good=False)
            if fine:
                peeking.reload()
            assert look() == scts
    finally:
        with open(certificates.log.list, "w") as f:
            f.write(good)
        peeking.reload()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_terminate(make_proxy, public, certificates, inspection, authority, port, name, version):  # noqa: F811
    config = terminating(inspection, authority)
    config["peek"] = {"ct_logs": certificates.log.list}
    del config["tls_origin"]
    with make_proxy("ct-terminate", ports=[port], config=config) as p:
        for beside, scts in ((certificates.beside, "valid"), (certificates.beside_another, "invalid")):
            with serve(version, "-serverinfo", beside[1], leaf=certificates.plain, port=port):
                host = name()
                r = p.run(tool("curl"), "-sS", "--http1.1", "--cacert", inspection.certificate, f"https://{host}:{port}/")
                assert r.returncode == 0, r.stderr
                assert judged(tunnel_of(p, host)) == ("terminated", scts, scts != "valid")
