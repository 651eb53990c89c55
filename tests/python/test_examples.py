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


def test_the_word_count(tmp_path):
    (tmp_path / "text").write_text("the dragon and the dictionary\nThe dragon.\n" * 50 + "the dragon and the dictionary\n" * 50)
    counts = "250 the\n150 dragon\n100 and\n100 dictionary\n"
    command = [sys.executable, ROOT / "examples/python/word_count.py", tmp_path / "text"]
    assert run(LAUNCH, "--", *command) == counts
    together = 'for i in 1 2 0; do SLURM_PROCID=$i SLURM_NTASKS=3 "$@" & done; wait'
    assert run(LAUNCH, "--", "bash", "-c", together, "bash", *command) == counts


def test_the_parameter_server():
    assert run(sys.executable, ROOT / "examples/python/parameter_server.py") == "y = 3.00 x -1.00\n"


def test_the_pipeline():
    program = ROOT / "examples/python/pipeline.py"
    told = "40 steps, the peak falls from 200000 to "
    assert run(LAUNCH, "--", sys.executable, program).startswith(told)
    apart = '"$@" analyse & "$@" analyse & "$@" simulate; wait'
    assert run(LAUNCH, "--", "bash", "-c", apart, "bash", sys.executable, program).startswith(told)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_what_the_documents_show_runs(page, tmp_path):
    """All blocks of a page, one after the other, in one program."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    (tmp_path / "program.py").write_text("\n".join(blocks))
    run(LAUNCH, "--managers-per-node", "2", "--total-mem", "256M", "--", sys.executable, tmp_path / "program.py")
