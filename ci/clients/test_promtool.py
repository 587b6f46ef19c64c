"""`promtool`, which Prometheus brings for those who write exporters, reads our metrics."""

import subprocess
import unittest
import urllib.request

from server import Server


class Metrics(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.stop)

    def scrape(self, accept):
        request = urllib.request.Request(self.server.admin() + "/metrics")
        request.add_header("Accept", accept)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def test_promtool_has_nothing_to_say(self):
        checked = promtool(self.scrape("*/*"))

        self.assertEqual((checked.stdout + checked.stderr).decode(), "")
        self.assertEqual(checked.returncode, 0)

    def test_promtool_would_have_something_to_say(self):
        scrape = self.scrape("*/*") + b"# TYPE hioload_seen counter\nhioload_seen 1\n"

        checked = promtool(scrape)

        self.assertIn("_total", (checked.stdout + checked.stderr).decode())
        self.assertNotEqual(checked.returncode, 0)


def promtool(scrape):
    command = ["promtool", "check", "metrics"]
    return subprocess.run(command, input=scrape, capture_output=True, timeout=30)
