"""A borrowed identity suspends approval: an approved program that somebody else's code, options or hands make a tool of is
refused, says why, and is let out where its entry puts up with that. And what only looks like the approved program is not it."""
import ctypes
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from harness import PLACES, get_path, tool, wait_until

LOADER = "/lib64/ld-linux-x86-64.so.2"

# A client that prepares itself as told, then asks the proxy for a page.
CLIENT = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void map(int fd, int flags)
{
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | flags, fd, 0) == MAP_FAILED)
        exit(3);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(0x7f000001)};
    char answer[4096];
    if (!strcmp(argv[1], "anonymous"))
        map(-1, MAP_ANONYMOUS);
    else if (!strcmp(argv[1], "written")) {
        char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("/bin/true", O_RDONLY), 0);
        at[0] = 1;
        if (mprotect(at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
            return 3;
    } else if (!strcmp(argv[1], "memfd")) {
        int fd = memfd_create("it", 0);
        if (ftruncate(fd, 4096))
            return 3;
        map(fd, 0);
    } else if (!strcmp(argv[1], "deleted") || !strcmp(argv[1], "writable")) {
        int fd = open(argv[4], O_RDWR | O_CREAT, 0700);
        if (ftruncate(fd, 4096))
            return 3;
        map(fd, 0);
        if (argv[1][0] == 'd')
            unlink(argv[4]);
    } else if (!strcmp(argv[1], "library"))
        map(open("/bin/true", O_RDONLY), 0); /* root's: nobody's tool */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        return 4;
    dprintf(fd, "GET http://%s/hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[3], argv[3]);
    for (ssize_t n; (n = read(fd, answer, sizeof answer)) > 0;)
        fwrite(answer, 1, n, stdout);
    return 0;
}
"""

# Loads itself into a program and wipes the traces from its environment.
WIPER = r"""
#include <string.h>
extern char **environ;
__attribute__((constructor)) static void wipe(void)
{
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, "LD_PRELOAD", 10))
            memset(*e, 'x', strlen(*e));
}
"""


def compiled(folder, name, text, *options):
    (folder / f"{name}.c").write_text(text)
    out = folder / name
    subprocess.run(["cc", "-w", "-O1", *options, "-o", out, folder / f"{name}.c"], check=True)
    return out


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("borrowed")
    for parent in [folder, *list(folder.parents)[:2]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return folder


NODE = """
const [port, host] = process.argv.slice(2);
require('http').get({host: '127.0.0.1', port, path: `http://${host}/hello`, headers: {host}}, r => r.pipe(process.stdout));
"""
PYTHON = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": "http://127.0.0.1:" + sys.argv[1]}))
print(opener.open("http://" + sys.argv[2] + "/hello").read())
"""
BASH = """
exec 3<>/dev/tcp/127.0.0.1/$1
printf 'GET http://%s/hello HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' $2 $2 >&3
cat <&3
"""


class Programs:
    def __init__(self, folder):
        self.client = compiled(folder, "client", CLIENT)
        self.wiper = compiled(folder, "wiper.so", WIPER, "-shared", "-fPIC")
        self.scripts = {}
        for name, text in (("node", NODE), ("python3", PYTHON), ("bash", BASH)):
            self.scripts[name] = folder / f"script-{name}.js"  # node wants the name
            self.scripts[name].write_text(text)


@pytest.fixture(scope="module")
def programs(place):
    return Programs(place)


def entry(name, **match):
    return {"name": name, "match": match, "allow": PLACES}


@pytest.fixture(scope="module")
def proxy(make_proxy, programs):
    senders = [entry("curl", executable=tool("curl")), entry("client", sha256=sha256(programs.client)),
               entry("loaded", executable=os.path.realpath(LOADER), script=tool("true")),
               entry("git", package="git"), entry("ssh", package="openssh-client")]
    for name, script in programs.scripts.items():
        senders.append(entry(name, executable=tool(name if name != "python3" else "/usr/bin/python3"),
                             script_sha256=sha256(script)))
    if shutil.which("chromium"):
        senders.append(entry("chromium", package="chromium"))
    baseline = {"version": 1, "senders": senders}
    with make_proxy("borrowed", baseline=baseline, config={"agent": {"hash_wait": "5s"}}) as p:
        yield p


def refused(proxy, host, *borrowed, entry=None):
    """Refused because of a borrowed identity; which."""
    x = proxy.exchange(host)
    assert x.verdict == "block" and x.reason == "sender_borrowed", x
    assert x.entry == entry or entry is None, x
    for name in borrowed:
        assert name in x.get("unmapped.sender.borrowed"), x
        assert name in x.get("status_detail"), x
    return x


def let_out(proxy, host):
    x = proxy.exchange(host)
    assert x.verdict == "allow" and x.confidence == "exact", x
    assert not x.get("unmapped.sender.borrowed"), x
    return x


def unlisted(proxy, host):
    x = proxy.exchange(host)
    assert x.verdict == "block" and x.reason == "baseline_sender", x
    return x


def test_curl_as_it_is(proxy, http, name):
    host = name()
    assert b"hello from" in proxy.curl(f"http://{host}:{http.port}/hello").stdout
    x = let_out(proxy, host)
    assert x.get("unmapped.sender.path_class") == ["system"]
    assert x.get("unmapped.sender.is_browser") is False


def test_through_the_loader(proxy, http, name):
    """`ld.so ./x` runs x and is called ld.so: not approved, and what it really runs is said."""
    host = name()
    proxy.run(LOADER, tool("curl"), "-sS", "--proxy", proxy.url, f"http://{host}:{http.port}/")
    x = unlisted(proxy, host)
    assert x.executable == os.path.realpath(LOADER)
    assert x.get("unmapped.sender.borrowed") == ["loader"]
    assert x.get("unmapped.sender.details.script") == tool("curl")


def test_loader_that_the_baseline_names(make_proxy, http, name):
    """An entry may approve what the loader runs; being borrowed, it needs the entry's word for that, too."""
    host = name()
    match = {"executable": os.path.realpath(LOADER), "script": tool("curl")}
    for more, verdict in (({}, "block"), ({"borrowed": ["loader"]}, "allow")):
        with make_proxy("loader", baseline={"version": 1, "senders": [entry("it", **match, **more)]}) as p:
            p.run(LOADER, tool("curl"), "-sS", "--proxy", p.url, f"http://{host}:{http.port}/")
            x = p.exchange(host)
            assert x.verdict == verdict, x
            assert x.reason == "sender_borrowed" or verdict == "allow", x


def library():
    found = subprocess.run(["sh", "-c", "ls /usr/lib/*/libz.so.1"], capture_output=True, text=True).stdout.split()
    return found[0] if found else pytest.skip("no libz")


def test_preload(proxy, http, name):
    host = name()
    proxy.curl(f"http://{host}:{http.port}/", env=proxy.environment(LD_PRELOAD=library()))
    x = refused(proxy, host, "preload", entry="curl")
    assert library() in x.get("status_detail")


def test_preload_that_is_put_up_with(make_proxy, http, name):
    host = name()
    baseline = {"version": 1, "senders": [entry("it", executable=tool("curl"), borrowed=["preload"])]}
    with make_proxy("preload", baseline=baseline) as p:
        p.curl(f"http://{host}:{http.port}/", env=p.environment(LD_PRELOAD=library()))
        x = p.exchange(host)
        assert x.verdict == "allow" and x.get("unmapped.sender.borrowed") == ["preload"], x


def test_preload_that_wipes_its_traces(proxy, programs, http, name):
    """What it loaded stays mapped."""
    host = name()
    proxy.curl(f"http://{host}:{http.port}/", env=proxy.environment(LD_PRELOAD=str(programs.wiper)))
    x = refused(proxy, host, "writable_exec", entry="curl")
    assert str(programs.wiper) in x.get("status_detail")


def test_library_path(proxy, http, place, name):
    """Only one that users can write into counts."""
    hosts = name(), name()
    for host, path in zip(hosts, (str(place), "/usr/lib:/lib")):
        proxy.curl(f"http://{host}:{http.port}/", env=proxy.environment(LD_LIBRARY_PATH=path))
    refused(proxy, hosts[0], "library_path", entry="curl")
    let_out(proxy, hosts[1])


def test_audit(proxy, http, place, name):
    host = name()
    proxy.curl(f"http://{host}:{http.port}/", env=proxy.environment(LD_AUDIT="/nowhere/audit.so"))
    refused(proxy, host, "audit", entry="curl")


def test_option_file(proxy, http, place, name):
    """curl --config: the orders come from a file that no approval saw."""
    host = name()
    (place / "orders").write_text(f'url = "http://{host}:{http.port}/"\n')
    proxy.curl("--config", place / "orders")
    refused(proxy, host, "option_file", entry="curl")


@pytest.mark.parametrize("way,borrowed", [("anonymous", "anonymous_exec"), ("written", "anonymous_exec"),
                                          ("memfd", "memfd"), ("deleted", "deleted_exec"),
                                          ("writable", "writable_exec"), ("plain", None), ("library", None)])
def test_code_from_elsewhere(proxy, programs, place, http, name, way, borrowed):
    host = name()
    r = proxy.run(programs.client, way, proxy.port, f"{host}:{http.port}", place / f"code.{way}")
    assert r.returncode == 0, r
    if borrowed:
        refused(proxy, host, borrowed, entry="client")
    else:
        let_out(proxy, host)


def test_tracer(proxy, programs, http, name):
    """Whoever traces a process can have it do anything."""
    host = name()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    trace_me, cont = 0, 7
    pid = os.fork()
    if pid == 0:
        libc.ptrace(trace_me, 0, 0, 0)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        os.execv(programs.client, ["client", "plain", str(proxy.port), f"{host}:{http.port}"])
    while True:
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            break
        number = os.WSTOPSIG(status)
        libc.ptrace(cont, pid, 0, 0 if number == 5 else number)
    refused(proxy, host, "tracer", entry="client")


@pytest.mark.parametrize("program,variable,borrowed", [
    ("node", "NODE_OPTIONS=--no-deprecation", "node_options"), ("python3", "PYTHONPATH=/tmp", "python_path"),
    ("bash", "BASH_ENV=/dev/null", "shell_startup"), ("python3", "PYTHONPATH=/usr/share/python3", None),
    ("node", "PYTHONPATH=/tmp", None), ("bash", "NODE_OPTIONS=--require /tmp/x.js", None)])
def test_environment_of_interpreters(proxy, programs, http, name, program, variable, borrowed):
    """Only what the program reads counts; and node makes machine code as it always does."""
    host = name()
    key, _, value = variable.partition("=")
    path = tool(program if program != "python3" else "/usr/bin/python3")
    proxy.run(path, programs.scripts[program], proxy.port, f"{host}:{http.port}",
              env=proxy.environment(**{key: value}))
    if borrowed:
        refused(proxy, host, borrowed, entry=program)
    else:
        let_out(proxy, host)


# ---- what looks like the approved program, and is another ----

def test_command_of_a_shell(proxy, http, name):
    host = name()
    proxy.run(tool("bash"), "-c", BASH, "it", proxy.port, f"{host}:{http.port}")
    unlisted(proxy, host)


HOOK = "#!/bin/bash\n" + BASH.replace("$1", "{port}").replace("$2", "{host}")


def test_hook_of_git(proxy, http, place, name):
    """git is approved; what its hooks run is not git."""
    host = name()
    git = tool("git")
    home = place / "home"
    home.mkdir()
    env = proxy.environment(HOME=str(home))
    subprocess.run([git, "init", "-q", place / "repository"], check=True, env=env)
    hook = place / "repository/.git/hooks/post-commit"
    hook.write_text(HOOK.format(port=proxy.port, host=f"{host}:{http.port}"))
    hook.chmod(0o755)
    proxy.run(git, "-C", place / "repository", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty",
              "-qm", "it", env=env)
    x = unlisted(proxy, host)
    assert any((p or {}).get("name", "").startswith("git") for p in [x.get("actor.process.parent_process")]), x


def test_proxy_command_of_ssh(proxy, http, name):
    """The command of ssh's ProxyCommand makes the connection, not ssh."""
    host = name()
    place = f"{host}:{http.port}"
    command = (f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{proxy.port}; cat <&3 >&2 & "
               f"printf \"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n\" >&3; wait'")
    proxy.run(tool("ssh"), "-o", f"ProxyCommand={command}", "-o", "StrictHostKeyChecking=no", "nobody@nowhere.invalid")
    unlisted(proxy, host)


def test_postinstall_of_npm(make_proxy, http, place, name):
    """npm is approved by its script; a package's postinstall is another script."""
    npm = shutil.which("npm") or pytest.skip("no npm")
    cli = os.path.realpath(npm)
    host = name()
    package, into = place / "package", place / "into"
    package.mkdir()
    into.mkdir()
    (package / "it.js").write_text(NODE)
    with make_proxy("npm", baseline={"version": 1, "senders": [entry("npm", executable=tool("node"), script=cli)]}) as p:
        (package / "package.json").write_text(
            '{"name": "it", "version": "1.0.0", "scripts": {"postinstall": "node it.js %d %s:%d"}}' % (p.port, host, http.port))
        (into / "package.json").write_text('{"name": "into", "version": "1.0.0"}')
        packed = p.run(npm, "pack", "--offline", "--silent", package, cwd=into, env=dict(os.environ, HOME=str(into)))
        r = p.run(npm, "install", "--offline", "--no-audit", "--foreground-scripts", "--unsafe-perm",
                  into / "it-1.0.0.tgz", cwd=into, env=dict(os.environ, HOME=str(into)))
        assert packed.returncode == 0, packed
        x = unlisted(p, host)
        assert x.executable == tool("node") and x.get("unmapped.sender.details.script").endswith("/it.js"), (x, r)


def test_browser_that_is_driven(proxy, http, name, tmp_path):
    """No window, a debugging port, a profile in a temporary folder: it acts for a program."""
    tool("chromium")
    host = name()
    argv = [shutil.which("chromium"), f"--proxy-server={proxy.url}", "--headless", "--no-sandbox", "--disable-gpu",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={tmp_path}/profile",
            "--proxy-bypass-list=<-loopback>", f"http://{host}:{http.port}/hello"]
    browser = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=dict(os.environ, HOME=str(tmp_path)), start_new_session=True)
    try:
        found = wait_until(lambda: proxy.ledger.find(
            lambda x: x.close and get_path(x.close, "dst_endpoint.hostname") == host), "its records", 60)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
    for x in found:
        assert x.verdict == "block" and x.reason == "sender_borrowed" and x.entry == "chromium", x
        assert x.get("unmapped.sender.borrowed") == ["automated"], x
        assert x.get("unmapped.sender.is_browser") is False
        assert set(x.get("unmapped.sender.not_browser")) >= {"headless", "debugging", "temporary_profile"}, x


def test_tool_of_one_program(make_proxy, http, name):
    """curl as the child of an approved program is that program's tool; as a shell's, or of a program that users can write, it
    is anybody's."""
    timeout = tool("timeout")
    baseline = {"version": 1, "senders": [entry("it", executable=tool("curl"), parent=timeout)]}
    hosts = name(), name(), name()
    with make_proxy("parent", baseline=baseline) as p:
        curl = [tool("curl"), "-sS", "--proxy", p.url]
        p.run(timeout, "20", *curl, f"http://{hosts[0]}:{http.port}/")
        p.run(timeout, "20", tool("bash"), "-c", " ".join(curl) + f" http://{hosts[1]}:{http.port}/; true")
        copy = p.folder / "timeout"
        shutil.copy(timeout, copy)
        shutil.chown(copy, "nobody")
        p.run(copy, "20", *curl, f"http://{hosts[2]}:{http.port}/")
        x = p.exchange(hosts[0])
        assert x.verdict == "allow" and x.entry == "it", x
        for host in hosts[1:]:
            unlisted(p, host)
