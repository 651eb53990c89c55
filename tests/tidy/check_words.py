# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""One word for one thing, and the field's: words that docs/glossary.md has another one for."""

import re

import repository

NO_PROSE = ("tests/fuzz/corpus/", "tests/persist/golden/", "docs/figures/", "LICENSE")
# Here they are listed, and told apart.
ABOUT_WORDS = ("docs/glossary.md", "tests/tidy/check_words.py", "tests/tidy/tidy_test.py")

# A pattern for a part of a name (Snake, Camel or a word by itself), and what to say instead.
REFUSED = (
    ("rooms?", "space (of a pool), buffer (to receive into), capacity (of a caller's memory)"),
    ("greet(?:s|ed|er|ers|ing|ings)?", "hello"),
    ("farewells?", "goodbye"),
    ("knock(?:s|ed|er|ing)?", "connect, hello"),
    ("patien(?:ce|t|tly)", "timeout, deadline, timeout budget"),
    ("impatien(?:ce|t|tly)", "timeout, deadline, timeout budget"),
    ("supervis(?:e|es|or|ors|ion)", "launcher, node launchers, launch loop, daemon"),
)
PHRASES = (
    (r"\bin vain\b|\bin_vain\b", "without success, or what happened: timed out, failed"),
    (r"\b(?:drawn |decided )?by lot\b", "at random"),
    (r"\boffers? (?:its|the|their|a) processor\b", "yields"),
    (r"\bseeking[ _]room\b", "waiting for space"),
)


def part(word):
    """Matches the word, and as a part of snake_case and of CamelCase, but not within another word."""
    return rf"(?<![A-Za-z]){word}(?![a-z])|{word[0].upper()}{word[1:]}(?![a-z])"


COMPILED = [(re.compile(part(word)), instead) for word, instead in REFUSED]
COMPILED += [(re.compile(phrase, re.IGNORECASE), instead) for phrase, instead in PHRASES]


def check(repo, report):
    files = [path for path in repo.files if not path.startswith(NO_PROSE) and path not in ABOUT_WORDS]
    for path in files:
        for number, line in repo.lines(path):
            for pattern, instead in COMPILED:
                if found := pattern.search(line):
                    report.problem(path, number, f"'{found[0]}': say {instead} (docs/glossary.md)")
        for pattern, instead in COMPILED:
            if found := pattern.search(path):
                report.problem(path, 1, f"'{found[0]}' in the file's name: say {instead} (docs/glossary.md)")
    return f"words of {len(files)} files"


if __name__ == "__main__":
    repository.run(check)
