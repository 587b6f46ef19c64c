"""`wscat`, the client people type with, against the real binary."""

import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from server import TOP, Server

WSCAT = TOP / "ci" / "node_modules" / ".bin" / "wscat"
SECONDS = 15


class Wscat:
    """One `wscat`. It prints to a terminal only, so it gets a pseudo-terminal."""

    def __init__(self, url, *arguments):
        ours, theirs = pty.openpty()
        self._terminal = ours
        self._process = subprocess.Popen(
            [WSCAT, "--no-color", *arguments, "--connect", url],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = ""

    def type(self, line):
        os.write(self._terminal, line.encode() + b"\r")

    def wait_for(self, pattern):
        """Until `pattern` is on the terminal; the match is taken off it."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self._shown)):
            ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"wscat did not show {pattern!r} but:\n{self._shown}")
            try:
                self._shown += os.read(self._terminal, 65536).decode(errors="replace")
            except OSError:  # EIO: it has ended and closed its side
                raise AssertionError(f"wscat ended without {pattern!r}:\n{self._shown}") from None
        self._shown = self._shown[found.end() :]
        return found

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=SECONDS)
        os.close(self._terminal)


class Chat(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.stop)

    def join(self, *arguments):
        client = Wscat(self.server.url, *arguments)
        self.addCleanup(client.stop)
        client.wait_for("Connected")
        return client

    def test_what_one_types_all_read(self):
        ada, ben = self.join(), self.join()

        ada.type("hello from a terminal")

        ada.wait_for("< hello from a terminal")
        ben.wait_for("< hello from a terminal")

    def test_a_ping_typed_is_answered(self):
        client = self.join("--slash", "--show-ping-pong")

        client.type("/ping anybody")

        client.wait_for(r'Received pong \(data: "anybody"\)')

    def test_a_close_with_a_code_is_answered_with_the_same(self):
        client = self.join("--slash")

        client.type("/close 4001 enough")

        client.wait_for(r"Disconnected \(code: 4001")

    def test_a_server_that_ends_says_going_away(self):
        client = self.join()

        self.server.stop()

        client.wait_for(r"Disconnected \(code: 1001")
