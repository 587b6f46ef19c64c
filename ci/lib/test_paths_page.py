"""The page of ci/bench paths, from results made up here."""

import json
import unittest

from paths_page import Page, committed_share

MACHINE = {
    "cpu": "a CPU", "cpus": 2, "system": "Linux 1", "dpdk": "22.11.1", "quick": False, "repeats": 2, "seconds": 4,
    "server_cpu": 0, "client_cpu": 1, "date": "2026-01-02",
}


def run(path, scenario, clients, size=None, window=None, **client):
    client = {"ok": True, "latency_us": {"p50": 100.0, "p99": 200.0, "max": 300.0}, **client}
    return {"path": path, "scenario": scenario, "clients": clients, "size": size, "window": window, "client": client}


def broadcast(path, clients, rates, cost=1000.0, window=1):
    name = "server_busy_ns_per_delivery" if path == "dpdk" else "server_cpu_ns_per_delivery"
    return [run(path, "broadcast", clients, 64, window, deliveries_per_s=rate, **{name: cost}) for rate in rates]


def page(runs, **changes):
    return Page(json.dumps(line) for line in [{**MACHINE, **changes}, *runs])


def goal(text, what):
    return next(line for line in text.splitlines() if line.startswith("| " + what))


class PathsPage(unittest.TestCase):
    def test_ratios_are_taken_repeat_by_repeat_and_compared_with_the_target(self):
        runs = broadcast("kernel", 1000, [100.0, 200.0]) + broadcast("dpdk", 1000, [900.0, 1600.0])
        line = goal(page(runs).markdown(), "deliveries a second over DPDK by those over the kernel, 1,000 clients, 64 B, 1 in flight")
        self.assertIn("8.50 (8.00 to 9.00) | reached", line)
        runs = broadcast("kernel", 1000, [100.0]) + broadcast("dpdk", 1000, [799.0])
        line = goal(page(runs).markdown(), "deliveries a second over DPDK by those over the kernel, 1,000 clients, 64 B, 1 in flight")
        self.assertIn("7.99 | **missed**", line)

    def test_growth_compares_the_most_clients_with_the_fewest(self):
        runs = broadcast("dpdk", 10, [1.0], cost=200.0) + broadcast("dpdk", 100_000, [1.0], cost=700.0)
        self.assertIn("3.50 | reached", goal(page(runs).markdown(), "cost of a delivery at 100,000 clients by that at 10"))

    def test_raw_frames_are_the_limit(self):
        runs = broadcast("dpdk", 1000, [1_500_000.0]) + [{"path": "raw", "scenario": "raw", "frames_per_s": 20_000_000}]
        self.assertIn("0.075 | reached", goal(page(runs).markdown(), "deliveries a second by raw frames a second"))

    def test_the_share_that_a_page_has_is_found_again(self):
        runs = broadcast("dpdk", 1000, [1_500_000.0, 1_400_000.0]) + [{"path": "raw", "scenario": "raw", "frames_per_s": 20_000_000}] * 2
        self.assertEqual(committed_share(page(runs).markdown()), 0.073)
        with self.assertRaises(SystemExit):
            committed_share(page([]).markdown())

    def test_a_longer_send_ring_has_a_row_of_its_own(self):
        runs = [run("dpdk", "broadcast", 10, 1024, 16, deliveries_per_s=1e6), run("dpdk", "broadcast-long-ring", 10, 1024, 16, deliveries_per_s=3e6)]
        self.assertIn("| dpdk, 32 KiB send ring | 10 | 3,000,000 |", page(runs).markdown())

    def test_what_was_not_measured_is_said_and_a_quick_run_reaches_nothing(self):
        text = page(broadcast("dpdk", 10, [1.0])).markdown()
        self.assertIn("not measured", goal(text, "server memory per session at 1,000,000"))
        runs = broadcast("kernel", 50, [1.0]) + broadcast("dpdk", 50, [100.0])
        text = page(runs, quick=True).markdown()
        self.assertIn("mean nothing", text)
        self.assertNotIn("reached", text)

    def test_runs_that_failed_their_checks_are_counted(self):
        runs = broadcast("dpdk", 10, [1.0])
        runs[0]["client"]["ok"] = False
        self.assertIn("1 runs failed", page(runs).markdown())

    def test_memory_of_a_million_has_the_rings_in_it(self):
        million = run("dpdk", "million", 1_000_000, 64, 1, server_rss_bytes_per_connection=1000.0, connects=1_000_000, deliveries_per_s=1e6)
        text = page([million]).markdown()
        self.assertIn("4,072 B | reached", goal(text, "server memory per session at 1,000,000"))


if __name__ == "__main__":
    unittest.main()
