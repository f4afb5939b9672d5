"""A certificate authority that revokes: `openssl ca` over an index of its own, with lists of revoked certificates and OCSP responses."""
import os
import pathlib
import subprocess

CONFIG = """[ca]
default_ca = own
[own]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
{more}
"""


class Pki:
    def __init__(self, folder, name="CA of the tests"):
        self.folder = pathlib.Path(folder)
        self.ca, self.config = self.folder / "ca.pem", self.folder / "openssl.cnf"
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("1000000000000001\n")
        self.openssl("req", "-x509", *self.key_options(), "-keyout", self.folder / "ca.key", "-out", self.ca, "-days", "9", "-subj",
                     f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def openssl(self, *argv):
        r = subprocess.run(["openssl", *map(str, argv)], capture_output=True, text=True)
        assert r.returncode == 0, (argv, r.stderr)
        return r.stdout

    @staticmethod
    def key_options():
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"

    def path(self, name):
        return self.folder / f"{name}.pem"

    def issue(self, name, common_name, names="", purpose="clientAuth", more="", start="20260101000000Z", end="20491231000000Z"):
        """Certificate and key in one file, which everybody may read: (its path). The default times never end a test's run."""
        extensions = f"extendedKeyUsage = {purpose}\n" + (f"subjectAltName = {names}\n" if names else "") + more
        self.config.write_text(CONFIG.format(folder=self.folder, more=extensions))
        key, request, certificate = (self.folder / f"{name}.{end_}" for end_ in ("key", "csr", "crt"))
        self.openssl("req", *self.key_options(), "-keyout", key, "-out", request, "-subj", f"/CN={common_name}")
        self.openssl("ca", "-batch", "-notext", "-config", self.config, "-extensions", "leaf", "-in", request, "-out", certificate,
                     "-startdate", start, "-enddate", end)
        self.path(name).write_text(certificate.read_text() + key.read_text())
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def revoke(self, name):
        self.openssl("ca", "-config", self.config, "-revoke", self.folder / f"{name}.crt")

    def crl(self, name="crl"):
        self.openssl("ca", "-config", self.config, "-gencrl", "-out", self.path(name))
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def ocsp(self, name, *options, index="index.txt"):
        """A response (DER file) about the leaf, as it stands in the index, signed by the CA."""
        request, response = self.folder / f"{name}.ocsp-request", self.folder / f"{name}.ocsp"
        certificate = self.folder / f"{name}.crt"
        self.openssl("ocsp", "-issuer", self.ca, "-cert", certificate, "-no_nonce", "-reqout", request)
        self.openssl("ocsp", "-index", self.folder / index, "-CA", self.ca, "-rsigner", self.ca, "-rkey", self.folder / "ca.key",
                     "-reqin", request, "-respout", response, *(options or ("-ndays", "1")))
        return response
