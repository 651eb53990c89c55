# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Draws the plots of a folder of results, as SVG: on no ground of their own, in colours that show on white and on black.

usage: plots.py FOLDER
"""

import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402  (after the choice of the backend)

import results  # noqa: E402

GREY = "#808892"
BLUE = "#2f81f7"
GREEN = "#2da44e"
ORANGE = "#d9730d"
PINK = "#d6409f"

STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "ddict",  # the same names in every run
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.titlecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}

LICENCE = """<!-- SPDX-FileCopyrightText: The ddict authors -->
<!-- SPDX-License-Identifier: Apache-2.0 -->
"""


def save(figure, path):
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": "scripts/figures"})
    pyplot.close(figure)
    text = pathlib.Path(path).read_text()
    # The licence behind the first line; no space at the ends of lines; paths, which fill lines of their own, in one.
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r'\n(?=[LMCQzZ"][ \d"/>])', " ", text)
    head, rest = text.split("\n", 1)
    pathlib.Path(path).write_text(f"{head}\n{LICENCE}{rest}")


def sizes(folder):
    """Time of an operation over the size of its value, beside UCX alone and memory alone."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    lines = (
        ("get", "get, same node", BLUE, "-", "o"),
        ("get_message", "get by message", GREEN, "-", "o"),
        ("put", "put", ORANGE, "-", "o"),
        ("raw_get", "UCX alone, like get", GREEN, ":", None),
        ("raw_put", "UCX alone, like put", ORANGE, ":", None),
        ("map_get", "map in the process, get", BLUE, ":", None),
    )
    for panel, transport, title in zip(panels, ("samehost", "ucx"), ("within the node", "over UCX, tcp on one host")):
        found = results.Results(folder, f"sizes_{transport}")
        for op, label, colour, style, marker in lines:
            points = found.series(op, "mean_us")
            panel.plot([x for x, _ in points], [y for _, y in points], style, color=colour, marker=marker, markersize=3.5,
                       linewidth=1.8, label=label)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        ticks = [x for x, _ in found.series("get", "mean_us")]
        panel.set_xticks(ticks, [results.size(x) for x in ticks], rotation=40, ha="right")
        panel.minorticks_off()
        panel.set_title(f"Messages over {title}", fontsize=11)
        panel.set_xlabel("size of the value")
    panels[0].set_ylabel("one operation, microseconds")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, bbox_to_anchor=(0.5, -0.24))
    figure.subplots_adjust(wspace=0.06)
    save(figure, pathlib.Path(folder) / "sizes.svg")


def peers(folder):
    """Operations per second of one client, beside a map and a Redis."""
    found = results.Results(folder, "operations")
    rows = (("get", "get"), ("put", "put"), ("batch_get", "get, batches of 64"), ("batch_put", "put, batches of 64"))
    contenders = (("", "ddict", BLUE), ("map_", "map in the process", GREEN), ("redis_", "Redis, Unix socket", ORANGE))
    figure, panels = pyplot.subplots(1, 2, figsize=(9.6, 3.4), sharey=True)
    for panel, size in zip(panels, (8, 8192)):
        for place, (prefix, label, colour) in enumerate(contenders):
            bars = [(row + 0.27 * (place - 1), found.record(prefix + op, size)) for row, (op, _) in enumerate(rows)]
            bars = [(at, one) for at, one in bars if one is not None]
            rates = [one["ops_per_second"] for _, one in bars]
            panel.barh([at for at, _ in bars], rates, height=0.25, color=colour, label=label)
            for (at, _), value in zip(bars, rates):
                panel.text(value * 1.15, at, results.rate(value), va="center", fontsize=8)
        panel.set_xscale("log")
        low, high = panel.get_xlim()
        panel.set_xlim(low / 2, high * 5)
        panel.set_yticks(range(len(rows)), [label for _, label in rows])
        panel.grid(axis="y", visible=False)
        panel.minorticks_off()
        panel.set_title(f"values of {results.size(size)}", fontsize=11)
        panel.set_xlabel("operations per second, one client")
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, bbox_to_anchor=(0.5, -0.16))
    figure.subplots_adjust(wspace=0.06)
    save(figure, pathlib.Path(folder) / "peers.svg")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with matplotlib.rc_context(STYLE):
        sizes(sys.argv[1])
        peers(sys.argv[1])
