# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: a dictionary of two managers, and seeds that are printed."""

import os
import random
import subprocess
import sys
import tempfile

import hypothesis
import hypothesis.configuration
import pytest

import ddict

SEED = int(os.environ.get("DDICT_TEST_SEED", random.SystemRandom().randrange(2**32)))
hypothesis.configuration.set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "hypothesis"))
hypothesis.settings.register_profile("ddict", deadline=None, database=None, print_blob=True,
                                     suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("ddict")


def pytest_configure(config):
    print(f"DDICT_TEST_SEED={SEED}")
    config.option.hypothesisseed = SEED


@pytest.fixture(scope="session")
def shared():
    dictionary = ddict.create(managers_per_node=2, total_mem="256M", name="python", timeout=20)
    yield dictionary
    dictionary.destroy()


@pytest.fixture
def d(shared):
    shared.clear()
    yield shared


@pytest.fixture
def chance():
    return random.Random(SEED)


@pytest.fixture
def python():
    """Runs a program of Python with a deadline: its output, which its exit status has to go with."""

    def run(program, *arguments, status=0, timeout=60, options=("-X", "dev"), **more):
        done = subprocess.run([sys.executable, *options, "-c", program, *arguments], capture_output=True, text=True,
                              timeout=timeout, **more)
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
