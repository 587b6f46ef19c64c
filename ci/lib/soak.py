"""Runs a server under clients of all kinds for long, over each data path that is named, and holds what
the server counted against what the clients did: soak.py --bin DIR --out DIR --seconds N dpdk kernel

Status 1: a run could not be made, or something does not add up; what, is told.
"""

import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import books
from serving import PATIENCE, Fault, Host, log, wait_until

SCENARIO = pathlib.Path(__file__).resolve().parents[2] / "tools" / "pktgen" / "examples" / "soak.toml"
# One to warm up, and three in each third of the rest.
ROUNDS = 10
FLOWS = 4096
# As a server is when nothing else is said, but that every session's end has a line in the log, and that
# what slow clients may have waiting is small enough to be dropped in the time there is.
SETTINGS = {
    "control.log_format": "json",
    "control.connection_log": 100_000,
    "broadcast.backlog_messages_max": 256,
    "limits.sessions_max": "off",
}


def scenario(seconds):
    """All rounds of the scenario, in so many seconds."""
    text = SCENARIO.read_text()
    head, *phases = text.split("[[phase]]")
    length = sum(int(found) for found in re.findall(r'^duration = "(\d+)s"', text, re.MULTILINE))
    scale = seconds * 1000 / ROUNDS / length
    shorten = lambda found: f'duration = "{round(int(found[1]) * scale)}ms"'
    phases = [re.sub(r'^duration = "(\d+)s"', shorten, phase, flags=re.MULTILINE) for phase in phases]
    rounds = []
    for number in range(1, ROUNDS + 1):
        rounds += [re.sub(r'^name = "', f'name = "{number} ', phase, flags=re.MULTILINE) for phase in phases]
    return "[[phase]]".join([head, *rounds])


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024


def is_at_rest(stats):
    totals = stats["totals"]
    flows = stats.get("flows", {})
    open_flows = sum(count for state, count in flows.items() if state in ("half_open", "open"))
    return totals["sessions_opened"] == totals["sessions_closed"] and stats["probes"]["active_clients"] == 0 and open_flows == 0


class Soak:
    """One run, and all that was seen of it."""

    def __init__(self, host, path, seconds):
        self.host, self.path, self.seconds = host, path, seconds
        # By time since the clients came: resident memory, and what is in use of each pool.
        self.samples = []

    def run(self):
        toml = self.host.out / f"soak-{self.path}.toml"
        toml.write_text(scenario(self.seconds))
        with self.host.server(self.path, [self.host.bin / "hioload", "serve"], FLOWS, SETTINGS) as server:
            self.before = server.stats()
            flags = ["mix", toml, "--timeout", f"{PATIENCE}s", "--json"]
            command = self.host.generator(self.path, server, flags)
            errors = self.host.out / f"soak-{self.path}.err"
            with (self.host.out / f"soak-{self.path}.json").open("w+") as answer, errors.open("w") as lines:
                generator = subprocess.Popen(command, stdout=answer, stderr=lines, stdin=subprocess.DEVNULL)
                try:
                    self.watch(server, generator)
                finally:
                    if generator.poll() is None:
                        self.host.end(generator)
                answer.seek(0)
                text = answer.read()
            if not text:
                raise Fault(f"the generator could not run: {errors.read_text()[-800:]}")
            self.clients = json.loads(text)
            self.status = generator.returncode
            wait_until("the server is rid of all clients", lambda: is_at_rest(server.stats()), 3 * PATIENCE)
            self.after = server.stats()
            seen = {"before": self.before, "after": self.after, "samples": self.samples}
            (self.host.out / f"soak-{self.path}-stats.json").write_text(json.dumps(seen))
        self.server_status = server.status
        self.ends = [entry for entry in map(entry_of, server.log.read_text().splitlines()) if entry.get("message") == "session ended"]

    def watch(self, server, generator):
        """Looks at the server until the generator has ended."""
        deadline = time.monotonic() + self.seconds + 10 * PATIENCE
        began = None
        while generator.poll() is None:
            if time.monotonic() > deadline:
                raise Fault("the generator does not end")
            stats = server.stats()
            if began is None and stats["totals"]["sessions_opened"] > 0:
                began = time.monotonic()
            if began is not None:
                pools = {pool["name"]: pool["in_use"] for pool in stats.get("mempools", [])}
                self.samples.append((time.monotonic() - began, resident_bytes(server.pid), pools))
            time.sleep(min(1.0, self.seconds / 200))


def entry_of(line):
    """A line of the server's log."""
    try:
        entry = json.loads(line)
    except ValueError:
        # DPDK writes what it likes.
        return {}
    return entry.get("fields", entry) | {"message": entry.get("message") or entry.get("fields", {}).get("message")}


def main():
    # As an interrupt: what was started is ended, and huge pages are given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("paths", nargs="+", choices=["dpdk", "kernel"])
    options = parser.parse_args()
    host = Host(options.bin, options.out, "soak")
    faults = []
    try:
        for path in options.paths:
            log(f"{path}: {options.seconds} seconds")
            soak = Soak(host, path, options.seconds)
            soak.run()
            print(f"\n{books.title(soak)}", flush=True)
            for check in books.checks(soak):
                print(f"  {'ok ' if check.holds else 'BAD'}  {check.text}", flush=True)
                if not check.holds:
                    faults.append(f"{path}: {check.text}")
    except (Fault, OSError, subprocess.SubprocessError) as fault:
        sys.exit(f"soak: {fault}")
    finally:
        host.pages.put_back()
    if faults:
        sys.exit("\nsoak: this does not add up:\n" + "\n".join(f"  {fault}" for fault in faults))
    print("\nsoak: all of it adds up")


if __name__ == "__main__":
    main()
