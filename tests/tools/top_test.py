# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict top in a terminal, before managers that really work, and one that dies.

usage: top_test.py BIN_DIRECTORY
"""

import json
import os
import re
import signal
import subprocess
import sys
import unittest

from terminal import Terminal

MANAGERS = 3


def ddict(*arguments, status=0):
    done = subprocess.run(["ddict", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode}: {done.stderr}")
    return done.stdout


def row_of(lines, manager):
    """The number of the line that tells of a manager."""
    return next((i for i, line in enumerate(lines) if re.match(rf"\s*{manager} \S+ ", line)), None)


def keys_in_all(lines):
    found = re.search(r"keys (\d+)", "\n".join(lines))
    return int(found[1]) if found else None


class Top(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def started(self, *arguments, **terminal):
        top = Terminal(["ddict", "top", "--interval", "0.2", *arguments], **terminal)
        self.addCleanup(top.__exit__)
        top.until("the whole page", lambda lines: row_of(lines, MANAGERS - 1) and lines[-1].startswith("q quit"))
        return top

    def assert_left_as_it_was(self, top, status):
        self.assertEqual(top.status(), status)
        self.assertTrue(top.as_before(), "the terminal is not as it was")

    def test_figures_change_and_q_ends_it(self):
        top = self.started()
        self.assertTrue(top.screen.alternate)
        self.assertFalse(top.screen.cursor_shown)
        lines = top.screen.text()
        self.assertRegex(lines[0], rf"^ddict top  tops  {MANAGERS} managers on 1 node  all alive$")
        self.assertEqual(keys_in_all(lines), 0)
        for i in range(5):
            ddict("put", f"key {i}", "x" * 1000)
        self.assertTrue(top.until("five keys", lambda now: keys_in_all(now) == 5))
        # Those of other tests count too.
        top.until("operations by kind", lambda now: [line for line in now if re.match(r"put +\S+ +([5-9]|\d\d) ", line)])
        top.until("no operations any more", lambda now: re.match(r"ops/s +0 ", now[2]))
        with subprocess.Popen(["bash", "-c", "while ddict put again x; do :; done"]) as busy:
            top.until("operations", lambda now: re.match(r"ops/s +[1-9]", now[2]))
            busy.kill()
        top.type("x")  # means nothing
        top.type("q")
        self.assert_left_as_it_was(top, 0)

    def test_a_waiting_client_is_seen(self):
        top = self.started()
        with subprocess.Popen(["ddict", "--timeout", "60", "wait", "nobody"], stdout=subprocess.DEVNULL) as waiting:
            top.until("one who waits", lambda lines: "waiting 1" in lines[1])
            ddict("put", "nobody", "somebody")
            self.assertEqual(waiting.wait(30), 0)
        top.until("none who waits", lambda lines: "waiting 0" in lines[1])
        top.interrupt()
        self.assert_left_as_it_was(top, 0)

    def test_signals(self):
        for number, status in ((signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)):
            top = self.started()
            top.send(number)
            self.assert_left_as_it_was(top, status)

    def test_resize(self):
        top = self.started()
        self.assertNotIn("LARGEST", "\n".join(top.screen.text()))
        top.resize(30, 120)
        top.until("more columns", lambda lines: any("LARGEST" in line for line in lines))
        top.until("the last line at the bottom", lambda lines: lines[29].startswith("q quit"))
        top.resize(7, 40)
        top.until("as much as there is space for", lambda lines: lines[6].startswith("q quit") and row_of(lines, 0))
        top.type("\x1bOB")  # down
        top.until("the next manager", lambda lines: row_of(lines, 1))
        top.resize(1, 1)
        top.resize(24, 80)
        top.until("all again", lambda lines: row_of(lines, MANAGERS - 1) and lines[23].startswith("q quit"))
        top.type("q")
        self.assert_left_as_it_was(top, 0)

    def test_without_colours(self):
        top = self.started(term="xterm-mono")
        self.assertEqual(top.screen.colours(1), {""})
        top.type("q")
        self.assert_left_as_it_was(top, 0)

    def test_a_terminal_that_nobody_knows(self):
        with Terminal(["ddict", "top"], term="no-such-terminal") as top:
            self.assertEqual(top.status(), 6)
            self.assertIn("TERM=no-such-terminal", top.raw)
            self.assertTrue(top.as_before())

    def test_without_a_dictionary(self):
        with Terminal(["env", "-u", "DDICT_HANDLE", "ddict", "top"]) as top:
            self.assertEqual(top.status(), 2)
            self.assertIn("ddict: attach: not_attached", top.raw)
            self.assertTrue(top.as_before())

    def test_one_picture_as_text(self):
        ddict("put", "key", "value")
        text = ddict("top", "--interval", "0.1")
        self.assertNotIn("\x1b", text)
        self.assertEqual(keys_in_all(text.splitlines()), 1)
        self.assertTrue(row_of(text.splitlines(), MANAGERS - 1))
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        with Terminal(["ddict", "top", "--once", "--interval", "0.1"]) as top:
            self.assertEqual(top.status(), 0)
            self.assertFalse(top.screen.alternate)
            self.assertEqual(keys_in_all(top.screen.text()), 1)

    def test_z_a_manager_dies(self):  # the last one: it stays dead
        top = self.started()
        victim = json.loads(ddict("stats", "--json"))["managers"][1]["pid"]
        os.kill(victim, signal.SIGKILL)
        top.until("the loss", lambda lines: "1 LOST" in lines[0])
        loss = r"^ +1 \S+ +LOST for \d+ s: manager_lost"
        line = top.until("its line", lambda lines: [i for i, text in enumerate(lines) if re.match(loss, text)])[0]
        self.assertEqual(top.screen.colours(line), {"31"})
        top.until("how long ago", lambda lines: [text for text in lines if re.search("LOST for [1-9]", text)])
        self.assertTrue(row_of(top.screen.text(), 2), "the others are still there")
        top.type("q")
        self.assert_left_as_it_was(top, 0)
        self.assertIn("1 LOST", ddict("top", "--interval", "0.1", status=5))


def main():
    if len(sys.argv) == 2:
        # Again, with a dictionary.
        os.environ["PATH"] = sys.argv[1] + ":" + os.environ["PATH"]
        command = ["ddict-launch", "--managers-per-node", str(MANAGERS), "--total-mem", "24M", "--no-restart", "--name", "tops"]
        sys.exit(subprocess.run([*command, "--", sys.executable, "-B", __file__]).returncode)
    unittest.main()


if __name__ == "__main__":
    main()
