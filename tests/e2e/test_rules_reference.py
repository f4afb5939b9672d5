"""exeat rules match against a slow and obvious evaluator, on random rules and events; and exeat rules check."""
import base64
import ipaddress
import itertools
import json
import os
import random
import re
import subprocess

import pytest
import yaml

import harness

EXEAT = os.path.join(harness.BUILD or "", "exeat")
pytestmark = pytest.mark.skipif(not os.path.exists(EXEAT), reason="no exeat is built (EXEAT_BUILD)")
FIELDS = ["a", "b", "c", "d", "n", "ip"]
WORDS = ["", "foo", "Foo", "bar", "foobar", "barfoo", "fo", "x", "foo bar", "FOO\\bar", "a*b", "a?b", "-flag", "/flag x", "näh", "NÄH",
         "1", "10", "10.5", "true", "f\no", "foo\\"]
PATTERNS = WORDS + ["fo?", "f*", "*bar", "*o*b*", "?", "*", "f??", r"a\*b", r"a\?b", r"a\\*b", "\\\\x", "n?h", "*\n*"]
REGEXES = ["^foo", "foo$", "fo+b", "[a-f]oo", "^.{3}$", "b.r", "(foo|bar)$", "x|y", "^$", "f.o", "^o"]
ADDRESSES = ["10.0.0.1", "10.1.2.3", "192.168.1.5", "::1", "2001:db8::5", "::ffff:10.0.0.1", "no address"]
NETWORKS = ["10.0.0.0/8", "10.0.0.0/24", "192.168.1.5", "2001:db8::/32", "::1/128", "0.0.0.0/0"]


# ---- the reference: sets of values, Python's re, nothing shared between rules ----

def text(v):
    return "true" if v is True else "false" if v is False else format(v, ".15g") if isinstance(v, float) else str(v)


def tokens(pattern):
    out, i = [], 0
    while i < len(pattern):
        if pattern[i] == "\\" and i + 1 < len(pattern) and pattern[i + 1] in "*?\\":
            out.append(pattern[i + 1])
            i += 1
        else:
            out.append({"*": None, "?": ()}.get(pattern[i], pattern[i]))
        i += 1
    return out


def as_regex(toks):
    return "".join(".*" if t is None else "." if t == () else re.escape(t) for t in toks)


def windash(toks):
    spots = [i for i, t in enumerate(toks) if t in ("-", "/") and not (i and word(toks[i - 1])) and i + 1 < len(toks) and word(toks[i + 1])]
    for choice in itertools.product("-/\u2013\u2014\u2015", repeat=len(spots)):
        copy = list(toks)
        for i, dash in zip(spots, choice):
            copy[i] = dash
        yield copy


def word(t):
    return isinstance(t, str) and (t.isalnum() or t == "_")


def offsets(data):
    for i, (start, cut) in enumerate(zip((0, 2, 3), range(3))):
        coded = base64.b64encode(b" " * i + data).decode()
        yield coded[start:(None, -3, -2)[(len(data) + i) % 3]]


def texts_of(value, mods):
    forms = [tokens(value)]
    for m in mods:
        if m == "windash":
            forms = [f for one in forms for f in windash(one)]
        elif m in ("wide", "utf16le"):
            forms = [[c for t in one for c in t.encode("utf-16le").decode("latin1")] for one in forms]
        elif m == "base64":
            forms = [list(base64.b64encode("".join(one).encode()).decode()) for one in forms]
        elif m == "base64offset":
            forms = [list(o) for one in forms for o in offsets("".join(one).encode())]
    return forms


def matches_text(value, have, mods, keyword):
    flags = re.S | (0 if "cased" in mods else re.I)
    for toks in texts_of(value, mods):
        r = as_regex(toks)
        before = ".*" if keyword or "contains" in mods or "endswith" in mods else ""
        after = ".*" if keyword or "contains" in mods or "startswith" in mods else ""
        if re.fullmatch(before + r + after, have, flags):
            return True
    return False


def number(v):
    try:
        return float(v) if re.fullmatch(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", v) else None
    except ValueError:
        return None


def in_network(have, network):
    try:
        a = ipaddress.ip_address(have)
    except ValueError:
        return False
    a = getattr(a, "ipv4_mapped", None) or a
    return a in ipaddress.ip_network(network)


def one_value(value, have, mods, event):
    have = text(have)
    if "re" in mods:
        flags = (re.I if "i" in mods else 0) | (re.M if "m" in mods else 0) | (re.S if "s" in mods else 0)
        return re.search(value, have, flags) is not None
    if "cidr" in mods:
        return in_network(have, value)
    for op, holds in (("gt", lambda x: x > value), ("gte", lambda x: x >= value), ("lt", lambda x: x < value), ("lte", lambda x: x <= value)):
        if op in mods:
            n = number(have)
            return n is not None and holds(n)
    if "fieldref" in mods:
        fold = lambda s: s if "cased" in mods else s.encode().lower().decode()  # letters of ASCII only
        others = [fold(text(o)) for o in values_of(event, value)]
        have = fold(have)
        return any(o in have if "contains" in mods else have.startswith(o) if "startswith" in mods else have.endswith(o) if "endswith" in mods
                   else have == o for o in others)
    return matches_text(text(value), have, mods, False)


def values_of(event, field):
    v = event.get(field)
    return [x for x in (v if isinstance(v, list) else [v]) if x is not None]


def item(key, value, event):
    field, *mods = key.split("|")
    if "exists" in mods:
        return (field in event) == value
    if value is None:
        result = not values_of(event, field)
        return not result if "neq" in mods else result
    each = value if isinstance(value, list) else [value]
    if not field:
        have = [h for f in event for h in values_of(event, f)]
        results = [any(re.search(v, text(h), re.I if "i" in mods else 0) if "re" in mods else matches_text(text(v), text(h), mods, True)
                       for h in have) for v in each]
    else:
        results = [any(one_value(v, h, mods, event) for h in values_of(event, field)) for v in each]
    result = all(results) if "all" in mods else any(results)
    return not result if "neq" in mods else result


def detection(d, event):
    if isinstance(d, dict):
        return all(item(k, v, event) for k, v in d.items())
    if isinstance(d, list):
        return any(detection(x, event) if isinstance(x, dict) else item("", [x], event) for x in d)
    return item("", [d], event)


def condition(c, detections, event):
    def of(m):
        names = [n for n in detections if not n.startswith("_") and (m[2] == "them" or re.fullmatch(m[2].replace("*", ".*"), n))]
        return "(" + (" and " if m[1] == "all" else " or ").join(f"T['{n}']" for n in names) + ")"
    marked = re.sub(r"\b(1|all|any) of (\S+?)(?=[\s)]|$)", of, c)
    expr = re.sub(r"(?<!')\b(?!and\b|or\b|not\b|T\b)([a-z_]\w*)\b(?!')", r"T['\1']", marked)
    return eval(expr, {}, {"T": {n: detection(d, event) for n, d in detections.items()}})


# ---- random rules and events ----

def random_item(rng):
    kind = rng.randrange(12)
    field = rng.choice(FIELDS)
    many = lambda make: [make() for _ in range(rng.randint(2, 4))] if rng.random() < 0.4 else make()
    if kind < 5:
        mods = [m for m in (rng.choice(["", "", "contains", "startswith", "endswith"]), rng.choice(["", "", "cased"])) if m]
        if rng.random() < 0.1:
            mods.insert(0, "windash")
        value = many(lambda: rng.choice(PATTERNS + [1, 10, True, 7]))
        if isinstance(value, list) and rng.random() < 0.4:
            mods.append("all")
    elif kind == 5:
        mods, value = ["re"] + rng.choice([[], ["i"], ["s"], ["m"], ["i", "m"]]), many(lambda: rng.choice(REGEXES))
    elif kind == 6:
        field, mods, value = rng.choice(["ip", "a"]), ["cidr"], many(lambda: rng.choice(NETWORKS))
    elif kind == 7:
        field, mods, value = rng.choice(["n", "a"]), [rng.choice(["gt", "gte", "lt", "lte"])], rng.choice([0, 1, 5, 10, 10.5, -3])
    elif kind == 8:
        return f"{field}|exists", rng.choice([True, False])
    elif kind == 9:
        mods, value = [], None
    elif kind == 10:
        mods, value = ["fieldref"] + rng.choice([[], ["contains"], ["startswith"], ["endswith"], ["cased"]]), rng.choice(FIELDS)
    else:
        mods = rng.choice([["base64"], ["base64offset", "contains"], ["wide", "base64offset", "contains"]])
        value = rng.choice(["foo", "foobar", "longer text"])
    if rng.random() < 0.1:
        mods.append("neq")
    return "|".join([field] + mods), value


def random_detection(rng):
    kind = rng.randrange(10)
    if kind == 0:
        return [rng.choice(["foo", "BAR", "x", "f?o", "1"]) for _ in range(rng.randint(1, 3))]
    if kind == 1:
        return [dict(random_item(rng) for _ in range(rng.randint(1, 2))) for _ in range(rng.randint(1, 3))]
    if kind == 2:
        return {"|all": ["foo", rng.choice(["bar", "x"])]} if rng.random() < 0.5 else {"|re": rng.choice(REGEXES)}
    return dict(random_item(rng) for _ in range(rng.randint(1, 3)))


def random_condition(rng, names, depth=0):
    kind = rng.randrange(8) if depth < 3 else 0
    if kind < 3:
        return rng.choice(names)
    if kind == 3:
        return "not " + random_condition(rng, names, depth + 1)
    if kind == 4:
        return rng.choice(["1 of them", "all of them", "1 of sel*", "any of sel*", "all of *1"])
    if kind == 5:
        return "(" + random_condition(rng, names, depth + 1) + ")"
    return random_condition(rng, names, depth + 1) + rng.choice([" and ", " or "]) + random_condition(rng, names, depth + 1)


def random_rule(rng, number):
    names = ["sel1", "sel2", "other"][:rng.randint(1, 3)] + (["_hidden"] if rng.random() < 0.1 else [])
    detections = {n: random_detection(rng) for n in names}
    return {"title": f"rule {number}", "id": f"r{number}", "logsource": {"category": "proxy"},
            "detection": {**detections, "condition": random_condition(rng, names)}}


def random_event(rng):
    def value(f):
        one = lambda: rng.choice(ADDRESSES if f == "ip" else [0, 1, 5, 10, 10.5, -3, 11, "10", "x"] if f == "n" else WORDS + [1, 10, True])
        kind = rng.randrange(12)
        coded = base64.b64encode(rng.choice(["foo", "a foobar", "my longer text", "foobar".encode("utf-16le").decode()]).encode()).decode()
        return None if kind == 0 else [one() for _ in range(rng.randint(0, 3))] if kind == 1 else coded if kind == 2 else one()
    return {f: value(f) for f in FIELDS + ["unasked"] if rng.random() < 0.7}


def match(tmp_path, rules, events, *more):
    (tmp_path / "rules").mkdir(exist_ok=True)
    (tmp_path / "rules" / "all.yml").write_text("\n---\n".join(yaml.safe_dump(r, sort_keys=False, allow_unicode=True) for r in rules))
    (tmp_path / "events").write_text("".join(json.dumps(e) + "\n" for e in events))
    done = subprocess.run([EXEAT, "rules", "match", *more, tmp_path / "rules", "--events", tmp_path / "events"],
                          capture_output=True, text=True, timeout=300)
    return [json.loads(line)["rules"] for line in done.stdout.splitlines()], done


@pytest.mark.parametrize("seed", range(4))
def test_random(tmp_path, seed):
    rng = random.Random(seed)
    rules, events = [random_rule(rng, n) for n in range(250)], [random_event(rng) for _ in range(250)]
    got, done = match(tmp_path, rules, events)
    assert done.returncode == 0, done.stderr
    matched = 0
    for event, ids in zip(events, got, strict=True):
        for rule in rules:
            d = dict(rule["detection"])
            wanted = bool(condition(d.pop("condition"), d, event))
            matched += wanted
            assert (rule["id"] in ids) == wanted, (yaml.safe_dump(rule), event, wanted)
    assert matched > 5000


def test_check(tmp_path):
    good = {"title": "t", "id": "1", "logsource": {"category": "proxy"}, "detection": {"s": {"cs-host": "evil.example"}, "condition": "s"}}
    sni = {**good, "id": "2", "logsource": {"product": "zeek", "service": "ssl"}, "detection": {"s": {"server_name": "x"}, "condition": "s"}}
    url = {**good, "id": "3", "detection": {"s": {"c-uri|contains": "/x"}, "condition": "s"}}
    volume = {**good, "id": "4", "detection": {"s": {"cs-bytes|gt": 1000}, "condition": "s"}}
    late = {**good, "id": "5", "detection": {"s": {"cs-bytes|lt": 1000}, "condition": "s"}}
    both = {**good, "id": "6", "detection": {"s": {"cs-host": "x"}, "f": {"cs-host": "y"}, "condition": "s and not f"}}
    bad = {**good, "id": "7", "detection": {"s": {"no-field": "x"}, "condition": "s"}}
    for n, rule in enumerate([good, sni, url, volume, late, both, bad]):
        (tmp_path / f"{n}.yml").write_text(yaml.safe_dump(rule, sort_keys=False))
    (tmp_path / "8.yml").write_text("title: x\nlogsource: {category: proxy}\ndetection:\n  s: {cs-host: x}\n  condition: s and nothing\n")
    done = subprocess.run([EXEAT, "rules", "check", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[:6]] == ["connect", "hello", "request", "relay", "close", "request"]
    assert lines[6].startswith(f"rejected {tmp_path}/6.yml:7:5 no fact answers to the field")
    assert lines[7] == f"rejected {tmp_path}/8.yml:5:20 there is no detection \"nothing\""
    done = subprocess.run([EXEAT, "rules", "check", "--json", tmp_path], capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["ok"] == 6 and answer["by_phase"] == {"connect": 1, "hello": 1, "request": 2, "relay": 1, "close": 1}
    assert [(r["line"], r["column"]) for r in answer["rejected"]] == [(7, 5), (5, 20)]


def test_pathological_patterns_cost_their_rules_only(tmp_path):
    rules = [{"title": "t", "id": str(n), "logsource": {"category": "proxy"}, "detection": {"s": {"f|re": r}, "condition": "s"}}
             for n, r in enumerate([r"^(.*foo.{0,30000})bar", r"^foo", r"(?=x)", r"(a)\1"])]
    got, done = match(tmp_path, rules, [{"f": "foobar"}])
    assert got == [["1"]] and done.returncode == 1 and done.stderr.count("rejected") == 3


def test_placeholders(tmp_path):
    rule = {"title": "t", "id": "1", "logsource": {"category": "proxy"},
            "detection": {"s": {"f|expand": "%who%-%what%"}, "condition": "s"}}
    (tmp_path / "values.yml").write_text("who: [ann, 'b*']\nwhat: [x, y]\n")
    got, done = match(tmp_path, [rule], [{"f": "ann-y"}, {"f": "bob-x"}, {"f": "carl-x"}, {"f": "%who%-%what%"}],
                      "--placeholders", tmp_path / "values.yml")
    assert got == [["1"], ["1"], [], []] and done.returncode == 0
    got, done = match(tmp_path, [rule], [{"f": "ann-y"}])
    assert got == [[]] and done.returncode == 1 and "the placeholder %who% has no value" in done.stderr
