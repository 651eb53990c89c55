# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Format of C++ (clang-format) and soundness of shell scripts (shellcheck)."""

import concurrent.futures
import os
import re
import shutil
import subprocess

import repository

# What shellcheck cannot judge in one part of a script: variables and functions that the other parts use or set.
CROSSES_FILES = "SC2034,SC2119,SC2120,SC2154"

PLACE = re.compile(r"(\S.*?):\d+:\d+: ")
# To start clang-format takes a hundred times as long as to format a file.
FILES_AT_ONCE = 50
PLACES_MAX = 5  # of a file that are told


def check(repo, report):
    sources = repo.having(*repository.CXX)
    # Releases of clang-format differ in their results; 14 is the one that counts.
    formatter = tool(report, "clang-format-14", "clang-format")
    shellcheck = tool(report, "shellcheck")
    jobs = []
    if formatter:
        for first in range(0, len(sources), FILES_AT_ONCE):
            files = sources[first:first + FILES_AT_ONCE]
            jobs.append((files[0], [formatter, "--dry-run", "-Werror", *files]))
    scripts = repo.shell_scripts()
    if shellcheck:
        command = [shellcheck, "--external-sources", "--severity=warning", "--format=gcc"]
        jobs += [(path, command + (["--exclude=" + CROSSES_FILES] if is_part(repo, path) else []) + [path]) for path in scripts]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, command), done in zip(jobs, pool.map(lambda job: call(repo, job[1]), jobs)):
            if done.returncode == 0:
                continue
            report.problems += first_of_each(done.stdout) or [f"{path}:1: {command[0]} failed: {done.stdout}"]
    return f"format of {len(sources)} C++ files, {len(scripts)} shell scripts"


def first_of_each(output):
    """The first lines of each file's that tell a place."""
    of_file = {}
    for line in output.splitlines():
        if found := PLACE.match(line):
            of_file.setdefault(found[1], []).append(line)
    return [line for lines in of_file.values() for line in lines[:PLACES_MAX]]


def is_part(repo, path):
    """Whether the script is only sourced by others."""
    return not repo.is_script(path, "sh")


def tool(report, *names):
    for name in names:
        if shutil.which(name):
            return name
    report.problem("scripts/install-packages", 1, f"{names[-1]} is not installed; run: scripts/install-packages test")
    return None


def call(repo, command):
    return subprocess.run(command, cwd=repo.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


if __name__ == "__main__":
    repository.run(check)
