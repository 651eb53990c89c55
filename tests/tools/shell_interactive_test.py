# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""'ddict shell', from a file and on a terminal. What only libedit does is left out where ddict is built without it.

usage: shell_interactive_test.py BIN_DIRECTORY
"""

import json
import os
import shutil
import stat
import subprocess
import tempfile
import termios
import time
import unittest

from shell import NO_SUCH_KEY, SUCCESS, TIMED_OUT, WRONG_CALL, ddict, main
from terminal import Terminal


def has_libedit():
    program = shutil.which("ddict")
    return program is not None and "libedit" in subprocess.run(["ldd", program], capture_output=True, text=True).stdout


def run(script, *options, status=SUCCESS):
    done = subprocess.run(["ddict", "shell", *options], input=script.encode(), capture_output=True, timeout=60)
    if done.returncode != status:
        raise AssertionError(f"status {done.returncode}, not {status}: {done.stderr}")
    run.said = done.stderr.decode()
    return done.stdout.decode()


class FromAFile(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def test_each_line_is_a_command(self):
        self.assertEqual(run("put a 1\n\n  # a comment\nget a b # and another\nsize", status=SUCCESS), "a\t1\n1\n")
        self.assertIn("get of key 'b'", run.said)

    def test_words_are_as_in_a_shell(self):
        cases = {r"two\ words": "two words", "'it is' ": "it is", '"a \\"b\\" \\c"': 'a "b" \\c', "'a\\b'": "a\\b", "a'b'\"c\"d": "abcd",
                 "a#b": "a#b", "\"it's\"": "it's", "ß": "ß"}
        for written, key in cases.items():
            with self.subTest(written=written):
                run(f"ddict put {written} x\n")
                self.assertEqual(ddict("get", key), b"x")
        self.assertEqual(ddict("size").decode(), f"{len(cases)}\n")
        self.assertEqual(run("put '' x\n", status=WRONG_CALL), "")

    def test_the_status_is_that_of_the_last_command(self):
        run("get nobody\n", status=NO_SUCH_KEY)
        run("get nobody\nsize\n")
        run("wait nobody\n", "--timeout", "0.1", status=TIMED_OUT)
        for wrong in ("fly\n", "get 'x\n", "get x\\", "shell\n"):
            run(wrong, status=WRONG_CALL)
            self.assertTrue(run.said.startswith("ddict: "))
        self.assertEqual(run("put a 1\nexit\nput b 1\n"), "")
        self.assertEqual(ddict("keys"), b"a\n")

    def test_commands_do_not_read_the_script(self):
        self.assertEqual(run("put a -\nsize\n"), "1\n")
        self.assertEqual(ddict("get", "a"), b"")


class OnATerminal(unittest.TestCase):
    def setUp(self):
        ddict("clear")
        self.home = tempfile.mkdtemp()
        os.environ["HOME"] = self.home
        os.environ.pop("XDG_STATE_HOME", None)

    def tearDown(self):
        shutil.rmtree(self.home)

    def shell(self):
        return Terminal(["ddict", "shell"], columns=100)

    def test_commands_and_their_end(self):
        with self.shell() as terminal:
            enter(terminal, "put key value\n")
            enter(terminal, "get key\n")
            terminal.until("the value", lambda lines: "value" in lines)
            enter(terminal, "wait nobody\n")
            wait_for_waiter()
            terminal.interrupt()
            terminal.until("its end", lambda lines: any("signal 2" in line for line in lines))
            enter(terminal, "size\n")
            terminal.until("the size", lambda lines: "1" in lines)
            at_prompt(terminal)
            terminal.type("\x04")
            self.assertEqual(terminal.status(), SUCCESS)

    @unittest.skipUnless(has_libedit(), "built without libedit")
    def test_completion_and_history(self):
        for key in ("run/energy", "run/entropy", "with blank"):
            ddict("put", key, "of " + key)
        with self.shell() as terminal:
            enter(terminal, "ge\t")
            terminal.until("the command", lambda lines: "ddict> get" in lines)
            terminal.type("r\t")
            terminal.until("what the keys have in common", lambda lines: any(line.endswith("get run/en") for line in lines))
            terminal.type("\t")
            terminal.until("both keys", lambda lines: "run/energy" in lines and "run/entropy" in lines)
            terminal.type("tr\t\n")
            terminal.until("the value", lambda lines: "of run/entropy" in lines)
            enter(terminal, "get wi\t\n")
            terminal.until("the other value", lambda lines: "of with blank" in lines)
            enter(terminal, " get secret\n")
            enter(terminal, "get --handle nonsense x\n")
            terminal.until("the refusal", lambda lines: any("bad_handle" in line for line in lines))
            enter(terminal, "not finished")
            terminal.interrupt()
            at_prompt(terminal)
            terminal.type("\x04")
            self.assertEqual(terminal.status(), WRONG_CALL, "of the last command")
        history = os.path.join(self.home, ".ddict_history")
        self.assertEqual(stat.S_IMODE(os.stat(history).st_mode), 0o600)
        with open(history, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("run/entropy", text)
        for kept_out in ("secret", "handle", "finished"):
            self.assertNotIn(kept_out, text)
        with self.shell() as terminal:
            enter(terminal, "\x1b[A\n")
            terminal.until("the value again", lambda lines: "of with blank" in lines)
            at_prompt(terminal)
            terminal.type("\x04")
            self.assertEqual(terminal.status(), SUCCESS)
            self.assertTrue(terminal.as_before())

    @unittest.skipUnless(has_libedit(), "built without libedit")
    def test_completion_keeps_characters_whole(self):
        for key in ("maß/1", "maü/2"):
            ddict("put", key, "of " + key)
        with self.shell() as terminal:
            enter(terminal, "get m\t")
            terminal.until("what the keys have in common", lambda lines: any(line.endswith("get ma") for line in lines))
            terminal.type("\t")
            terminal.until("both keys", lambda lines: "maß/1" in lines and "maü/2" in lines)
            terminal.type("ß\t\n")
            terminal.until("the value", lambda lines: "of maß/1" in lines)
            at_prompt(terminal)
            terminal.type("\x04")
            self.assertEqual(terminal.status(), SUCCESS)

    @unittest.skipUnless(has_libedit(), "built without libedit")
    def test_what_cannot_be_inserted_leaves_what_was_typed(self):
        for name in (b"one\xe4", b"two\xe41", b"two\xe42"):
            with open(os.path.join(self.home.encode(), name), "wb"):
                pass
        with self.shell() as terminal:
            enter(terminal, f"checkpoint verify {self.home}/on\t")
            terminal.type("+")
            terminal.until("what was typed", lambda lines: any(line.endswith("/on+") for line in lines))
            terminal.type("\x15")
            terminal.type(f"checkpoint verify {self.home}/tw\t")
            terminal.until("both files", lambda lines: any(line.endswith("/two\\xe42") for line in lines))
            terminal.type("+")
            terminal.until("what was typed", lambda lines: any(line.endswith("/tw+") for line in lines))
            terminal.interrupt()
            at_prompt(terminal)
            terminal.type("\x04")
            self.assertEqual(terminal.status(), SUCCESS)


def prompts(lines):
    return sum(line.startswith("ddict>") for line in lines)


def is_prompt(lines):
    return [line for line in lines if line][-1:] == ["ddict>"]


def at_prompt(terminal):
    """libedit takes over the terminal's editing after it has shown the prompt."""
    def is_ready(lines):
        return is_prompt(lines) and not (has_libedit() and termios.tcgetattr(terminal.follower)[3] & termios.ICANON)
    terminal.until("a prompt", is_ready)


def enter(terminal, text):
    """What is typed before the prompt is the terminal's, and shown in another place."""
    at_prompt(terminal)
    before = prompts(terminal.screen.text())
    terminal.type(text)
    terminal.until("what was typed", lambda lines: prompts(lines) > before or not is_prompt(lines))


def wait_for_waiter():
    deadline = time.monotonic() + 30
    while sum(manager["waiting"] for manager in json.loads(ddict("stats", "--json"))["managers"]) == 0:
        if time.monotonic() > deadline:
            raise AssertionError("nobody waits")


if __name__ == "__main__":
    main(__file__)
