# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Completion and manual pages: what they say of commands and options is what the parser knows.

usage: shell_completion_test.py BIN_DIRECTORY
"""

import re
import shutil
import subprocess
import unittest

from shell import WRONG_CALL, ddict, main

def commands():
    return re.findall(r"^  ([a-z-]+) ", ddict("--help").decode().split("Options")[0], re.M)


def completed(*words):
    return [line.split("\t")[0] for line in ddict("complete", "--", *words).decode().splitlines()]


def in_bash(line):
    """What bash is given for a line that ends where the cursor is."""
    script = """
source <(ddict completion bash)
compopt() { :; }
COMP_LINE=$1 COMP_POINT=${#1}
_ddict
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, timeout=60, text=True)
    if done.stderr:
        raise AssertionError(done.stderr)
    return sorted(done.stdout.split("\n")[:-1])


def in_zsh(*words):
    """What zsh is given in place of the last of the words, which are as they are written."""
    script = """
compdef() { :; }
compadd() { print -lr -- $candidates; }
_files() { print -r -- :files; }
source <(ddict completion zsh)
words=("$@") CURRENT=$# PREFIX=${@[-1]}
_ddict
"""
    done = subprocess.run(["zsh", "-f", "-c", script, "zsh", "ddict", *words], capture_output=True, timeout=60, text=True)
    if done.stderr:
        raise AssertionError(done.stderr)
    return sorted(done.stdout.split("\n")[:-1])


class Completion(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def test_of_all_commands_and_options(self):
        self.assertEqual(sorted(completed("")), sorted(commands() + ["help"]))
        for command in commands():
            text = ddict(command, "--help").decode().split("\nOptions")[-1]
            named = set(re.findall(r"^  (?:-., )?(--[a-z-]+)", text, re.M))
            offered = set(completed(command, "--"))
            self.assertLessEqual(named, offered, command)
            for option in offered:
                ddict(command, option + "=x", "--help", status=0 if takes_value(command, option) else WRONG_CALL)

    def test_of_keys(self):
        for key in ("run/1", "run/2", "other", "with blank", "a:b:c", "a:d"):
            ddict("put", key, "x")
        ddict("put", "--escaped", "--", "run/\\x0a", "x")
        ddict("put", "--key-type", "int", "42", "x")
        self.assertEqual(sorted(completed("get", "run/")), ["run/1", "run/2"])
        self.assertEqual(completed("get", "4"), [])
        self.assertEqual(sorted(completed("get", "--escaped", "run/")), ["run/1", "run/2", "run/\\x0a"])
        self.assertEqual(completed("get", "--escaped", "run/\\x"), ["run/\\x0a"])
        self.assertEqual(completed("get", "--escaped", "\\i"), ["\\int64:42"])
        self.assertEqual(in_bash("ddict get run/"), ["run/1", "run/2"])
        self.assertEqual(in_bash("ddict get w"), ["with\\ blank"])
        self.assertEqual(in_bash("ddict get a:"), ["b:c", "d"], "bash replaces what stands after the colon")
        self.assertEqual(in_bash("ddict get a:b:"), ["c"])
        self.assertEqual(in_bash("ddict put --as=fl"), ["float", "float32", "float64"])
        self.assertEqual(in_bash("ddict resta"), ["restart"])
        self.assertEqual(in_bash("ddict restart "), ["0", "1", "2"])

    def test_in_zsh(self):
        for key in ("run/1", "run/2", "with blank", "a:b"):
            ddict("put", key, "x")
        self.assertEqual(in_zsh("get", "run/"), ["run/1", "run/2"])
        self.assertEqual(in_zsh("get", "with\\ "), ["with blank"])
        self.assertEqual(in_zsh("get", "a:"), ["a:b"])
        self.assertEqual(in_zsh("resta"), ["restart"])
        self.assertEqual(in_zsh("put", "--as", "fl"), ["float", "float32", "float64"])
        self.assertEqual(in_zsh("load", "/d"), [":files"])
        self.assertEqual(in_zsh("get", "nothing"), [])

    def test_without_a_dictionary_it_is_silent(self):
        self.assertEqual(ddict("complete", "--", "get", "a", env={"PATH": "/usr/bin", "DDICT_HANDLE": "nonsense"},
                               executable=shutil.which("ddict")), b"")
        self.assertEqual(ddict.said, "")

    def test_of_files(self):
        self.assertEqual(completed("load", "/"), [":files"])
        self.assertIn("/dev", in_bash("ddict load /d"))

    def test_scripts(self):
        for shell in ("bash", "zsh"):
            subprocess.run([shell, "-n"], input=ddict("completion", shell), check=True, timeout=60)
        ddict("completion", "fish", status=WRONG_CALL)


def takes_value(command, option):
    text = ddict(command, "--help").decode() + ddict("--help").decode()
    return re.search(rf"^  (?:-., )?{option} [A-Z]", text, re.M) is not None


class ManualPages(unittest.TestCase):
    def test_of_all_commands(self):
        for command in [None, *commands()]:
            page = ddict(*([command] if command else []), "--man")
            name = f"ddict-{command}" if command else "ddict"
            self.assertTrue(page.startswith(f".TH {name.upper()} 1 ".encode()))
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", "-rLL=78n"], input=page, capture_output=True, check=True)
            self.assertEqual(done.stderr, b"", name)
            words = " ".join(re.sub("\x1b\\[[0-9]*m|.\b", "", done.stdout.decode()).replace("‐\n", "‐").split())
            words = words.replace("‐ ", "-").replace("‐", "-").replace("−", "-")
            help_text = ddict(command, "--help") if command else ddict("--help")
            for option in re.findall(r"^  (?:-., )?(--[a-z-]+)", help_text.decode(), re.M):
                self.assertIn(option, words)
            self.assertIn("EXIT STATUS 0 success 1 no such key 2 the call is wrong", words)
            for example in re.findall(r"^  (ddict [a-z].*)$", help_text.decode(), re.M):
                self.assertIn(" ".join(example.split()), words, name)


if __name__ == "__main__":
    main(__file__)
