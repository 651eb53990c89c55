# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Each header compiles alone, and has its guard. Needs a configured build: CMake says how to compile."""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess

import repository


def check(repo, report, build):
    headers = repo.having(".h", ".hpp")
    for path in headers:
        if "\n#pragma once\n" not in repo.text(path):
            report.problem(path, 1, "#pragma once is missing")
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    entries = {}
    for entry in commands:
        source = pathlib.Path(entry["directory"], entry["file"])
        if source.suffix != ".c" and source.is_relative_to(repo.root):
            entries[source.relative_to(repo.root).as_posix()] = entry
    jobs = []
    for path in headers:
        if entry := nearest(entries, path):
            jobs.append((path, entry))
        else:
            report.problem(path, 1, f"no source file that is built under {path.split('/')[0]}/ tells how to compile this")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, errors in pool.map(lambda job: compile_alone(repo, *job), jobs):
            if errors:
                report.problem(path, 1, "does not compile by itself:\n" + errors)
    return f"{len(headers)} headers, each by itself"


def nearest(entries, header):
    """How a source file is compiled that lies as near to the header as possible, in the same folder of the top level."""

    def shared(source):
        return len(os.path.commonpath([source, header]))

    candidates = [source for source in sorted(entries) if source.split("/")[0] == header.split("/")[0]]
    return entries[max(candidates, key=shared)] if candidates else None


def compile_alone(repo, path, entry):
    arguments = entry.get("arguments") or shlex.split(entry["command"])
    if pathlib.Path(arguments[0]).name == "ccache":
        arguments = arguments[1:]
    kept = []
    skip = 0
    for argument in arguments:
        if skip:
            skip -= 1
        elif argument in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = 1
        elif not argument.startswith(("-M", "-g")):
            kept.append(argument)
    done = subprocess.run(
        [*kept, "-fsyntax-only", "-O0", "-x", "c++", "-"], cwd=entry["directory"], capture_output=True, text=True,
        input=f'#include "{repo.root / path}"\n')
    return path, done.stderr.strip() if done.returncode else ""


if __name__ == "__main__":
    repository.run(check, "BUILD-DIRECTORY")
