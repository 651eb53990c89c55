# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Many keys in one call of the shell, from its command line and from the standard input; lists in order and as JSON.

usage: shell_many_test.py BIN_DIRECTORY
"""

import base64
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from shell import MANAGERS, NO_SUCH_KEY, WRONG_CALL, ddict, main, seeded
from terminal import Terminal


def lines(*keys):
    return b"".join(key + b"\n" for key in keys)


class Many(unittest.TestCase):
    def setUp(self):
        self.random = seeded()
        ddict("clear")

    def put_keys_of_all_kinds(self):
        """What keys prints of them."""
        ddict("put", "plain", "1")
        ddict("put", "--escaped", "--", "two\\x0alines", "2")
        ddict("put", "--escaped", "--", "\\xff\\x5c", "3")
        ddict("put", "--key-type", "int", "42", "4")
        ddict("put", "--key-type", "double", "1.5", "5")
        ddict("put", "--key-type", "user type 7", "a b", "6")
        ddict("put", "--", "-dash", "7")
        return ddict("keys").splitlines()

    def test_what_keys_prints_is_read_back(self):
        printed = self.put_keys_of_all_kinds()
        self.assertEqual(len(printed), 7)
        given = lines(*printed)
        self.assertEqual(ddict("has", "--stdin", stdin=given).splitlines(), printed)
        got = dict(line.split(b"\t") for line in ddict("get", "--stdin", stdin=given).splitlines())
        self.assertEqual(sorted(got.values()), [b"1", b"2", b"3", b"4", b"5", b"6", b"7"])
        self.assertEqual(set(got), set(printed))
        told = ddict("info", "--stdin", stdin=given).splitlines()
        self.assertEqual([line.split(b"\t")[0] for line in told], printed)
        self.assertTrue(all(line.endswith(b"\ttext\t1") for line in told))
        ddict("del", "--stdin", stdin=given)
        self.assertEqual(ddict("size"), b"0\n")

    def test_zero_bytes_end_keys_that_hold_line_ends(self):
        keys = [b"a", b"two\nlines", b"back\\slash", b" blank "]
        for key in keys:
            ddict("put", key, "x")
        printed = ddict("keys", "-0")
        self.assertEqual(sorted(printed.split(b"\0")[:-1]), sorted(keys))
        self.assertEqual(ddict("has", "--stdin", "-0", stdin=printed), printed)
        ddict("del", "--stdin", "--null", stdin=printed.rstrip(b"\0"))  # the last one has no end
        self.assertEqual(ddict("size"), b"0\n")
        ddict("del", "-0", "key", status=WRONG_CALL)

    def test_a_million_keys_go_in_seconds(self):
        count = 100_000 if "DDICT_TEST_QUICK" in os.environ else 1_000_000
        given = b"".join(b"k%d\n" % i for i in range(count))
        began = time.monotonic()
        self.assertEqual(ddict("has", "--stdin", stdin=given, status=NO_SUCH_KEY, is_quiet=True), b"")
        self.assertEqual(ddict.said, "", "has names none that is not there")
        print(f"{count} looked up in {time.monotonic() - began:.2f} s", file=sys.stderr)
        some = [b"k%d" % i for i in range(0, count, count // 50)]
        for key in some:
            ddict("put", key, "here")
        self.assertEqual(ddict("has", "--stdin", stdin=given, status=NO_SUCH_KEY), lines(*some))
        began = time.monotonic()
        done = subprocess.run(["ddict", "del", "--stdin"], input=given, capture_output=True, timeout=120)
        print(f"{count} deleted in {time.monotonic() - began:.2f} s", file=sys.stderr)
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(done.returncode, NO_SUCH_KEY)
        self.assertEqual(done.stderr.count(b"\n"), count - len(some), "each that was not there is named")
        self.assertEqual(ddict("size"), b"0\n")

    def test_operands_and_input_together(self):
        for key in ("a", "b", "c"):
            ddict("put", key, "value of " + key)
        self.assertEqual(ddict("get", "c", "a"), b"c\tvalue of c\na\tvalue of a\n")
        self.assertEqual(ddict("get", "c", "--stdin", stdin=b"a\n\nb"), b"c\tvalue of c\na\tvalue of a\nb\tvalue of b\n")
        self.assertEqual(ddict("get", "a", "x", "b", status=NO_SUCH_KEY), b"a\tvalue of a\nb\tvalue of b\n")
        self.assertIn("get of key 'x' on manager", ddict.said)
        self.assertEqual(ddict("has", "a"), b"a\n")
        self.assertEqual(ddict("has", "x", status=NO_SUCH_KEY, is_quiet=True), b"")
        self.assertEqual(ddict("has", "x", "b", status=NO_SUCH_KEY), b"b\n")
        self.assertEqual(ddict("get", "--stdin"), b"", "an empty input names nothing")
        ddict("get", status=WRONG_CALL)
        ddict("get", "--raw", "a", "b", status=WRONG_CALL)
        ddict("get", "--full", "a", status=WRONG_CALL)
        ddict("get", "a", "", status=WRONG_CALL)

    def test_large_values_are_looked_up_and_not_fetched(self):
        ddict("put", "large", "-", stdin=bytes(3 << 20))
        self.assertEqual(ddict("has", "large", "nothing", status=NO_SUCH_KEY), b"large\n")
        self.assertEqual(ddict("get", "large", "--json").count(b"\\u0000"), 3 << 20)

    def test_values_that_are_large_together(self):
        values = {b"large%d" % i: bytes([97 + i]) * (1500 << 10) for i in range(7)}
        for key, value in values.items():
            ddict("put", key, "-", stdin=value)
        given = lines(*values, b"nobody", b"large0")
        printed = ddict("get", "--stdin", stdin=given, status=NO_SUCH_KEY)
        self.assertEqual(printed, b"".join(key + b"\t" + values[key] + b"\n" for key in [*values, b"large0"]))
        self.assertIn("get of key 'nobody'", ddict.said)
        self.assertEqual(len(ddict.said.splitlines()), 1)

    def test_a_long_text_does_not_flood_a_terminal(self):
        ddict("put", "long", "-", stdin=b"x" * 79 + b"\n" * 1 + (b"y" * 79 + b"\n") * 30000)
        with Terminal(["ddict", "get", "long"]) as terminal:
            self.assertEqual(terminal.status(), 0)
            self.assertLess(len(terminal.raw), 20000)
            self.assertIn("<text, 2400080 bytes>", " ".join(terminal.raw.split()))
        self.assertEqual(len(ddict("get", "long")), 2400080, "a pipe gets all")

    def test_del_of_a_prefix(self):
        for key in ("run/1", "run/2", "other", "run"):
            ddict("put", key, "x")
        self.assertEqual(ddict("del", "--prefix", "run/"), b"2\n")
        self.assertEqual(ddict("keys", "--sort"), b"other\nrun\n")
        self.assertEqual(ddict("del", "--escaped", "--prefix=o\\x74her"), b"1\n")
        for wrong in (("--prefix", ""), ("--prefix", "r", "run"), ("--prefix", "r", "--stdin"), ("--prefix",)):
            ddict("del", *wrong, status=WRONG_CALL)
        self.assertEqual(ddict("keys"), b"run\n")

    def test_in_the_order_of_the_keys(self):
        texts = sorted({b"%x" % self.random.getrandbits(self.random.choice((4, 30))) for _ in range(300)})
        for key in texts:
            ddict("put", key, b"v" + key)
        numbers = [-7, 0, 3, 20, 100]
        for number in self.random.sample(numbers, len(numbers)):
            ddict("put", "--key-type", "int", "--", str(number), "n")
        self.assertEqual(ddict("keys", "--sort").splitlines(), texts + [b"\\int64:%d" % n for n in numbers])
        self.assertEqual(ddict("items", "--sort", "--key-type", "text").splitlines(), [k + b"\tv" + k for k in texts])
        self.assertEqual(ddict("keys", "-0", "--sort", "--key-type", "int").split(b"\0")[:-1], [b"%d" % n for n in numbers])
        one = self.random.sample(texts, 20)
        self.assertEqual(ddict("get", "--sort", *one).splitlines(), [k + b"\tv" + k for k in sorted(one)])


class Json(unittest.TestCase):
    def setUp(self):
        ddict("clear")

    def test_of_an_empty_dictionary(self):
        for command in (("keys",), ("items",), ("get", "--stdin"), ("has", "--stdin")):
            self.assertEqual(json.loads(ddict(*command, "--json")), [])

    def test_values_of_all_types(self):
        cases = [("text", "Grüße \"\\\n", "Grüße \"\\\n"), ("int8", "-128", -128), ("int64", str(-2 ** 63), -2 ** 63),
                 ("uint64", str(2 ** 64 - 1), 2 ** 64 - 1), ("float64", "0.1", 0.1), ("float64", "5e-324", 5e-324),
                 ("float32", "0.1", 0.1), ("bool", "true", True), ("float64", "-inf", "-inf"), ("complex128", "(1,2)", "(1,2)"),
                 ("int128", str(2 ** 100), str(2 ** 100))]
        for number, (type_name, text, value) in enumerate(cases):
            ddict("put", f"key{number}", "--as", type_name, "--", text)
        ddict("put", "vector", "-", "--as", "vector of float64", stdin=struct.pack("<3d", 1, 2.5, -0.0))
        ddict("put", "bytes", "-", "--bytes", stdin=b"\xff\x00")
        ddict("put", "no utf-8", "-", stdin=b"\xff")
        items = {item["key"]: item for item in json.loads(ddict("items", "--json"))}
        for number, (type_name, text, value) in enumerate(cases):
            item = items[f"key{number}"]
            self.assertEqual((item["type"], item["value"], item["key_type"]), (type_name, value, "text"))
            self.assertIs(type(item["value"]), type(value))
        self.assertEqual(items["vector"]["value"], [1, 2.5, -0.0])
        self.assertEqual(math.copysign(1, items["vector"]["value"][2]), -1)
        self.assertEqual(base64.b64decode(items["bytes"]["value_base64"]), b"\xff\x00")
        self.assertEqual(base64.b64decode(items["no utf-8"]["value_base64"]), b"\xff")
        self.assertEqual(items["bytes"]["bytes"], 2)
        self.assertEqual(json.loads(ddict("get", "--json", "vector", "vector")), [items["vector"]] * 2)

    def test_keys_of_all_types(self):
        ddict("put", "text", "x")
        ddict("put", "--key-type", "int", "42", "x")
        ddict("put", "--key-type", "double", "1.5", "x")
        ddict("put", "--escaped", "--", "\\xff", "x")
        listed = json.loads(ddict("keys", "--json", "--sort"))
        self.assertEqual(listed, [{"key": "text", "key_type": "text"}, {"key_base64": "/w==", "key_type": "text"},
                                  {"key": 42, "key_type": "int64"}, {"key": 1.5, "key_type": "float64"}])
        ddict("keys", "--json", "-0", status=WRONG_CALL)

    def test_of_managers_and_checkpoints(self):
        health = json.loads(ddict("health", "--json"))
        self.assertEqual([manager["manager"] for manager in health], list(range(MANAGERS)))
        self.assertTrue(all(manager["alive"] and manager["round_trip_ns"] > 0 for manager in health))
        ddict("put", "--int", "key", "5")
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(json.loads(ddict("checkpoint", "ls", "--json", folder)), [])
            ddict("save", folder)
            one, = json.loads(ddict("checkpoint", "ls", "--json", folder))
            self.assertEqual((one["state"], one["pairs"], one["managers"], one["generation"]), ("committed", 1, MANAGERS, 1))
            self.assertRegex(one["ended"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual(json.loads(ddict("checkpoint", "info", folder, "--json")), one)
            self.assertEqual(json.loads(ddict("checkpoint", "cat", folder, "--json")), json.loads(ddict("items", "--json")))
            for wrong in (("verify", folder), ("rm", one["path"]), ("diff", folder, folder)):
                ddict("checkpoint", *wrong, "--json", status=WRONG_CALL)

    def test_of_types_and_sizes(self):
        ddict("put", "--int", "key", "5")
        told = json.loads(ddict("info", "--json", "key"))
        self.assertEqual(told, [{"key": "key", "key_type": "text", "type": "int64", "bytes": 8,
                                 "manager": told[0]["manager"], "node": told[0]["node"]}])
        self.assertEqual(json.loads(ddict("info", "--json", "nobody", status=NO_SUCH_KEY)), [])

    def test_base64_of_every_length(self):
        for size in range(7):
            raw = bytes(range(250, 250 + min(size, 5))) + b"\xff" * (size - min(size, 5))
            ddict("put", "key", "-", "--bytes", stdin=raw)
            listed = json.loads(ddict("get", "--json", "--stdin", stdin=b"key"))
            self.assertEqual(base64.b64decode(listed[0]["value_base64"], validate=True), raw)

    # ---- one value ----

    def any_json(self, depth=0):
        """What a value can be: of objects all values are alike."""
        kinds = [lambda: None, lambda: self.random.random() < 0.5, lambda: self.random.randint(-2 ** 63, 2 ** 64 - 1),
                 lambda: self.random.choice([0.1, -0.0, 1e300, 5e-324, self.random.random()]),
                 lambda: "".join(self.random.choices("aß\"\\\n\0😀", k=self.random.randint(0, 6)))]
        if depth < 4:
            kinds += [lambda: [self.any_json(depth + 1) for _ in range(self.random.randint(0, 4))],
                      lambda: {f"k{i}": f"v{i}" for i in range(self.random.randint(0, 3))},
                      lambda: {f"k{i}": self.random.randint(-5, 5) for i in range(self.random.randint(1, 3))}]
        return self.random.choice(kinds)()

    def test_any_json_comes_back(self):
        self.random = seeded()
        for _ in range(300):
            value = self.any_json()
            ddict("put", "--json", "--", "key", "-", stdin=json.dumps(value).encode())
            self.assertEqual(json.loads(ddict("get", "--json", "key")), value)

    def test_damaged_values_are_no_json_and_harm_nobody(self):
        self.random = seeded()
        ddict("put", "--json", "sound", '{"a": [[1, "x"], [2, "y"]], "b": [[3, "z"], [4, "w"]]}')
        whole = {kind: ddict("get", "--raw", "sound") for kind in ("map", "list", "record")}
        for number in range(150):
            kind = self.random.choice(list(whole))
            damaged = bytearray(whole[kind])
            for _ in range(self.random.randint(1, 4)):
                damaged[self.random.randrange(len(damaged))] = self.random.choice([0, 1, 0xff, self.random.randrange(256)])
            del damaged[self.random.randint(0, len(damaged)):]
            ddict("put", f"damaged{number}", "-", "--as", kind, stdin=bytes(damaged))
        listed = json.loads(ddict("items", "--json"))
        self.assertEqual(len(listed), 151)
        for item in listed:
            self.assertEqual(len({"value", "value_base64"} & set(item)), 1)

    def test_json_is_of_the_types_of_programs(self):
        for text, type_name in (("null", "unknown type 1792"), ("true", "bool"), ("5", "int64"), (str(2 ** 64 - 1), "uint64"), ("1.5", "float64"),
                                ('"x"', "text"), ("[1,2]", "vector of int64"), ("[1,2.5]", "vector of float64"),
                                ("[true]", "vector of bool"), (f"[1,{2 ** 64 - 1}]", "vector of uint64"), ('["a"]', "list"),
                                ("[[1],[2]]", "list"), ('[1,"a"]', "record"), ('{"a":1}', "map"), ("[]", "list")):
            ddict("put", "--json", "--", "key", text)
            self.assertEqual(ddict("get", "--type", "key").decode().strip(), type_name)
            self.assertEqual(json.loads(ddict("get", "--json", "key")), json.loads(text))
        ddict("put", "--json", "key", "5")
        self.assertEqual(ddict("incr", "key"), b"6\n")
        ddict("put", "--json", "--escaped", "--", "\\x6bey", '"\\n"')
        self.assertEqual(ddict("get", "key"), b"\n", "the escapes are those of JSON")

    def test_what_is_no_json_stores_nothing(self):
        for text in ("", "{", "[1,]", "nul", "1 2", "NaN", "1e999", str(2 ** 64), '{"a":1,"b":"x"}', "[" * 100, "'x'"):
            ddict("put", "--json", "--", "key", text, status=WRONG_CALL)
        ddict("put", "--json", "--int", "key", "5", status=WRONG_CALL)
        self.assertEqual(ddict("size"), b"0\n")
        ddict("put", "--bytes", "key", "x")
        ddict("get", "--json", "key", status=WRONG_CALL)
        self.assertIn("<bytes, 1 byte>", ddict.said)

    def test_info_tells_where_a_key_is(self):
        for i in range(30):
            ddict("put", f"key{i}", "x" * i)
        told = [line.split(b"\t") for line in ddict("info", "--where", "--stdin", stdin=ddict("keys")).splitlines()]
        self.assertEqual(len(told), 30)
        stats = {manager["manager"]: manager for manager in json.loads(ddict("stats", "--json"))["managers"]}
        for manager, of in stats.items():
            here = [line for line in told if int(line[3]) == manager]
            self.assertEqual(len(here), of["keys"], "as many as the manager has")
            self.assertTrue(all(line[4].decode() == of["node"] for line in here), here)
        one = json.loads(ddict("info", "--json", "key7"))[0]
        self.assertEqual(ddict("info", "--where", "key7"), f"text\t7\t{one['manager']}\t{one['node']}\n".encode())
        self.assertEqual(ddict("info", "key7"), b"text\t7\n")


if __name__ == "__main__":
    main(__file__)
