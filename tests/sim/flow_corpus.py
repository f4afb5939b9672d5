#!/usr/bin/env python3
"""Makes seeds for flow_fuzz.c of the scenarios: flow_corpus.py SCENARIO... FOLDER. What a scenario expects becomes a little
time; what flow_fuzz cannot say (TLS of the peers, other configuration) is left out."""
import pathlib, re, sys

SEND, BULK, ACT = {'c': 0, 's': 1}, {'c': 2, 's': 3}, {'c': 5, 's': 6}
WAIT, DNS, DIAL, AGENT, POLICY, STOP, LEDGER, CONNECT, PICK = 4, 7, 8, 9, 10, 11, 12, 13, 14
TESTS = pathlib.Path(__file__).resolve().parent.parent


def configuration(text):
    for index, mark in ((4, 'proxy_protocol_from'), (4, 'conf limits.'), (3, 'password_file: users'), (2, 'parents'),
                        (1, 'sni_mismatch'), (1, 'audit.full: open'), (1, 'baseline report'), (1, 'baseline open')):
        if mark in text:
            return index
    return 0


def unescape(quoted):
    return re.sub(r'\\(x..|.)', lambda m: {'r': '\r', 'n': '\n', 't': '\t', '0': '\0'}.get(
        m[1], chr(int(m[1][1:], 16)) if m[1][0] == 'x' and len(m[1]) == 3 else m[1]), quoted).encode('latin-1')


def wait(text):
    number, unit = re.match(r'(\d+)(\w+)', text).groups()
    ms = int(number) * {'ms': 1, 's': 1000, 'min': 60000}[unit]
    return bytes([WAIT, ms if ms < 128 else min(127 + ms // 500, 255)])


def send(side, words, line):
    if words[2] == 'file':
        data = (TESTS / words[3]).read_bytes()[:4000]
    elif words[2] == 'bytes':
        return bytes([BULK[side], min(int(words[3]) // 1024, 255)])
    else:
        data = unescape(re.search(r'"((?:\\.|[^"\\])*)"', line)[1])
    return b''.join(bytes([SEND[side], len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))


def peer(words, line, picked):
    side, number = words[0][0], int(words[0][6:] or 0)
    picked[side] = number
    out = bytes([PICK, (max(picked['c'], 1) - 1) % 4 | picked['s'] << 4])
    if words[1] == 'connects':
        return bytes([CONNECT, ('tls' in line) | ('proxy_protocol' in line) << 1])
    if words[1] == 'sends':
        return out + send(side, words, line)
    acts = {'finishes': 0, 'resets': 1, 'stops': 2, 'reads': 3}
    return out + (bytes([ACT[side], acts[words[1]]]) if words[1] in acts else bytes([WAIT, 12]))


def answer(words):
    last = ' '.join(words[1:])
    if words[0] == 'dns':
        kinds = {'not_found': 3, 'fails': 4, 'times_out': 5}
        kind = next((k for w, k in kinds.items() if w in words), 1 if '= 10.' in last else 2 if len(words) > 4 else 0)
        return bytes([DNS, kind | (0x80 if 'cached' in words else 0)])
    if words[0] == 'dial':
        return bytes([DIAL, next((k for w, k in {'refuses': 1, 'unreachable': 2, 'times_out': 3}.items() if w in words), 0)])
    kinds = {'/usr/bin/curl': 0, '/usr/bin/git': 1, '/usr/bin/nc': 2, 'silent': 3, 'absent': 4, 'unknown': 5}
    return bytes([AGENT, next(k for w, k in kinds.items() if w in words)])


def convert(text):
    out, picked, balancer = bytes([configuration(text)]), {'c': 1, 's': 0}, 'proxy_protocol_from: [192.0.2.7]' in text
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] in ('#', 'conf', 'baseline', 'record', 'no', 'flows', 'counter') or line.startswith('#'):
            continue
        if words[0] in ('dns', 'dial', 'agent'):
            out += answer(words)
        elif words[0] == 'wait':
            out += wait(words[1])
        elif words[0] == 'reload':
            out += bytes([POLICY, 6 if 'nobody' in line else 0])
        elif words[0] in ('stop', 'abort'):
            out += bytes([STOP, words[0] == 'abort'])
        elif words[0] == 'ledger':
            out += bytes([LEDGER, words[1] == 'full'])
        else:
            out += peer(words, line + (' proxy_protocol' if balancer else ''), picked)
    return out


for name in sys.argv[1:-1]:
    path = pathlib.Path(name)
    (pathlib.Path(sys.argv[-1]) / path.stem).write_bytes(convert(path.read_text()))
