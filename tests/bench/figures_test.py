# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/figures --quick: everything that the documents show comes out of it, and the documents have places for it.

usage: figures_test.py ROOT DDICT-BENCH
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT, BENCH = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
RESULTS = ("targets", "operations", "zipf", "sizes_samehost", "sizes_ucx", "bring_up")
PLOTS = ("sizes", "peers")


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=240)


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ddict_figures.")
        cls.path = pathlib.Path(cls.folder.name)
        cls.done = run(ROOT / "scripts/figures", "--quick", "--output", cls.path, "--bench", BENCH)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.assertEqual(self.done.returncode, 0, self.done.stdout)

    def test_results(self):
        for name in RESULTS:
            self.assertTrue(json.loads((self.path / f"{name}.json").read_text())["records"], name)

    def test_plots_are_svg_that_the_repository_takes(self):
        for name in PLOTS:
            text = (self.path / f"{name}.svg").read_text()
            root = xml.etree.ElementTree.fromstring(text)
            self.assertTrue(root.tag.endswith("svg"), root.tag)
            words = " ".join(piece for piece in root.itertext())
            self.assertIn("UCX alone" if name == "sizes" else "Redis", words)
            lines = text.splitlines()
            self.assertIn("SPDX-License-Identifier", "\n".join(lines[:6]))
            self.assertLess(len(lines), 600)
            self.assertFalse([line for line in lines if line != line.rstrip() or "\t" in line])

    def test_tables(self):
        page = (self.path / "figures.md").read_text()
        measured = {one["id"] for one in json.loads((self.path / "targets.json").read_text())["targets"]}
        self.assertEqual(measured, {f"S{number}" for number in range(1, 12)})
        for number in measured:
            self.assertRegex(page, rf"(?m)^\| {number} \|")
        self.assertIn("| put, batches of 64 |", (self.path / "summary.md").read_text())
        for name in PLOTS:
            self.assertIn(f"({name}.svg)", page)

    def test_documents_are_written_between_their_marks(self):
        copies = []
        for document in ("docs/performance.md", "README.md"):
            copies.append(self.path / pathlib.Path(document).name)
            copies[-1].write_text((ROOT / document).read_text())
        before = [copy.read_text() for copy in copies]
        for _ in range(2):
            done = run("/usr/bin/python3", "-B", ROOT / "scripts/figures.d/tables.py", self.path, *copies)
            self.assertEqual(done.returncode, 0, done.stdout)
        marked = re.compile(r"(<!-- figures: from [^\n]* -->\n).*?(<!-- figures: end -->)", re.S)
        for copy, old in zip(copies, before):
            self.assertRegex(copy.read_text(), r"\| put")
            self.assertEqual(marked.sub(r"\1\2", copy.read_text()), marked.sub(r"\1\2", old))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
