"""All that ci/bench measured of hioload and other servers, as Markdown: for each number of clients.

    peers_page.py RESULTS.jsonl [--page FILE]    prints it, and puts it into FILE between the lines
                                                 of MARKERS
"""

import pathlib
import sys

from bench_table import OURS, SERVERS, Report, Spread, client, latency, markdown_table, message_name, microseconds, nanoseconds
from bench_table import print_page, ratio, size, whole

MARKERS = ("<!-- ci/bench peers: begin -->", "<!-- ci/bench peers: end -->")
MESSAGES = [(64, 1), (64, 16), (1024, 1), (1024, 16)]
BROADCAST_HEAD = [
    "message", "clients", "server", "deliveries a second", "by ours", "server CPU per delivery", "by ours",
    "latency, median", "99th percentile",
]


class Page(Report):
    def times_ours(self, scenario, server, figure, variant=""):
        """A server's figure as a multiple of ours, repeat by repeat; empty for ours."""
        if server == OURS:
            return ""
        return Spread.of_ratios(*(self.figures(scenario, name, figure, variant) for name in (server, OURS))).text(ratio)

    def crowds(self):
        return sorted({int(variant) for scenario, _, variant in self.runs if scenario.startswith("broadcast-")})

    def broadcast_rows(self):
        rate, cost = client("deliveries_per_s"), client("server_cpu_ns_per_delivery")
        for message, window in MESSAGES:
            for clients in self.crowds():
                for server in SERVERS:
                    key = (f"broadcast-{message}-{window}", server)
                    variant = str(clients)
                    if not self.runs.get((*key, variant)):
                        continue
                    cell = lambda figure, number: self.cell(*key, figure, number, variant)
                    yield [
                        message_name(message, window), whole(clients), server,
                        cell(rate, whole), self.times_ours(*key, rate, variant),
                        cell(cost, nanoseconds), self.times_ours(*key, cost, variant),
                        cell(latency("p50"), microseconds), cell(latency("p99"), microseconds),
                    ]

    def other_rows(self):
        run = self.run
        figures = [
            ("echo", f"echo of 64 B to {run['echo_clients']} clients", "round trip, median", latency("p50"), microseconds),
            ("echo", "", "round trip, 99th percentile", latency("p99"), microseconds),
            ("echo", "", "server CPU per round trip", client("server_cpu_ns_per_delivery"), nanoseconds),
            ("connect", f"{run['connecting']} clients that connect, upgrade and close", "connections a second", client("connects_per_s"), whole),
            ("connect", "", "server CPU per connection", client("server_cpu_us_per_connect"), microseconds),
            ("idle", f"{whole(run['many'])} idle connections", "memory before", client("server_rss_before_bytes"), size),
            ("idle", "", "memory per connection", client("server_rss_bytes_per_connection"), size),
        ]
        for scenario, title, name, figure, number in figures:
            for server in SERVERS:
                if self.runs.get((scenario, server, "")):
                    value = self.cell(scenario, server, figure, number, "")
                    yield [title, name, server, value, self.times_ours(scenario, server, figure)]
                    title = name = ""

    def markdown(self):
        parts = [self.setting()]
        if self.run["quick"]:
            parts.insert(0, "**A smoke run: debug builds, few clients. These figures mean nothing.**")
        if broadcast := list(self.broadcast_rows()):
            parts.append("### Broadcast, by number of clients\n\n" + markdown_table(BROADCAST_HEAD, broadcast))
        if others := list(self.other_rows()):
            parts.append("### Echo, connections, memory\n\n" + markdown_table(["", "", "server", "", "by ours"], others))
        if faults := self.faults():
            parts.append(faults)
        return "\n\n".join(parts)


def main(arguments):
    match arguments:
        case [results, *rest] if not rest or (len(rest) == 2 and rest[0] == "--page"):
            print_page(Page(pathlib.Path(results).read_text().splitlines()).markdown(), rest, MARKERS)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
