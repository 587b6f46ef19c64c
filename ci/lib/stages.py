"""What the instructions of a delivery are spent on, by stage, from two profiles of callgrind.

    stages.py FEW MANY DELIVERIES [--page FILE]

FEW and MANY are profiles of `cargo bench -p hioload-engine --bench stack -- count worker FLOWS TIMES`,
MANY with so many deliveries more. Their difference leaves out all that is done once. A line of
source belongs to the stage of its file, wherever it was inlined; what the standard library and libc
do, to the line that asked for it.
"""

import collections
import pathlib
import re
import sys

from bench_table import print_page

MARKERS = ("<!-- ci/bench stages: begin -->", "<!-- ci/bench stages: end -->")

STAGES = {
    "demux": "headers, checksum, the flow of each segment",
    "smoltcp in": "the acknowledgement into its TCP socket, and what surrounds that",
    "session": "events, deadlines, what a worker does in each turn",
    "hub": "who is to get a message, its bytes into the send rings",
    "smoltcp out": "the segment out of its TCP socket, checksum, and what surrounds that",
    "tx": "a frame, its link header, and into the port",
    "bench": "the clients and the wire of the benchmark, in the place of rx and tx of a driver",
    "other": "not told apart",
}

# The first that is found in the path of a source file decides.
FILES = [
    ("engine/benches/", "bench"),
    ("net/src/stack/demux", "demux"),
    ("net/src/stack/plain", "demux"),
    ("net/src/stack/packet", "demux"),
    ("net/src/stack/table", "demux"),
    ("net/src/stack/device", "tx"),
    ("net/src/stack/link", "tx"),
    ("net/src/stack/attached", "tx"),
    ("net/src/stack/ingress", "smoltcp in"),
    ("net/src/stack/egress", "smoltcp out"),
    ("net/src/stack/mod", "session"),
    ("net/src/stack/streams", "hub"),
    ("net/src/stack/flow", "hub"),
    ("net/src/queue", "hub"),
    ("net/src/slots", "demux"),
    ("net/src/timer", "session"),
    ("net/src/", "session"),
    ("engine/src/hub", "hub"),
    ("engine/src/flow_set", "hub"),
    ("engine/src/latency", "hub"),
    ("engine/src/", "session"),
    ("buffer/src/", "hub"),
    ("mem/src/", "hub"),
]
# Of `smoltcp` and of what it is built on, by the function that it was compiled into.
SMOLTCP = re.compile(r"/(smoltcp|managed|heapless|byteorder)-[0-9]")
OUTWARDS = re.compile(r"dispatch|egress|emit|transmit|poll_at|send|advance|schedule|fan_out|deliver|flush")


def stage_of(file, function):
    """None for what belongs to whoever called it."""
    for part, stage in FILES:
        if part in file:
            return stage
    if SMOLTCP.search(file):
        return "smoltcp out" if OUTWARDS.search(function) else "smoltcp in"
    return None


class Profile:
    """Instructions by stage. Libraries' functions are found at their callers' lines."""

    def __init__(self, path):
        self.cost = collections.Counter()
        self.names = {}
        file = function = home = callee_home = ""
        own = is_call = False
        # Of the last line that has one: code of the standard library stands beside what it is inlined in.
        self.near = None
        for line in pathlib.Path(path).read_text().splitlines():
            if match := re.match(r"(fl|fi|fe|fn|cfi|cfl|cfn|ob|cob)=\((\d+)\)(?: (.*))?$", line):
                kind, number, name = match.groups()
                space = "fn" if kind in ("fn", "cfn") else "ob" if kind in ("ob", "cob") else "fl"
                if name is not None:
                    self.names[space, number] = name
                name = self.names[space, number]
                if kind == "fl":
                    home = file = callee_home = name
                elif kind in ("fi", "fe"):
                    file = name
                elif kind == "fn":
                    function, file, self.near = name, home, None
                    # A function of a library: its callers have its cost.
                    own = self.is_ours(home, function)
                elif kind in ("cfi", "cfl"):
                    callee_home = name
                elif kind == "cfn":
                    callee, is_ours = name, self.is_ours(callee_home, name)
            elif line.startswith("calls="):
                is_call = True
            elif re.match(r"[+\-*0-9]", line):
                count = int(line.split()[1])
                if is_call:
                    if own and not is_ours:
                        self.add(file, home, function, count)
                    is_call, callee_home = False, home
                elif own:
                    self.add(file, home, function, count)
            elif line.startswith("summary:"):
                self.total = int(line.split()[1])

    @staticmethod
    def is_ours(home, function):
        return stage_of(home, function) is not None or "hioload" in function or "smoltcp" in function

    def add(self, file, home, function, count):
        stage = stage_of(file, function)
        self.near = stage or self.near
        self.cost[self.near or stage_of(home, function) or by_name(function) or "other"] += count


def by_name(function):
    """The stage of a function of ours whose own file says nothing: an instance of a generic one."""
    if "hioload_engine" in function:
        return "session"
    if "smoltcp" in function:
        return "smoltcp out" if OUTWARDS.search(function) else "smoltcp in"
    return None


def table(few, many, deliveries):
    spent = {stage: (many.cost[stage] - few.cost[stage]) / deliveries for stage in STAGES}
    rest = (many.total - few.total) / deliveries - sum(spent.values())
    spent["other"] = max(0.0, spent["other"] + rest)
    whole = sum(count for stage, count in spent.items() if stage != "bench")
    lines = ["| stage | | instructions | share |", "| --- | --- | --- | --- |"]
    for stage, what in STAGES.items():
        share = "" if stage == "bench" else f"{spent[stage] / whole:.0%}"
        lines.append(f"| {stage} | {what} | {spent[stage]:,.0f} | {share} |")
    lines.append(f"| all | but for the benchmark's | {whole:,.0f} | |")
    return "\n".join(lines)


def main(arguments):
    match arguments:
        case [few, many, deliveries, *rest] if not rest or (len(rest) == 2 and rest[0] == "--page"):
            print_page(table(Profile(few), Profile(many), int(deliveries)), rest, MARKERS)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
