#!/usr/bin/env python3
"""statistics_reference.py: an independent computation of what facts/ computes, for statistics_test.c: one line in, one line out.
  beacon START_MS:BYTES...      score intervals sizes duration histogram interval_s
  habit OUT:IN...               p99 (exact) mean of the ratios
  volume NOW_S T_S:OUT:IN...    for hour, day, month: least and most bytes out that a right answer has
  payload HEX                   entropy chi-square"""
import math
import statistics
import sys


def regularity(values):
    q1, q2, q3 = statistics.quantiles(values, n=4, method="inclusive")
    skew = (q1 + q3 - 2 * q2) / (q3 - q1) if q3 > q1 else 0
    mad = statistics.median(abs(v - q2) for v in values)
    spread = max(0, (q2 - mad) / q2) if q2 > 0 else 0
    return (1 - abs(skew) + spread) / 2


def beacon(*flows):
    flows = [tuple(map(int, f.split(":"))) for f in flows]
    last = flows[-48:]
    starts = sorted(start // 100 / 10 for start, _ in last)
    intervals = [b - a for a, b in zip(starts, starts[1:])]
    hours = [start // 3600000 for start, _ in flows]
    latest = max(hours)
    day = [h for h in hours if latest - h < 24]
    span = range(min(day), latest + 1)
    counts = [day.count(h) for h in span][:-1]
    even = max(0, 1 - statistics.pstdev(counts) / statistics.mean(counts)) if len(counts) >= 4 else 0
    parts = [regularity(intervals), regularity([size for _, size in last]), min(1, max(starts[-1] - starts[0], (len(span) - 1) * 3600) / 86400), even]
    return [statistics.mean(parts), *parts, statistics.median(intervals)]


def habit(*flows):
    flows = [tuple(map(int, f.split(":"))) for f in flows]
    sent = sorted(out for out, _ in flows)
    return [sent[math.ceil(0.99 * len(sent)) - 1], statistics.mean((o - i) / (o + i) for o, i in flows)]


def volume(now, *flows):
    now = int(now)
    flows = [tuple(map(int, f.split(":"))) for f in flows]
    answer = []
    for window, slot in ((3600, 600), (86400, 7200), (30 * 86400, 86400)):
        answer.append(sum(out for t, out, _ in flows if t > now - window))
        answer.append(sum(out for t, out, _ in flows if t > now - window - slot))
    return answer


def payload(text):
    data = bytes.fromhex(text)
    counts = [data.count(v) for v in range(256)]
    entropy = -sum(c / len(data) * math.log2(c / len(data)) for c in counts if c)
    expected = len(data) / 256
    return [entropy, sum((c - expected) ** 2 / expected for c in counts)]


for line in sys.stdin:
    what, *arguments = line.split()
    print(*(f"{x:.9f}" for x in globals()[what](*arguments)), flush=True)
