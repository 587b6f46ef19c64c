"""Plots of what ci/bench measured, as SVG.

    bench_plots.py [--peers RESULTS.jsonl] [--paths PATHS.jsonl] --to FOLDER

Draws those for which there are figures. The same results give the same bytes, and a background of
their own makes the plots readable on any page.
"""

import argparse
import dataclasses
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench_table import SERVERS, Report, Spread, client
from paths_page import Page

STYLE = {
    # Glyphs as outlines: it looks the same wherever it is shown.
    "svg.fonttype": "path",
    # In place of random names of the parts.
    "svg.hashsalt": "hioload",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# Colours that are told apart by those who see few of them (Okabe and Ito), and a marker each.
LOOKS = {
    "hioload, DPDK (memif)": ("#d55e00", "D", "-"),
    "hioload, kernel": ("#0072b2", "o", "-"),
    "tokio-tungstenite": ("#009e73", "s", "--"),
    "fastwebsockets": ("#b05590", "^", "--"),
    "nginx-nchan": ("#555555", "v", "--"),
}
# Of hioload's data paths.
LABELS = {"dpdk": "hioload, DPDK (memif)", "kernel": "hioload, kernel"}
CLIENTS = "clients that get each message"
SPREAD_NOTE = "Medians; bars reach from the lowest to the highest run. One CPU for the server, one for the clients."
QUICK_NOTE = "A smoke run: these figures mean nothing."


@dataclasses.dataclass
class Line:
    """A figure by number of clients: how it is called, and (clients, Spread) in their order."""

    label: str
    points: list


def rate_lines(peers, paths, window):
    """Deliveries a second of 64 bytes: each server, and hioload over DPDK. Ours on the kernel is of the
    run with the others where there is one."""
    lines = []
    for path in (["dpdk"] if peers else ["dpdk", "kernel"]) if paths else []:
        of = lambda clients: paths.client("deliveries_per_s", path, "broadcast", clients, 64, window)
        lines.append(Line(LABELS[path], [(clients, of(clients)) for clients in paths.crowds(path)]))
    if peers:
        scenario = f"broadcast-64-{window}"
        crowds = sorted({int(variant) for name, _, variant in peers.runs if name == scenario})
        for server in SERVERS:
            of = lambda clients: Spread(peers.figures(scenario, server, client("deliveries_per_s"), str(clients)))
            label = LABELS["kernel"] if server == SERVERS[0] else server
            lines.append(Line(label, [(clients, of(clients)) for clients in crowds]))
    return measured(lines)


def cost_lines(paths, window):
    """Microseconds of the server's CPU for a delivery of 64 bytes, over both data paths."""
    lines = []
    for path, label in LABELS.items():
        of = lambda clients: in_microseconds(paths.cost(path, "broadcast", clients, 64, window))
        lines.append(Line(label, [(clients, of(clients)) for clients in paths.crowds(path)]))
    return measured(lines)


def in_microseconds(nanoseconds):
    return Spread([value / 1000 for value in nanoseconds.values])


def measured(lines):
    """Without what a logarithmic axis has no place for: what was not measured, and nothing."""
    for line in lines:
        line.points = [point for point in line.points if point[1].values and min(point[1].values) > 0]
    return [line for line in lines if line.points]


def number(value, _=None):
    return f"{value:,.10g}"


def draw(panels, title, quantity, note, to):
    """One plot of a panel, or of two beside each other: (name, lines) each."""
    with plt.rc_context(STYLE):
        figure, every = plt.subplots(1, len(panels), figsize=(9, 5), sharey=True, squeeze=False, layout="constrained", facecolor="white")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        for axes, (name, lines) in zip(every[0], panels):
            for line in lines:
                draw_line(axes, line)
            dress(axes, lines)
            axes.set_title(name)
        every[0][0].set_ylabel(quantity)
        # The second line is the room for the note.
        figure.suptitle(f"{title}\n", x=0.012, ha="left", fontsize=14)
        figure.text(0.012, 0.905, note, fontsize=9.5, color="#444444")
        figure.legend(*legend(every[0]), loc="outside lower center", ncols=5, frameon=False, columnspacing=1.2, handletextpad=0.5, fontsize=10)
        # Without date and version, which change by themselves.
        figure.savefig(to, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def draw_line(axes, line):
    colour, marker, dashes = LOOKS[line.label]
    crowds = [clients for clients, _ in line.points]
    medians = [spread.median for _, spread in line.points]
    down = [spread.median - min(spread.values) for _, spread in line.points]
    up = [max(spread.values) - spread.median for _, spread in line.points]
    axes.errorbar(
        crowds, medians, yerr=[down, up], label=line.label, color=colour, marker=marker, linestyle=dashes, capsize=3, markersize=6, linewidth=1.8
    )


def dress(axes, lines):
    axes.set_xscale("log")
    axes.set_yscale("log")
    crowds = sorted({clients for line in lines for clients, _ in line.points})
    axes.set_xticks(crowds, [number(clients) for clients in crowds])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(number))
    axes.set_xlabel(CLIENTS)
    axes.grid(color="#d8d8d8", linewidth=0.8)
    axes.set_axisbelow(True)


def legend(every):
    """Each label once, whichever panel has it."""
    entries = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    return list(entries.values()), list(entries)


def draw_all(peers, paths, folder):
    """Draws what there are figures for, and says the names of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    is_quick = any(part.run["quick"] for part in [peers] if part) or any(part.machine["quick"] for part in [paths] if part)
    note = QUICK_NOTE if is_quick else SPREAD_NOTE
    plots = []
    for window, name in ((1, "one message in flight"), (16, "16 messages in flight")):
        title = f"Deliveries a second, 64 B, {name}"
        plots.append((f"deliveries-64-{window}.svg", [("", rate_lines(peers, paths, window))], title, "deliveries a second"))
    if paths:
        panels = [("one message in flight", cost_lines(paths, 1)), ("16 messages in flight", cost_lines(paths, 16))]
        plots.append(("cpu-per-delivery-64.svg", panels, "Server CPU per delivery, 64 B", "microseconds of the server's CPU per delivery"))
    names = []
    for name, panels, title, quantity in plots:
        panels = [panel for panel in panels if panel[1]]
        if panels:
            draw(panels, title, quantity, note, folder / name)
            names.append(name)
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--paths", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    options = parser.parse_args()
    read = lambda path, kind: kind(path.read_text().splitlines()) if path and path.exists() else None
    draw_all(read(options.peers, Report), read(options.paths, Page), options.to)


if __name__ == "__main__":
    main()
