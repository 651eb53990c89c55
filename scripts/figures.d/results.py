# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The results of ddict-bench, as the tables and the plots need them."""

import json
import pathlib
import sys


class Results:
    """One JSON file of ddict-bench."""

    def __init__(self, folder, name):
        path = pathlib.Path(folder) / f"{name}.json"
        if not path.is_file():
            sys.exit(f"figures: there is no {path}; run scripts/figures without --draw-only")
        self.all = json.loads(path.read_text())
        self.machine = self.all["machine"]
        self.options = self.all["options"]
        self.records = self.all["records"]
        self.targets = self.all.get("targets", [])

    def record(self, op, size=None):
        """The first record of an operation, or None."""
        for one in self.records:
            if one["op"] == op and size in (None, one["bytes"]):
                return one
        return None

    def series(self, op, figure):
        """Pairs of size and figure, by size."""
        return sorted((one["bytes"], one[figure]) for one in self.records if one["op"] == op and figure in one)


def brief(value):
    """A number with three digits or so, as ddict-bench writes it."""
    size = abs(value)
    digits = 0 if size == 0 or size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def rate(value):
    """Operations per second, in words."""
    if value >= 1e6:
        return f"{brief(value / 1e6)} M/s"
    if value >= 1e3:
        return f"{brief(value / 1e3)} k/s"
    return f"{brief(value)} /s"


def size(value):
    for unit, bytes_of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= bytes_of and value % bytes_of == 0:
            return f"{value // bytes_of} {unit}"
    return f"{value} B"
