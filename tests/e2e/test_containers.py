"""The agent and programs in containers: mounts and a root of their own (made with unshare and pivot_root). Needs root, BPF and fanotify;
skipped otherwise."""
import glob
import os
import subprocess

import pytest

import harness
from test_agent_bpf import cookie, listen
from test_history import CLIENT, CONNECT, compiled, seen, start, wait_for_mark

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# Files of its own, programs that are borrowed from the host. What comes as the first argument runs inside.
MAKE = r"""
set -e
root=$1
mount -t tmpfs tmpfs $root
mkdir -p $root/usr $root/proc $root/dev $root/tmp $root/old $root/home/ann/.ssh $root/home/ann/Documents/deep
for l in bin sbin lib lib64; do ln -s usr/$l $root/$l; done
mount --bind /usr $root/usr
mount --bind /dev $root/dev
mount -t proc proc $root/proc
echo key > $root/home/ann/.ssh/id_x
echo plan > $root/home/ann/Documents/deep/plan
cp $2 $root/inside.sh
[ -z "$3" ] || cp $3 $root/program
%s
"""
PIVOT = "cd $root; pivot_root . old; umount -l /old; exec /bin/sh /inside.sh"
CHROOT = "exec chroot $root /bin/sh /inside.sh"


class Container:
    """A shell inside, which waits for a line and then runs `script`, in which $CONNECT connects to us."""

    def __init__(self, tmp_path, agent, script, enter=PIVOT, program=None):
        self.agent = agent
        self.listener = listen()
        agent.greet("127.0.0.1:%d" % self.listener.getsockname()[1])
        port = self.listener.getsockname()[1]
        (tmp_path / "root").mkdir()
        (tmp_path / "make.sh").write_text(MAKE % enter)
        (tmp_path / "inside.sh").write_text(
            f"PORT={port}\nconnect() {{ /usr/bin/python3 -c '{CONNECT}' {port}; }}\necho ready\nread go\n( {script} )\ntrue\n")
        made = ["unshare", "-m", "--propagation", "private", "/bin/sh", tmp_path / "make.sh", tmp_path / "root", tmp_path / "inside.sh"]
        self.process = subprocess.Popen([*made, *([program] if program else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True)
        line = self.process.stdout.readline()
        if line != b"ready\n":
            self.process.wait()
            pytest.skip("containers cannot be made here")
        self.root = f"/proc/{self.process.pid}/root"

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()
        accepted = self.listener.accept()[0]
        answer = self.agent.ask(accepted, **cookie(accepted))
        self.accepted = accepted
        return answer

    def end(self):
        self.process.communicate()


def wait_for_file_system(agent, path):
    """Until files that are written there are seen."""
    device = os.stat(path).st_dev
    wanted = "fanotify sdev:%x " % (os.major(device) << 20 | os.minor(device))

    def marked():
        return any(wanted in open(f"/proc/{agent.collector}/fdinfo/{fd}", encoding="ascii").read()
                   for fd in os.listdir(f"/proc/{agent.collector}/fdinfo"))
    harness.wait_until(marked, f"a mark on the file system of {path}")


@pytest.mark.parametrize("enter", [PIVOT, CHROOT], ids=["pivot_root", "chroot"])
def test_what_is_done_in_a_container(tmp_path, enter):
    """Its own files, matched by the paths that it sees; archives on its own file system."""
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    agent = start(tmp_path, "--user", "nobody")
    script = "cat /home/ann/.ssh/id_x /home/ann/Documents/deep/plan >/dev/null; tar czf /tmp/x.tgz /home 2>/dev/null; connect"
    container = Container(tmp_path, agent, script, enter)
    wait_for_mark(agent.process.pid, container.root + "/home/ann/.ssh/id_x")
    wait_for_mark(agent.process.pid, container.root + "/home/ann/Documents/deep/plan")
    wait_for_file_system(agent, container.root + "/tmp")
    answer = container.go()
    rows = {(row["kind"], row.get("class")): row for row in answer["history"]["seen"]}
    assert ("sensitive_access", "ssh_key") in rows and ("sensitive_access", "documents") in rows, answer["history"]["seen"]
    archive = rows["archive_written", "gzip"]
    assert archive["path"].endswith("/tmp/x.tgz") and archive["bytes"] > 0
    assert ("exec_archiver", "tar") in rows
    container.end()
    agent.end()


def test_a_container_can_go(tmp_path):
    """Nothing of it is held: its file system is gone as soon as nobody is in it."""
    agent = start(tmp_path)
    container = Container(tmp_path, agent, "connect")
    wait_for_mark(agent.process.pid, container.root + "/home/ann/.ssh/id_x")
    assert not seen(container.go())
    its = os.stat(container.root + "/tmp").st_dev

    def device_of(fd):
        try:
            return os.stat(f"/proc/{agent.collector}/fd/{fd}").st_dev
        except FileNotFoundError:
            return None  # was looked at just now
    harness.wait_until(lambda: its not in map(device_of, os.listdir(f"/proc/{agent.collector}/fd")), "that nothing of it is held")
    container.end()
    agent.end()


# Connects, and then goes on using a cipher until its input ends.
CIPHERS = r"""
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 1), .sin_addr.s_addr = htonl(0x7f000001)};
    struct pollfd in = {.fd = 0, .events = POLLIN};
    unsigned char key[32] = {1}, iv[16] = {2};
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a) != 0)
        return 1;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    while (poll(&in, 1, 50) == 0)
        EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv);
    return 0;
}
"""
OWN_LIBRARY = "mount -t tmpfs tmpfs $root/usr/local/lib; cp %s $root/usr/local/lib; " + PIVOT


def probes_of(agent):
    """How many libraries' calls are watched: a link of the kernel's each."""
    count = 0
    for fd in os.listdir(f"/proc/{agent.collector}/fdinfo"):
        try:
            with open(f"/proc/{agent.collector}/fdinfo/{fd}", encoding="ascii") as info:
                count += "uprobe_multi" in info.read()
        except FileNotFoundError:
            pass  # closed since
    return count


@pytest.mark.parametrize("keys", ["all", "seen"])
def test_keys_in_a_container(tmp_path, keys):
    """It brings a libcrypto of its own, another file than the host's."""
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    agent = start(tmp_path, "--user", "nobody", "--keys", keys)
    program = compiled(tmp_path, "cipher", CIPHERS, "-lcrypto")
    before = probes_of(agent)
    library = os.path.realpath(glob.glob("/usr/lib/*/libcrypto.so.3")[0])
    container = Container(tmp_path, agent, "LD_LIBRARY_PATH=/usr/local/lib /program $PORT; true", OWN_LIBRARY % library, program)
    container.go()

    def asked():
        return seen(agent.ask(container.accepted, **cookie(container.accepted)))
    rows = harness.wait_until(lambda: "symmetric_outside_tls" in asked() and asked(), "the cipher that it uses")
    assert rows["symmetric_outside_tls"]["class"] == "EVP_EncryptInit_ex" and rows["symmetric_outside_tls"]["path"] == "program"
    assert rows["crypto_library"]["path"] == "/usr/local/lib/" + os.path.basename(library)
    assert probes_of(agent) > before
    container.end()
    if keys == "all":
        harness.wait_until(lambda: probes_of(agent) == before, "that the library is let go of")
    agent.end()


def test_static_tls_in_a_container(tmp_path):
    """A static TLS client that only the container has: looked through by its own root."""
    agent = start(tmp_path)
    source = CLIENT % ("#include <openssl/ssl.h>", "SSL_CTX_free(SSL_CTX_new(TLS_client_method()));")
    program = compiled(tmp_path, "static", source, "-static", "-lssl", "-lcrypto", "-ldl", "-lpthread")
    container = Container(tmp_path, agent, "/program $PORT; true", PIVOT, program)
    container.go()

    def asked():
        return seen(agent.ask(container.accepted, **cookie(container.accepted)))
    rows = harness.wait_until(lambda: "tls_library" in asked() and asked(), "the TLS library inside")
    assert rows["tls_library"]["class"] == "openssl" and rows["tls_library"]["path"] == "/program"
    container.end()
    agent.end()
