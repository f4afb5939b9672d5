"""A host agent of the test's own: says of each connection what the test wants, for whichever host, by include/exeat/agent_protocol.h."""
import json
import os
import socket
import threading
import time

HISTORY = {"window_s": 3600, "seen": [], "losses": {"events": 0, "files": 0, "forgotten": 0}, "not_observable": []}


def usage(executions, connected):
    now = int(time.time() * 1000)
    return {"executions": {"count": executions, "first_ms": now - 86400000, "last_ms": now},
            "connections": {"count": connected, "first_ms": now - 86400000, "last_ms": now}, "connected_executions": connected}


class FakeAgent:
    """Everything may be changed while it runs: `host` names the host of the next answers, `sender` has members of the sender, `history`
    goes along. `keep`: how many lineages it keeps (0: it doesn't know the message), `outcome` and `until_ms` what it says to that."""

    def __init__(self, path, host="ws-17", keep=0):
        self.path, self.host, self.keep = path, host, keep
        self.sender = {"executable": "/usr/bin/tool", "name": "tool"}
        self.history = dict(HISTORY)
        self.outcome, self.until_ms, self.kept_history = "kept", 0, None
        self.confidence = "exact"
        self.serial = 0
        self.keeps, self.errors = [], []
        path.parent.mkdir(mode=0o755, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        capabilities = {"owner": "bpf", "bpf": True, "degraded": [], "platform": "linux", "not_observable": []}
        if self.keep:
            capabilities["keep"] = self.keep
        try:
            self._say(link, {"type": "hello", "program": "fake", "version": "1", "host": {"name": self.host, "id": None},
                             "capabilities": capabilities})
            for line in link.makefile():
                message = json.loads(line)
                take = {"ask": self._take_ask, "keep": self._take_keep, "error": self.errors.append}.get(message["type"])
                answer = take(message) if take else None
                if answer:
                    self._say(link, {"id": message["id"], "nonce": message["nonce"], "host": self.host, **answer})
        except OSError:
            pass

    @staticmethod
    def _say(link, message):
        link.sendall((json.dumps({"v": 1, **message}) + "\n").encode())

    def _take_ask(self, _):
        self.serial += 1
        ref = f"4242.{self.serial}.1"
        sender = {"pid": 4242, "start_ticks": self.serial, "hash_state": "pending", "uid": 0, "user": "root",
                  "writable_by_user": False, "borrowed": [], "parents": [], "arguments": [], **self.sender}
        return {"type": "answer", "confidence": self.confidence, "basis": "connect",
                "reason": None if self.confidence == "exact" else "exec_changed", "holders": [], "sender_ref": ref,
                "sender": sender, "history": self.history}

    def _take_keep(self, message):
        self.keeps.append(message)
        if not self.keep:
            return {"type": "error", "code": "unknown_type", "text": "no such type of message"}
        answer = {"type": "kept", "sender_ref": message["sender_ref"], "outcome": self.outcome}
        if self.outcome == "kept":
            answer["until_ms"] = self.until_ms
        if self.kept_history:
            answer["history"] = self.kept_history
        return answer
