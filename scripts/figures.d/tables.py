# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Writes what ddict-bench has measured as tables for the documents.

usage: tables.py FOLDER                          into FOLDER/figures.md and FOLDER/summary.md
       tables.py FOLDER PERFORMANCE.md README.md between the marks of these documents
"""

import pathlib
import sys

import results
from results import brief, rate

MARKS = ("<!-- figures: from here to the next mark scripts/figures writes -->", "<!-- figures: end -->")


def machine(found):
    build = "" if not found.all["sanitizer"] and found.all["build_type"] != "Debug" else " (not optimised)"
    pinned = "every process pinned" if found.options["pin"] else "nothing pinned"
    here = found.machine
    return (f"Measured on {here['cpu']}, {here['cores']} cores, {here['kernel']}, UCX {here['ucx_version']}, ddict "
            f"{found.all['commit']}{build}, {pinned}, load before the run {brief(here['load_average'])}. Medians of "
            f"{found.options['repetitions']} repetitions, with the lowest and the highest.")


def targets(found):
    yield "| | figure | target | measured | | ddict; the other |"
    yield "|---|---|---|---|---|---|"
    for one in found.targets:
        bound = "≥" if one["bound"] == "at_least" else "≤"
        limit = f"{bound} {one['limit']:g} {one['unit']}".strip()
        if "median" not in one:
            yield f"| {one['id']} | {one['figure']} | {limit} | | | {one['own']} |"
            continue
        spread = f"**{brief(one['median'])}** ({brief(one['min'])} to {brief(one['max'])})"
        words = "; ".join(word for word in (one["own"], one["baseline"]) if word)
        yield f"| {one['id']} | {one['figure']} | {limit} | {spread} | {'met' if one['met'] else '**not met**'} | {words} |"


def operations(found):
    yield "| operation | value | rate | p50 | p99 | time / UCX | rate / map | rate / Redis |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in found.records:
        if one["managers"] == 0:
            continue
        group = f" of {one['group']}" if one.get("group", 1) > 1 else ""
        ratios = [brief(one[name]) if name in one else ""
                  for name in ("ratio_to_raw_ucx", "ratio_to_map", "ratio_to_peer")]
        yield (f"| {one['op']}{group} | {results.size(one['bytes'])} | {rate(one['ops_per_second'])} | "
               f"{brief(one['p50_us'])} us | {brief(one['p99_us'])} us | {' | '.join(ratios)} |")


def bring_up(found):
    yield "| managers | create | first request | destroy | last process gone |"
    yield "|---|---|---|---|---|"
    for one in found.records:
        yield (f"| {one['managers']} | {brief(one['create_ms'])} ms | {brief(one['first_request_us'])} us | "
               f"{brief(one['destroy_ms'])} ms | {brief(one['gone_ms'])} ms |")


def page(folder, to_plots):
    found = results.Results(folder, "targets")
    zipf = results.Results(folder, "zipf")
    zipf_words = ", ".join(f"{op} {rate(zipf.record(op, 8)['ops_per_second'])}" for op in ("get", "get_message", "put"))
    count, met = len(found.targets), sum(one.get("met", False) for one in found.targets)
    return "\n".join([
        machine(found), "",
        f"### Targets: {met} of {count} lines met", "", *targets(found), "",
        "### Every operation, one client, one manager, 8192 pairs" if found.options["pairs"] == 8192
        else f"### Every operation, one client, one manager, {found.options['pairs']} pairs", "",
        *operations(results.Results(folder, "operations")), "",
        f"With keys chosen by Zipf's law (exponent {zipf.options['zipf_exponent']:g}), 8 B: {zipf_words}.", "",
        f"![Rates of one client, beside a map and Redis]({to_plots}peers.svg)", "",
        "### Sizes of values", "",
        f"![Time of an operation over the size of its value]({to_plots}sizes.svg)", "",
        "### Coming up and going", "", *bring_up(results.Results(folder, "bring_up"))])


def summary(folder, to_plots):
    found = results.Results(folder, "operations")

    def cell(op, size, figure, words):
        one = found.record(op, size)
        return words(one[figure]) if one else ""

    rows = [("get, manager on the same node", "get"), ("get by message", "get_message"), ("put", "put"),
            ("get, batches of 64", "batch_get"), ("put, batches of 64", "batch_put")]
    lines = ["| one client, one manager, shared memory | 8 B | p50 | 8 KiB | p50 |", "|---|---|---|---|---|"]
    for words, op in rows:
        cells = [cell(op, size, figure, form) for size in (8, 8192)
                 for figure, form in (("ops_per_second", rate), ("p50_us", lambda us: f"{brief(us)} us"))]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    here = found.machine
    return "\n".join([
        f"On {here['cores']} cores of {here['cpu']}, UCX {here['ucx_version']} (`scripts/figures` measures it where you are; "
        "batches: latency of a whole batch):", "", *lines, "",
        f"![Rates of one client, beside a map in the process and Redis]({to_plots}peers.svg)", "",
        f"![Time of an operation over the size of its value]({to_plots}sizes.svg)"])


def between_marks(path, text):
    document = pathlib.Path(path).read_text()
    before, begin, rest = document.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        sys.exit(f"figures: {path} lacks the marks\n  {MARKS[0]}\n  {MARKS[1]}")
    pathlib.Path(path).write_text(f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        pathlib.Path(sys.argv[1], "figures.md").write_text(page(sys.argv[1], "") + "\n")
        pathlib.Path(sys.argv[1], "summary.md").write_text(summary(sys.argv[1], "") + "\n")
    elif len(sys.argv) == 4:
        between_marks(sys.argv[2], page(sys.argv[1], "figures/"))
        between_marks(sys.argv[3], summary(sys.argv[1], "docs/figures/"))
    else:
        sys.exit(__doc__)
