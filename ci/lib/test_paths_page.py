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
    return {"path": path, "scenario": scenario, "clients": clients, "size": size, "window": window, "repeat": 1, "client": client}


def broadcast(path, clients, rates, cost=1000.0, window=1):
    name = "server_busy_ns_per_delivery" if path == "dpdk" else "server_cpu_ns_per_delivery"
    runs = [run(path, "broadcast", clients, 64, window, deliveries_per_s=rate, **{name: cost}) for rate in rates]
    return [{**run, "repeat": repeat} for repeat, run in enumerate(runs, 1)]


def raw(*rates):
    return [{"path": "raw", "scenario": "raw", "repeat": repeat, "frames_per_s": rate} for repeat, rate in enumerate(rates, 1)]


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

    def test_a_repeat_in_which_one_of_both_is_missing_or_failed_makes_no_ratio(self):
        kernel, dpdk = broadcast("kernel", 1000, [100.0, 200.0, 400.0]), broadcast("dpdk", 1000, [0.0, 1000.0, 2000.0])
        goal_of = lambda runs: goal(page(runs).markdown(), "deliveries a second over DPDK by those over the kernel, 1,000 clients, 64 B, 1 in flight")
        self.assertIn("| 5.00 | **missed**", goal_of(kernel + dpdk[1:]))
        dpdk[0]["client"].update(ok=False, deliveries_per_s=9e9)
        self.assertIn("| 5.00 | **missed**", goal_of(kernel + dpdk))

    def test_growth_compares_the_most_clients_with_the_fewest(self):
        runs = broadcast("dpdk", 10, [1.0], cost=200.0) + broadcast("dpdk", 100_000, [1.0], cost=700.0)
        self.assertIn("3.50 | reached", goal(page(runs).markdown(), "cost of a delivery at 100,000 clients by that at 10"))

    def test_raw_frames_at_their_best_are_the_limit(self):
        runs = broadcast("dpdk", 1000, [1_500_000.0, 1_500_000.0]) + raw(8_000_000, 20_000_000)
        text = page(runs).markdown()
        self.assertIn("0.075 | reached", goal(text, "deliveries a second by raw frames in their best second"))
        self.assertIn("| raw | dpdk |  | frames in the best second | 20,000,000 |", text)

    def test_the_share_that_a_page_has_is_found_again(self):
        runs = broadcast("dpdk", 1000, [1_500_000.0, 1_400_000.0]) + raw(20_000_000, 20_000_000)
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

    def test_memory_of_a_million_is_all_that_the_process_has(self):
        pools = [{"name": "rx_0_0", "in_use": 32, "mbufs": 1440}]
        million = run("dpdk", "million", 1_000_000, 64, 1, connects=1_000_000, deliveries_per_s=1e6, server_mempools=pools)
        million.update(server_peak_bytes=1_100_000_000, server_huge_bytes=3_100_000_000)
        text = page([million]).markdown()
        self.assertIn("4,200 B | reached", goal(text, "server memory per session at 1,000,000"))
        self.assertIn("pool rx_0_0, in use of mbufs | 32 of 1,440", text)


if __name__ == "__main__":
    unittest.main()
