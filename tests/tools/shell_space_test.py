# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Puts of the shell to a full dictionary.

usage: shell_space_test.py BIN_DIRECTORY
"""

import subprocess
import unittest

from shell import OTHER_FAILURE, TIMED_OUT, WRONG_CALL, ddict, main

LARGE = bytes(5 << 20)


class Space(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def fill(self):
        """Names a key that is refused, and one that takes the space it needs."""
        for number in range(100):
            done = subprocess.run(["ddict", "put", f"key{number}", "-"], input=LARGE, capture_output=True, timeout=60)
            if done.returncode != 0:
                self.assertEqual(done.returncode, OTHER_FAILURE, done.stderr)
                self.assertIn(b"no_space", done.stderr)
                manager = self.manager_of(f"key{number}", done.stderr.decode())
                owners = [f"key{i}" for i in range(number) if self.where(f"key{i}") == manager]
                return f"key{number}", owners[0]
        raise AssertionError("it is never full")

    def where(self, key):
        return ddict("info", "--where", key).decode().split("\t")[2]

    def manager_of(self, key, message):
        return message.split("on manager ")[1].split()[0]

    def test_a_put_waits_for_space(self):
        refused, taken = self.fill()
        ddict("put", "--when-space", "--timeout", "0.5", refused, "-", stdin=LARGE, status=TIMED_OUT)
        self.assertIn("waited for space", ddict.said)
        waiting = subprocess.Popen(["ddict", "put", "--when-space", "--timeout", "60", refused, "-"],
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        waiting.stdin.write(LARGE)
        waiting.stdin.close()
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        ddict("del", taken)
        self.assertEqual(waiting.wait(30), 0, waiting.stderr.read())
        waiting.stderr.close()
        self.assertEqual(len(ddict("get", refused)), len(LARGE))

    def test_what_can_never_fit_is_refused_at_once(self):
        ddict("put", "--when-space", "--timeout", "60", "key", "-", stdin=bytes(9 << 20), status=WRONG_CALL)
        self.assertIn("too_large", ddict.said)


if __name__ == "__main__":
    main(__file__)
