# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Bounded queues in the shell.

usage: shell_queue_test.py BIN_DIRECTORY
"""

import json
import subprocess
import unittest

from shell import NO_SUCH_KEY, TIMED_OUT, WRONG_CALL, ddict, main


class Queues(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def stat(self, name):
        return json.loads(ddict("queue", "stat", name, "--json"))

    def test_values_come_in_their_order_and_once(self):
        ddict("queue", "make", "work", "--items", "4", "--bytes", "1M")
        ddict("queue", "push", "work", "first")
        ddict("queue", "push", "work", "-", stdin=b"second\n")
        ddict("queue", "push", "work", "--as", "int", "-5")
        self.assertEqual(self.stat("work")["ready"], 3)
        self.assertEqual([ddict("queue", "take", "work") for _ in range(3)], [b"first", b"second\n", b"-5"])
        ddict("queue", "take", "work", "--timeout", "0.3", status=TIMED_OUT)
        self.assertIn("no item has come", ddict.said)
        stat = self.stat("work")
        self.assertEqual((stat["items"], stat["finished"], stat["bytes_max"]), (0, 3, 1 << 20))
        ddict("queue", "close", "work")
        ddict("queue", "take", "work", status=NO_SUCH_KEY, is_quiet=True)
        ddict("queue", "push", "work", "late", status=WRONG_CALL)
        self.assertIn("closed\ttrue\n", ddict("queue", "stat", "work").decode())
        ddict("queue", "remove", "work")
        self.assertEqual(ddict("keys", "ddict.queue/"), b"")

    def test_a_push_waits_for_a_take(self):
        ddict("queue", "make", "work", "--items", "1")
        ddict("queue", "push", "work", "first")
        ddict("queue", "push", "work", "second", "--timeout", "0.3", status=TIMED_OUT)
        self.assertIn("share", ddict.said)
        waiting = subprocess.Popen(["ddict", "queue", "push", "work", "second", "--timeout", "60"])
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        self.assertEqual(ddict("queue", "take", "work"), b"first")
        self.assertEqual(waiting.wait(30), 0)
        self.assertEqual(ddict("queue", "take", "work", "--until-gone"), b"second")
        ddict("queue", "take", "work", "--until-gone", status=NO_SUCH_KEY, is_quiet=True)

    def test_what_cannot_be_printed_is_put_back(self):
        ddict("queue", "make", "work", "--items", "1")
        ddict("queue", "push", "work", "value")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(["ddict", "queue", "take", "work"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"put back", done.stderr)
        self.assertEqual(ddict("queue", "take", "work"), b"value")

    def test_wrong_calls(self):
        for wrong in (("fly", "work"), ("make", "work"), ("push", "work"), ("take", "work", "x"),
                      ("make", "work", "--bytes", "much"), ("make", "work", "--items", "0"),
                      ("make", "work", "--items", "1", "--producers", "2"), ("make", "work", "--items", "9999")):
            ddict("queue", *wrong, status=WRONG_CALL)
        ddict("queue", "make", "work", "--items", "2")
        ddict("queue", "make", "work", "--items", "3", status=WRONG_CALL)
        self.assertIn("items is 2, not 3", ddict.said)
        ddict("queue", "take", "nobody", "--timeout", "0.3", status=TIMED_OUT)
        self.assertIn("nobody has made it", ddict.said)


if __name__ == "__main__":
    main(__file__)
