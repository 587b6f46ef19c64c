"""Servers and generators on one host, over either data path: DPDK over shared memory (memif), or the
kernel's sockets over loopback. What the scripts share that measure them, soak them and try them out.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

SERVER = "10.0.0.1:8080"
CLIENTS = "10.1.0.0/16"
RING_BITS = 11
HUGE_PAGE_BYTES = 2 << 20
# Of EAL and both processes, beyond the rings of flows.
HUGE_PAGES_MIN = 160
# Of each flow, what comes and what goes, unless its server says something else.
RING_BYTES = 1024 + 2048
PATIENCE = 60


class Fault(Exception):
    """What keeps a run from being made."""


def log(text):
    print(text, file=sys.stderr, flush=True)


def wait_until(what, fact, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if fact():
            return
        time.sleep(0.05)
    raise Fault(f"{what} within {seconds} s")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class HugePages:
    """As many as a run needs; what was added is taken away at the end, and nobody else's."""

    PATH = pathlib.Path("/proc/sys/vm/nr_hugepages")

    def __init__(self):
        self.added = 0

    @staticmethod
    def free():
        return int(re.search(r"^HugePages_Free:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)[1])

    @classmethod
    def reserved(cls):
        return int(cls.PATH.read_text())

    def need(self, pages):
        if " hugetlbfs " not in pathlib.Path("/proc/mounts").read_text():
            os.makedirs("/dev/hugepages", exist_ok=True)
            subprocess.run(["mount", "-t", "hugetlbfs", "hugetlbfs", "/dev/hugepages"], check=True)
        free, before = self.free(), self.reserved()
        if free < pages:
            self.PATH.write_text(str(before + pages - free))
            self.added += self.reserved() - before
        if self.free() < pages:
            raise Fault(f"the system gives {self.free()} huge pages and not {pages}: free some memory")

    def put_back(self):
        if self.added:
            self.PATH.write_text(str(max(0, self.reserved() - self.added)))


@dataclasses.dataclass
class Server:
    """One that serves."""

    pid: int
    port: int
    admin: int
    log: pathlib.Path
    # The exit status, once it has ended.
    status: int | None = None

    def stats(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.admin}/stats", timeout=PATIENCE) as answer:
            return json.load(answer)


class Host:
    """The first CPU that this process may use is the server's, the second one the generator's.

    `name` sets the files of a script apart from those of others.
    """

    def __init__(self, binaries, out, name):
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.client_cpu = cpus[0], cpus[1 % len(cpus)]
        self.bin, self.out, self.name = pathlib.Path(binaries).resolve(), pathlib.Path(out).resolve(), name
        self.pages = HugePages()
        # As short as paths of Unix sockets have to be, wherever the tree lies.
        self.memif = f"/run/hioload-{name}-{os.getpid()}.memif"

    def prefix(self, role):
        return f"{self.name}-{role}-{os.getpid()}"

    def memif_device(self, role):
        return f"net_memif0,role={role},id=0,socket={self.memif},socket-abstract=no,bsize=2048,rsize={RING_BITS}"

    @contextlib.contextmanager
    def server(self, path, program, flows, settings, ring_bytes=RING_BYTES):
        """A server on a data path, `dpdk` or `kernel`, until the end of the block.

        `program` is its first words, `flows` the connections that it has room for over DPDK, with so many
        bytes of rings each.
        `settings` are keys of its file and their values; those of `dpdk` are left out elsewhere.
        """
        port, admin = free_port(), free_port()
        toml, output = self.out / f"{self.name}.toml", self.out / f"{self.name}-server.log"
        settings = {"control.admin": f"127.0.0.1:{admin}", "server.datapath": path, **settings}
        tables = ""
        if path == "dpdk":
            self.pages.need(HUGE_PAGES_MIN + flows * ring_bytes // HUGE_PAGE_BYTES)
            settings |= {"server.listen": SERVER, "dpdk.flows_max": flows, "dpdk.file_prefix": self.prefix("server")}
            tables = (
                f'[[dpdk.port]]\nvdev = "{self.memif_device("server")}"\naddresses = ["{SERVER.split(":")[0]}/8"]\n'
                f"lcores = [{self.server_cpu}]\nrx_descriptors = {1 << RING_BITS}\ntx_descriptors = {1 << RING_BITS}\n"
            )
            is_ready = lambda: os.path.exists(self.memif) and accepts(admin)
        else:
            settings = {key: value for key, value in settings.items() if not key.startswith("dpdk.")}
            settings |= {"server.listen": f"127.0.0.1:{port}", "server.workers": 1, "server.cpus": str(self.server_cpu)}
            is_ready = lambda: accepts(port) and accepts(admin)
        # What JSON has of these, TOML has as well.
        toml.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()) + tables)
        command = [str(word) for word in [*program, "--config", toml]]
        with output.open("w") as lines:
            process = subprocess.Popen(command, stdout=lines, stderr=lines, stdin=subprocess.DEVNULL)
        server = Server(process.pid, port, admin, output)
        try:
            wait_until("the server serves", lambda: process.poll() is not None or is_ready())
            if process.poll() is not None:
                raise Fault(f"the server does not start: {output.read_text()[-800:]}")
            yield server
        finally:
            self.end(process)
            server.status = process.returncode

    def generator(self, path, server, flags):
        """The words that play clients against a server."""
        command = [self.bin / "hioload-pktgen", *flags]
        if path == "dpdk":
            command += ["--transport", "dpdk", "--vdev", self.memif_device("client"), "--cpu", self.client_cpu]
            command += ["--target", SERVER, "--clients", CLIENTS, "--file-prefix", self.prefix("client")]
        else:
            command = ["taskset", "-c", self.client_cpu, *command, "--target", f"127.0.0.1:{server.port}"]
        return [str(word) for word in command]

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.memif)
