"""The plots of ci/bench, from results made up here."""

import json
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import bench_plots
import paths_page
import test_bench_table
import test_paths_page
from bench_table import SERVERS, Report
from test_peers_page import broadcast

CROWDS = (10, 1000, 10000)


def peers(**changes):
    runs = [line for server in SERVERS for clients in CROWDS for window in (1, 16) for line in broadcast(server, clients, [1000.0, 1200.0], window)]
    return Report(json.dumps(line) for line in [{**test_bench_table.RUN, **changes}, *runs])


def paths(rate=5e5):
    runs = [
        line
        for path, crowds in (("kernel", CROWDS), ("dpdk", (*CROWDS, 100_000)))
        for clients in crowds
        for window in (1, 16)
        for line in test_paths_page.broadcast(path, clients, [rate], window=window)
    ]
    return paths_page.Page(json.dumps(line) for line in [test_paths_page.MACHINE, *runs])


class Plots(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def draw(self, *results, name="plots"):
        names = bench_plots.draw_all(*results, self.folder / name)
        return {name_of_file: (self.folder / name / name_of_file).read_bytes() for name_of_file in names}

    def test_each_plot_is_an_image_with_a_background_of_its_own(self):
        plots = self.draw(peers(), paths())
        self.assertEqual(sorted(plots), ["cpu-per-delivery-64.svg", "deliveries-64-1.svg", "deliveries-64-16.svg"])
        for text in plots.values():
            self.assertTrue(ElementTree.fromstring(text).tag.endswith("svg"))
            self.assertIn(b"fill: #ffffff", text)

    def test_the_same_results_give_the_same_bytes(self):
        self.assertEqual(self.draw(peers(), paths(), name="one"), self.draw(peers(), paths(), name="other"))

    def test_every_server_has_a_line_and_so_has_dpdk(self):
        lines = bench_plots.rate_lines(peers(), paths(), 1)
        labels = ["hioload, DPDK (memif)", "hioload, kernel", *SERVERS[1:]]
        self.assertEqual([line.label for line in lines], labels)
        self.assertEqual([clients for clients, _ in lines[0].points], [*CROWDS, 100_000])
        self.assertEqual([spread.median for _, spread in lines[1].points], [1100.0] * 3)
        self.assertLessEqual(set(labels), set(bench_plots.LOOKS))

    def test_without_the_others_both_data_paths_are_drawn(self):
        lines = bench_plots.rate_lines(None, paths(), 16)
        self.assertEqual([line.label for line in lines], ["hioload, DPDK (memif)", "hioload, kernel"])
        self.assertEqual(len(self.draw(None, paths())), 3)

    def test_costs_are_in_microseconds(self):
        (clients, spread), *_ = bench_plots.cost_lines(paths(), 1)[0].points
        self.assertEqual((clients, spread.median), (10, 1.0))

    def test_what_was_not_measured_is_no_point_and_no_plot(self):
        self.assertEqual(bench_plots.rate_lines(None, paths(rate=0.0), 1), [])
        self.assertEqual(bench_plots.rate_lines(None, paths(rate=None), 1), [])
        self.assertEqual(sorted(self.draw(peers(), None)), ["deliveries-64-1.svg", "deliveries-64-16.svg"])
        self.assertEqual(self.draw(None, None), {})


if __name__ == "__main__":
    unittest.main()
