"""OCSP stapling through terminate: where the server staples a good response, clients that ask get one about their certificate."""
import re
import socket
import subprocess
import time

import pytest

import origins
from harness import open_for_others, tool, wait_until
from pki import Pki
from test_terminate import Inspection

TIME = "%b %d %H:%M:%S %Y %Z"


@pytest.fixture(scope="module")
def inspection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    open_for_others(folder)
    return Inspection(folder)


class Stapling:
    """An HTTPS server that staples what it is given: openssl s_server -www."""

    def __init__(self, certificate, staple=None):
        self.port = origins.free_port()
        given = ["-status_file", staple] if staple else []
        self.child = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", certificate, "-key", certificate,
                                       "-www", "-quiet", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.child.kill()
        self.child.wait()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """By name: what is stapled, and what it says."""
    folder = tmp_path_factory.mktemp("staples")
    open_for_others(folder)
    pki, made = Pki(folder, "CA of the servers"), {}
    usual = {"names": "DNS:*.exeat.test", "purpose": "serverAuth"}
    for name in ("good", "none", "other", "unknown", "revoked"):
        pki.issue(name, "*.exeat.test", **usual)
    pki.issue("must", "*.exeat.test", more="tlsfeature = status_request", **usual)
    pki.revoke("revoked")
    (folder / "empty.txt").touch()
    staples = {"good": pki.ocsp("good", "-nmin", "90"), "must": pki.ocsp("must"), "other": pki.ocsp("none"),
               "unknown": pki.ocsp("unknown", index="empty.txt"), "revoked": pki.ocsp("revoked")}
    for name in ("good", "must", "none", "other", "unknown", "revoked"):
        made[name] = Stapling(pki.path(name), staples.get(name))
    made["ca"] = pki.ca
    yield made
    for server in made.values():
        if isinstance(server, Stapling):
            server.stop()


def terminating(make_proxy, inspection, servers, **more):
    ports = [s.port for s in servers.values() if isinstance(s, Stapling)]
    config = {"listen": {"workers": 1}, "policy": {"handling": "terminate"}, "tls_origin": {"ca_file": str(servers["ca"])},
              "inspection": {"ca_certificate": str(inspection.certificate), "ca_key": str(inspection.key), **more}}
    p = make_proxy("staple", config=config, ports=ports)
    p.start()
    wait_until(lambda: all(not _refuses(port) for port in ports), "the servers")
    return p


def _refuses(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def proxy(make_proxy, inspection, servers):
    p = terminating(make_proxy, inspection, servers)
    yield p
    p.stop()


def s_client(p, inspection, host, port, *more):
    r = p.run("openssl", "s_client", "-proxy", f"127.0.0.1:{p.port}", "-connect", f"{host}:{port}", "-servername", host, "-CAfile",
              inspection.certificate, "-verify_return_error", *more, input=b"")
    return r.stdout.decode(errors="replace"), r


def curl(p, inspection, host, server, *more):
    return p.run(tool("curl"), "-sS", "-i", "--cacert", inspection.certificate, *more, f"https://{host}:{server.port}/")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_good_response_is_passed_on(proxy, inspection, servers, name, version):
    """About our leaf, of our CA, and no longer than the server's; to those who ask."""
    host = name("v4")
    said, r = s_client(proxy, inspection, host, servers["good"].port, "-status", version)
    assert "OCSP Response Status: successful" in said and "Cert Status: good" in said, (said, r.stderr)
    serial = re.search(r"Serial Number: ([0-9A-F]+)", said).group(1)
    until = time.mktime(time.strptime(re.search(r"Next Update: (.*)", said).group(1).strip(), TIME)) - time.timezone
    assert 0 < until - time.time() <= 90 * 60 + 60
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", said, re.S).group(0)
    shown = subprocess.run(["openssl", "x509", "-noout", "-serial", "-ext", "tlsfeature"], input=pem, text=True, capture_output=True).stdout
    assert int(re.search(r"serial=([0-9A-F]+)", shown).group(1), 16) == int(serial, 16) and "status_request" not in shown
    said, r = s_client(proxy, inspection, host, servers["good"].port, version)
    assert r.returncode == 0 and "OCSP Response Status" not in said


def test_curl_verifies_it(proxy, inspection, servers, name):
    """The second comes through a session with the server that is taken up again, where nothing is stapled."""
    for which in ("good", "must"):
        host = name("v4")
        for _ in range(2):
            r = curl(proxy, inspection, host, servers[which], "--cert-status")
            assert r.returncode == 0 and b"200 ok" in r.stdout, (which, r)
    r = curl(proxy, inspection, name("v4"), servers["none"], "--cert-status")
    assert r.returncode == 91 and b"No OCSP response" in r.stderr, r
    assert curl(proxy, inspection, name("v4"), servers["none"]).returncode == 0


def test_must_staple_is_mimicked(proxy, inspection, servers, name):
    said, _ = s_client(proxy, inspection, name("v4"), servers["must"].port, "-status")
    assert "Cert Status: good" in said
    shown = subprocess.run(["openssl", "x509", "-noout", "-ext", "tlsfeature"], input=said[said.index("-----BEGIN"):], text=True,
                           capture_output=True).stdout
    assert "status_request" in shown


@pytest.mark.parametrize("which", ["revoked", "unknown", "other"])
def test_a_bad_response_is_a_bad_chain(proxy, inspection, servers, name, which):
    host = name("v4")
    r = curl(proxy, inspection, host, servers[which])
    assert b" 502 " in r.stdout and b"server_certificate" in r.stdout and b"C18" in r.stdout, r
    x = proxy.exchange(host, where=lambda x: x.get("proxy_http_request.http_method") == "CONNECT")
    assert x.get("unmapped.chain.trusted") is False and x.get("unmapped.chain.errors") == ["C18"]


def test_a_bad_response_is_mimicked(make_proxy, inspection, servers, name):
    p = terminating(make_proxy, inspection, servers, bad_chain="mimic")
    try:
        r = curl(p, inspection, name("v4"), servers["revoked"])
        assert r.returncode == 60, r
        assert b"200 ok" in curl(p, inspection, name("v4"), servers["good"], "--cert-status").stdout
    finally:
        p.stop()
