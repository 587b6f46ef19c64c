"""The results of ci/bench as Markdown.

    bench_table.py RESULTS.jsonl [--readme FILE]    prints the tables, and puts them into FILE
                                                    between the lines of MARKERS
    bench_table.py --describe ARGUMENTS...          prints the first line of RESULTS.jsonl: the
                                                    machine and the run (from the environment)

Further lines of the results are one run each: scenario, server, repeat, variant, peak_rss_bytes,
dropped (messages, for full backlogs; null where it is not known), what the load client
printed, and what use_sessions.py did where it ran.
"""

import collections
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

MARKERS = ("<!-- ci/bench: begin -->", "<!-- ci/bench: end -->")
OURS = "hioload"
CRATES = ("tokio-tungstenite", "fastwebsockets")
PEERS = (*CRATES, "nginx-nchan")
SERVERS = (OURS, *PEERS)

# The most that our figure may be, as a share of the better peer's.
CPU_RATIO_MAX = {(64, 1): 1.0, (64, 16): 0.6, (1024, 1): 1.0, (1024, 16): 0.7}
IDLE_BYTES_MAX = 1024
# With a client that stops reading, as a share of the figure without.
STALLED_P99_RATIO_MAX = 2.0
STALLED_MEMORY_RATIO_MAX = 1.1
# While somebody looks at the sessions and writes to some, as a share of the figure without.
SESSIONS_P99_RATIO_MAX = 1.1


class Spread:
    """Median, lowest and highest of a figure over the repeats, where it was measured (not None)."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]
        self.median = statistics.median(self.values) if self.values else None

    @classmethod
    def of_ratios(cls, numerators, denominators):
        return cls(a / b if a is not None and b else None for a, b in zip(numerators, denominators))

    def text(self, number):
        if not self.values:
            return "not measured"
        low, middle, high = (number(value) for value in (min(self.values), self.median, max(self.values)))
        return middle if low == high else f"{middle} ({low} to {high})"


def ratio(value):
    return f"{value:.2f}"


def whole(value):
    return f"{value:,.0f}"


def microseconds(value):
    return f"{value:.2f} us" if value < 100 else f"{value:,.0f} us" if value < 1000 else f"{value / 1000:,.1f} ms"


def nanoseconds(value):
    return microseconds(value / 1000)


def size(value):
    for unit, bytes_each in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= 10 * bytes_each:
            return f"{value / bytes_each:,.1f} {unit}"
    return f"{value:,.0f} B"


class Report:
    def __init__(self, lines):
        self.run, *runs = (json.loads(line) for line in lines)
        self.runs = collections.defaultdict(list)
        for run in runs:
            self.runs[run["scenario"], run["server"], run["variant"]].append(run)
        self.failed = [run for run in runs if not run["client"]["ok"] or (run.get("sessions") or {}).get("faults")]
        self.missed = []

    def has(self, scenario):
        return any(key[0] == scenario for key in self.runs)

    def figures(self, scenario, server, figure, variant=""):
        """One figure of each repeat, in their order; None where it was not measured."""
        runs = sorted(self.runs[scenario, server, variant], key=lambda run: run["repeat"])
        return [figure(run) for run in runs]

    def against_better_peer(self, scenario, figure, better, variant=""):
        """Ours as a share of the better peer's, repeat by repeat: they took turns within each."""
        medians = {peer: Spread(self.figures(scenario, peer, figure, variant)).median for peer in PEERS}
        measured = [peer for peer in PEERS if medians[peer]]
        if not measured:
            return Spread([])
        peer = better(measured, key=medians.get)
        return Spread.of_ratios(*(self.figures(scenario, server, figure, variant) for server in (OURS, peer)))

    def cell(self, scenario, server, figure, number, variant):
        """The text of a figure; empty for a server that the scenario is not for."""
        if not self.runs.get((scenario, server, variant)):
            return ""
        return Spread(self.figures(scenario, server, figure, variant)).text(number)

    def target(self, what, value, most, number):
        """The text of a target, which is met where `value` as it is printed is at most `most`."""
        if value is None or self.run["quick"]:
            return f"{number(most)}: not measured"
        met = float(f"{value:.2f}") <= most
        if not met:
            self.missed.append(f"{what} ({number(value)} instead of {number(most)})")
        return f"{number(most)}: {'met' if met else '**missed**'}"

    def row(self, scenario, label, figure, number, better=min, target=None, variant=""):
        cells = [self.cell(scenario, server, figure, number, variant) for server in SERVERS]
        shares = self.against_better_peer(scenario, figure, better, variant)
        goal = self.target(target[0], shares.median, target[1], ratio) if target else ""
        return [label, *cells, shares.text(ratio), goal]

    def broadcast(self):
        rows = []
        for (message, window), most in CPU_RATIO_MAX.items():
            scenario = f"broadcast-{message}-{window}"
            if not self.has(scenario):
                continue
            name = message_name(message, window)
            rows.append(heading(name))
            cpu, of = "server CPU per delivery", str(self.run["subscribers"])
            rows += [
                self.row(scenario, cpu, client("server_cpu_ns_per_delivery"), nanoseconds, target=(f"{cpu}, {name}", most), variant=of),
                self.row(scenario, "deliveries a second", client("deliveries_per_s"), whole, better=max, variant=of),
                self.row(scenario, "latency, median", latency("p50"), microseconds, variant=of),
                self.row(scenario, "latency, 99th percentile", latency("p99"), microseconds, variant=of),
            ]
        return rows

    def others(self):
        rows = []
        if self.has("idle"):
            rows += [
                heading(f"{whole(self.run['many'])} idle connections"),
                self.row("idle", "server memory before", client("server_rss_before_bytes"), size),
                self.row("idle", "server memory with them", client("server_rss_bytes"), size),
            ]
            label = "server memory per connection"
            row = self.row("idle", label, client("server_rss_bytes_per_connection"), size)
            ours = Spread(self.figures("idle", OURS, client("server_rss_bytes_per_connection"))).median
            row[-1] = self.target(f"{label}, idle", ours, IDLE_BYTES_MAX, size)
            rows.append(row)
        if self.has("stalled"):
            rows += self.stalled()
        if self.has("sessions"):
            rows += self.sessions()
        if self.has("echo"):
            rows.append(heading(f"echo of 64 B to {self.run['echo_clients']} clients"))
            rows += [
                self.row("echo", "round trip, median", latency("p50"), microseconds),
                self.row("echo", "round trip, 99th percentile", latency("p99"), microseconds),
                self.row("echo", "server CPU per round trip", client("server_cpu_ns_per_delivery"), nanoseconds),
            ]
        if self.has("connect"):
            rows.append(heading(f"{self.run['connecting']} clients that connect, upgrade and close, over and over"))
            rows += [
                self.row("connect", "connections a second", client("connects_per_s"), whole, better=max),
                self.row("connect", "server CPU per connection", client("server_cpu_us_per_connect"), microseconds),
            ]
        return rows

    def sessions(self):
        """Ours alone: the others cannot say who is connected."""

        def row(label, spread, number, goal=""):
            return [label, spread.text(number), *[""] * len(PEERS), "", goal]

        p99 = {v: self.figures("sessions", OURS, latency("p99"), v) for v in ("left-alone", "in-use")}
        shares = Spread.of_ratios(p99["in-use"], p99["left-alone"])
        what = "99th percentile while sessions are listed, written to and kicked"
        goal = self.target(what, shares.median, SESSIONS_P99_RATIO_MAX, ratio)
        use = lambda name: Spread(self.figures("sessions", OURS, lambda run: run["sessions"][name], "in-use"))
        a_second = lambda name: Spread(
            self.figures("sessions", OURS, lambda run: run["sessions"][name] / run["sessions"]["seconds"], "in-use")
        )
        return [
            heading(f"64 B to {whole(self.run['many'])} clients, one in flight, sessions listed, written to and kicked"),
            row("latency, 99th percentile, nobody asks", Spread(p99["left-alone"]), microseconds),
            row("the same, somebody does", Spread(p99["in-use"]), microseconds),
            row("the latter by the former", shares, ratio, goal),
            row("pages of 1,000 a second", a_second("pages"), ratio),
            row("messages to one session, a second", a_second("sends"), ratio),
            row("kicks a second", a_second("kicks"), ratio),
            row("time to get a page, median", use("page_ms_p50"), lambda ms: microseconds(1000 * ms)),
        ]

    def stalled(self):
        def cells(figure, number, variant):
            return [self.cell("stalled", server, figure, number, variant) for server in SERVERS]

        def with_by_without(figure):
            pairs = {}
            for server in SERVERS:
                without, with_one = (self.figures("stalled", server, figure, v) for v in ("all-read", "one-stalled"))
                pairs[server] = Spread.of_ratios(with_one, without)
            return pairs

        p99, memory = latency("p99"), lambda run: run["peak_rss_bytes"]
        # Where nothing was dropped the run was too short: nobody felt the one, and nothing is proved.
        dropped = self.figures("stalled", OURS, lambda run: run["dropped"], "one-stalled")
        was_felt = all(dropped)
        rows = [heading(f"1 KiB to {whole(self.run['many'])} clients, 16 in flight, one stops reading")]
        took_part = [bool(self.runs.get(("stalled", server, "one-stalled"))) for server in SERVERS]
        for label, figure, number, most in (
            ("latency, 99th percentile", p99, microseconds, STALLED_P99_RATIO_MAX),
            ("highest server memory", memory, size, STALLED_MEMORY_RATIO_MAX),
        ):
            rows.append([f"{label}, all read", *cells(figure, number, "all-read"), "", ""])
            rows.append([f"{label}, one does not", *cells(figure, number, "one-stalled"), "", ""])
            pairs = with_by_without(figure)
            what = "99th percentile" if figure is p99 else "server memory"
            share = pairs[OURS].median if was_felt else None
            goal = self.target(f"{what} with a client that stops reading", share, most, ratio)
            rows.append([f"{what}, the latter by the former", *(pairs[server].text(ratio) if took else "" for server, took in zip(SERVERS, took_part)), "", goal])
        lost = [sum(self.figures("stalled", server, client("lost"), "one-stalled")) for server in SERVERS]
        goal = self.target("messages lost by clients that read", lost[0] if was_felt else None, 0, whole)
        rows.append(["messages lost by the others", *(whole(count) if took else "" for count, took in zip(lost, took_part)), "", goal])
        rows.append(["messages dropped for the one", Spread(dropped).text(whole), *[""] * len(PEERS), "", ""])
        return rows

    def setting(self):
        """What was measured, where and how."""
        run = self.run
        return (
            f"`{run['command']}` on {run['cpu']}, {run['cpus']} CPUs, {run['system']}. Each server in turn has one thread"
            f" for its clients, on CPU {run['server_cpu']}; the load client is on CPU {run['client_cpu']}, over loopback."
            f" Figures are medians of {run['repeats']} runs, with the lowest and highest; ratios are taken within each"
            f" repeat. The others are {', '.join(run['peers'])}."
        )

    def faults(self):
        """Which runs failed their checks, or None."""
        if not self.failed:
            return None
        names = sorted({f"{run['server']} in {run['scenario']}" for run in self.failed})
        return f"**{len(self.failed)} runs failed their checks: {', '.join(names)}.**"

    def markdown(self):
        run = self.run
        parts = []
        if run["quick"]:
            parts.append("**A smoke run: debug builds, few clients. These figures mean nothing.**")
        parts.append(self.setting())
        if broadcast := self.broadcast():
            parts.append(table(f"broadcast to {whole(run['subscribers'])} clients", broadcast))
        if others := self.others():
            parts.append(table("", others))
        if self.missed:
            parts.append("Targets missed: " + "; ".join(self.missed) + ".")
        elif not run["quick"]:
            parts.append("No target was missed.")
        if faults := self.faults():
            parts.append(faults)
        return "\n\n".join(parts)


def client(name):
    return lambda run: run["client"].get(name)


def latency(percentile):
    return lambda run: (run["client"]["latency_us"] or {}).get(percentile)


def table(head, rows):
    return markdown_table([head, *SERVERS, "ours by the best other", "target"], rows)


def markdown_table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def heading(text):
    """A row that says what those below it are of."""
    return [f"**{text}**", *[""] * (len(SERVERS) + 2)]


def message_name(size_bytes, window):
    return f"{size_bytes} B, {window} in flight" if size_bytes < 1024 else f"{size_bytes // 1024} KiB, {window} in flight"


def put_into(path, text, markers=MARKERS):
    """Replaces what stands between the markers."""
    readme = path.read_text()
    begin, end = markers
    if readme.count(begin) != 1 or readme.count(end) != 1 or readme.index(begin) > readme.index(end):
        sys.exit(f"{path}: expected the lines {begin} and {end}, once each and in this order")
    before, rest = readme.split(begin)
    after = rest.split(end)[1]
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def print_page(text, flag, markers=MARKERS):
    """Prints it; `flag` is empty, or the name of a flag and the file that it is to stand in as well."""
    print(text)
    if flag:
        put_into(pathlib.Path(flag[1]), text, markers)


def describe(arguments):
    shown = [argument for argument in arguments if argument != "--write-readme"]
    names = re.findall(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    lock = pathlib.Path("Cargo.lock").read_text()
    versions = {crate: re.search(rf'name = "{crate}"\nversion = "(.*)"', lock)[1] for crate in CRATES}
    peers = [f"{crate} {version} as in `tools/peers`" for crate, version in versions.items()]
    if pathlib.Path(os.environ["NGINX"]).exists() and pathlib.Path(os.environ["NCHAN"]).exists():
        peers.append(f"nginx {nginx_version()} with Nchan{nchan_version()}")
    return {
        "command": " ".join(["ci/bench", *shown]),
        "cpu": names[0] if names else platform.machine(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "peers": peers,
        "quick": os.environ["QUICK"] == "true",
        **{
            name: int(os.environ[name.upper()])
            for name in ("repeats", "few", "subscribers", "many", "echo_clients", "connecting", "server_cpu", "client_cpu")
        },
    }


def nginx_version():
    said = subprocess.run([os.environ["NGINX"], "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def nchan_version():
    """Of Debian's package; a module does not say."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"]
    try:
        version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return " " + re.sub(r"^\d+:|[+-].*$", "", version)


def main(arguments):
    match arguments:
        case ["--describe", *rest]:
            print(json.dumps(describe(rest)))
        case [results, *rest] if not rest or (len(rest) == 2 and rest[0] == "--readme"):
            print_page(Report(pathlib.Path(results).read_text().splitlines()).markdown(), rest)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
