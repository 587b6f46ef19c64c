#!/usr/bin/env python3
"""Lists the sessions of a running hioload, writes to some and kicks some, as an operator would.

    use_sessions.py --admin HOST:PORT --target HOST:PORT --others N [--own N] [--rate R]

Waits until N others are connected, opens sessions of its own, and then pages through GET /sessions,
R pages of 1000 a second, until SIGTERM and two passes at least. With each page it sends a message to one of its own, and
after each last page it kicks one. Then it checks that those who stayed were on one page each time,
that what was sent arrived in order, and that those who were kicked were told so. Prints one line of
JSON; status 1 where a check failed.

What comes is kept as it is and looked at after SIGTERM, so that little of the CPU goes here.
"""

import argparse
import base64
import collections
import http.client
import json
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time

PATIENCE_S = 30
KICK_CODE = 4001


class Client:
    """A WebSocket session that keeps whatever comes."""

    def __init__(self, target):
        self.stream = socket.create_connection(target, PATIENCE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {target[0]}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.stream.recv(65536)
            if not more:
                raise OSError("the stream ended within the answer to the upgrade")
            head += more
        if not head.startswith(b"HTTP/1.1 101 "):
            raise OSError(f"not upgraded: {head[:80]!r}")
        self.received = [head.partition(b"\r\n\r\n")[2]]
        host, port = self.stream.getsockname()[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.id = None
        self.sent = 0
        self.kicked = False

    def take(self):
        """Keeps what is there; False at the end of the stream."""
        try:
            data = self.stream.recv(1 << 20)
        except ConnectionResetError:
            return False
        self.received.append(data)
        return bool(data)

    def frames(self):
        """Opcode and payload of each frame so far. None is fragmented or masked."""
        data, at = b"".join(list(self.received)), 0
        while len(data) - at >= 2:
            opcode, length, at = data[at] & 15, data[at + 1] & 127, at + 2
            wide = {126: "!H", 127: "!Q"}.get(length)
            if wide:
                if len(data) - at < struct.calcsize(wide):
                    return
                (length,) = struct.unpack_from(wide, data, at)
                at += struct.calcsize(wide)
            if len(data) - at < length:
                return
            yield opcode, data[at : at + length]
            at += length

    def faults(self):
        frames = list(self.frames())
        direct = [payload for opcode, payload in frames if opcode == 1 and payload.startswith(b"direct ")]
        if direct != [b"direct %d" % number for number in range(self.sent)]:
            yield f"{self.peer} got {len(direct)} of {self.sent} messages, or not in order"
        closes = [struct.unpack_from("!H", payload)[0] for opcode, payload in frames if opcode == 8]
        if closes != ([KICK_CODE] if self.kicked else []):
            yield f"{self.peer} was closed with {closes}, kicked: {self.kicked}"


class Reader(threading.Thread):
    """Takes what comes for all of the clients."""

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        for client in clients:
            self.selector.register(client.stream, selectors.EVENT_READ, client)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if not key.data.take():
                    self.selector.unregister(key.fileobj)


class Admin:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        self.asked = time.monotonic()

    def ask(self, method, path, body=None):
        # The server ends connections that are silent for five seconds.
        if time.monotonic() - self.asked > 2:
            self.connection.close()
        self.asked = time.monotonic()
        self.connection.request(method, path, body, {"Content-Type": "text/plain"} if body else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 202):
            raise OSError(f"{method} {path}: {answer.status} {text.decode().strip()}")
        return text

    def page(self, after):
        return self.ask("GET", f"/sessions?limit=1000{after}")


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--admin", required=True)
    flags.add_argument("--target", required=True)
    flags.add_argument("--others", type=int, required=True)
    flags.add_argument("--own", type=int, default=50)
    flags.add_argument("--rate", type=float, default=10)
    flags = flags.parse_args()
    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())

    admin = Admin(address(flags.admin))
    while json.loads(admin.ask("GET", "/stats"))["probes"]["active_clients"] < flags.others:
        if asked_to_end.wait(0.1):
            return "the others did not all connect"
    clients = [Client(address(flags.target)) for _ in range(flags.own)]
    Reader(clients).start()
    name(admin, clients)
    report = use(admin, clients, flags.rate, asked_to_end)
    print(json.dumps(report))
    return 1 if report["faults"] else 0


def name(admin, clients):
    """Finds the ids of our sessions."""
    ids, after = {}, ""
    while after is not None:
        page = json.loads(admin.page(after))
        ids |= {session["peer"]: session["id"] for session in page["sessions"]}
        after = page["next"] and f"&after={page['next']}"
    for client in clients:
        client.id = ids[client.peer]


def use(admin, clients, rate, asked_to_end):
    passes, pages, times_ms, sends, kicks = [], [], [], 0, 0
    staying = collections.deque(clients)
    start = due = time.monotonic()
    # Two passes at least, even where the load client was quicker.
    while not asked_to_end.wait(max(0, due - time.monotonic())) or len(passes) < 2:
        due += 1 / rate
        after = f"&after={cursor(pages[-1])}" if pages else ""
        asked = time.monotonic()
        pages.append(admin.page(after))
        times_ms.append((time.monotonic() - asked) * 1000)
        staying.rotate()
        admin.ask("POST", f"/sessions/{staying[0].id}/send", f"direct {staying[0].sent}")
        staying[0].sent += 1
        sends += 1
        if cursor(pages[-1]) is None:
            passes.append(pages)
            pages = []
            # One at least is left to be written to.
            if len(staying) > 1:
                client = staying.pop()
                admin.ask("POST", f"/sessions/{client.id}/kick?code={KICK_CODE}&reason=measured")
                client.kicked = True
                kicks += 1
    seconds = time.monotonic() - start
    # What was sent last is on its way.
    end = time.monotonic() + PATIENCE_S
    while (faults := [fault for client in clients for fault in client.faults()]) and time.monotonic() < end:
        time.sleep(0.2)
    faults += listing_faults(passes)
    times_ms.sort()
    return {
        "seconds": round(seconds, 2),
        "pages": len(times_ms),
        "passes": len(passes),
        "page_ms_p50": round(times_ms[len(times_ms) // 2], 2) if times_ms else None,
        "page_ms_max": round(times_ms[-1], 2) if times_ms else None,
        "sends": sends,
        "kicks": kicks,
        "faults": faults[:10],
    }


def cursor(page):
    """The id behind which the next page begins; None on the last one. Without reading all of it."""
    value = page[page.rindex(b'"next":') + len(b'"next":') :].rstrip(b"}\n")
    return None if value == b"null" else value.strip(b'"').decode()


def listing_faults(passes):
    """Nobody is listed twice, and who is there in the pass before and in the one after is listed."""
    ids = []
    for pages in passes:
        listed = [session["id"] for page in pages for session in json.loads(page)["sessions"]]
        if len(listed) != len(set(listed)):
            yield f"{len(listed) - len(set(listed))} sessions were listed twice"
        ids.append(set(listed))
    for before, between, after in zip(ids, ids[1:], ids[2:]):
        if missing := (before & after) - between:
            yield f"{len(missing)} sessions were left out"


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    sys.exit(main())
