#!/usr/bin/python3
"""quickstart_records.py FILE OFFSET COUNT: waits until FILE has, from byte OFFSET on, the close records of COUNT exchanges, and
prints them as a person would want to read them: who, where, verdict, why. Exits with 1 when they don't come in ten seconds."""
import json
import sys
import textwrap
import time

path, offset, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def get(record, names, otherwise=None):
    for name in names.split("."):
        if not isinstance(record, dict) or name not in record:
            return otherwise
        record = record[name]
    return record


def plain(text):
    """What a peer or a process chose to be called must not move the cursor."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def closed():
    try:
        with open(path, "rb") as f:
            f.seek(offset)
            lines = [line for line in f if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
    records = [json.loads(line) for line in lines]
    return [r for r in records if get(r, "metadata.uid", "").endswith(".c")]


deadline = time.monotonic() + 10
while len(closed()) < wanted and time.monotonic() < deadline:
    time.sleep(0.05)
records = closed()

for r in records:
    blocked = get(r, "unmapped.verdict.action") == "block"
    program = get(r, "actor.process.file.path", "unknown")
    user = get(r, "actor.process.user.name", "?")
    parent = get(r, "actor.process.parent_process.name")
    who = f"{program} (pid {get(r, 'actor.process.pid', '?')}, user {user}" + (f", started by {parent}" if parent else "") + ")"
    where = f"{get(r, 'dst_endpoint.hostname') or get(r, 'dst_endpoint.ip', '?')}:{get(r, 'dst_endpoint.port', '?')}"
    rule = get(r, "firewall_rule.name")
    why = get(r, "message", "") if blocked else f'baseline entry "{rule}"'
    print(f"\n  who      {plain(who)}")
    print(f"  where    {plain(where)}")
    print(f"  verdict  {'REFUSED' if blocked else 'let out'}")
    print(f"  why      {plain(why)}")
    seen = []
    if get(r, "tls.sni"):
        seen.append(f"server name {get(r, 'tls.sni')}")
    hello = next((v for v in get(r, "unmapped", {}).values() if isinstance(v, dict) and "ja4" in v), {})
    if hello:
        seen.append(f"JA4 {hello['ja4']}")
    if get(r, "traffic.bytes"):
        seen.append(f"{get(r, 'traffic.bytes_out')} bytes out, {get(r, 'traffic.bytes_in')} in")
    if seen:
        print(textwrap.fill(plain(", ".join(seen)), 110, initial_indent="  seen     ", subsequent_indent="           "))
    print(f"  record   {plain(get(r, 'metadata.correlation_uid', '?'))}")

if len(records) < wanted:
    print(f"\n{len(records)} of {wanted} exchanges are in {path}: the others' records did not come", file=sys.stderr)
    sys.exit(1)
