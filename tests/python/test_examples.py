# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The examples run, and print what they say; so does the first program of the README and of the user guide."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCH = os.environ["DDICT_LAUNCH"]


def run(*command):
    environment = {key: value for key, value in os.environ.items() if "HANDLE" not in key}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sweep_by_multiprocessing():
    assert run(sys.executable, ROOT / "examples/python/parameter_sweep.py").count("order") == 9


def test_the_sweep_of_several_ranks():
    program = ROOT / "examples/python/parameter_sweep.py"
    lines = run(LAUNCH, "--", "bash", "-c", f"for i in 1 2 3; do {sys.executable} '{program}' run & done; wait").splitlines()
    assert len(lines) == 9 and lines[0] == "dt   0.1  order 1  last 1.000000"


def test_the_data_loader():
    assert run(LAUNCH, "--", sys.executable, ROOT / "examples/python/data_loader.py") == "1024 samples, mean 511.5\n"


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_what_the_documents_show_runs(page, tmp_path):
    """All blocks of a page, one after the other, in one program."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    (tmp_path / "program.py").write_text("\n".join(blocks))
    run(LAUNCH, "--managers-per-node", "2", "--total-mem", "256M", "--", sys.executable, tmp_path / "program.py")
