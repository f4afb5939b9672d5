#!/usr/bin/env python3
"""check.py: the shape of the tree, kept by machine: who may include whom, what pure code may call, how long things may be.

  check.py layers            include edges between the folders of src/
  check.py symbols BUILD     what the pure libraries of a build folder leave undefined
  check.py sizes             functions under 80 lines, files under 900, each file's first comment
  check.py words             the project's words have no synonyms; no path of somebody's machine
  check.py figure [--write]  the figure of states in src/README.md against src/flow/steps.h
  check.py rows              each reason is said, each option read, each counter counted: a row that nobody uses is none
  check.py self              the checker itself: a bad tree must be found bad
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# folder: what it may include, beside itself and include/exeat. One way, bottom up.
LAYERS = {
    "base": set(),
    "wire": {"base"},
    "facts": {"base", "wire"},
    "rules": {"base", "wire", "facts"},
    "tls": {"base"},
    "audit": {"base"},
    "conf": {"base", "wire"},
    "net": {"base", "wire"},
    "store": {"base"},
    "flow": {"base", "wire", "facts", "rules", "tls", "audit", "conf", "net", "store"},
    "run": {"base", "wire", "facts", "rules", "tls", "audit", "conf", "net", "store", "flow"},
    "admin": {"base", "wire", "rules", "audit", "conf", "net", "store", "flow", "run"},
    "cmd": {"base", "wire", "facts", "rules", "tls", "audit", "conf", "store", "run"},
    "agent": {"base", "wire"},
    ".": {"base", "run", "admin", "cmd", "agent", "conf"},  # the mains
}
# Of net/, only these may be included from above it: the rest is its own.
NET_PUBLIC = {"flow": {"net/net.h"}, "run": {"net/net.h", "net/loop.h"}, "admin": {"net/net.h", "net/loop.h"}}

# libuv, sockets, files, clocks, randomness, threads: nothing of it in code that is called pure.
IMPURE = re.compile(
    r"^(uv_\w+|socket|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|open(at)?(64)?|fopen(64)?|creat|read|write|p?read(64)?"
    r"|pwrite(64)?|readv|writev|fread|fwrite|fgets|fputs|fprintf|printf|puts|putchar|perror|close|fclose|stat(64)?|fstat(64)?|unlink|rename"
    r"|mmap(64)?|clock_gettime|gettimeofday|time|clock|nanosleep|usleep|sleep|random|srandom|rand|srand|getrandom|arc4random\w*|RAND_\w+"
    r"|pthread_\w+|thrd_\w+|mtx_\w+|fork|exec\w+|system|popen|getenv|setenv|getaddrinfo|MMDB_open)$")
PURE_LIBRARIES = ["wire", "facts", "rules"]
PURE_OBJECTS = {"audit": ["record.c.o", "finding.c.o", "finding_read.c.o"]}
# facts/geo.c opens databases on behalf of run/ (geo_open); nothing else may.
ALLOWED_SYMBOLS = {"geo.c.o": {"MMDB_open"}}

FUNCTION_LINES, FILE_LINES = 80, 900


def sources(root=ROOT, folders=("src", "include")):
    for folder in folders:
        for path, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.join(path, name)


def layer_of(path, root):
    parts = os.path.relpath(path, os.path.join(root, "src")).split(os.sep)
    return parts[0] if len(parts) > 1 else "."


def check_layers(root=ROOT):
    bad = []
    for path in sources(root, ("src",)):
        layer = layer_of(path, root)
        if layer not in LAYERS:
            bad.append(f"{path}: folder {layer} is not in the table of layers")
            continue
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m or m[1].startswith("exeat/"):
                continue
            target = m[1].split("/")[0] if "/" in m[1] else None
            where = f"{os.path.relpath(path, root)}:{number}"
            if target is None and path.endswith(".bpf.c"):
                continue  # compiled alone, by another compiler: only its own folder is there
            if target is None:
                bad.append(f'{where}: include "{m[1]}" by its folder, as in "base/buf.h"')
            elif target != layer and target not in LAYERS[layer]:
                bad.append(f"{where}: {layer} may not include {m[1]}")
            elif target == "net" and layer in NET_PUBLIC and m[1] not in NET_PUBLIC[layer]:
                bad.append(f"{where}: {m[1]} is net's own")
    return bad


def undefined(archive):
    """object file -> the symbols it leaves undefined"""
    result, current = {}, None
    for line in subprocess.run(["nm", "-u", archive], check=True, capture_output=True, text=True).stdout.splitlines():
        if line.endswith(":"):
            current = line[:-1]
            result[current] = set()
        elif line.strip().startswith("U ") and current:
            result[current].add(line.split()[1].split("@")[0])
    return result


def check_symbols(build):
    bad = []
    jobs = [(lib, None) for lib in PURE_LIBRARIES] + list(PURE_OBJECTS.items())
    for lib, objects in jobs:
        found = undefined(os.path.join(build, f"libexeat_{lib}.a"))
        if not found or (objects and not set(objects) <= set(found)):
            bad.append(f"libexeat_{lib}.a: the objects to check are not there")
        for name, symbols in found.items():
            if objects and name not in objects:
                continue
            for symbol in sorted(symbols):
                if IMPURE.match(symbol) and symbol not in ALLOWED_SYMBOLS.get(name, set()):
                    bad.append(f"{lib}/{name}: pure code calls {symbol}")
    return bad


def functions(text):
    """(name, first line, lines) of each function: house style puts its braces in column 0."""
    lines = text.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{" and start is None:
            head = i - 1
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].startswith(("}", "#", "/", " *")):
                head -= 1
            start = head
        elif line == "}" and start is not None:
            m = re.search(r"(\w+)\(", " ".join(lines[start:i]))
            yield (m[1] if m else "?"), start + 1, i - start + 1
            start = None


def check_sizes(root=ROOT):
    bad = []
    for path in sources(root):
        text = open(path, encoding="utf-8").read()
        where = os.path.relpath(path, root)
        name = os.path.basename(path)
        if not re.match(r"/\* " + re.escape(name) + r": ", text):
            bad.append(f"{where}: does not begin with a comment that says what {name} is for")
        if text.count("\n") > FILE_LINES:
            bad.append(f"{where}: {text.count(chr(10))} lines, at most {FILE_LINES}")
        if path.endswith(".c"):
            for function, line, count in functions(text):
                if count >= FUNCTION_LINES:
                    bad.append(f"{where}:{line}: {function}() has {count} lines, under {FUNCTION_LINES} wanted")
    return bad


WORDS = [
    (("src", "include", "policy", "README.md"), re.compile(r"\b(upstream|downstream)\b", re.I), "say client and server"),
    (("src", "include", "policy", "packaging", "tests", "README.md"), re.compile(r"(?<![\w.$}*/-])/(work|srv|mnt)/"),
     "a path that only one machine has"),
]


def check_words(root=ROOT):
    bad = []
    for folders, pattern, why in WORDS:
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders],
                                check=True, capture_output=True).stdout
        for name in sorted(set(listed.decode().split("\0")) - {""}):
            path = os.path.join(root, name)
            if name.startswith(("tests/arch/", "tests/vectors/", "tests/fuzz/corpus/")) or not os.path.isfile(path):
                continue
            for number, line in enumerate(open(path, encoding="utf-8", errors="replace"), 1):
                found = pattern.search(line)
                if found:
                    bad.append(f"{name}:{number}: {found[0]}: {why}")
    return bad


# table: a row's groups, and how code uses the row (the groups are filled in)
ROWS = {
    "include/exeat/reasons.h": (r"^\s+R\((\w+),", r"\bREASON_{0}\b|^ +STATE\(.*\b{0}\b"),
    "src/conf/options.def": (r"^OPTION\((\w+), (\w+),", r"(?:\.|->){0}\.{1}(?:_ms|_bytes)?\b"),
    "src/base/counters.def": (r"^COUNTER\((\w+),", r"\bCOUNTER_{0}\b"),
}


def check_rows(root=ROOT):
    tables = {os.path.join(root, table) for table in ROWS}
    code = "\n".join(open(path, encoding="utf-8").read() for path in sources(root) if path not in tables)
    bad = []
    for table, (row, use) in ROWS.items():
        path = os.path.join(root, table)
        text = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        rows = list(re.finditer(row, text, re.MULTILINE))
        if not rows:
            bad.append(f"{table}: no rows were found")
        for found in rows:
            if not re.search(use.format(*found.groups()), code, re.MULTILINE):
                bad.append(f"{table}:{text.count(chr(10), 0, found.start()) + 1}: {'.'.join(found.groups())}: nobody uses it")
    return bad


def read_states(root=ROOT):
    text = open(os.path.join(root, "src/flow/steps.h"), encoding="utf-8").read()
    table = text[text.index("#define FLOW_STATES"):text.index("enum flow_state")].replace("\\\n", "\n")
    rows = []
    for m in re.finditer(r'STATE\((\w+), (\w+), (.*?),\s*(\w+), (\w+), (\w+),\s*((?:T\(\w+\)\s*)*),\s*"((?:[^"]|"\s*")*)"\)', table, re.S):
        rows.append((m[1], re.findall(r"T\((\w+)\)", m[7]), re.sub(r'"\s*"', "", m[8])))
    return rows


def figure(root=ROOT):
    rows = read_states(root)
    out = ["```mermaid", "stateDiagram-v2", "    [*] --> PREFACE"]
    for name, successors, _ in rows:
        out += [f"    {name} --> {s}" for s in successors]
    out += ["    REFUSE --> CLOSING", "    CUT --> DONE", "    CLOSING --> DONE", "    DONE --> [*]"]
    out = list(dict.fromkeys(out)) + ["```", "", "| state | what happens there |", "|---|---|"]
    return "\n".join(out + [f"| `{name}` | {doc} |" for name, _, doc in rows])


BEGIN, END = "<!-- figure: made by tests/arch/check.py figure --write -->", "<!-- figure ends -->"


def check_figure(write=False, root=ROOT):
    path = os.path.join(root, "src/README.md")
    text = open(path, encoding="utf-8").read()
    names = {row[0] for row in read_states(root)}
    declared = set(re.findall(r"STATE\((\w+), flow_", open(os.path.join(root, "src/flow/steps.h"), encoding="utf-8").read()))
    if names != declared:
        return [f"steps.h: rows that the figure can't read: {sorted(declared - names)}"]
    if BEGIN not in text or END not in text:
        return ["src/README.md has no place for the figure"]
    wanted = text[:text.index(BEGIN)] + BEGIN + "\n" + figure(root) + "\n" + text[text.index(END):]
    if write:
        open(path, "w", encoding="utf-8").write(wanted)
    return [] if write or wanted == text else ["src/README.md: the figure is not that of steps.h: run check.py figure --write"]


def check_self_symbols(root):
    """An archive with one pure and one impure object: the impure call must be found, whatever the object is called."""
    for lib, code in (("wire", "int x(int n) { return socket(n, n, n); }"), ("facts", "int y(void) { return 0; }"),
                      ("rules", "#include <string.h>\nunsigned long z(char *s) { return strlen(s); }")):
        with open(os.path.join(root, lib + ".c"), "w", encoding="utf-8") as f:
            f.write(code + "\n")
        subprocess.run(["gcc", "-w", "-O0", "-fno-builtin", "-c", lib + ".c"], cwd=root, check=True)
        subprocess.run(["ar", "rc", f"libexeat_{lib}.a", lib + ".o"], cwd=root, check=True)
    os.rename(os.path.join(root, "facts.o"), os.path.join(root, "other.o"))
    subprocess.run(["ar", "rc", "libexeat_audit.a", "other.o"], cwd=root, check=True)
    return check_symbols(root)


def check_self():
    """A tree with one fault of each kind: each must be found."""
    bad = []

    def expect(what, found, *wanted):
        if len(found) != len(wanted) or not all(any(w in line for line in found) for w in wanted):
            bad.append(f"{what}: found {found}, not {list(wanted)}")

    with tempfile.TemporaryDirectory() as root:
        for folder in ("src/wire", "src/flow", "src/new", "src/conf", "src/base", "include/exeat"):
            os.makedirs(os.path.join(root, folder))
        files = {
            "src/wire/x.c": '/* y.c: no */\n#include "net/net.h"\n#include "x.h"\nint long_one(void)\n{\n' + "    ;\n" * 80 + "}\n"
                            + "\n" * 900 + "/* upstream */\n",
            "src/flow/a.c": '/* a.c: fine */\n#include "net/net.h"\n#include "net/loop.h"\n#include "exeat/reasons.h"\n'
                            "int short_one(int a,\n              int b)\n{\n" + "    ;\n" * 75 + "}\n",
            "src/new/b.h": "/* b.h: in a folder nobody listed */\n",
            "src/flow/steps.h": '/* steps.h: two states */\n#define FLOW_STATES(STATE, T) \\\n'
                                '    STATE(PREFACE, flow_preface, 0, NONE, NONE, NONE, T(DONE), "begins " \\\n          "here") \\\n'
                                '    STATE(DONE, flow_done, c->x + 1, NONE, NONE, NONE, , "ends")\nenum flow_state { X };\n',
            "include/exeat/reasons.h": '/* reasons.h: two */\n    R(NONE, "none", 0, "", "")\n    R(LOST, "lost", 0, "", "")\n',
            "src/conf/options.def": '/* options.def: two */\nOPTION(dial, wait, DURATION, "1s",\nOPTION(dial, never, INT, "1",\n',
            "src/flow/uses.c": "/* uses.c: one */\nint x(void) { return c->dial.wait_ms; }\n",
            "src/README.md": f"{BEGIN}\nold\n{END}\n",
        }
        for name, text in files.items():
            with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                f.write(text)
        expect("layers", check_layers(root), "wire may not include net/net.h", "by its folder", "net/loop.h is net's own",
               "folder new is not in the table")
        expect("sizes", check_sizes(root), "does not begin with a comment", "at most 900", "long_one() has 83 lines")
        expect("rows", check_rows(root), "reasons.h:3: LOST", "options.def:3: dial.never", "counters.def: no rows")
        subprocess.run(["git", "init", "-q", root], check=True)
        expect("words", check_words(root), "src/wire/x.c:987: upstream")
        expect("figure", check_figure(False, root), "is not that of steps.h")
        check_figure(True, root)
        expect("figure, written", check_figure(False, root))
        with open(os.path.join(root, "src/README.md"), encoding="utf-8") as f:
            text = f.read()
        if "PREFACE --> DONE" not in text or "| `PREFACE` | begins here |" not in text:
            bad.append(f"figure: {text}")
        expect("symbols", check_self_symbols(root), "wire/wire.o: pure code calls socket", "libexeat_audit.a: the objects to check")
    for symbol in ("uv_run", "socket", "clock_gettime", "getrandom", "pthread_mutex_lock", "open64", "fopen"):
        if not IMPURE.match(symbol):
            bad.append(f"symbols: {symbol} passes for pure")
    for symbol in ("memcpy", "malloc", "EVP_DigestInit_ex", "snprintf", "json_loadb", "llhttp_execute", "psl_builtin"):
        if IMPURE.match(symbol):
            bad.append(f"symbols: {symbol} passes for impure")
    return bad


def main(argv):
    checks = {
        "layers": check_layers,
        "sizes": check_sizes,
        "words": check_words,
        "symbols": lambda: check_symbols(argv[2]),
        "rows": check_rows,
        "figure": lambda: check_figure("--write" in argv),
        "self": check_self,
    }
    if len(argv) < 2 or argv[1] not in checks:
        sys.exit(__doc__)
    bad = checks[argv[1]]()
    for line in bad:
        print(line)
    print(f"{argv[1]}: {len(bad)} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
