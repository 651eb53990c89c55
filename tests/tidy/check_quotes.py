# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The user guide quotes: each piece of code in it stands so, line for line, in a file of examples/, which the tests run."""

import re
import textwrap

import repository

PAGE = "docs/user_guide.md"
FENCE = re.compile(r"```(\w*)")
LANGUAGES = ("cpp", "c", "bash")


def check(repo, report):
    examples = {path: repo.text(path).splitlines() for path in repo.files if path.startswith("examples/")}
    blocks = list(code_blocks(repo, report))
    for number, language, block in blocks:
        if language not in LANGUAGES:
            report.problem(PAGE, number, f"a piece of code in '{language}': only {', '.join(LANGUAGES)} are checked")
        elif not any(quotes(block, lines) for lines in examples.values()):
            report.problem(PAGE, number, "this piece of code stands in no file of examples/")
    if not blocks:
        report.problem(PAGE, 1, "there is no code in it")
    return f"{len(blocks)} quotes of {PAGE}"


def code_blocks(repo, report):
    """Where a piece of code begins, its language, and its lines."""
    start, language, block = 0, None, []
    for number, line in repo.lines(PAGE):
        fence = FENCE.fullmatch(line)
        if fence and language is None:
            start, language, block = number, fence[1], []
        elif fence:
            yield start, language, block
            language = None
        elif language is not None:
            block.append(line)
    if language is not None:
        report.problem(PAGE, start, "a piece of code that does not end")


def quotes(block, lines):
    """Whether the lines stand one after the other in a file, all indented by as much or not at all."""
    size = len(block)
    for start in range(len(lines) - size + 1):
        if textwrap.dedent("\n".join(lines[start:start + size])).splitlines() == block:
            return True
    return False


if __name__ == "__main__":
    repository.run(check)
