"""Stages of a delivery, from profiles made up here."""

import pathlib
import tempfile
import unittest

from stages import Profile, table

# A turn of the worker, into which the hub was inlined, calls into smoltcp; memcpy is a library's.
PROFILE = """\
summary: {total}
fl=(1) /src/dataplane/engine/src/worker.rs
fn=(1) hioload_engine::worker::Worker<S,H,C>::turn
10 {turn}
fi=(2) /src/dataplane/engine/src/hub.rs
20 {hub}
fi=(3) /rustc/library/core/src/slice/mod.rs
30 {near}
cfi=(4) /libc/memmove.S
cfn=(2) memcpy
calls=3 0
20 {copied}
cfi=(5) /registry/smoltcp-0.14.0/src/iface/interface/mod.rs
cfn=(3) smoltcp::iface::interface::Interface::socket_egress
calls=1 0
20 {out}

fl=(5)
fn=(3)
40 {out}

fl=(4)
fn=(2)
50 {copied}
"""


def profile(times, **costs):
    costs = {name: cost * times for name, cost in costs.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "profile")
        path.write_text(PROFILE.format(total=sum(costs.values()) + 1000, **costs))
        return Profile(path)


class Stages(unittest.TestCase):
    def test_a_line_counts_where_it_was_written_and_a_library_where_it_was_asked(self):
        costs = {"turn": 5, "hub": 7, "near": 11, "copied": 13, "out": 17}
        text = table(profile(2, **costs), profile(12, **costs), 10)
        rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[2] for line in text.splitlines()[2:]}
        self.assertEqual((rows["session"], rows["hub"], rows["smoltcp out"]), ("5", "31", "17"))
        self.assertEqual((rows["other"], rows["all"]), ("0", "53"))


if __name__ == "__main__":
    unittest.main()
