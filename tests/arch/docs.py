#!/usr/bin/python3
"""docs.py BUILD: what the READMEs and policy/ say is so: files, functions, options, reasons, commands and record fields they name
exist, the folders' table is the layers' table, and every example of configuration is read by `exeat config check`."""
import os
import re
import subprocess
import sys
import tempfile

import check

ROOT = check.ROOT
BUILD = sys.argv[1]
TOP = ("src", "include", "policy", "packaging", "tests", "certs")
faults = []


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def sources():
    for path in check.sources():
        yield os.path.relpath(path, ROOT), open(path, encoding="utf-8").read()


SOURCES = dict(sources())
EVERYTHING = "\n".join(SOURCES.values())


def expect(fine, document, what):
    if not fine:
        faults.append(f"{document}: {what}")


def code_words(text):
    """What stands between backticks, outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def check_files(document, text, base):
    for word in code_words(text):
        for name in re.findall(r"^((?:\.\./)?[\w.-]+/[\w./-]*|[\w-]+\.(?:c|h|def|md))$", word):
            candidates = [os.path.join(ROOT, base, name), os.path.join(ROOT, name)]
            known = name.split("/")[0] in TOP or base or name.endswith((".c", ".h"))
            if name.startswith(("build/", "/")) or not known:
                continue
            elsewhere = "/" not in name and any(os.path.basename(p) == name for p in SOURCES)
            expect(elsewhere or any(os.path.exists(c) for c in candidates), document, f"`{name}` is not there")
        for function in re.findall(r"^(\w+)\(\)$", word):
            expect(re.search(r"\b" + function + r"\(|define " + function, EVERYTHING), document, f"`{function}()` is not there")


def check_names(document, text):
    options = {f"{s}.{n}" for s, n in re.findall(r"^OPTION\((\w+), (\w+),", read("src/conf/options.def"), re.M)}
    reasons = set(re.findall(r'R\(\w+, "(\w+)"', read("include/exeat/reasons.h")))
    sections = {o.split(".")[0] for o in options}
    for word in code_words(text):
        if re.fullmatch(r"[a-z_]+\.[a-z_]+", word) and word.split(".")[0] in sections and not word.endswith((".c", ".h", ".def")):
            expect(word in options, document, f"`{word}` is no option")
    commands = re.findall(r'COMMAND\("([^"]+)"', read("src/cmd/commands.def"))
    for said in re.findall(r"(?:^|`)exeat ((?:[a-z]+ ?)+)", text, re.M):
        expect(any((said.strip() + " ").startswith(c + " ") for c in commands + ["help"]), document, f"`exeat {said.strip()}` is no command")
    table = text.partition("| symptom |")[2].partition("\n\n")[0]
    for word in re.findall(r"`([a-z]+_[a-z_]+)`", table):
        expect(word in reasons, document, f"`{word}` is no reason")
    fields = text.partition("| in the record |")[2].partition("\n\n")[0]
    for row in re.findall(r"^\| (`[^|]+) \|", fields, re.M):
        for name in re.findall(r"`([\w.]+)`", row):
            expect(f'"{name}' in EVERYTHING or f'"{name.split(".")[-1]}"' in EVERYTHING, document, f"no record has `{name}`")


def check_examples(document, text):
    """```yaml blocks whose first line names the file they are of."""
    found = re.findall(r"^```yaml\n# ([\w.]+)\n(.*?)^```", text, re.S | re.M)
    expect(found, document, "has no example that can be checked")
    for kind, example in found:
        with tempfile.TemporaryDirectory() as folder:
            config = "" if kind == "baseline" else example
            baseline = example if kind == "baseline" else read("policy/baseline.yaml")
            for name, content in (("exeat.yaml", config), ("baseline.yaml", baseline)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                    f.write(content)
            run_check(document, os.path.join(folder, "exeat.yaml"))


def run_check(document, path):
    p = subprocess.run([os.path.join(BUILD, "exeat"), "config", "check", path], capture_output=True, text=True, check=False)
    expect(p.returncode == 0, document, f"an example is wrong: {p.stdout}{p.stderr}")


def check_tour(document, text):
    for path in SOURCES:
        if path.startswith("src/flow/") and path.endswith(".c"):
            expect(path[4:] in text, document, f"the tour does not visit {path}")
    rows = dict(re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", text, re.M))
    expect(set(rows) == set(check.LAYERS) - {"."}, document, f"the table of folders is not the layers': {sorted(rows)}")
    said = {}
    for folder, may in rows.items():
        names = set(re.findall(r"\w+", may)) & set(check.LAYERS)
        if "all of the above" in may:
            names = set(list(rows)[:list(rows).index(folder)])
        elif "and below" in may:
            names |= set().union(*(said[n] for n in list(names)))
        said[folder] = names
    for folder, names in said.items():
        expect(names >= check.LAYERS[folder] if "below" in rows[folder] else names == check.LAYERS[folder],
               document, f"{folder}/ may include {sorted(check.LAYERS[folder])}, not {sorted(names)}")


readme, tour = read("README.md"), read("src/README.md")
check_files("README.md", readme, "")
check_names("README.md", readme)
check_examples("README.md", readme)
check_files("src/README.md", tour, "src")
check_names("src/README.md", tour)
check_tour("src/README.md", tour)
run_check("policy/", os.path.join(ROOT, "policy/exeat.yaml"))

for fault in faults:
    print(fault)
print(f"docs: {len(faults)} faults")
sys.exit(1 if faults else 0)
