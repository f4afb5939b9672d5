"""run.py: drives the benchmarks (see run.sh): one origin, one client program, each proxy in turn, each line measured alike.

CPU is the run time of the proxy and all it brings (children; for Exeat the agent too), from /proc/PID/task/*/schedstat, the
load's share alone. Exeat runs as it is meant to: agent, records and an enforced baseline that knows the client by its hash; with one worker,
as its peers are one thread each.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import harness  # noqa: E402
import origins  # noqa: E402

GB = 10 ** 9
MIB = 1 << 20


def process_tree(pid):
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
            try:
                found += [int(c) for c in (task / "children").read_text().split()]
            except FileNotFoundError:
                pass  # a thread that has ended meanwhile
    return found


def cpu_seconds(pids):
    """Nanoseconds on a CPU, which /proc/PID/stat rounds to hundredths of a second. Of threads that are alive: proxies keep theirs."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def pss_kib(pids):
    total = 0
    for pid in pids:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def wait_port(port):
    def listens():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False
    harness.wait_until(listens, f"port {port}", 20)


class Exeat:
    name = "exeat"
    keeps = True  # connections, between plain requests

    def __init__(self, folder, client, ports):
        digest = hashlib.sha256(client.read_bytes()).hexdigest()
        baseline = {"version": 1, "mode": "enforce", "unknown_sender": {"action": "block"}, "senders": [
            {"name": "bench", "match": {"sha256": digest}, "allow": [{"network": "127.0.0.0/8"}]}]}
        self.proxy = harness.Proxy("bench", ports=ports, baseline=baseline, config={
            "listen": {"workers": 1}, "limits": {"flows_per_client": 20000, "exchanges_per_sender": 20000}, "agent": {"timeout": "5s"}})
        self.proxy.start()
        self.port = self.proxy.port

    def pids(self):
        return [self.proxy.daemon.pid, *process_tree(self.proxy.agent.pid)]

    def memory_pids(self):
        return [self.proxy.daemon.pid]

    def stop(self):
        self.proxy.stop(check=False)


class Peer:
    keeps = True

    def __init__(self, folder, client, ports):
        self.port = origins.free_port()
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.start()
        wait_port(self.port)

    def spawn(self, *argv):
        self.log = open(self.folder / "output", "w")
        self.child = subprocess.Popen([str(a) for a in argv], stdout=self.log, stderr=self.log)

    def pids(self):
        return process_tree(self.child.pid)

    memory_pids = pids

    def stop(self):
        for pid in reversed(self.pids()):
            os.kill(pid, 15)
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Squid(Peer):
    name = "squid"
    program = "squid"

    def start(self):
        (self.folder / "conf").write_text(
            f"http_port 127.0.0.1:{self.port}\nhttp_access allow all\ncache deny all\ncache_mem 8 MB\n"
            f"access_log stdio:{self.folder}/access.log\ncache_log {self.folder}/cache.log\n"
            f"pid_filename {self.folder}/pid\ncoredump_dir {self.folder}\nmax_filedescriptors 20000\n"
            "shutdown_lifetime 1 seconds\npinger_enable off\n")
        self.spawn(shutil.which("squid"), "-N", "-f", self.folder / "conf")


class Tinyproxy(Peer):
    name = "tinyproxy"
    keeps = False
    program = "tinyproxy"

    def start(self):
        (self.folder / "conf").write_text(
            f"Port {self.port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 15000\nAllow 127.0.0.1\n"
            f"LogFile \"{self.folder}/log\"\nLogLevel Connect\nPidFile \"{self.folder}/pid\"\n")
        self.spawn(shutil.which("tinyproxy"), "-d", "-c", self.folder / "conf")


# name, mode, TLS origin?, operations, bytes each, unit, what one figure is divided by
LINES = [
    ("CONNECT + GET + close", "get", False, 20000, 1000, "us/op"),
    ("CONNECT + TLS handshake + GET", "getls", True, 6000, 1000, "us/op"),
    ("one request on an open tunnel", "requests", False, 100000, 1000, "us/op"),
    ("plain HTTP GET, kept alive", "plain", False, 40000, 1000, "us/op"),
    ("bulk down, plain", "get", False, 32, 256 * MIB, "s/GB"),
    ("bulk up, plain", "put", False, 32, 256 * MIB, "s/GB"),
    ("bulk down, TLS inside", "getls", True, 16, 256 * MIB, "s/GB"),
    ("bulk up, TLS inside", "puttls", True, 16, 256 * MIB, "s/GB"),
]


ROUNDS = 5  # the proxies take turns, and the median counts: what else the machine does meets all of them


def spent_in(proxy, client, line, ports, count):
    name, mode, tls, _, size, unit = line
    if mode == "plain" and not proxy.keeps:
        mode = "plain1"
    argv = [client, mode, proxy.port, ports[1 if tls else 0]]
    run = lambda n, b: subprocess.run([str(a) for a in (*argv, n, b)], check=True, capture_output=True)
    run(16, 1000)  # the first of everything is not what is measured
    before = cpu_seconds(proxy.pids())
    run(count, size)
    return cpu_seconds(proxy.pids()) - before


def measure(proxies, client, line, ports, quick):
    name, _, _, count, size, unit = line
    count = max(4, count // (8 if quick else 1) // ROUNDS)
    spent = {p.name: [] for p in proxies}
    for _ in range(ROUNDS):
        for proxy in proxies:
            spent[proxy.name].append(spent_in(proxy, client, line, ports, count))
    scale = 1e6 / count if unit == "us/op" else GB / (count * size)
    return [{"line": name, "proxy": p.name, "unit": unit, "figure": statistics.median(spent[p.name]) * scale,
             "rounds": [s * scale for s in spent[p.name]]} for p in proxies]


def measure_idle(proxy, client, ports, count):
    before = pss_kib(proxy.memory_pids())
    holders = []
    for _ in range(count // 250):
        h = subprocess.Popen([str(a) for a in (client, "idle", proxy.port, ports[0], 250, 100)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        if h.stdout.readline() != b"ready\n":
            raise RuntimeError("the idle tunnels could not be opened")
        holders.append(h)
    figure = (pss_kib(proxy.memory_pids()) - before) / count
    for h in holders:
        h.stdin.close()
        h.wait()
    return {"line": "an idle tunnel, memory", "proxy": proxy.name, "unit": "KiB", "figure": figure}


def table(results, names):
    lines = list(dict.fromkeys(r["line"] for r in results))
    width = max(map(len, lines))
    print("\n" + "  ".join([" " * width, "unit "] + [f"{n:>10}" for n in names]
                           + [f"{'/' + n:>11}" for n in names if n != "exeat"]))
    for line in lines:
        row = {r["proxy"]: r for r in results if r["line"] == line}
        unit = next(iter(row.values()))["unit"]
        cells = [f"{row[n]['figure']:10.2f}" if n in row else " " * 10 for n in names]
        ours = row.get("exeat", {}).get("figure")
        ratios = [f"{row[n]['figure'] / ours:10.2f}x" if n in row and ours else " " * 11 for n in names if n != "exeat"]
        print("  ".join([f"{line:<{width}}", f"{unit:<5}"] + cells + ratios))
    print("CPU of the proxy (Exeat: with its agent); the last columns say how many times dearer the peer is.")


def main():
    parser = argparse.ArgumentParser(description="Exeat's cost beside its peers'")
    parser.add_argument("--quick", action="store_true", help="an eighth of the operations")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--only", default="exeat,squid,tinyproxy", help="proxies, comma-separated")
    parser.add_argument("--lines", default="", help="only lines whose name holds this")
    options = parser.parse_args()
    if not harness.BUILD:
        sys.exit("run.py: no exeatd is built (EXEAT_BUILD)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exeat-bench-"))
    folder.chmod(0o755)
    client = folder / "bench_client"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", HERE / "bench_client.c", "-o", client, "-lssl",
                    "-lcrypto"], check=True)
    authority = origins.Authority(str(folder))
    ports = [origins.free_port(), origins.free_port()]
    origin = subprocess.Popen([client, "serve", *map(str, ports), authority.cert, authority.key], stdout=subprocess.PIPE)
    origin.stdout.readline()
    results, proxies = [], []
    try:
        for kind in (Exeat, Squid, Tinyproxy):
            if kind.name in options.only.split(",") and (kind is Exeat or shutil.which(kind.program)):
                proxies.append(kind(folder, client, ports))
        for line in LINES:
            if options.lines in line[0]:
                for r in measure(proxies, client, line, ports, options.quick):
                    results.append(r)
                    rounds = " ".join(f"{figure:.2f}" for figure in r["rounds"])
                    print(f"{r['proxy']:10} {r['line']:32} {r['figure']:9.2f} {r['unit']:5} (rounds: {rounds})", flush=True)
        if options.lines in "an idle tunnel, memory":
            results += [measure_idle(p, client, ports, 250 if options.quick else 2000) for p in proxies]
        names = [p.name for p in proxies]
    finally:
        for proxy in proxies:
            proxy.stop()
        origin.kill()
        origin.wait()
        shutil.rmtree(folder, ignore_errors=True)
    table(results, names)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
