"""What bench_paths.py measured, as Markdown.

    paths_page.py RESULTS.jsonl [--page FILE]    prints it, and puts it into FILE between the lines
                                                 of MARKERS
"""

import collections
import json
import pathlib
import re
import sys

from bench_table import Spread, markdown_table, microseconds, nanoseconds, print_page, ratio, size, whole

MARKERS = ("<!-- ci/bench paths: begin -->", "<!-- ci/bench paths: end -->")

# Deliveries a second over DPDK as a multiple of the kernel path's, at 1,000 clients and 64 bytes, by
# messages in flight.
DPDK_TIMES_KERNEL_MIN = {1: 8.0, 16: 4.0}
# One message, one frame, one acknowledgement each, as a share of raw frames a second.
RAW_SHARE_MIN = 0.07
# Cost of a delivery to the most clients, as a multiple of that to the fewest.
GROWTH_MAX = 4.0
ECHO_SHARE_MAX = 0.25
CONNECTS_PER_S_MIN = 100_000
MILLION_BYTES_MAX = 4.25 * 1024
# Deliveries a second that the generator could take, or as a multiple of what the server gave it.
GENERATOR_MIN = 4_000_000
GENERATOR_TIMES_MIN = 2


RAW_SHARE = "deliveries a second by raw frames in their best second, 64 B, 1 in flight"


def committed_share(page):
    """The share of raw DPDK that a page says was measured: of the median, without its spread."""
    found = re.search(rf"^\| {re.escape(RAW_SHARE)} \|[^|]*\| (\d+\.\d+)", page, re.MULTILINE)
    if not found:
        sys.exit(f"the page has no figure for '{RAW_SHARE}': `ci/bench --write-readme` measures it")
    return float(found[1])


class Page:
    def __init__(self, lines):
        self.machine, *runs = (json.loads(line) for line in lines)
        self.runs = collections.defaultdict(list)
        for run in runs:
            self.runs[run["path"], run["scenario"], run.get("clients"), run.get("size"), run.get("window")].append(run)
        self.failed = [run for run in runs if "client" in run and not run["client"]["ok"]]
        self.goals = []

    def spread(self, figure, path, scenario, clients=None, size=None, window=None):
        """Of the runs that passed their checks."""
        runs = [run for run in self.runs[path, scenario, clients, size, window] if run not in self.failed]
        spread = Spread([figure(run) for run in runs])
        spread.of_repeat = {run["repeat"]: figure(run) for run in runs}
        return spread

    def client(self, name, *key):
        return self.spread(lambda run: run["client"].get(name), *key)

    def latency(self, percentile, *key):
        return self.spread(lambda run: (run["client"]["latency_us"] or {}).get(percentile), *key)

    def cost(self, path, *key):
        """Nanoseconds of the server's CPU for a delivery: all of its process, or of its busy turns."""
        name = "server_busy_ns_per_delivery" if path == "dpdk" else "server_cpu_ns_per_delivery"
        return self.client(name, path, *key)

    def crowds(self, path):
        return sorted({key[2] for key in self.runs if key[:2] == (path, "broadcast")})

    def quotients(self, numerators, denominators):
        """Of the repeats in which both were measured."""
        repeats = numerators.of_repeat.keys() & denominators.of_repeat.keys()
        return Spread.of_ratios(*([figures.of_repeat[repeat] for repeat in repeats] for figures in (numerators, denominators)))

    def goal(self, what, spread, bound, number, is_most=False):
        if spread.median is None or self.machine["quick"]:
            verdict = "not measured"
        else:
            met = spread.median <= bound if is_most else spread.median >= bound
            verdict = "reached" if met else "**missed**"
        self.goals.append([what, f"{'at most' if is_most else 'at least'} {number(bound)}", spread.text(number), verdict])

    def set_goals(self):
        few = (10, 50) if self.machine["quick"] else (10, 1_000)
        for window, least in DPDK_TIMES_KERNEL_MIN.items():
            rate = lambda path: self.client("deliveries_per_s", path, "broadcast", few[1], 64, window)
            times = self.quotients(rate("dpdk"), rate("kernel"))
            self.goal(f"deliveries a second over DPDK by those over the kernel, {whole(few[1])} clients, 64 B, {window} in flight", times, least, ratio)
        raw = self.spread(lambda run: run["frames_per_s"], "raw", "raw")
        delivered = self.client("deliveries_per_s", "dpdk", "broadcast", few[1], 64, 1)
        share = Spread([rate / max(raw.values) for rate in delivered.values] if raw.values else [])
        self.goal(RAW_SHARE, share, RAW_SHARE_MIN, lambda value: f"{value:.3f}")
        crowds = self.crowds("dpdk") or few
        growth = self.quotients(self.cost("dpdk", "broadcast", crowds[-1], 64, 1), self.cost("dpdk", "broadcast", crowds[0], 64, 1))
        self.goal(f"cost of a delivery at {whole(crowds[-1])} clients by that at {whole(crowds[0])}", growth, GROWTH_MAX, ratio, is_most=True)
        echo = {key[2] for key in self.runs if key[1] == "echo"}
        for clients in echo:
            for percentile in ("p50", "p99"):
                trip = lambda path: self.latency(percentile, path, "echo", clients, 64, 1)
                share = self.quotients(trip("dpdk"), trip("kernel"))
                self.goal(f"round trip of an echo, {percentile}, over DPDK by that over the kernel", share, ECHO_SHARE_MAX, ratio, is_most=True)
        for clients in {key[2] for key in self.runs if key[:2] == ("dpdk", "connect")}:
            self.goal("connections a second over DPDK, made, upgraded and closed", self.client("connects_per_s", "dpdk", "connect", clients), CONNECTS_PER_S_MIN, whole)
        # By the time that the generator was busy.
        for window in (1, 16):
            key = ("dpdk", "broadcast", few[1], 64, window)
            could = self.spread(lambda run: 1e9 / run["client"]["client_busy_ns_per_delivery"] if run["client"].get("client_busy_ns_per_delivery") else None, *key)
            got = self.client("deliveries_per_s", *key).median or 0
            what = f"deliveries a second that the generator could take, 64 B, {window} in flight ({whole(GENERATOR_MIN)}, or twice those that it got)"
            self.goal(what, could, min(GENERATOR_MIN, GENERATOR_TIMES_MIN * got), whole)
        memory = self.spread(million_bytes, "dpdk", "million", 1_000_000, 64, 1)
        self.goal("server memory per session at 1,000,000, huge pages included", memory, MILLION_BYTES_MAX, size, is_most=True)

    def markdown(self):
        machine = self.machine
        self.set_goals()
        parts = []
        if machine["quick"]:
            parts.append("**A smoke run with few clients. These figures mean nothing.**")
        parts.append(
            f"On {machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, DPDK {machine['dpdk']}, {machine['date']}. The server has one worker, on CPU"
            f" {machine['server_cpu']}; the generator is on CPU {machine['client_cpu']}. Medians of {machine['repeats']} runs of {machine['seconds']} s, with the lowest and highest;"
            " ratios are taken within each repeat."
        )
        parts.append(markdown_table(["target", "", "measured", ""], self.goals))
        parts.append("### Broadcast\n\n" + self.broadcast())
        parts.append("### Echo, connections, idle sessions\n\n" + self.others())
        if million := self.runs["dpdk", "million", 1_000_000, 64, 1]:
            parts.append("### A million sessions\n\n" + self.million(million[0]))
        if self.failed:
            parts.append(f"**{len(self.failed)} runs failed their checks.**")
        return "\n\n".join(parts)

    def broadcast(self):
        lines = []
        for message in (64, 1024):
            for window in (1, 16):
                for path, scenario in (("kernel", "broadcast"), ("dpdk", "broadcast"), ("dpdk", "broadcast-long-ring")):
                    for clients in self.crowds(path):
                        key = (scenario, clients, message, window)
                        rate = self.client("deliveries_per_s", path, *key)
                        if not rate.values:
                            continue
                        name = path if scenario == "broadcast" else f"{path}, 32 KiB send ring"
                        lines.append([
                            f"{message} B, {window} in flight", name, whole(clients), rate.text(whole), self.cost(path, *key).text(nanoseconds),
                            self.latency("p50", path, *key).text(microseconds), self.latency("p99", path, *key).text(microseconds),
                        ])
        return markdown_table(["message", "path", "clients", "deliveries a second", "server CPU per delivery", "latency, median", "99th percentile"], lines)

    def others(self):
        lines = []
        if raw := [run["frames_per_s"] for run in self.runs["raw", "raw", None, None, None]]:
            lines.append(["raw", "dpdk", "", "frames in the best second", whole(max(raw))])
        for path in ("kernel", "dpdk"):
            for _, scenario, clients, message, window in sorted(key for key in self.runs if key[0] == path and key[1] in ("echo", "connect", "idle")):
                key = (path, scenario, clients, message, window)
                if scenario == "echo":
                    figures = [("round trip, median", self.latency("p50", *key).text(microseconds)), ("99th percentile", self.latency("p99", *key).text(microseconds))]
                elif scenario == "connect":
                    figures = [("connections a second", self.client("connects_per_s", *key).text(whole))]
                else:
                    figures = [("resident memory per session, without huge pages", self.client("server_rss_bytes_per_connection", *key).text(size))]
                lines += [[scenario, path, whole(clients), name, value] for name, value in figures]
        return markdown_table(["", "path", "clients", "", ""], lines)

    def million(self, run):
        client = run["client"]
        lines = [
            ["connections made", whole(client["connects"])],
            ["server memory, resident at most", size(run["server_peak_bytes"])],
            ["and in huge pages: rings of the flows, pools, DPDK's own", size(run["server_huge_bytes"])],
            ["together, per session", size(million_bytes(run))],
            *([f"of it: pool {pool['name']}, in use of mbufs", f"{whole(pool['in_use'])} of {whole(pool['mbufs'])}"] for pool in client.get("server_mempools") or []),
            ["broadcast of 64 B to all: deliveries a second", whole(client["deliveries_per_s"] or 0)],
            ["time from publish to delivery, median", microseconds((client["latency_us"] or {}).get("p50", 0))],
            ["the last of all", microseconds((client["latency_us"] or {}).get("max", 0))],
        ]
        return markdown_table(["", ""], lines)


def million_bytes(run):
    """All that the process has, also what it has without any session: resident at most, and huge pages."""
    return (run["server_peak_bytes"] + run["server_huge_bytes"]) / run["clients"]


def main(arguments):
    match arguments:
        case [results, *rest] if not rest or (len(rest) == 2 and rest[0] == "--page"):
            print_page(Page(pathlib.Path(results).read_text().splitlines()).markdown(), rest, MARKERS)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
