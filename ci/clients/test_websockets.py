"""Python's `websockets`, an independent client, against the real binary."""

import contextlib
import unittest

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from server import Server

SECONDS = 10
MIB = 1 << 20


def join(server, **options):
    """Joins the chat; nothing is read ahead of what a test asks for."""
    return connect(server.url, proxy=None, max_size=None, open_timeout=SECONDS, close_timeout=SECONDS, **options)


class Broadcast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.ada, self.ben = self.join(), self.join()
        # A session is there for sure once it has got something.
        for client in (self.ada, self.ben):
            self.assertTrue(client.ping().wait(SECONDS))

    def join(self):
        return self.enterContext(join(self.server))

    def assert_both_get(self, message):
        for client in (self.ada, self.ben):
            self.assertEqual(client.recv(timeout=SECONDS), message)

    def test_a_text_reaches_everyone_and_its_sender(self):
        self.ada.send("grüße, 世界 🌍")
        self.assert_both_get("grüße, 世界 🌍")

    def test_binary_stays_binary(self):
        self.ada.send(bytes(range(256)))
        self.assert_both_get(bytes(range(256)))

    def test_empty_messages_are_messages(self):
        self.ada.send("")
        self.ada.send(b"")
        self.assert_both_get("")
        self.assert_both_get(b"")

    def test_fragments_arrive_as_one_message(self):
        self.ada.send(["one, ", "two ä", "", " and three"])
        self.assert_both_get("one, two ä and three")
        self.ada.send([b"\x00" * 1000, b"\xff" * 70_000])
        self.assert_both_get(b"\x00" * 1000 + b"\xff" * 70_000)

    def test_a_ping_between_fragments_is_answered_at_once(self):
        with self.ada.send_context():
            self.ada.protocol.send_text(b"before, ", fin=False)
        self.assertTrue(self.ada.ping("in between").wait(SECONDS))
        with self.ada.send_context():
            self.ada.protocol.send_continuation(b"after", fin=True)
        self.assert_both_get("before, after")

    def test_a_ping_is_answered_with_its_own_payload(self):
        self.assertTrue(self.ada.ping("x" * 125).wait(SECONDS))

    def test_a_close_code_comes_back(self):
        self.ada.close(4000, "had enough")
        self.assertEqual(self.ada.protocol.close_rcvd.code, 4000)

        self.ben.send("still here")
        self.assertEqual(self.ben.recv(timeout=SECONDS), "still here")

    def test_messages_keep_their_order(self):
        for batch in range(20):
            texts = [f"batch {batch}, number {i}" for i in range(100)]
            for text in texts:
                self.ada.send(text)
            for client in (self.ben, self.ada):
                self.assertEqual([client.recv(timeout=SECONDS) for _ in texts], texts)

    def test_compression_is_not_offered(self):
        self.assertIsNone(self.ada.response.headers.get("Sec-WebSocket-Extensions"))

    def test_another_path_is_no_websocket(self):
        with self.assertRaises(InvalidStatus) as raised:
            self.enterContext(connect(self.server.url.replace("/ws", "/elsewhere"), proxy=None))
        self.assertEqual(raised.exception.response.status_code, 404)


class Limits(unittest.TestCase):
    def test_a_message_of_16_mib_passes_where_the_limit_allows_it(self):
        server = self.start('[websocket]\nmessage_max = "16 MiB"\n\n[broadcast]\nbacklog_max = "64 MiB"\n')
        message = bytes(range(256)) * (16 * MIB // 256)
        with join(server) as ada, join(server) as ben:
            self.assertTrue(ben.ping().wait(SECONDS))
            ada.send(message)
            for client in (ben, ada):
                # Not assertEqual: it would print 16 MiB.
                self.assertTrue(client.recv(timeout=SECONDS) == message)

    def test_a_byte_more_than_the_limit_is_refused_with_1009(self):
        server = self.start('[websocket]\nmessage_max = "64 KiB"\n')
        with join(server) as ada, join(server) as ben:
            with contextlib.suppress(ConnectionClosed):
                ada.send(b"x" * (64 * 1024 + 1))
            with self.assertRaises(ConnectionClosed) as raised:
                ada.recv(timeout=SECONDS)
            self.assertEqual(raised.exception.rcvd.code, 1009)

            ben.send(b"x" * (64 * 1024))
            self.assertEqual(len(ben.recv(timeout=SECONDS)), 64 * 1024)

    def test_a_server_that_ends_closes_with_1001_and_status_0(self):
        server = self.start("")
        with join(server) as ada:
            self.assertTrue(ada.ping().wait(SECONDS))
            ada.send("the last one")
            self.assertEqual(ada.recv(timeout=SECONDS), "the last one")
            self.assertEqual(server.stop(), 0)
            with self.assertRaises(ConnectionClosed) as raised:
                ada.recv(timeout=SECONDS)
        self.assertEqual(raised.exception.rcvd.code, 1001)

    def start(self, sections):
        server = Server(sections)
        self.addCleanup(server.stop)
        return server
