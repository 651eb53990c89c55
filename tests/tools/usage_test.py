# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict du: what it tells is what was put, in bounded memory and time.

usage: usage_test.py BIN_DIRECTORY
"""

import collections
import json
import os
import signal
import time
import unittest

from shell import MANAGERS, PARTIAL, WRONG_CALL, ddict, main, seeded


class Usage(unittest.TestCase):
    def setUp(self):
        self.random = seeded()
        ddict("clear")

    def usage(self, *arguments, **options):
        return json.loads(ddict("du", "--json", *arguments, **options))

    def test_of_nothing(self):
        usage = self.usage()
        self.assertEqual((usage["keys"], usage["bytes"], usage["prefixes"], usage["largest"], usage["imbalance"]), (0, 0, [], [], 0))
        self.assertEqual([manager["manager"] for manager in usage["managers"]], list(range(MANAGERS)))
        self.assertIn("in all", ddict("du").decode())

    def test_sums_are_those_of_what_was_put(self):
        """Small values, which come with their pages, large ones, which do not, and empty ones."""
        put = {}
        for i in range(60):
            key = "/".join(self.random.choice("abc") for _ in range(self.random.randrange(1, 4))) + f"/{i}"
            put[key] = self.random.choice((0, 1, 100, 4095, 4096, 5000, 70_000))
            ddict("put", key, "-", stdin=b"x" * put[key])
        by_prefix = collections.Counter()
        for key, size in put.items():
            by_prefix[key.split("/")[0] + "/"] += len(key) + size
        usage = self.usage("--largest", "7")
        self.assertEqual(usage["keys"], 60)
        self.assertEqual(usage["bytes"], sum(by_prefix.values()))
        self.assertEqual({one["prefix"]: one["bytes"] for one in usage["prefixes"]}, by_prefix)
        self.assertEqual([one["bytes"] for one in usage["largest"]], sorted(put.values(), reverse=True)[:7])
        for one in usage["largest"]:
            self.assertEqual(put[one["key"]], one["bytes"])
        self.assertEqual(sum(one["bytes"] for one in usage["managers"]), usage["bytes"])
        stats = json.loads(ddict("stats", "--json"))["managers"]
        self.assertEqual([one["keys"] for one in usage["managers"]], [one["keys"] for one in stats])
        self.assertEqual([one["node"] for one in usage["managers"]], [one["node"] for one in stats])
        below = self.usage("a/", "--depth", "0")
        self.assertEqual(below["bytes"], by_prefix["a/"])
        self.assertEqual([one["prefix"] for one in below["prefixes"]], ["a/"] if by_prefix["a/"] else [])

    def test_text_for_people(self):
        ddict("put", "step/1/x", "-", stdin=b"x" * 2048)
        ddict("put", "step/2/x", "-", stdin=b"x" * 1024)
        ddict("put", "--escaped", "--", "odd\\x0a/x", "y")
        text = ddict("du", "--depth", "2").decode()
        self.assertRegex(text, r"^  bytes     keys  prefix\n +2\.0K +1  step/1/\n +1\.0K +1  step/2/\n +7B +1  odd\\x0a/\n +3\.0K +3  in all\n")
        self.assertRegex(text, r"\n  bytes  manager  largest\n +2\.0K +\d  step/1/x\n")
        self.assertRegex(text, r"\nThe fullest manager has [123]\.\d\d times the mean\.\n$")
        self.assertRegex(ddict("du", "--separator", "p").decode(), r"\n +3\.0K +2  step\n")

    def test_wrong_calls(self):
        for wrong in (("--depth", "x"), ("--depth", "-1"), ("--largest", "1001"), ("--separator", ""), ("a", "b")):
            ddict("du", *wrong, status=WRONG_CALL)

    def test_z_a_manager_that_is_stopped_is_named(self):
        for i in range(30):
            ddict("put", f"key/{i}", "value")
        stats = json.loads(ddict("stats", "--json"))["managers"]
        os.kill(stats[1]["pid"], signal.SIGSTOP)
        try:
            begin = time.monotonic()
            usage = json.loads(ddict("du", "--json", "--timeout", "4", status=PARTIAL, is_quiet=True))
            self.assertLess(time.monotonic() - begin, 12)
            self.assertIn("manager 1", ddict.said)
        finally:
            os.kill(stats[1]["pid"], signal.SIGCONT)
        self.assertEqual([one["keys"] for one in usage["managers"]], [stats[0]["keys"], 0, stats[2]["keys"]])


if __name__ == "__main__":
    main(__file__)
