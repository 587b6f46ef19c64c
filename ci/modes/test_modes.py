"""Every mode of hioload-pktgen against real servers: over DPDK (memif) against hioload on DPDK, over the
kernel's sockets against hioload, and against servers on other libraries (tools/peers).

BIN is the folder of the programs; root, libdpdk and huge pages are needed. What ends a run is a count
where the mode has one.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "ci" / "lib"))

from serving import Host, free_port, wait_until, accepts  # noqa: E402

BIN = pathlib.Path(os.environ.get("BIN", TOP / os.environ.get("CARGO_TARGET_DIR", "target") / "debug")).resolve()
# So long nothing may happen, on a machine that does other things as well.
TIMEOUT = "60s"
# A run that hangs.
RUN_SECONDS_MAX = 240
FLOWS = 1024
# Requests that never end are thrown out soon.
SETTINGS = {"control.log_level": "warn", "limits.handshake_timeout": "500ms"}

MIX = """
    connections = 10
    [[phase]]
    name = "come"
    duration = "500ms"
    connections = 30
    publishers = 2
    rate = 100
    size = { min = 32, max = 9000 }
    [[phase]]
    name = "go"
    duration = "500ms"
    connections = 10
    rate = 50
    churn = 20
"""


class Story(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hioload-modes-")))
        self.host = Host(BIN, self.folder, "modes")
        self.addCleanup(self.host.pages.put_back)

    def play(self, command, status=0):
        """Runs the generator, and expects that all is well, or that it is not. What it found out."""
        if "--timeout" not in command:
            command = [*command, "--timeout", TIMEOUT]
        ran = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
        found = json.loads(ran.stdout) if ran.stdout else {}
        self.assertEqual((ran.returncode, found.get("ok")), (status, status == 0), ran.stderr)
        return found

    def all_arrived(self, found):
        """What was due while it was measured came to each of five clients."""
        self.assertGreater(found["messages"], 0)
        self.assertEqual(divmod(found["latency_us"]["count"], 5)[1], 0)

    def scenario(self):
        file = self.folder / "mix.toml"
        file.write_text(textwrap.dedent(MIX))
        return str(file)

    # What each mode is to find, whoever serves. `run` makes a run with flags.

    def broadcast(self, run):
        found = run("broadcast --connections 20 --publishers 2 --window 4 --size 700 --messages 200")
        self.assertEqual((found["messages"], found["deliveries"], found["connects"]), (200, 4000, 20))
        self.assertEqual(found["latency_us"]["count"], 4000)
        return found

    def echo(self, run):
        found = run("echo --connections 10 --size 300 --messages 200")
        self.assertEqual((found["messages"], found["deliveries"]), (200, 200))

    def connect(self, run):
        found = run("connect --connections 10 --total 100")
        self.assertEqual((found["connects"], found["whole_run"]["opened"], found["whole_run"]["closed"]), (100, 100, 100))

    def idle(self, run):
        found = run("idle --connections 50 --duration 200ms")
        self.assertEqual((found["connects"], found["whole_run"]["closed"]), (50, 50))

    def mix(self, run):
        found = run(f"mix {self.scenario()}")
        whole, phases = found["whole_run"], found["phases"]
        self.assertEqual([phase["name"] for phase in phases], ["come", "go"])
        self.assertGreater(found["deliveries"], 100)
        self.assertGreater(whole["opened"], 10)
        self.assertEqual(whole["opened"], whole["closed"])
        return found

    def slowloris(self, run):
        found = run("slowloris --connections 5 --bad 5 --interval 100ms --duration 2s")
        self.assertGreaterEqual(found["hostile"]["connections"], 5)
        self.all_arrived(found)
        return found

    def garbage(self, run):
        found = run("garbage --connections 5 --bad 5 --seed 1 --duration 1s")
        self.assertEqual(found["wrong_answers"], 0)
        self.assertGreater(found["hostile"]["requests"], 0)
        self.assertGreater(found["hostile"]["frames"], 0)
        return found


class Appliance(Story):
    """Hioload over one of its data paths."""

    path = "kernel"

    @contextlib.contextmanager
    def server(self, program=None):
        words = [BIN / "examples" / "echo"] if program == "echo" else [BIN / "hioload", "serve"]
        with self.host.server(self.path, words, FLOWS, SETTINGS) as server:
            yield server
        # The example has no drain.
        self.assertEqual(server.status, -signal.SIGTERM if program == "echo" else 0, server.log.read_text())

    def runner(self, server):
        return lambda flags: self.play(self.host.generator(self.path, server, flags.split()))


class OverTheKernel(Appliance):
    def test_broadcast(self):
        with self.server() as server:
            self.broadcast(self.runner(server))

    def test_echo(self):
        with self.server("echo") as server:
            self.echo(self.runner(server))

    def test_connect(self):
        with self.server() as server:
            self.connect(self.runner(server))

    def test_idle(self):
        with self.server() as server:
            self.idle(self.runner(server))

    def test_mix_and_what_the_server_counted_of_it(self):
        with self.server() as server:
            whole = self.mix(self.runner(server))["whole_run"]
            wait_until("all sessions have ended", lambda: server.stats()["totals"]["sessions_closed"] == whole["opened"])
            totals = server.stats()["totals"]
        self.assertEqual(totals["messages_received"], whole["messages_sent"])
        self.assertEqual(totals["deliveries_sent"], whole["messages_received"])
        self.assertEqual(totals["sessions_opened"], whole["opened"])

    def test_slowloris(self):
        with self.server() as server:
            found = self.slowloris(self.runner(server))
        self.assertGreater(found["hostile"]["thrown_out"], 0)

    def test_garbage(self):
        with self.server() as server:
            self.garbage(self.runner(server))


class OverDpdk(OverTheKernel):
    path = "dpdk"

    def test_garbage(self):
        with self.server() as server:
            found = self.garbage(self.runner(server))
        self.assertGreater(found["hostile"]["packets"], 0)
        self.assertGreater(found["hostile"]["segments"], 0)
        self.assertEqual(found["hostile"]["segments"], found["hostile"]["segments_survived"])

    def test_synflood(self):
        with self.server() as server:
            found = self.runner(server)("synflood --connections 5 --rate 2000 --duration 1s")
        self.assertGreater(found["hostile"]["syns"], 0)
        self.assertGreater(found["hostile"]["syn_acks"], 0)
        self.all_arrived(found)


class Peers(Story):
    """Servers that are not ours."""

    programs = ("broadcast-tungstenite", "broadcast-fastwebsockets")

    def each(self, play, *more, status=0):
        for program in self.programs:
            with self.subTest(program), (self.folder / "peer.log").open("w+") as log:
                port = free_port()
                peer = subprocess.Popen([BIN / program, "--addr", f"127.0.0.1:{port}", *more], stdout=log, stderr=log)
                try:
                    wait_until("it serves", lambda: peer.poll() is not None or accepts(port))
                    self.assertIsNone(peer.poll())
                    generator = [BIN / "hioload-pktgen", "--target", f"127.0.0.1:{port}"]
                    play(lambda flags: self.play([generator[0], *flags.split(), *generator[1:]], status))
                finally:
                    self.host.end(peer)

    def test_broadcast(self):
        self.each(self.broadcast)

    def test_echo(self):
        self.each(self.echo, "--echo")

    def test_connect(self):
        self.each(self.connect)

    def test_idle(self):
        self.each(self.idle)

    def test_mix(self):
        self.each(self.mix)

    def test_slowloris(self):
        self.each(self.slowloris)

    def test_what_they_answer_wrongly_fails_the_run(self):
        def garbage(run):
            self.assertGreater(run("garbage --connections 0 --bad 5 --seed 1 --duration 500ms --timeout 1s")["wrong_answers"], 0)

        self.each(garbage, status=1)

    def test_one_that_sends_back_instead_of_to_all_fails_the_run(self):
        def broadcast(run):
            self.assertIn("roll call", run("broadcast --connections 3 --messages 1 --timeout 300ms")["error"])

        self.each(broadcast, "--echo", status=1)


if __name__ == "__main__":
    unittest.main()
