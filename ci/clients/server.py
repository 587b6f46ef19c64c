"""Starts and ends the real binary, on a loopback port of our choice."""

import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TARGET = TOP / os.environ.get("CARGO_TARGET_DIR", "target")
BINARY = os.environ.get("HIOLOAD_BIN", str(TARGET / "release" / "hioload"))
# The same tests serve every data path; the value goes into the config as it is.
DATAPATH = os.environ.get("HIOLOAD_DATAPATH", "kernel")


class Server:
    """A running server; `sections` is added to its config file."""

    def __init__(self, sections=""):
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self._folder = tempfile.TemporaryDirectory(prefix="hioload-clients-")
        folder = pathlib.Path(self._folder.name)
        config = folder / "hioload.toml"
        config.write_text(
            f'[server]\ndatapath = "{DATAPATH}"\n\n[control]\nadmin = "127.0.0.1:0"\n\n{sections}'
        )
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [BINARY, "serve", "--config", config, "--addr", f"127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_it_accepts()
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_accepts(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server does not accept:\n{self.log()}") from None
                time.sleep(0.05)

    def admin(self):
        """The URL of the admin interface, from the first line of the log."""
        deadline = time.monotonic() + 10
        while not (found := re.search(r" admin=(\S+)", self.log())):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the log does not name it:\n{self.log()}")
            time.sleep(0.05)
        return "http://" + found[1]

    def log(self):
        return self._log.read_text(errors="replace")

    def stop(self):
        """Ends the server with SIGTERM and returns its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            status = self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._folder.cleanup()
        return status


def free_port():
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
