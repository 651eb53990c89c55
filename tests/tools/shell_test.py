# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What comes out of a dictionary by the shell goes in again as it was, whatever bytes it has; nothing of it acts upon
a terminal; each way to fail has its exit status.

usage: shell_test.py BIN_DIRECTORY
"""

import json
import os
import re
import resource
import select
import signal
import struct
import subprocess
import tempfile
import time
import unittest

from shell import NO_SUCH_KEY, OTHER_FAILURE, PARTIAL, SUCCESS, TIMED_OUT, UNREACHABLE, WRONG_CALL, ddict, main, seeded
from terminal import Terminal

CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def escaped(raw):
    return "".join(f"\\x{byte:02x}" for byte in raw)


def unescaped(line):
    """The bytes of a printed field. Checks that nothing else than text stands there."""
    line.decode()
    if CONTROL.search(line) or b"\t" in line:
        raise AssertionError(f"not printable: {line!r}")
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), line)


class Shell(unittest.TestCase):
    def setUp(self):
        self.random = seeded()
        ddict("clear")

    def any_bytes(self, least=1, most=30):
        """Of all kinds: text, controls, pieces of UTF-8."""
        pieces = [bytes([self.random.randrange(256)]), "ß".encode(), b"\x9b", b"\xe2\x82", b"\\x41", b"\n", b"-", b" "]
        size = self.random.randint(least, most)
        return b"".join(self.random.choices(pieces, k=size))[:size]

    def some_keys(self, count):
        return {self.any_bytes() for _ in range(count)} | {b"-", b"--", b"-k", b"\\", b"\\x41", b" a ", b"\x1b[2J", b"\x00"}

    # ---- values ----

    def test_no_scalar_changes_or_gets_another_type(self):
        largest = {bits: 2 ** bits - 1 for bits in (8, 16, 32, 64)}
        cases = [(f"int{bits}", str(n)) for bits in largest for n in (-2 ** (bits - 1), 2 ** (bits - 1) - 1)]
        cases += [(f"uint{bits}", str(n)) for bits in largest for n in [largest[bits]]]
        cases += [("float64", repr(n)) for n in (0.1 + 0.2, 1 / 3, 1e300, 5e-324, 1.7976931348623157e308, -0.0)]
        cases += [("float64", text) for text in ("inf", "-inf", "nan", "-nan", "nan(0x1)")]
        cases += [("float32", text) for text in ("0.1", "1e-45", "3.4028235e+38", "-0", "inf", "nan")]
        cases += [("bool", "true"), ("bool", "false"), ("complex128", "(0.1,-2)"), ("complex64", "(inf,nan)")]
        for type_name, text in cases:
            with self.subTest(type=type_name, text=text):
                ddict("put", "--as", type_name, "first", text)
                printed = ddict("get", "first").decode()
                self.assertEqual(ddict("get", "--type", "first").decode(), type_name + "\n")
                ddict("put", "second", printed, "--as", type_name)
                ddict("put", "third", "-", "--as", type_name, stdin=printed.encode() + b"\n")
                bits = ddict("get", "--raw", "first")
                self.assertEqual(ddict("get", "--raw", "second"), bits)
                self.assertEqual(ddict("get", "--raw", "third"), bits)

    def test_the_bits_are_those_of_a_program(self):
        for option, text, bits in (("--double", "0.30000000000000004", struct.pack("<d", 0.1 + 0.2)),
                                   ("--float", "0.1", struct.pack("<f", 0.1)), ("--int", "-5", struct.pack("<q", -5)),
                                   ("--uint", "5", struct.pack("<Q", 5)), ("--bool", "true", b"\x01"),
                                   ("--bytes", "12", b"12"), ("--text", "12", b"12")):
            ddict("put", option, "key", text)
            self.assertEqual(ddict("get", "--raw", "key"), bits)
            self.assertEqual(ddict("get", "key").decode(), text)

    def test_any_value_can_be_copied(self):
        for type_name, value in (("text", self.any_bytes()), ("bytes", self.any_bytes()), ("list", self.any_bytes()),
                                 ("vector of float64", struct.pack("<3d", 1, 2, 3)), ("array of int32", bytes(24)),
                                 ("map", b"\x00\xff"), ("record", b""), ("structure", b"\x00" * 5), ("user type 7", b"\x9b")):
            ddict("put", "from", "-", "--as", type_name, stdin=value)
            self.assertEqual(ddict("get", "from"), value)
            ddict("put", "to", "-", "--as", ddict("get", "--type", "from").decode().strip(), stdin=ddict("get", "from"))
            self.assertEqual(ddict("get", "to"), value)
            self.assertEqual(ddict("get", "--type", "to").decode(), type_name + "\n")

    def test_what_is_no_value_of_its_type_stores_nothing(self):
        for type_name, text in (("int8", "128"), ("uint8", "-1"), ("int64", "1.5"), ("float64", "1e999"), ("bool", "yes"),
                                ("float64", ""), ("int64", " 1"), ("vector of float64", "1234567"), ("integer", "1")):
            ddict("put", "--as", type_name, "key", text, status=WRONG_CALL)
            self.assertIn("see ddict put --help", ddict.said)
        ddict("put", "key", "1", "--int", "--double", status=WRONG_CALL)
        self.assertEqual(ddict("size"), b"0\n")

    def test_counters_of_every_kind(self):
        self.assertEqual(ddict("incr", "i", "-5"), b"-5\n")
        self.assertEqual(ddict("incr", "u", "--uint", "18446744073709551615"), b"18446744073709551615\n")
        self.assertEqual(ddict("incr", "--uint", "u", "2"), b"1\n")
        ddict("incr", "d", "0.1", "--double")
        self.assertEqual(ddict("incr", "d", "0.2", "--double"), b"0.30000000000000004\n")
        ddict("wait", "d", "0.30000000000000004", "--timeout", "20")
        ddict("wait", "--int", "i", "-5", "--timeout", "20")
        ddict("incr", "d", status=WRONG_CALL)

    # ---- keys ----

    def test_any_key_comes_back(self):
        keys = self.some_keys(12)
        for key in keys:
            ddict("put", "--escaped", "--", escaped(key), escaped(key + b"!"))
        lines = ddict("keys").split(b"\n")[:-1]
        self.assertEqual({unescaped(line) for line in lines}, keys)
        self.assertEqual(len(lines), len(keys))
        loop = "ddict keys | while IFS= read -r key; do ddict get --escaped -- \"$key\" || exit; done"
        read = subprocess.run(["bash", "-c", loop], capture_output=True, timeout=60)
        self.assertEqual((read.returncode, read.stderr), (SUCCESS, b""))
        self.assertEqual(read.stdout, b"".join(unescaped(line) + b"!" for line in lines))
        for line in lines:
            self.assertEqual(ddict("get", "--escaped", "--", line.decode()), unescaped(line) + b"!")
            prefixed = ddict("keys", "--escaped", "--", line.decode()).split(b"\n")
            self.assertIn(line, prefixed)
        ddict("del", "--escaped", "--", *(line.decode() for line in lines))
        self.assertEqual(ddict("size"), b"0\n")

    def test_keys_as_they_are(self):
        keys = self.some_keys(8)
        for key in keys:
            ddict("put", "--escaped", "--", escaped(key), "value")
        with_zero = {key for key in keys if b"\0" in key}
        printed = ddict("keys", "-0", status=PARTIAL).split(b"\0")
        self.assertEqual(printed.pop(), b"")
        self.assertEqual(set(printed), keys - with_zero)
        self.assertEqual(ddict.said.count("incomplete: the pair of key '"), len(with_zero))
        for key in with_zero:
            ddict("del", "--escaped", escaped(key))
        for key in ddict("keys", "--null").split(b"\0")[:-1]:
            ddict("del", "--", key)
        self.assertEqual(ddict("keys"), b"")

    def test_all_pairs_can_be_stored_again(self):
        types = ("text", "bytes", "float64", "bool", "vector of uint8", "map", "user type 9")
        for key in self.some_keys(6):
            type_name = self.random.choice(types)
            value = {"float64": b"0.1", "bool": b"true"}.get(type_name, self.any_bytes(0, 200))
            ddict("put", "--escaped", "--as", type_name, "--", escaped(key), escaped(value))
        before = sorted(ddict("items", "--full").split(b"\n"))
        ddict("clear")
        for line in before[1:]:
            key, type_name, value = (field.decode() for field in line.split(b"\t"))
            ddict("put", "--escaped", "--as", type_name, "--", key, value)
        self.assertEqual(sorted(ddict("items", "--full").split(b"\n")), before)
        for line in before[1:]:
            for field in line.split(b"\t"):
                unescaped(field)

    def test_items_in_a_pipe(self):
        ddict("put", "long", "x" * 5000)
        ddict("put", "vector", "12345678", "--as", "vector of float64")
        ddict("put", "number", "--int", "5")
        self.assertEqual(ddict("items", "long"), b"long\t" + b"x" * 5000 + b"\n")
        self.assertEqual(ddict("items", "vector"), b"vector\t<vector of float64, 8 bytes>\n")
        self.assertEqual(ddict("items", "number", "--type"), b"number\tint64\t5\n")
        self.assertEqual(ddict("items", "number", "-0"), b"number\0" b"5\0")
        self.assertEqual(ddict("items", "vector", "-0"), b"vector\0" b"12345678\0")

    # ---- terminals ----

    def seen(self, *arguments, columns=60):
        with Terminal(["ddict", *arguments], lines=30, columns=columns) as terminal:
            self.assertEqual(terminal.status(), 0)
            return terminal.raw.replace("\r\n", "\n")

    def test_a_terminal_is_not_acted_upon(self):
        nasty = "\x1b]0;title\x07\x1b[2J\u009b31m\u202e"
        ddict("put", "--escaped", escaped(nasty.encode()), "-", stdin=nasty.encode() + b"\xff")
        for arguments in (("keys",), ("items",), ("items", "--full"), ("get", "--escaped", escaped(nasty.encode()))):
            self.assertNotRegex(self.seen(*arguments, columns=200), "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
        ddict("get", nasty.encode() + b"\x9b", status=NO_SUCH_KEY)
        ddict("get", "k", b"--" + nasty.encode(), status=WRONG_CALL)
        self.assertNotRegex(ddict.said, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

    def test_a_terminal_is_not_acted_upon_by_the_launcher(self):
        for command in (["--manager-program", "/\x1b[31m/nope"], ["--nodelist", "\x1b]0;x\x07"], ["--name", "\x1b[2J"]):
            done = subprocess.run(["ddict-launch", *command, "--", "true"], capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, SUCCESS, command)
            self.assertNotIn(b"\x1b", done.stderr)
            self.assertIn(b"\\x1b", done.stderr)

    def test_get_on_a_terminal(self):
        ddict("put", "text", "one\ntwo")
        ddict("put", "vector", "12345678", "--as", "vector of float64")
        ddict("put", "number", "0.1", "--double")
        self.assertEqual(self.seen("get", "text"), "one\ntwo\n")
        self.assertEqual(self.seen("get", "number"), "0.1\n")
        self.assertIn("<vector of float64, 8 bytes>\n", self.seen("get", "vector"))
        self.assertEqual(self.seen("get", "vector", "--raw"), "12345678")

    def test_pop_on_a_terminal_removes_only_what_it_shows(self):
        for type_name in ("vector of float64", "bytes", "list", "user type 7"):
            ddict("put", "key", "12345678", "--as", type_name)
            with Terminal(["ddict", "pop", "key"], lines=30, columns=200) as terminal:
                self.assertEqual(terminal.status(), OTHER_FAILURE)
                self.assertRegex(terminal.raw, f"without --raw a terminal shows no value of type {type_name}; the pair was put back")
            self.assertEqual(ddict("get", "--type", "key").decode(), type_name + "\n")
            self.assertEqual(self.seen("pop", "key", "--raw"), "12345678")
            ddict("get", "key", status=NO_SUCH_KEY)
        for option, shown in (("--text", "1.5"), ("--double", "1.5"), ("--float", "1.5")):
            ddict("put", "key", "1.5", option)
            self.assertEqual(self.seen("pop", "key"), shown + "\n")

    def test_items_on_a_terminal_are_a_line_each(self):
        ddict("put", "long", "-", stdin=b"x" * 300_000)
        ddict("put", "k" * 500, "value")
        ddict("put", "wide", "龍" * 100)
        ddict("put", "short", "value")
        ddict("put", "exact", "y" * (60 - len("exact  ")))
        ddict("put", "vector", "12345678", "--as", "vector of float64")
        lines = self.seen("items").splitlines()
        self.assertEqual(len(lines), 6)
        for line in lines:
            self.assertLessEqual(len(line) + line.count("龍"), 60)
        found = {line.split()[0]: line for line in lines}
        self.assertRegex(found["long"], r"^long  x+\.\.\. \(text, 300000 bytes\)$")
        self.assertRegex(found["wide"], r"^wide  龍+\.\.\. \(text, 300 bytes\)$")
        self.assertEqual(found["short"], "short  value")
        self.assertEqual(found["exact"], "exact  " + "y" * 53)
        self.assertEqual(found["vector"], "vector  <vector of float64, 8 bytes>")
        self.assertEqual(len(self.seen("items", "--full", "long").rstrip("\n")), len("long\ttext\t") + 300_000)
        self.assertLessEqual(max(map(len, self.seen("items", columns=8).splitlines())), 8)

    # ---- ways to fail ----

    def test_exit_statuses(self):
        ddict("put", "text", "value")
        ddict("get", "nobody", status=NO_SUCH_KEY)
        ddict("del", "nobody", status=NO_SUCH_KEY)
        ddict("del", "text", "nobody", status=NO_SUCH_KEY)
        ddict("put", "text", "value")
        for wrong in (["get"], ["fly"], [], ["get", "text", "--jason"], ["get", "-text"], ["put", "", "x"], ["incr", "text"],
                      ["--timeout", "soon", "size"], ["--timeout", "5x", "size"], ["--handle", "", "size"],
                      ["put", "x" * 1025, "x"], ["get", "--escaped", "a\\b"], ["wait", "text", "--timeout"]):
            ddict(*wrong, status=WRONG_CALL)
        without = {name: value for name, value in os.environ.items() if name != "DDICT_HANDLE"}
        ddict("size", status=WRONG_CALL, env=without)
        ddict("wait", "nobody", "--timeout", "0.1", status=TIMED_OUT)
        ddict("wait", "text", "other", "--timeout", "0.1", status=TIMED_OUT)
        ddict("freeze")
        ddict("put", "text", "value", status=OTHER_FAILURE)
        ddict("clear", status=OTHER_FAILURE)
        ddict("unfreeze")

    def test_output_that_cannot_be_written(self):
        ddict("put", "key", "value")
        ddict("put", "counter", "1", "--int")
        for command in ("get key", "keys", "items", "size", "health", "stats", "stats --json", "top --once --interval 0.1",
                        "--help", "get --help", "--version", "pop key", "wait key", "incr counter", "get --type key"):
            for where in (">/dev/full", ">&-", "<&- >&-"):
                with self.subTest(command=command, where=where):
                    done = subprocess.run(["bash", "-c", f"ddict {command} {where}"], capture_output=True, timeout=60)
                    self.assertEqual(done.returncode, OTHER_FAILURE)
                    self.assertIn(b"cannot write to the standard output", done.stderr)
        self.assertEqual(ddict("get", "key"), b"value", "what was popped was put back")
        ddict("put", "prefix/1", "x")
        done = subprocess.run(["bash", "-c", "ddict clear prefix/ >/dev/full"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, OTHER_FAILURE)
        self.assertIn(b"1 pair was removed all the same", done.stderr)
        for command in ("put key value", "del key", "clear", "freeze", "unfreeze"):  # that print nothing
            subprocess.run(["bash", "-c", f"ddict {command} <&- >&-"], check=True, timeout=60)
        done = subprocess.run(["bash", "-c", "ddict size <&- >&- 2>&-"], timeout=60)
        self.assertEqual(done.returncode, OTHER_FAILURE)

    def test_what_libraries_log_is_no_output(self):
        """UCX logs while it is being loaded, and to the standard output if nobody says otherwise."""
        ddict("put", "key", "value")
        for level in ("debug", "trace"):
            environment = {**os.environ, "DDICT_SAME_HOST": "0", "UCX_NET_DEVICES": "lo", "UCX_LOG_LEVEL": level}
            self.assertEqual(ddict("get", "key", env=environment), b"value")
            self.assertIn("UCX", ddict.said)

    def test_the_longest_host_name_ends_nobody(self):
        """UCX would abort the process while it is being loaded."""
        command = "printf %064d 0 >/proc/sys/kernel/hostname && exec ddict get key"
        environment = {**os.environ, "DDICT_SAME_HOST": "0", "UCX_NET_DEVICES": "lo"}
        done = subprocess.run(["unshare", "--map-root-user", "--uts", "sh", "-c", command], capture_output=True,
                              env=environment, timeout=60)
        self.assertEqual(done.returncode, OTHER_FAILURE, done.stderr)
        self.assertIn(b"give it a shorter one", done.stderr)

    def test_what_is_saved_or_loaded_counts_whether_or_not_it_can_be_said(self):
        ddict("put", "key", "value")
        with tempfile.TemporaryDirectory() as saves:
            for where in (">/dev/full", ">&-", "<&- >&- 2>&-", ">/dev/full 2>&1", "| :"):
                for command in (f"save {saves}", f"load {saves}", f"load --latest {saves}"):
                    with self.subTest(command=command, where=where):
                        script = f"sleep 0.2 | ddict {command} {where}; exit ${{PIPESTATUS[1]}}"
                        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
                        self.assertEqual(done.returncode, SUCCESS, done.stderr)
                        if where in (">/dev/full", ">&-"):
                            self.assertIn(b"cannot write to the standard output", done.stderr)
                            self.assertIn(b"default/00000", done.stderr)
            self.assertEqual(len(ddict("checkpoint", "ls", saves).splitlines()), 5)

    def test_nobody_reads_any_more(self):
        for i in range(5):
            ddict("put", f"key {i}", "x" * 100_000)
        script = "trap '' PIPE; ddict items | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
        self.assertEqual(done.stdout, f"{OTHER_FAILURE}\n".encode())
        self.assertIn(b"Broken pipe", done.stderr)

    def pop_without_success(self, why, **options):
        """Without anybody who reads the value; it is there afterwards."""
        done = subprocess.run(["ddict", "pop", "large"], stderr=subprocess.PIPE, timeout=60, **options)
        self.assertEqual(done.returncode, OTHER_FAILURE, done.stderr)
        self.assertRegex(done.stderr.decode(), f"{why}; the pair was put back")
        self.assertEqual(len(ddict("get", "large")), 300_000)

    def test_what_pop_removes_is_printed_or_put_back(self):
        ddict("put", "large", "-", stdin=b"x" * 300_000)
        reader, writer = os.pipe()
        os.close(reader)
        self.pop_without_success("Broken pipe", stdout=writer)
        counted = subprocess.run(["ddict", "incr", "counter"], stdout=writer, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(counted.returncode, OTHER_FAILURE)
        self.assertIn(b"Broken pipe; key 'counter' was counted all the same", counted.stderr)
        os.close(writer)
        limit = (65536, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        with tempfile.TemporaryFile() as file:
            self.pop_without_success("File too large", stdout=file,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))

    def test_pop_puts_back_when_a_signal_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1):
            ddict("put", "large", "-", stdin=b"x" * 300_000)
            popping = subprocess.Popen(["ddict", "pop", "large"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.wait_for_output(popping.stdout)
            popping.send_signal(number)
            self.assertEqual(popping.wait(60), -number, number)
            self.assertIn(b"; the pair was put back", popping.stderr.read())
            popping.stdout.close()
            popping.stderr.close()
            self.assertEqual(len(ddict("get", "large")), 300_000)

    def wait_for_output(self, pipe):
        self.assertTrue(select.select([pipe], [], [], 60)[0], "nothing is printed")

    def test_input_that_cannot_be_stored(self):
        ddict("put", "key", "before")
        for source, status, why in (("<&-", OTHER_FAILURE, "cannot read the standard input"),
                                    ("</", OTHER_FAILURE, "cannot read the standard input"),
                                    ("</dev/zero", WRONG_CALL, "too_large"),
                                    ("< <(yes)", WRONG_CALL, "too_large")):
            done = subprocess.run(["bash", "-c", f"ddict put key - {source}"], capture_output=True, timeout=120)
            self.assertEqual(done.returncode, status, source)
            self.assertIn(why, done.stderr.decode())
        self.assertEqual(ddict("get", "key"), b"before")

    # ---- managers that are stopped or lost: these come last ----

    def pid_of_manager(self, manager):
        return json.loads(ddict("stats", "--json"))["managers"][manager]["pid"]

    def expect_the_others(self, reason, word, timeout):
        """All but manager 1 answer, and that is what is said."""
        limit = ["--timeout", timeout]
        there = {f"key{i}".encode() for i in range(12)}
        begun = time.monotonic()
        keys = set(ddict(*limit, "keys", status=PARTIAL).split(b"\n")[:-1])
        self.assertTrue(keys and keys < there, keys)
        self.assertRegex(ddict.said, f"^ddict: incomplete: keys on manager 1 \\(.*\\): {reason}.*\n$")
        items = {line.split(b"\t")[0] for line in ddict(*limit, "items", status=PARTIAL).split(b"\n")[:-1]}
        self.assertEqual(items, keys)
        self.assertEqual(ddict(*limit, "size", status=PARTIAL), f"{len(keys)}\n".encode())
        self.assertRegex(ddict.said, f"^ddict: incomplete: size on manager 1 \\(.*\\): {reason}.*\n$")
        for command, shown in (("stats", rf"1 +\S+ +no answer: {reason}"), ("health", f"manager 1 on .*{reason}"),
                               ("top --once --interval 0.1", rf" 1 {word}\n(.*\n)+ +1 \S+ +{word} for \d+ s: {reason}")):
            self.assertRegex(ddict(*limit, *command.split(), status=PARTIAL).decode(), shown)
        for command in ("freeze", "unfreeze"):
            ddict(*limit, command, status=PARTIAL)
            self.assertIn(reason, ddict.said)
        self.assertLess(time.monotonic() - begun, 60)
        return there - keys

    def test_y_a_manager_is_stopped(self):
        for i in range(12):
            ddict("put", f"key{i}", "value")
        pid = self.pid_of_manager(1)
        os.kill(pid, signal.SIGSTOP)
        try:
            hidden = self.expect_the_others("timeout", "SILENT", "1")
            ddict("--timeout", "0.5", "put", min(hidden), "value", status=TIMED_OUT)
            for command in ("keys", "items", "size", "freeze", "unfreeze", "stats", "health"):
                begun = time.monotonic()
                ddict("--timeout", "4", command, status=PARTIAL)
                self.assertLess(time.monotonic() - begun, 4 + 1.5, command)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(len(ddict("keys").splitlines()), 12)

    def test_z_a_manager_is_lost(self):
        for i in range(12):
            ddict("put", f"key{i}", "value")
        os.kill(self.pid_of_manager(1), signal.SIGKILL)
        hidden = self.expect_the_others("manager_lost", "LOST", "20")
        ddict("get", min(hidden), status=UNREACHABLE)
        all_keys = [f"key{i}".encode() for i in range(12)]
        there = [key for key in all_keys if key not in hidden]
        for command, printed in ((("get",), [key + b"\tvalue" for key in there]), (("has",), there),
                                 (("info",), [key + b"\ttext\t5" for key in there])):
            self.assertEqual(ddict(*command, *all_keys, status=PARTIAL).splitlines(), printed)
            self.assertEqual(len(ddict.said.splitlines()), len(hidden), "one line each")
        self.assertEqual(json.loads(ddict("health", "--json", status=PARTIAL))[1]["error"]["code"], "manager_lost")
        ddict("has", *hidden, status=UNREACHABLE)
        ddict("del", *(f"key{i}" for i in range(12)), status=PARTIAL)
        named = re.findall(r"^ddict: del of key '(\w+)' on manager 1.*: manager_lost: it was killed by signal 9", ddict.said,
                           re.M)
        self.assertEqual({key.encode() for key in named}, hidden)
        self.assertEqual(len(ddict.said.splitlines()), len(hidden), "one line each")
        ddict("del", *hidden, status=UNREACHABLE)
        self.assertEqual(len(ddict.said.splitlines()), len(hidden), "one line each")
        ddict("put", min({f"key{i}".encode() for i in range(12)} - hidden), "again")
        ddict("clear", status=PARTIAL)
        self.assertEqual(ddict("size", status=PARTIAL), b"0\n")
        ddict("destroy")
        ddict("size", status=UNREACHABLE)


if __name__ == "__main__":
    main(__file__)
