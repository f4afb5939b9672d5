#!/usr/bin/python3
"""quickstart.py: packaging/quickstart.sh does what it says: --once shows the three clients and leaves nothing running; without it
the proxy runs until Ctrl-C; what cannot work is refused with a reason."""
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "packaging/quickstart.sh")
faults = []
STRANGER = 61234


def check(fine, what):
    if not fine:
        faults.append(what)


def processes_of(state):
    """pids whose command line names the state folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if state.encode() in f.read() and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def once(state):
    p = subprocess.run([SCRIPT, "--once", "--state", state], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
    print(p.stdout, p.stderr)
    check(p.returncode == 0, f"--once: exit code {p.returncode}")
    check(not p.stderr, f"--once: on stderr: {p.stderr}")
    shown = re.findall(r"who      (\S+) .*\n  where    (\S+)\n  verdict  (.*)\n  why      (.*)", p.stdout)
    check([(os.path.basename(w).rstrip("0123456789."), v) for w, _, v, _ in shown] ==
          [("curl", "let out"), ("python", "REFUSED"), ("openssl", "let out")], f"--once: shown are {shown}")
    check(len(set(re.findall(r"record   (\S+)", p.stdout))) == 3, "--once: three different record ids are wanted")
    for name in re.findall(r"^(?:records|configuration|baseline|log) +(\S+)", p.stdout, re.M):
        check(os.path.exists(name), f"--once: {name} is not there")
    check(len(re.findall(r"^AN\d{4}  (?:fired|MISSING) ", p.stdout, re.M)) == 5, "--once: five analytics are told of")
    if "The agent cannot see here" not in p.stdout:
        check(len(re.findall(r"^AN\d{4}  fired ", p.stdout, re.M)) == 5, "--once: all five analytics were to fire")
    check(not processes_of(state), f"--once: still running: {processes_of(state)}")


def until_interrupt(state):
    """A second run in the same folder, in a process group of its own, as a terminal has it."""
    p = subprocess.Popen([SCRIPT, "--state", state], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         start_new_session=True)
    lines = []
    for line in p.stdout:
        lines.append(line)
        if "until Ctrl-C" in line:
            break
    check(any("until Ctrl-C" in line for line in lines), f"did not come to its end: {''.join(lines[-15:])}")
    check(sum("verdict" in line for line in lines) == 3, "second run: three verdicts, not those of the first as well")
    check(p.poll() is None and processes_of(state), "the proxy was to go on running")
    os.killpg(p.pid, signal.SIGINT)
    try:
        rest, _ = p.communicate(timeout=30)
        check(p.returncode == 130, f"Ctrl-C: exit code {p.returncode}: {rest}")
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        faults.append("Ctrl-C did not end it in 30 seconds")
    deadline = time.monotonic() + 10
    while processes_of(state) and time.monotonic() < deadline:
        time.sleep(0.05)
    check(not processes_of(state), f"after Ctrl-C, still running: {processes_of(state)}")


def without_rights(folder):
    """A user whom nobody else is. Without root's rights the agent may not look into the proxy: that alone must not make every sender unknown."""
    state = os.path.join(folder, "user", "state")
    os.mkdir(os.path.dirname(state))
    os.chown(os.path.dirname(state), STRANGER, STRANGER)
    become = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--"]
    if subprocess.run([*become, "test", "-x", os.path.join(ROOT, "build/release/exeat")], check=False).returncode != 0:
        print("another user cannot reach the programs: not tried")
        return
    p = subprocess.run([*become, SCRIPT, "--once", "--built", "--state", state], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=100)
    check(p.returncode == 0 and p.stdout.count("verdict") == 3, f"without rights: {p.returncode} {p.stdout[-1500:]} {p.stderr}")


def refusals(folder):
    foreign = os.path.join(folder, "foreign")
    os.mkdir(foreign)
    open(os.path.join(foreign, "mine"), "w").close()
    for arguments, code, words in ((["--state", foreign], 1, "is not empty"), (["--state"], 2, "wants a folder"), (["--twice"], 2, "--twice")):
        p = subprocess.run([SCRIPT, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        check(p.returncode == code and words in p.stderr, f"{arguments}: {p.returncode} {p.stderr}")
    check(os.listdir(foreign) == ["mine"], "a folder of somebody else's was changed")


with tempfile.TemporaryDirectory(prefix="exeat-quickstart-") as folder:
    os.chmod(folder, 0o711)  # the proxy gives up root's rights and has to reach what is below
    once(os.path.join(folder, "state"))
    check(stat.S_IMODE(os.stat(os.path.join(folder, "state/ca/development-ca.key")).st_mode) == 0o600, "the CA's key is not 0600")
    until_interrupt(os.path.join(folder, "state"))
    refusals(folder)
    if os.geteuid() == 0:
        without_rights(folder)

for fault in faults:
    print("FAULT:", fault)
sys.exit(1 if faults else 0)
