#!/usr/bin/python3
"""Captures what local clients really send as their first TLS flight: capture.py OUT.tsv NAME -- COMMAND...

The command runs with PORT in its arguments replaced by a port of 127.0.0.1; the bytes of the first connection up to the
end of the ClientHello (all its records) become one line: name, tab, hex."""
import socket, subprocess, sys, time

def hello_end(data):
    at = have = 0
    need = None
    message = b""
    while len(data) - at >= 5:
        size = int.from_bytes(data[at + 3:at + 5], "big")
        if len(data) - at - 5 < size:
            return None
        message += data[at + 5:at + 5 + size]
        at += 5 + size
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return at
    return None

out, name, command = sys.argv[1], sys.argv[2], sys.argv[4:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(8)
port = str(listener.getsockname()[1])
p = subprocess.Popen([a.replace("PORT", port) for a in command], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
listener.settimeout(30)
peer, _ = listener.accept()
peer.settimeout(10)
data = b""
while hello_end(data) is None:
    more = peer.recv(65536)
    if not more:
        sys.exit("no hello: " + data.hex())
    data += more
peer.close()
listener.close()
p.terminate()
p.wait()
with open(out, "a") as f:
    f.write(name + "\t" + data[:hello_end(data)].hex() + "\n")
