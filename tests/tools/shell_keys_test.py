# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Keys of every type in the shell: how they are printed, read and named; and what help says of the commands.

usage: shell_keys_test.py BIN_DIRECTORY
"""

import json
import re
import subprocess
import time
import unittest

from shell import NO_SUCH_KEY, PARTIAL, SUCCESS, WRONG_CALL, ddict, main


class Keys(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def test_keys_of_any_type_come_back(self):
        ddict("put", "42", "a text")
        ddict("put", "\\int64:42", "a text that looks like an integer")
        cases = [("int8", "42", "int64"), ("uint32", "7", "int64"), ("uint64", "18446744073709551615", "uint64"),
                 ("int64", "-9223372036854775808", "int64"), ("float32", "0.5", "float64"), ("double", "1e+300", "float64"),
                 ("bool", "true", "bool"), ("bytes", "42", "bytes"), ("user type 7", "a:b", "user type 7")]
        for number, (type_name, key, stored_as) in enumerate(cases):
            with self.subTest(type=type_name):
                ddict("put", "--key-type", type_name, key, str(number))
                self.assertEqual(ddict("get", "--key-type", type_name, key).decode(), str(number))
                self.assertIn(f"\\{stored_as}:{key}\n", ddict("keys").decode())
                self.assertIn(key + "\n", ddict("keys", "--key-type", stored_as).decode())
                self.assertEqual(ddict("get", "--escaped", f"\\{stored_as}:{key}").decode(), str(number))
        self.assertEqual(ddict("get", "42"), b"a text")
        lines = ddict("keys").decode().splitlines()
        self.assertEqual(len(lines), len(cases) + 2)
        values = {ddict("get", "--escaped", "--", line).decode() for line in lines}
        self.assertEqual(len(values), len(lines), "each key names its own value")
        for line in lines:
            ddict("del", "--escaped", "--", line)
        self.assertEqual(ddict("size"), b"0\n")

    def test_every_command_takes_a_key_of_any_type(self):
        self.assertEqual(ddict("incr", "--key-type", "int", "5", "2"), b"2\n")
        self.assertEqual(ddict("wait", "--key-type", "int", "5", "--timeout", "5"), b"2")
        self.assertEqual(ddict("pop", "--key-type", "int", "5"), b"2")
        ddict("get", "--key-type", "int", "5", status=NO_SUCH_KEY)
        self.assertIn("get of key \\int64:5 on manager", ddict.said)
        ddict("del", "--key-type", "int", "5", status=NO_SUCH_KEY)
        self.assertIn("del of key \\int64:5 on manager", ddict.said)
        for wrong in (("get", "--key-type", "nothing", "5"), ("get", "--key-type", "int", "x"),
                      ("get", "--escaped", "\\nothing:5"), ("keys", "--key-type", "int", "4")):
            ddict(*wrong, status=WRONG_CALL)

    def test_messages_name_keys_as_keys_prints_them(self):
        keys = [("text", "Grüße an 'alle'"), ("text", "a\nb\\"), ("int", "-5"), ("uint64", "18446744073709551615"),
                ("double", "1.0"), ("bytes", "a\nb"), ("user type 7", "x y")]
        for type_name, key in keys:
            with self.subTest(type=type_name, key=key):
                ddict("put", "--key-type", type_name, "--", key, "value")
                printed = ddict("keys").decode().rstrip("\n")
                shown = printed if printed.startswith("\\") and type_name != "text" else f"'{printed}'"
                ddict("incr", "--escaped", "--", printed, status=WRONG_CALL)
                self.assertIn(f"incr of key {shown} on manager", ddict.said)
                ddict("del", "--escaped", "--", printed)
                for command in ("get", "del", "info", "pop"):
                    ddict(command, "--key-type", type_name, "--", key, status=NO_SUCH_KEY)
                    self.assertRegex(ddict.said, f"^ddict: {command} of key {re.escape(shown)} on manager \\d \\(.+\\): not_found$")

    def test_what_a_prefix_is_of(self):
        ddict("put", "4", "a text")
        ddict("put", "--key-type", "int", "42", "an integer")
        ddict("put", "--key-type", "bytes", "42", "bytes")
        self.assertEqual(ddict("keys", "4"), b"4\n")
        self.assertEqual(ddict("size", "4"), b"1\n")
        self.assertEqual(ddict("size"), b"3\n")
        self.assertEqual(ddict("keys", "4", "--key-type", "bytes"), b"42\n")
        ddict("keys", "4", "--key-type", "int", status=WRONG_CALL)
        self.assertEqual(ddict("clear", "4"), b"1\n")
        self.assertEqual(ddict("size"), b"2\n")
        done = subprocess.run(["bash", "-c", "ddict keys --key-type int | ddict del --key-type int --stdin"], timeout=60)
        self.assertEqual(done.returncode, SUCCESS, "as 'ddict clear --help' says")
        self.assertEqual(ddict("keys"), b"\\bytes:42\n")
        for command in ("size", "clear", "keys"):
            self.assertRegex(ddict(command, "--help").decode().replace("\n", " "), "(Only keys that are t|Only t)exts begin with a PREFIX")
        self.assertNotIn(b"KEY", ddict("size", "--help").split(b"Options (")[1])

    def test_keys_of_many_types_between_zero_bytes(self):
        ddict("put", "text", "1")
        ddict("put", "--key-type", "int", "42", "2")
        self.assertEqual(ddict("keys", "-0", status=PARTIAL), b"text\0")
        self.assertIn("the pair of key \\int64:42 is left out: it is no text", ddict.said)
        self.assertEqual(ddict("keys", "-0", "--key-type", "int"), b"42\0")
        self.assertEqual(ddict("keys", "-0", "--key-type", "text"), b"text\0")


class Help(unittest.TestCase):
    def test_help_of_every_command(self):
        commands = re.findall(r"^  ([a-z-]+) ", ddict("--help").decode().split("Options")[0], re.M)
        self.assertGreaterEqual(len(commands), 33)  # they are found
        for command in commands:
            for arguments in ([command, "--help"], [command, "-h"], ["--help", command], [command, "x", "y", "z", "--help"]):
                self.assertIn(f"usage: ddict {command}", ddict(*arguments).decode())
            self.assertEqual(ddict(command, "--no-such-option", status=WRONG_CALL), b"")
            self.assertIn(f"see ddict {command} --help", ddict.said)
            self.assertEqual(ddict("help", command), ddict(command, "--help"))
        self.assertEqual(ddict("help"), ddict("--help"))
        for text in (ddict("--help"), *(ddict(command, "--help") for command in commands)):
            self.assertLessEqual(max(map(len, text.decode().splitlines())), 80)
        for command in commands:  # what all have in common stands once
            text = ddict(command, "--help").decode()
            self.assertNotIn("Exit status", text)
            self.assertNotIn("--handle HANDLE", text)
            self.assertIn("'ddict --help' has", text)
            self.assertLessEqual(len(text.splitlines()), 40, command)
        for words in ("usage: ddict wait KEY [VALUE] [OPTIONS]\n       ddict wait --any KEY... [OPTIONS]\n", "24 hours", "exit status 4"):
            self.assertIn(words, ddict("wait", "--help").decode())
        for words in ("int64 (int)", "uint64 (uint)", "float32 (float)", "float64 (double)"):
            self.assertIn(words, ddict("put", "--help").decode().replace("\n" + " " * 21, " "))
        self.assertIn("goes on at the smallest", ddict("incr", "--help").decode().replace("\n", " "))

    def test_short_names_of_types(self):
        for short, stored in (("int", "int64"), ("uint", "uint64"), ("float", "float32"), ("double", "float64")):
            ddict("put", "key", "5", "--as", short)
            self.assertEqual(ddict("get", "--type", "key").decode(), stored + "\n")
        for wrong in (("put", "key", "5", "--as", "integer"), ("get", "key", "--key-type", "integer")):
            ddict(*wrong, status=WRONG_CALL)
            self.assertIn("there is no type 'integer'; int, uint, double, float, bool, text and bytes are some", ddict.said)

    def test_counters_go_round(self):
        ddict("put", "--int", "key", str(2 ** 63 - 1))
        self.assertEqual(ddict("incr", "key").decode(), f"{-2 ** 63}\n")
        self.assertEqual(ddict("incr", "key", "-1").decode(), f"{2 ** 63 - 1}\n")

    def test_what_cannot_be_counted_is_told_how(self):
        for given, counts in (("--double", "--double counts it"), ("--text", "'ddict put --int KEY N' stores one"),
                              ("--bytes", "'ddict put --int KEY N' stores one")):
            ddict("put", given, "key", "5")
            ddict("incr", "key", status=WRONG_CALL)
            self.assertTrue(ddict.said.endswith(counts + "\n"), ddict.said)
        ddict("put", "--double", "key", "5")
        self.assertEqual(ddict("incr", "key", "--double"), b"6\n")


class TimesToLive(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def test_a_pair_has_one_is_touched_and_ends(self):
        ddict("put", "--ttl", "3600", "k", "v")
        kind, size, left = ddict("info", "--ttl", "k").decode().split("\t")
        self.assertEqual((kind, size), ("text", "1"))
        self.assertTrue(3500 < float(left) <= 3600, left)
        ddict("touch", "--no-ttl", "k")
        self.assertTrue(ddict("info", "--ttl", "k").endswith(b"\t-\n"))
        self.assertIsNone(json.loads(ddict("info", "--ttl", "--json", "k"))[0]["ttl"])
        ddict("touch", "--ttl", "0.05", "k", "nobody", status=NO_SUCH_KEY)
        self.assertIn("'nobody'", ddict.said)
        deadline = time.monotonic() + 20
        while ddict("size") != b"0\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(ddict("size"), b"0\n")

    def test_a_wait_ends_with_another_key(self):
        ddict("put", "--ttl", "0.3", "worker", "7")
        ddict("wait", "--timeout", "20", "--while", "worker", "never", status=NO_SUCH_KEY)
        self.assertIn('"worker"', ddict.said)
        ddict("put", "result", "done")
        self.assertEqual(ddict("wait", "--while", "worker", "result"), b"done")

    def test_what_makes_no_sense_is_refused(self):
        for words in (("touch", "k"), ("touch", "--ttl", "1", "--no-ttl", "k"), ("touch", "--ttl", "0", "k"),
                      ("put", "--ttl", "-1", "k", "v"), ("wait", "--while", "a", "k", "v")):
            with self.subTest(words=words):
                ddict(*words, status=WRONG_CALL)


if __name__ == "__main__":
    main(__file__)
