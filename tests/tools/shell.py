# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ddict in tests, and a dictionary for a file of tests."""

import os
import random
import subprocess
import sys
import unittest

MANAGERS = 3
SUCCESS, NO_SUCH_KEY, WRONG_CALL, TIMED_OUT, UNREACHABLE, PARTIAL, OTHER_FAILURE = range(7)


def ddict(*arguments, status=SUCCESS, stdin=b"", is_quiet=False, **options):
    """What a command printed. One that fails says why, unless it `is_quiet`."""
    done = subprocess.run(["ddict", *arguments], input=stdin, capture_output=True, timeout=120, **options)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode}, not {status}: {done.stderr}")
    if status != SUCCESS and not is_quiet and not (done.stderr.startswith(b"ddict: ") or done.stdout):
        raise AssertionError(f"{arguments}: nothing is said: {done.stderr}")
    ddict.said = done.stderr.decode()
    return done.stdout


def seeded():
    """A random generator, whose seed is said, and can be given."""
    seed = int(os.environ.get("DDICT_TEST_SEED", random.randrange(1 << 32)))
    print(f"DDICT_TEST_SEED={seed}", file=sys.stderr)
    return random.Random(seed)


def main(file):
    """Runs the tests of a file under ddict-launch; the command line says where that is."""
    if len(sys.argv) == 2:
        # Again, with a dictionary.
        os.environ["PATH"] = sys.argv[1] + ":" + os.environ["PATH"]
        command = ["ddict-launch", "--managers-per-node", str(MANAGERS), "--total-mem", "24M", "--no-restart"]
        sys.exit(subprocess.run([*command, "--", sys.executable, "-B", file]).returncode)
    unittest.main()
