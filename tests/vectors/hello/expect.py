#!/usr/bin/python3
"""Works out JA3 and JA4 of captured hellos a second time, by another program than the one under test:
expect.py < CAPTURED.tsv > clients.tsv  (name, hex -> name, JA3 hash, JA4, hex)."""
import hashlib
import sys


def grease(v):
    return v & 0x0F0F == 0x0A0A and v >> 8 == v & 255


def u16s(b):
    return [int.from_bytes(b[i:i + 2], "big") for i in range(0, len(b), 2)]


def message(flight):
    out = b""
    while flight:
        size = int.from_bytes(flight[3:5], "big")
        out += flight[5:5 + size]
        flight = flight[5 + size:]
    return out


def fingerprints(m):
    version, at = u16s(m[4:6])[0], 38
    at += 1 + m[at]
    size = u16s(m[at:at + 2])[0]
    suites = [v for v in u16s(m[at + 2:at + 2 + size]) if not grease(v)]
    at += 2 + size
    at += 1 + m[at] + 2
    extensions = []
    while at < len(m):
        kind, size = u16s(m[at:at + 4])
        extensions.append((kind, m[at + 4:at + 4 + size]))
        at += 4 + size
    first = dict(reversed(extensions))
    kinds = [k for k, _ in extensions if not grease(k)]
    groups = [v for v in u16s(first.get(10, b"")[2:]) if not grease(v)]
    points = list(first.get(11, b"")[1:])
    ja3 = ",".join([str(version)] + ["-".join(map(str, x)) for x in (suites, kinds, groups, points)])
    versions = [v for v in u16s(first.get(43, b"")[1:]) if not grease(v)]
    code = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10"}[max(versions or [version])]
    alpn = first.get(16)
    slot = "00"
    if alpn:
        name = alpn[3:3 + alpn[2]]
        slot = chr(name[0]) + chr(name[-1])
    algorithms = [v for v in u16s(first.get(13, b"")[2:]) if not grease(v)]
    listed = ",".join("%04x" % k for k in sorted(k for k in kinds if k not in (0, 16)))
    if algorithms:
        listed += "_" + ",".join("%04x" % a for a in algorithms)
    digest = [hashlib.sha256(s.encode()).hexdigest()[:12]
              for s in (",".join("%04x" % s for s in sorted(suites)), listed)]
    ja4 = "t%s%s%02d%02d%s_%s_%s" % (code, "d" if 0 in first else "i", min(len(suites), 99), min(len(kinds), 99), slot, *digest)
    return hashlib.md5(ja3.encode()).hexdigest(), ja4


for line in sys.stdin:
    name, flight = line.split()
    print(name, *fingerprints(message(bytes.fromhex(flight))), flight, sep="\t")
