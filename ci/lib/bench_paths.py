"""Measures the two data paths of hioload beside each other: DPDK over shared memory (memif) against
the kernel's sockets over loopback, and raw DPDK (testpmd) over the same memif as the limit.

    bench_paths.py --bin DIR --out DIR [--quick] [--repeats N] [--seconds N] [--million]
    bench_paths.py --bin DIR --out DIR --guard FILE    only deliveries beside raw DPDK: status 1 when
                                                       their share is a quarter below the one in FILE

Server on the first CPU that this process may use, generator on the second. Needs root, huge pages
and libdpdk. Appends one line of JSON for each run to OUT/paths.jsonl; the first line is the machine.
Status 1: a run failed, or a client did not get every message once, in order and whole.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import time

from paths_page import committed_share
from serving import PATIENCE, Fault, Host, log, wait_until

# Bytes of the frame that a message of 64 is delivered in: Ethernet, IPv4, TCP, WebSocket.
DELIVERY_FRAME_BYTES = 14 + 20 + 20 + 2 + 64
# Two testpmd, each with pools of mbufs for many more queues than it has here.
HUGE_PAGES_RAW = 500
# Some of it until both are there.
RAW_SECONDS = 15
RAW_SECONDS_QUICK = 6
# What comes and what goes, unless a run has a longer send ring.
RECEIVE_RING_BYTES = 1024
SEND_RING_BYTES = 2048
# A ring that holds 16 messages of 1 KiB.
LONG_SEND_RING_BYTES = 32 << 10
LONG_SEND_RING_CLIENTS_MAX = 10_000
# How often the server's memory is looked at, and how often at most.
SAMPLE_SECONDS = 0.5
SAMPLES_MAX = 1800
# What is left of a committed share when it has fallen by so much that it is no noise.
GUARDED_SHARE = 0.75
GUARD_ROUNDS = 3
GUARD_ROUNDS_MAX = 6
# Of every server: nothing is limited, and nothing but what is measured goes over its connections.
SETTINGS = {"control.log_level": "warn", "limits.sessions_max": "off", "websocket.ping_interval": "off", "dpdk.idle": "busy"}


def memory_of(pid):
    """What a process had resident at most, and has in huge pages; nothing when it has ended."""
    names = ("VmHWM", "HugetlbPages")
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = [re.search(rf"^{name}:\s*(\d+) kB", status, re.MULTILINE) for name in names]
    if not all(found):
        return None
    peak, huge = (int(match[1]) << 10 for match in found)
    return {"server_peak_bytes": peak, "server_huge_bytes": huge}


class Bench:
    def __init__(self, options):
        self.host = Host(options.bin, options.out, "bench")
        self.quick, self.seconds = options.quick, options.seconds
        self.results = self.host.out / "paths.jsonl"
        self.failures = 0

    def ends(self):
        if self.quick:
            return ["--messages", "20"]
        return ["--warmup", "1s", "--duration", f"{self.seconds}s"]

    def record(self, line):
        with self.results.open("a") as results:
            results.write(json.dumps(line) + "\n")

    # One run of one path: a server of its own, and the generator.

    def run(self, path, scenario, flags, clients, send_ring=SEND_RING_BYTES, **about):
        log(f"  {path}: {scenario} {' '.join(map(str, flags))}")
        program = [self.host.bin / "examples" / "echo"] if scenario == "echo" else [self.host.bin / "hioload", "serve"]
        settings, ring_bytes = SETTINGS, RECEIVE_RING_BYTES + send_ring
        if path == "dpdk":
            settings = {**SETTINGS, "tcp.send_buffer": send_ring, "tcp.receive_buffer": RECEIVE_RING_BYTES}
        # Some have still to end in order when their clients come again.
        with self.host.server(path, program, clients + 1024, settings, ring_bytes) as server:
            command = [*flags, "--connections", clients, "--timeout", f"{PATIENCE}s", "--json"]
            command += ["--busy-poll", "--server-pid", server.pid, "--admin", f"127.0.0.1:{server.admin}"]
            command = self.host.generator(path, server, command)
            client, memory = self.play(command, server.pid)
        if client is None:
            return None
        client.pop("series", None)
        line = {"path": path, "scenario": scenario, "clients": clients, "send_ring": send_ring, **memory, **about, "client": client}
        self.record(line)
        return line

    def play(self, command, server):
        """What the generator printed, if it did, and the server's memory while it served: it may end with
        its client, whose end of a memif is gone then."""
        memory = {}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(SAMPLES_MAX):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    printed, said = process.communicate(timeout=SAMPLE_SECONDS)
                    break
                memory = memory_of(server) or memory
            else:
                raise Fault(f"the generator does not end: {' '.join(command)}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0 or not printed:
            self.failures += 1
            log(f"  FAILED: {said.strip()[-500:]}")
        return json.loads(printed) if printed else None, memory

    # Raw DPDK: one core sends as fast as it can, the other one takes.

    def raw(self, frame_bytes):
        log(f"  testpmd: frames of {frame_bytes} B")
        self.host.pages.need(HUGE_PAGES_RAW)

        # What both print each second is more than a pipe holds.
        printed = self.host.out / "testpmd.log"

        def testpmd(role, cpu, output, *flags):
            other = self.host.client_cpu if cpu == self.host.server_cpu else self.host.server_cpu
            command = ["dpdk-testpmd", "--no-pci", f"--file-prefix={self.host.prefix(role)}", "-m", "128"]
            command += [f"--lcores=0@{other},1@{cpu}", "--main-lcore=0", "--huge-unlink=always", "--vdev", self.host.memif_device(role)]
            command += ["--", "--auto-start", "--nb-cores=1", "--stats-period=1", "--no-lsc-interrupt", *flags]
            return subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE)

        with printed.open("w") as output:
            receiver = testpmd("server", self.host.server_cpu, output, "--forward-mode=rxonly")
        try:
            wait_until("testpmd serves", lambda: os.path.exists(self.host.memif))
            sender = testpmd("client", self.host.client_cpu, subprocess.DEVNULL, "--forward-mode=txonly", f"--txpkts={frame_bytes}")
            try:
                time.sleep(RAW_SECONDS_QUICK if self.quick else RAW_SECONDS)
            finally:
                self.host.end(sender)
        finally:
            self.host.end(receiver)
        rates = [int(rate) for rate in re.findall(r"Rx-pps:\s*(\d+)", printed.read_text())]
        if not any(rates):
            raise Fault("testpmd received nothing")
        # Sender and receiver chase each other through the ring, and a second in which they touch the
        # same cache lines has a third of the frames of one in which they do not. The limit is the best.
        return max(rates)

    def describe(self, options):
        names = re.findall(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        version = subprocess.run(["pkg-config", "--modversion", "libdpdk"], capture_output=True, text=True)
        return {
            "cpu": names[0] if names else platform.machine(),
            "cpus": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "dpdk": version.stdout.strip(),
            "quick": self.quick,
            "repeats": options.repeats,
            "seconds": self.seconds,
            "server_cpu": self.host.server_cpu,
            "client_cpu": self.host.client_cpu,
            "date": time.strftime("%Y-%m-%d"),
        }


def run_all(bench, repeats, with_million):
    crowds = {"kernel": [10, 50], "dpdk": [10, 50]} if bench.quick else {"kernel": [10, 1_000, 10_000], "dpdk": [10, 1_000, 10_000, 100_000]}
    ends = bench.ends()
    for repeat in range(1, repeats + 1):
        log(f"repeat {repeat} of {repeats}")
        frames_per_s = bench.raw(DELIVERY_FRAME_BYTES)
        bench.record({"path": "raw", "scenario": "raw", "repeat": repeat, "frame_bytes": DELIVERY_FRAME_BYTES, "frames_per_s": frames_per_s})
        # The paths take turns, so that what disturbs the machine disturbs both.
        for clients in sorted({count for counts in crowds.values() for count in counts}):
            for size in (64, 1024):
                for window in (1, 16):
                    for path, counts in crowds.items():
                        if clients in counts:
                            flags = ["broadcast", "--size", size, "--window", window, *ends]
                            flags += ["--connecting", min(1000, max(100, clients // 10))]
                            about = {"size": size, "window": window, "repeat": repeat}
                            bench.run(path, "broadcast", flags, clients, **about)
                            if path == "dpdk" and size * window > SEND_RING_BYTES and clients <= LONG_SEND_RING_CLIENTS_MAX:
                                bench.run(path, "broadcast-long-ring", flags, clients, send_ring=LONG_SEND_RING_BYTES, **about)
        for path in ("kernel", "dpdk"):
            bench.run(path, "echo", ["echo", "--size", 64, *ends], 4 if bench.quick else 64, size=64, window=1, repeat=repeat)
        for path in ("kernel", "dpdk"):
            ends_of_connect = ["--total", 100] if bench.quick else ["--duration", "10s"]
            # As systems do; the kernel path's clients have the system's.
            acks = ["--acks", "delayed"] if path == "dpdk" else []
            flags = ["connect", "--closed-by", "client", "--connecting", 256, *acks, *ends_of_connect]
            bench.run(path, "connect", flags, 8 if bench.quick else 256, repeat=repeat)
        for path in ("kernel", "dpdk"):
            bench.run(path, "idle", ["idle", "--duration", "1s", "--connecting", 200], 50 if bench.quick else 10_000, repeat=repeat)
    if with_million:
        flags = ["broadcast", "--size", 64, "--window", 1, "--messages", 5, "--connecting", 2000]
        bench.run("dpdk", "million", flags, 1_000_000, size=64, window=1, repeat=1)


def guard(bench, page):
    """Others on the machine only make figures smaller: the best of each is what it can do."""
    committed = committed_share(page.read_text())
    least = committed * GUARDED_SHARE
    raw, deliveries = [], []
    for done in range(1, GUARD_ROUNDS_MAX + 1):
        raw.append(bench.raw(DELIVERY_FRAME_BYTES))
        ends = ["--warmup", "1s", "--duration", "2s"]
        run = bench.run("dpdk", "broadcast", ["broadcast", "--size", 64, "--window", 1, *ends], 1000, size=64, window=1)
        if bench.failures:
            return
        deliveries.append(run["client"]["deliveries_per_s"])
        share = max(deliveries) / max(raw)
        log(f"  {max(deliveries):,.0f} deliveries of {max(raw):,} raw frames a second are {share:.4f}; at least {least:.4f} is wanted")
        if done >= GUARD_ROUNDS and share >= least:
            return
    raise Fault(f"{page.name} has deliveries at {committed:.3f} of raw frames; here they are a quarter below")


def main():
    # As an interrupt: what was started is ended, and huge pages are given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--guard", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    bench = Bench(options)
    bench.host.out.mkdir(parents=True, exist_ok=True)
    bench.results.write_text(json.dumps(bench.describe(options)) + "\n")
    try:
        if options.guard:
            guard(bench, options.guard)
        else:
            run_all(bench, options.repeats, options.million)
    except (Fault, OSError, subprocess.SubprocessError) as fault:
        sys.exit(f"bench_paths.py: {fault}")
    finally:
        bench.host.pages.put_back()
    if bench.failures:
        sys.exit(f"bench_paths.py: {bench.failures} runs failed; see {bench.results}")


if __name__ == "__main__":
    main()
