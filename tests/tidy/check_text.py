# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What every text file keeps to: licence header, length, no loose ends, nothing about one person's machine."""

import re

import repository

SPDX = ("SPDX-FileCopyrightText: The ddict authors", "SPDX-License-Identifier: Apache-2.0")
LINES_MAX = 600
LINES_WISHED = 500
NO_TEXT = ("tests/fuzz/corpus/", "tests/persist/golden/")  # bytes that fuzzers begin with; checkpoints
WITHOUT_LICENCE = (".json", "LICENSE", ".gitignore", ".clang-format", ".clang-tidy")

# Spelled in parts, so that this file passes its own check.
# Its main function gives a test a host of its own.
OWN_MAIN = re.compile(r"InitGoogleTest|RUN_ALL_TESTS")
LOOSE_END = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
OWN_MACHINE = re.compile(r"(?<![\w.})\]])/(home/\w|Users/\w|work\b|root/\w)")


def check(repo, report):
    files = [path for path in repo.files if not path.startswith(NO_TEXT)]
    for path in files:
        text = repo.text(path)
        lines = text.splitlines()
        if not path.endswith(WITHOUT_LICENCE):
            head = "\n".join(lines[:6])
            if not all(line in head for line in SPDX):
                report.problem(path, 1, "the two lines of the licence are missing: " + " / ".join(SPDX))
            if not path.endswith(".md") and len(lines) >= LINES_MAX:
                report.problem(path, LINES_MAX, f"{len(lines)} lines; a file has fewer than {LINES_MAX}")
            elif len(lines) > LINES_WISHED:
                report.warn(path, LINES_WISHED, f"{len(lines)} lines; aim at {LINES_WISHED}")
        if path == "LICENSE":
            continue
        if text and not text.endswith("\n"):
            report.problem(path, len(lines), "the last line does not end")
        for number, line in enumerate(lines, start=1):
            if line != line.rstrip():
                report.problem(path, number, "white space at the end of the line")
            if "\t" in line:
                report.problem(path, number, "a tab")
            if found := LOOSE_END.search(line):
                report.problem(path, number, f"{found[0]}: finish it, or write down the limitation in words")
            if path.endswith(".cpp") and path != "tests/own_host/run_tests.cpp" and OWN_MAIN.search(line):
                report.problem(path, number, "a test's own main function ends with run_all_tests() (tests/own_host)")
            if found := OWN_MACHINE.search(line):
                report.problem(path, number, f"{found[0]}: a path of somebody's own machine")
    return f"text of {len(files)} files"


if __name__ == "__main__":
    repository.run(check)
