"""The page of hioload beside other servers, from results made up here."""

import json
import pathlib
import unittest

import peers_page
from bench_table import SERVERS
from peers_page import MARKERS, Page
from test_bench_table import RUN, run


def page(runs, **changes):
    return Page(json.dumps(line) for line in [{**RUN, **changes}, *runs]).markdown()


def broadcast(server, clients, rates, window=1):
    return [
        run(f"broadcast-64-{window}", server, repeat, str(clients), deliveries_per_s=rate, server_cpu_ns_per_delivery=1e9 / rate)
        for repeat, rate in enumerate(rates, start=1)
    ]


def rows(text, *begin):
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if line[: len(begin)] == list(begin)]


class PeersPage(unittest.TestCase):
    def test_each_number_of_clients_has_a_line_for_each_server(self):
        runs = [line for server in SERVERS for clients in (10, 1000, 10000) for line in broadcast(server, clients, [1000.0])]
        lines = rows(page(runs), "64 B, 1 in flight")
        self.assertEqual([line[1:3] for line in lines], [[clients, server] for clients in ("10", "1,000", "10,000") for server in SERVERS])

    def test_ratios_are_to_ours_and_taken_within_each_repeat(self):
        runs = broadcast("hioload", 10, [1000.0, 4000.0, 2000.0]) + broadcast("nginx-nchan", 10, [500.0, 1000.0, 1000.0])
        ours, theirs = rows(page(runs), "64 B, 1 in flight", "10")
        self.assertEqual((ours[3:5], ours[6]), (["2,000 (1,000 to 4,000)", ""], ""))
        self.assertEqual(theirs[3:7], ["1,000 (500 to 1,000)", "0.50 (0.25 to 0.50)", "1.0 ms (1.0 ms to 2.0 ms)", "2.00 (2.00 to 4.00)"])

    def test_a_server_that_a_scenario_is_not_for_has_no_line(self):
        runs = [run("echo", server, 1, server_cpu_ns_per_delivery=5000.0) for server in SERVERS[:3]]
        text = page(runs)
        self.assertEqual(len(rows(text, "echo of 64 B to 64 clients")), 1)
        self.assertIn("round trip, median", text)
        self.assertNotIn("nginx-nchan", text)

    def test_what_was_measured_is_said_and_what_failed(self):
        text = page(broadcast("hioload", 10, [1.0]))
        self.assertIn("`ci/bench` on a CPU, 2 CPUs, Linux 1.", text)
        runs = broadcast("nginx-nchan", 10, [1.0])
        runs[0]["client"]["ok"] = False
        self.assertIn("**1 runs failed their checks: nginx-nchan in broadcast-64-1.**", page(runs))
        self.assertIn("mean nothing", page(broadcast("hioload", 10, [1.0]), quick=True))

    def test_the_page_of_the_project_has_the_markers(self):
        text = (pathlib.Path(peers_page.__file__).parents[2] / "BENCHMARKS.md").read_text()
        for marker in MARKERS:
            self.assertEqual(text.count(marker), 1)


if __name__ == "__main__":
    unittest.main()
