# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The documents: links lead somewhere, and files, headers, programs and options that are named exist."""

import pathlib
import re
import subprocess

import repository

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?\)")
HEADING = re.compile(r"(#+)\s+(.*)")
FENCE = re.compile(r"\s*(```|~~~)")
INLINE_CODE = re.compile(r"`([^`]+)`")
PUBLIC_HEADER = re.compile(r"<(ddict/[\w/]+\.h)>")
PROGRAM = re.compile(r"build/\w+/(?:bin|examples|tests)/([\w-]+)")
TARGET = re.compile(r"\b(?:ddict_program|ddict_test|ddict_fuzz_target|add_executable)\s*\(\s*([\w-]+)")
# `base/limits.h` (`wait_max`, `hosts_max`): what is in a file.
NAMES_OF_FILE = re.compile(r"`([\w/]+\.(?:cpp|h))` \((`~?\w+(?:->\w+)?`(?:, `~?\w+(?:->\w+)?`)*)\)")
# A name with one of these stands for many.
PATTERN = re.compile(r"[*<>{}$…]|NNNN|\.\.\.")


def check(repo, report):
    documents = repo.having(".md")
    folders = {path.split("/")[0] for path in repo.files if "/" in path}
    programs = {name for path in repo.files if path.endswith(("CMakeLists.txt", ".cmake"))
                for name in TARGET.findall(repo.text(path))}
    for path in documents:
        for number, line, code in with_code(repo, path):
            for target in [] if code == line else LINK.findall(INLINE_CODE.sub("", line)):
                check_link(repo, report, path, number, target)
            check_code(repo, report, path, number, code, folders, programs)
            for file, names in NAMES_OF_FILE.findall(line):
                check_names(repo, report, path, number, file, re.findall(r"`([^`]+)`", names))
    check_packages(repo, report)
    return f"links and names in {len(documents)} documents"


def with_code(repo, path):
    """Line number, line, and what of the line is code: all of it inside a fence or when indented as a block."""
    fenced = False
    blank_before = True
    for number, line in repo.lines(path):
        if FENCE.match(line):
            fenced = not fenced
            yield number, line, ""
            continue
        block = fenced or (line.startswith("    ") and blank_before)
        yield number, line, line if block else " ".join(INLINE_CODE.findall(line))
        blank_before = not line.strip() or (block and not fenced)


def check_link(repo, report, path, number, target):
    if re.match(r"[a-z]+:", target):
        return
    name, _, anchor = target.partition("#")
    file = (repo.root / path).parent / name if name else repo.root / path
    inside = file.resolve().is_relative_to(repo.root)
    if not inside or not file.exists():
        report.problem(path, number, f"the link {target} leads nowhere")
    elif anchor and file.suffix == ".md" and anchor not in anchors(file):
        report.problem(path, number, f"{name or path} has no heading for #{anchor}")


def anchors(file):
    """The anchors of a document's headings, as GitHub and GitLab make them."""
    headings = [HEADING.fullmatch(line) for line in file.read_text().splitlines()]
    return {re.sub(r"[^\w\- ]", "", h[2].replace("`", "").lower()).strip().replace(" ", "-") for h in headings if h}


def check_code(repo, report, path, number, code, folders, programs):
    for header in PUBLIC_HEADER.findall(code):
        if not (repo.root / "include" / header).is_file():
            report.problem(path, number, f"there is no <{header}>")
    script = None
    for word in re.split(r"[\s`]+", code):
        if word == "--":
            script = None
        word = word.strip("\"'();,:|")
        if script and word.startswith("--"):
            option = word.split("=")[0]
            if option not in script_text(repo, script):
                report.problem(path, number, f"{script} does not know {option}")
        word = word.removeprefix("./").split("=")[-1]
        if PATTERN.search(word):
            continue
        word = word.rstrip(").,;:")  # the end of a sentence
        if found := PROGRAM.match(word):
            if found[1] not in programs:
                report.problem(path, number, f"no CMakeLists.txt builds the program {found[1]}")
        elif word.split("/")[0] in folders and "/" in word:
            # "core/limits" may stand for a header and its source.
            if not any((repo.root / (word + ending)).exists() for ending in ("", ".h", ".cpp")):
                report.problem(path, number, f"there is no {word}")
            elif repo.is_script(word, "sh") if (repo.root / word).is_file() else False:
                script = word


def check_names(repo, report, path, number, file, names):
    text = repo.text(file) if file in repo.files else ""
    for name in names:
        if not re.search(re.escape(name) + r"\b", text):
            report.problem(path, number, f"there is no {name} in {file}")


def script_text(repo, script):
    """A script and the parts it sources, which lie in its folder or in SCRIPT.d."""
    parts = [script] + [p for p in repo.files if p.startswith(script + ".d/")]
    return "\n".join(repo.text(part) for part in parts)


def check_packages(repo, report):
    """docs/dependencies.md explains each package that the scripts install."""
    script = repo.root / "scripts/install-packages"
    if not script.exists():
        return
    listed = subprocess.run([script, "--list", "test"], check=True, capture_output=True, text=True).stdout.split()
    page = pathlib.Path(repo.root / "docs/dependencies.md")
    explained = set(re.findall(r"`([\w.+-]+)`", page.read_text())) if page.exists() else set()
    for package in listed:
        if package not in explained:
            report.problem("docs/dependencies.md", 1, f"the package {package} of scripts/install-packages is not explained")


if __name__ == "__main__":
    repository.run(check)
