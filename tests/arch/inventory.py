#!/usr/bin/env python3
"""Has every id of the catalogues of anomalies a test that has it, and one that must not? Holds inventory.txt to both sides.

    inventory.py [--self]

A row is wrong when its test isn't there, when that doesn't name the id, or, for what must not have it, neither names it nor compares
the whole set. Rows and registry must be the same ids in the same order.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGISTRIES = [("src/facts/anomalies.def", r"^ANOMALY\((\w+),"), ("src/tls/chain_anomalies.def", r"^CHAIN_ANOMALY\((\w+),")]
# said by facts of their own, which no list of ids holds: the sender's history knows them, no server has a part in them
FACTS = {"H31": "ja4_new_for_sender", "H32": "ja4_contradicts_sender"}
WHOLE = re.compile(r"expect_ids|expect_plan|expect_set|expect_reader|check\(&|anomalies=[\[(]")
ROW = re.compile(r"^([CPH]\d\d)\s+(\S+)\s+(= )?\s*(\S+)$")


def body_of(text, name, python):
    """The test's own text, with the tables of its file that it names."""
    start = re.search(rf"^(?:def|static void) {name}\(", text, re.M)
    if not start:
        return None
    end = re.compile(r"^\S", re.M) if python else re.compile(r"^\}", re.M)
    after = text.index("\n", start.start())
    stop = end.search(text, after + 3)
    body = text[start.start():stop.start() if stop else len(text)]
    for table in set(re.findall(r"\b[A-Z][A-Z_0-9]{3,}\b", body)) if python else ():
        found = re.search(rf"^{table} = .*?^\S?[\]}})]?$", text, re.M | re.S)
        body += found.group(0) if found else ""
    return body


def text_of(cited, faults, where):
    file, _, name = cited.partition("::")
    path = ROOT / "tests" / file
    if not path.exists():
        faults.append(f"{where}: there is no tests/{file}")
        return None
    text = path.read_text()
    body = body_of(text, name, path.suffix == ".py") if name else text
    if body is None:
        faults.append(f"{where}: there is no test {name} in tests/{file}")
    return body


def check(lines, ids):
    faults, seen = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        row, where = ROW.match(line.strip()), f"inventory.txt:{number}"
        if not row:
            faults.append(f"{where}: this is no row")
            continue
        this, has, whole, lacks = row.groups()
        seen.append(this)
        named = re.compile(rf"(?<![0-9A-Za-z]){this}(?![0-9A-Za-z])")
        body = text_of(has, faults, where)
        if body is not None and not named.search(body):
            faults.append(f"{where}: {has} says nothing of {this}")
        body = text_of(lacks, faults, where)
        if body is not None and not (WHOLE.search(body) if whole else named.search(body)):
            faults.append(f"{where}: {lacks} says nothing of {this}" + (", and compares no set" if whole else ""))
    faults += [f"{i} has no row" for i in ids if i not in seen] + [f"{i} is no id, or has two rows" for i in
                                                                   {s for s in seen if s not in ids or seen.count(s) > 1}]
    return faults


def registered():
    ids = []
    for path, pattern in REGISTRIES:
        ids += re.findall(pattern, (ROOT / path).read_text(), re.M)
    return [i for i in ids if i not in FACTS]


def self_test():
    ids = ["C04", "P17"]
    good = ["C04 unit/chain_verify_test.c::test_leaf = unit/chain_verify_test.c::test_good",
            "P17 e2e/test_peek.py::test_a_probe_that_is_shown_something_else e2e/test_peek.py::test_matrix"]
    assert check(good, ids) == [], check(good, ids)
    assert check(good[:1], ids) == ["P17 has no row"]
    for bad in (good[0].replace("test_leaf", "test_none"), good[0].replace("test_leaf", "test_good"), good[0].replace("= ", ""),
                good[0].replace("C04", "C99"), "C04 x", good[0].replace("chain_verify_test", "none")):
        assert check([bad, good[1]], ids), bad
    assert check(good + good[:1], ids)


def main():
    self_test()
    faults = check((ROOT / "tests/arch/inventory.txt").read_text().splitlines(), registered())
    for fault in faults:
        print(fault)
    print(f"inventory: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
