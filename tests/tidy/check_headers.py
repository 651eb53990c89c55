# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Each header compiles alone, and has its guard; the one that all programs include stays small. Needs a configured build:
CMake says how to compile.

A header that a source file of the build includes first has been compiled so by the build. Of the others, one that was
fine is compiled again only when it, one of ours that it includes, or its command has changed; what it was fine with is
kept in the build directory.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile

import repository

# What a program compiles that includes this: lines after the preprocessor, most of them of the standard library. Its
# parts differ between releases, so the bound is for one of them; it is what was reached, and 3 % more.
WATCHED = "include/ddict/dictionary.h"
LINES_MAX = 47_000
RELEASE = "12"  # of GNU's library
# Nothing but comments before it.
FIRST_INCLUDE = re.compile(r'(?:[ \t]*(?://[^\n]*)?\n)*#include [<"]([^>"\n]+)[>"]')


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
    first = {first_include(repo, source) for source in entries}
    memory = pathlib.Path(build) / "headers_that_compile.json"
    known = json.loads(memory.read_text()) if memory.exists() else {}
    fine = {}
    jobs = []
    compiled = [path for path in headers if path.removeprefix("include/") not in first]
    for path in compiled:
        if entry := nearest(entries, path):
            command = command_of(entry)
            if (last := known.get(path)) and last == [command, times(last[2]), last[2]]:
                fine[path] = last
            else:
                jobs.append((path, entry["directory"], command))
        else:
            report.problem(path, 1, f"no source file that is built under {path.split('/')[0]}/ tells how to compile this")
    if WATCHED in headers and (entry := nearest(entries, WATCHED)):
        if problem := too_large(repo, WATCHED, entry["directory"], command_of(entry)):
            report.problem(WATCHED, 1, problem)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, _, command), (errors, used) in zip(jobs, pool.map(lambda job: compile_alone(repo, *job), jobs)):
            if errors:
                report.problem(path, 1, "does not compile by itself:\n" + errors)
            else:
                fine[path] = [command, times(used), used]
    memory.write_text(json.dumps(fine))
    return f"{len(headers)} headers, each by itself, of which a source file includes {len(headers) - len(compiled)} first"


def first_include(repo, source):
    found = FIRST_INCLUDE.match(repo.text(source))
    return found[1] if found else None


def nearest(entries, header):
    """How a source file is compiled that lies as near to the header as possible, in the same folder of the top level."""

    def shared(source):
        return len(os.path.commonpath([source, header]))

    # The public library shows the public headers how users compile them.
    folder = "libclient" if header.startswith("include/") else header.split("/")[0]
    candidates = [source for source in sorted(entries) if source.split("/")[0] == folder]
    return entries[max(candidates, key=shared)] if candidates else None


def command_of(entry):
    """The command that only checks what it reads from its standard input, as C++."""
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
    return [*kept, "-fsyntax-only", "-O0", "-x", "c++", "-"]


def compile_alone(repo, path, directory, command):
    """What is wrong, and the files that it includes (those of the system left out)."""
    with tempfile.NamedTemporaryFile("r") as dependencies:
        done = subprocess.run(
            [*command, "-MMD", "-MF", dependencies.name, "-MT", "x"], cwd=directory, capture_output=True, text=True,
            input=f'#include "{repo.root / path}"\n')
        rule = dependencies.read().replace("\\\n", " ").replace("\\ ", "\0")
    used = [str(pathlib.Path(directory, word.replace("\0", " "))) for word in rule.split()[1:]]
    return (done.stderr.strip() or "the compiler failed") if done.returncode else "", used


def too_large(repo, path, directory, command):
    done = subprocess.run(
        [*command, "-E"], cwd=directory, capture_output=True, text=True,
        input=f'#include "{repo.root / path}"\n_GLIBCXX_RELEASE\n')
    if done.returncode:
        return "the preprocessor failed:\n" + done.stderr.strip()
    lines = done.stdout.splitlines()
    if lines[-1] != RELEASE or len(lines) <= LINES_MAX:
        return None
    return (f"has {len(lines)} lines after the preprocessor, not up to {LINES_MAX}: which header has come to it, and is all of "
            "it needed? Bodies that are no templates belong into libclient/")


def times(files):
    """When each was changed last; None for one that is gone."""
    return [os.stat(file).st_mtime_ns if os.path.exists(file) else None for file in files]


if __name__ == "__main__":
    repository.run(check, "BUILD-DIRECTORY")
