# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The repository as the checks see it: its files, and where to put what is wrong with them."""

import os
import pathlib
import subprocess
import sys

CXX = (".h", ".hpp", ".cpp", ".c", ".cc")


class Repository:
    """The files of one source tree: those that git knows or would add; without git, all but build/."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(path for path in self._list() if (self.root / path).is_file())
        if not self.files:
            sys.exit(f"no files found in {self.root}")

    def _list(self):
        if (self.root / ".git").exists():
            # safe.directory: the tree may belong to another user than the one who tests it.
            command = ["git", "-c", "safe.directory=*", "-C", self.root, "ls-files", "-z"]
            command += ["--cached", "--others", "--exclude-standard"]
            return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")) - {""}
        found = set()
        for folder, folders, names in os.walk(self.root):
            if pathlib.Path(folder) == self.root:
                folders[:] = [name for name in folders if name != "build"]
            found |= {(pathlib.Path(folder) / name).relative_to(self.root).as_posix() for name in names}
        return found

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def lines(self, path):
        """Pairs of line number and line."""
        return enumerate(self.text(path).splitlines(), start=1)

    def having(self, *suffixes):
        return [path for path in self.files if path.endswith(suffixes)]

    def is_script(self, path, *interpreters):
        """Whether the file's first line names one of these interpreters."""
        with open(self.root / path, "rb") as file:
            first = file.readline(200)
        return first.startswith(b"#!") and any(name.encode() in first for name in interpreters)

    def shell_scripts(self):
        return [p for p in self.files if p.endswith((".sh", ".sbatch")) or self.is_script(p, "/bash", "/sh", " bash", " sh")]


class Report:
    def __init__(self):
        self.problems = []
        self.warnings = []

    def problem(self, path, line, text):
        self.problems.append(f"{path}:{line}: {text}")

    def warn(self, path, line, text):
        self.warnings.append(f"{path}:{line}: warning: {text}")

    def finish(self, checked):
        """Prints everything; the exit status to end with."""
        for line in self.warnings + self.problems:
            print(line)
        print(f"{checked}: {len(self.problems)} problems" if self.problems else f"{checked}: fine")
        return 1 if self.problems else 0


def run(check, *arguments):
    """What every check's command line does: CHECK ROOT [ARGUMENTS...]."""
    if len(sys.argv) != 2 + len(arguments):
        sys.exit(f"usage: {sys.argv[0]} ROOT {' '.join(arguments)}")
    report = Report()
    checked = check(Repository(sys.argv[1]), report, *sys.argv[2:])
    sys.exit(report.finish(checked))
