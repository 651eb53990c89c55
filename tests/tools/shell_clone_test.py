# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""'ddict clone': all pairs of one dictionary in the place of those of another, and what is refused with nothing changed.

usage: shell_clone_test.py BIN_DIRECTORY
"""

import os
import shlex
import subprocess
import unittest

from shell import NO_SUCH_KEY, OTHER_FAILURE, SUCCESS, UNREACHABLE, WRONG_CALL, ddict, main, seeded


class Target:
    """Another dictionary beside that of the tests."""

    def __init__(self, name, managers=1, memory="24M", *options):
        self.name = name
        start = ["ddict-launch", "start", "--name", name, "--managers-per-node", str(managers), "--total-mem", memory,
                 "--no-restart", "--export", *options]
        done = subprocess.run(start, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{start}: {done.stderr}")
        words = [word for word in shlex.split(done.stdout.replace(";", "\n")) if "=" in word]
        self.environment = os.environ | dict(word.split("=", 1) for word in words)
        self.handle = self.environment["DDICT_HANDLE"]

    def ddict(self, *arguments, **options):
        return ddict(*arguments, env=self.environment, **options)

    def stop(self):
        subprocess.run(["ddict-launch", "stop", "--name", self.name], check=True, capture_output=True, timeout=120)


def pairs_of(run):
    """All that is there, with types and bytes."""
    return run("items", "--full", "--sort")


class Clone(unittest.TestCase):
    def setUp(self):
        self.random = seeded()
        ddict("clear")

    def target(self, *arguments):
        target = Target(f"target-{os.getpid()}", *arguments)
        self.addCleanup(target.stop)
        return target

    def fill(self):
        """With keys and values of many types and sizes."""
        ddict("put", "text", "one line")
        ddict("put", "empty", "")
        ddict("put", "number", "--double", "0.1")
        ddict("put", "--key-type", "int", "42", "of an integer")
        ddict("put", "--escaped", "--", "two\\x0alines", "\\xff\\x00")
        ddict("put", "--json", "list", '["a", "b"]')
        ddict("put", "large", "-", stdin=self.random.randbytes(300_000))
        for i in range(20):
            ddict("put", f"many/{i}", "x" * self.random.randrange(2000))

    def test_the_target_has_what_the_source_has_and_nothing_else(self):
        self.fill()
        before = pairs_of(ddict)
        self.assertEqual(len(before.splitlines()), 27)
        target = self.target(2)
        target.ddict("put", "text", "--int", "7")
        target.ddict("put", "only there", "x")
        said = ddict("clone", target.handle).decode()
        self.assertIn("cloned checkpoint 0: 27 pairs", said)
        self.assertEqual(pairs_of(target.ddict), before)
        self.assertEqual(pairs_of(ddict), before)
        self.assertEqual(target.ddict("get", "--type", "number"), ddict("get", "--type", "number"))
        # They have nothing to do with each other from now on.
        target.ddict("put", "text", "another")
        self.assertEqual(ddict("get", "text"), b"one line")

    def test_an_empty_dictionary_is_cloned_too(self):
        target = self.target()
        target.ddict("put", "only there", "x")
        self.assertIn(b"0 pairs", ddict("clone", target.handle))
        self.assertEqual(target.ddict("size"), b"0\n")

    def test_to_itself(self):
        self.fill()
        before = pairs_of(ddict)
        ddict("clone", os.environ["DDICT_HANDLE"], status=WRONG_CALL)
        self.assertIn("a dictionary cannot be cloned to itself", ddict.said)
        self.assertEqual(pairs_of(ddict), before)

    def test_to_one_that_is_gone(self):
        self.fill()
        before = pairs_of(ddict)
        target = Target(f"gone-{os.getpid()}")
        target.stop()
        ddict("clone", target.handle, status=UNREACHABLE)
        self.assertIn("dictionary_gone", ddict.said)
        self.assertEqual(pairs_of(ddict), before)

    def test_to_one_that_is_too_small(self):
        target = self.target(1, "8M")
        target.ddict("put", "kept", "as it was")
        for i in range(12):
            ddict("put", f"large/{i}", "-", stdin=self.random.randbytes(1_000_000))
        before = pairs_of(ddict)
        ddict("clone", target.handle, status=OTHER_FAILURE)
        self.assertIn("no_space", ddict.said)
        self.assertEqual(target.ddict("get", "kept"), b"as it was")
        self.assertEqual(target.ddict("size"), b"1\n")
        self.assertEqual(pairs_of(ddict), before)

    def test_to_one_that_is_frozen(self):
        self.fill()
        target = self.target()
        target.ddict("put", "kept", "as it was")
        target.ddict("freeze")
        ddict("clone", target.handle, status=OTHER_FAILURE)
        self.assertIn("frozen", ddict.said)
        self.assertEqual(target.ddict("get", "kept"), b"as it was")
        self.assertEqual(target.ddict("size"), b"1\n")

    def test_calls_that_are_wrong(self):
        self.fill()
        before = pairs_of(ddict)
        ddict("clone", status=WRONG_CALL)
        ddict("clone", "", status=WRONG_CALL)
        ddict("clone", "no handle", status=WRONG_CALL)
        self.assertIn("handle", ddict.said)
        handle = os.environ["DDICT_HANDLE"]
        ddict("clone", handle[: len(handle) // 2], status=WRONG_CALL)
        ddict("clone", handle, handle, status=WRONG_CALL)
        ddict("clone", handle, "--checkpoint", "0", status=WRONG_CALL)
        self.assertEqual(pairs_of(ddict), before)
        self.assertEqual(ddict("get", "nobody", status=NO_SUCH_KEY, is_quiet=True), b"")

    def test_without_a_dictionary_of_its_own(self):
        target = self.target()
        target.ddict("put", "kept", "as it was")
        alone = {name: value for name, value in os.environ.items() if not name.endswith("DDICT_HANDLE")}
        ddict("clone", target.handle, status=WRONG_CALL, env=alone)
        self.assertEqual(target.ddict("get", "kept", status=SUCCESS), b"as it was")


if __name__ == "__main__":
    main(__file__)
