"""The tables of ci/bench, from results made up here."""

import json
import pathlib
import tempfile
import unittest

import bench_table
from bench_table import MARKERS, SERVERS, Report, put_into

RUN = {
    "command": "ci/bench",
    "cpu": "a CPU",
    "cpus": 2,
    "system": "Linux 1",
    "peers": ["a 1", "b 2"],
    "quick": False,
    "repeats": 3,
    "few": 10,
    "subscribers": 1000,
    "many": 10000,
    "echo_clients": 64,
    "connecting": 256,
    "server_cpu": 0,
    "client_cpu": 1,
}


def run(scenario, server, repeat, variant="", peak=1 << 20, dropped=None, ok=True, **figures):
    latency = {"p50": 1000.0, "p99": 2000.0}
    figures = {"ok": ok, "deliveries_per_s": 1000.0, "latency_us": latency, "lost": 0, **figures}
    return {
        "scenario": scenario,
        "server": server,
        "repeat": repeat,
        "variant": variant,
        "peak_rss_bytes": peak,
        "dropped": dropped,
        "client": figures,
    }


def report(runs, **changes):
    return Report(json.dumps(line) for line in [{**RUN, **changes}, *runs])


def cpu(ours, tokio, fast, scenario="broadcast-64-16", clients=1000):
    """Runs with these nanoseconds of CPU per delivery, one for each repeat."""
    return [
        run(scenario, server, repeat, str(clients), server_cpu_ns_per_delivery=value)
        for server, values in zip(SERVERS, (ours, tokio, fast))
        for repeat, value in enumerate(values, start=1)
    ]


def stalled(ours_p99, ours_peak, lost=0, dropped=5):
    """Runs in which only ours feels the client that does not read."""
    runs = []
    for server in SERVERS:
        feels = server == SERVERS[0]
        runs.append(run("stalled", server, 1, "all-read"))
        p99, peak = (ours_p99, ours_peak) if feels else (2000.0, 1 << 20)
        figures = {"latency_us": {"p50": 1000.0, "p99": p99}, "lost": lost if feels else 0}
        if feels:
            figures["dropped"] = dropped
        runs.append(run("stalled", server, 1, "one-stalled", peak=peak, **figures))
    return runs


def sessions(p99, faults=()):
    """Runs of ours, left alone and in use."""
    use = {"seconds": 10, "pages": 100, "sends": 90, "kicks": 5, "page_ms_p50": 2.5, "faults": faults}
    runs = [run("sessions", SERVERS[0], 1, "left-alone"), run("sessions", SERVERS[0], 1, "in-use")]
    runs[1]["client"]["latency_us"] = {"p50": 1000.0, "p99": p99}
    runs[1]["sessions"] = use
    return runs


class Tables(unittest.TestCase):
    def line(self, text, label):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
        return [cell.strip() for cell in line.strip("|").split("|")]

    def test_the_ratio_is_to_the_better_peer_and_taken_within_each_repeat(self):
        text = report(cpu([400, 900, 500], [1000, 1500, 1000], [2000, 2000, 900])).markdown()
        self.assertEqual(
            self.line(text, "server CPU per delivery"),
            [
                "server CPU per delivery",
                "0.50 us (0.40 us to 0.90 us)",
                "1.00 us (1.00 us to 1.50 us)",
                "2.00 us (0.90 us to 2.00 us)",
                "",
                "0.50 (0.40 to 0.60)",
                "0.60: met",
            ],
        )
        self.assertIn("No target was missed.", text)

    def test_a_target_that_is_missed_is_said_so(self):
        text = report(cpu([610], [1000], [2000])).markdown()
        self.assertEqual(self.line(text, "server CPU per delivery")[-1], "0.60: **missed**")
        self.assertIn("Targets missed: server CPU per delivery, 64 B, 16 in flight (0.61 instead of 0.60).", text)

    def test_the_best_other_may_be_any_and_the_table_is_of_one_number_of_clients(self):
        runs = cpu([500], [1000], [2000]) + cpu([900], [900], [900], clients=10)
        runs.append(run("broadcast-64-16", "nginx-nchan", 1, "1000", server_cpu_ns_per_delivery=800))
        line = self.line(report(runs).markdown(), "server CPU per delivery")
        self.assertEqual(line[4:], ["0.80 us", "0.62", "0.60: **missed**"])

    def test_connections_are_counted_where_they_were_made(self):
        runs = [
            run("connect", server, 1, latency_us=None, connects_per_s=rate, server_cpu_us_per_connect=50.0)
            for server, rate in zip(SERVERS, (12000.0, 10000.0, 8000.0, 6000.0))
        ]
        line = self.line(report(runs).markdown(), "connections a second")
        self.assertEqual(line[1:], ["12,000", "10,000", "8,000", "6,000", "1.20", ""])

    def test_each_broadcast_has_its_own_target(self):
        for scenario, most in (("64-1", "1.00"), ("64-16", "0.60"), ("1024-1", "1.00"), ("1024-16", "0.70")):
            text = report(cpu([500], [1000], [1000], f"broadcast-{scenario}")).markdown()
            self.assertEqual(self.line(text, "server CPU per delivery")[-1], f"{most}: met")

    def test_more_deliveries_are_better(self):
        runs = cpu([1], [1], [1])
        for result, rate in zip(runs, (3000.0, 1500.0, 2000.0)):
            result["client"]["deliveries_per_s"] = rate
        self.assertEqual(self.line(report(runs).markdown(), "deliveries a second")[-2], "1.50")

    def test_memory_of_an_idle_connection_is_held_against_its_target(self):
        for ours, verdict in ((1024.0, "met"), (1025.0, "**missed**")):
            memory = {"server_rss_before_bytes": 5 << 20, "server_rss_bytes": 15 << 20}
            runs = [
                run("idle", server, 1, server_rss_bytes_per_connection=value, latency_us=None, **memory)
                for server, value in zip(SERVERS, (ours, 5000.0, 20480.0))
            ]
            text = report(runs).markdown()
            self.assertEqual(self.line(text, "server memory before")[1], "5,120.0 KiB")
            self.assertEqual(self.line(text, "server memory with them")[1], "15.0 MiB")
            line = self.line(text, "server memory per connection")
            self.assertEqual(line[2:4], ["5,000 B", "20.0 KiB"])
            self.assertEqual(line[-1], f"1,024 B: {verdict}")

    def test_a_client_that_stops_reading_may_not_be_felt(self):
        text = report(stalled(ours_p99=4000.0, ours_peak=1 << 20)).markdown()
        self.assertEqual(self.line(text, "99th percentile, the latter by the former")[1], "2.00")
        self.assertIn("No target was missed.", text)

        text = report(stalled(ours_p99=4040.0, ours_peak=2 << 20, lost=7)).markdown()
        self.assertIn(
            "Targets missed: 99th percentile with a client that stops reading (2.02 instead of 2.00); "
            "server memory with a client that stops reading (2.00 instead of 1.10); "
            "messages lost by clients that read (7 instead of 0).",
            text,
        )

    def test_a_client_that_nobody_felt_proves_nothing(self):
        text = report(stalled(ours_p99=9000.0, ours_peak=9 << 20, lost=9, dropped=0)).markdown()
        self.assertEqual(self.line(text, "messages lost by the others")[-1], "0: not measured")
        self.assertEqual(self.line(text, "99th percentile, the latter by the former")[-1], "2.00: not measured")
        self.assertNotIn("missed: ", text)

    def test_looking_at_the_sessions_may_not_be_felt(self):
        text = report(sessions(p99=2200.0)).markdown()
        self.assertEqual(self.line(text, "the latter by the former")[1:], ["1.10", "", "", "", "", "1.10: met"])
        self.assertEqual(self.line(text, "kicks a second")[1], "0.50")
        text = report(sessions(p99=2300.0, faults=["one was left out"])).markdown()
        self.assertIn("sessions are listed, written to and kicked (1.15 instead of 1.10)", text)
        self.assertIn("**1 runs failed their checks: hioload in sessions.**", text)

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        for runs in (cpu([None], [None], [None]), cpu([None], [1000], [1000]), cpu([5], [None], [0])):
            text = report(runs).markdown()
            self.assertEqual(self.line(text, "server CPU per delivery")[-2:], ["not measured", "0.60: not measured"])
        text = report(cpu([500, None], [None, 2000], [1000, 1000])).markdown()
        self.assertEqual(self.line(text, "server CPU per delivery")[-2], "0.50")

    def test_runs_that_failed_their_checks_are_named(self):
        runs = cpu([500, 500], [1000, 1000], [1000, 1000])
        runs[1]["client"]["ok"] = False
        self.assertIn("**1 runs failed their checks: hioload in broadcast-64-16.**", report(runs).markdown())

    def test_a_smoke_run_says_that_it_is_one_and_judges_nothing(self):
        text = report(cpu([9000], [1000], [1000]), quick=True).markdown()
        self.assertIn("mean nothing", text)
        self.assertEqual(self.line(text, "server CPU per delivery")[-1], "0.60: not measured")
        self.assertNotIn("missed", text)


class Readme(unittest.TestCase):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.path = pathlib.Path(folder) / "README.md"

    def test_only_what_stands_between_the_markers_is_replaced(self):
        begin, end = MARKERS
        self.path.write_text(f"before\n\n{begin}\nold\n{end}\n\nafter\n")
        put_into(self.path, "new")
        self.assertEqual(self.path.read_text(), f"before\n\n{begin}\n\nnew\n\n{end}\n\nafter\n")
        put_into(self.path, "newer")
        self.assertEqual(self.path.read_text(), f"before\n\n{begin}\n\nnewer\n\n{end}\n\nafter\n")

    def test_a_file_without_the_markers_is_left_as_it_is(self):
        self.path.write_text("no markers")
        with self.assertRaises(SystemExit):
            put_into(self.path, "new")
        self.assertEqual(self.path.read_text(), "no markers")

    def test_the_readme_of_the_project_has_them(self):
        readme = pathlib.Path(bench_table.__file__).parents[2] / "README.md"
        for marker in MARKERS:
            self.assertEqual(readme.read_text().count(marker), 1)


if __name__ == "__main__":
    unittest.main()
