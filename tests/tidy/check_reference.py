# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The page beside the reference: no row is missing, each has a test, and the calls and tests that it names exist."""

import re

import repository

PAGE = "docs/reference_table.md"
ROWS = [f"A{i}" for i in range(1, 16)] + [f"K{i}" for i in range(1, 30)] + [f"D{i}" for i in range(1, 13)]
CODE = re.compile(r"`([^`]+)`")
TEST = re.compile(r"(tests/[\w/]+\.(?:cpp|c|py|sh)) (.+)")
# What stands for a test where there can be none yet.
EXCUSES = ("needs Python", "not yet: persistence")
CALL_OF_C = re.compile(r"(ddict_\w+|DDICT_\w+)")
CALL_OF_CXX = re.compile(r"(?:\w+::)*(\w+)")


def check(repo, report):
    headers = "\n".join(repo.text(path) for path in repo.files if path.startswith("include/ddict/"))
    seen = []
    count = 0
    for number, line in repo.lines(PAGE):
        if not line.startswith("|") or line.startswith("|--"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ("row", "what"):
            continue
        if re.fullmatch(r"[AKD]\d+", cells[0]):
            seen.append(cells[0])
        count += 1
        tests = [found for code in CODE.findall(cells[-1]) if (found := TEST.fullmatch(code))]
        if len(tests) != len(CODE.findall(cells[-1])):
            report.problem(PAGE, number, "a test is named as `tests/FILE NAME`")
        if not tests and cells[-1] not in EXCUSES:
            report.problem(PAGE, number, "this row has no test")
        for found in tests:
            check_test(repo, report, number, found[1], found[2])
        if len(cells) == 5:
            check_calls(report, number, cells, headers)
    for missing in sorted(set(ROWS) - set(seen), key=ROWS.index):
        report.problem(PAGE, 1, f"the row {missing} is missing")
    return f"{count} rows of {PAGE}"


def check_test(repo, report, number, path, name):
    if path not in repo.files:
        report.problem(PAGE, number, f"there is no {path}")
        return
    text = repo.text(path)
    if path.endswith(".cpp"):
        suite, _, test = name.partition(".")
        pattern = rf"^TEST(?:_[FP])?\({suite}, {test}\)"
    elif path.endswith(".c"):
        pattern = rf"^void {name}\(void\) \{{"
    elif path.endswith(".py"):
        pattern = rf"^ *def {name}\("
    else:
        pattern = rf'^ *(?:check|example) "{re.escape(name)}"'
    if not re.search(pattern, text, re.M):
        report.problem(PAGE, number, f"{path} has no test {name}")


def check_calls(report, number, cells, headers):
    """Of C++ the third cell, of C the fourth."""
    for cell, pattern in ((cells[2], CALL_OF_CXX), (cells[3], CALL_OF_C)):
        for code in CODE.findall(cell):
            if "ddict-" in code or code.startswith("ddict "):  # a program
                continue
            found = pattern.fullmatch(code)
            if not found or not re.search(rf"\b{found[1]}\b", headers):
                report.problem(PAGE, number, f"no public header declares {code}")
    if not CODE.findall(cells[3]):
        report.problem(PAGE, number, "this row has no call of C")


if __name__ == "__main__":
    repository.run(check)
