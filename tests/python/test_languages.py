# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The same value in every language: Python -> C++ -> C -> shell -> Python."""

import os
import subprocess

import numpy as np
import pytest

import ddict

BIN = os.environ["DDICT_BIN"]
PARTNER = os.environ["DDICT_PARTNER"]
VALUES = {
    "text": "Dü", "int": -5, "large": 2**63, "double": 0.1, "float": 1.5, "bool": True, "complex": 1 + 2j, "bytes": b"\0\xff",
    "numbers": [1, -2, 3], "fractions": [1.5, 2.5], "texts": ["a", "", "bcd"], "nested": [[1.0], [2.0, 3.0]],
    "grid": np.arange(6, dtype="f4").reshape(2, 3) / 2, "large grid": np.arange(10000.0).reshape(200, 50),
    "scalar array": np.array(0, "i4"), "pair": ("x", 7), "tuple": (1, 2.5, "z"), "map": {"a": 1, "b": 2},
    "map of texts": {1: "x"},
}
KEYS = ["text", -1, 2**63, 1.5, True, b"\1", ("a", 1), (1, (0.5, True))]
OF_C = {"c text": "from C", 5: np.array([[0.5, 1], [1.5, 2]], "f4"), 0.5: [1.5, 2.5], "c own": ddict.TypedValue(0x8007, b"abc")}


def run(d, *command, status=0):
    done = subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, "DDICT_HANDLE": d.handle})
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode()


def same(found, value):
    if isinstance(value, np.ndarray):
        return type(found) is np.ndarray and found.dtype == value.dtype and np.array_equal(found, value)
    return type(found) is type(value) and found == value


def test_python_reads_what_others_have_put(d):
    run(d, PARTNER, "put")
    for key, value in VALUES.items():
        assert same(d["key " + key], value), (key, d["key " + key])
    for key, value in OF_C.items():
        assert same(d[key], value), (key, d[key])
    assert d.get_many(KEYS) == list(range(len(KEYS)))
    assert d["structure"] == ("x", 7)
    assert sorted(map(repr, d)) == sorted(map(repr, [*("key " + key for key in VALUES), *KEYS, *OF_C, "structure"]))


def test_others_read_what_python_has_put(d):
    d.update({"key " + key: value for key, value in VALUES.items()})
    d.update({key: i for i, key in enumerate(KEYS)})
    d.update(OF_C)
    run(d, PARTNER, "check")
    d["key grid"] = np.zeros((2, 3), "f4")
    d[-1] = 99
    d[5] = np.zeros((2, 2), "f4")
    run(d, PARTNER, "check", status=3)  # it can fail


def test_the_bytes_are_the_same(d):
    run(d, PARTNER, "put")
    ours = {"key " + key: value for key, value in VALUES.items()}
    theirs = {key: d.get_typed(key) for key in [*ours, *OF_C]}
    numbers = {"key int", "key float"}  # which have another width there
    d.clear()
    d.update(ours)
    d.update(OF_C)
    for key, typed in theirs.items():
        if key not in numbers:
            assert d.get_typed(key) == typed, key


def test_the_shell(d):
    ddict_tool = os.path.join(BIN, "ddict")
    run(d, ddict_tool, "put", "hello", "Dragon")
    run(d, ddict_tool, "put", "pi", "--double", "3.14")
    run(d, ddict_tool, "put", "n", "--int", "-5")
    run(d, ddict_tool, "put", "--key-type", "int", "42", "answer")
    assert d["hello"] == "Dragon" and d["pi"] == 3.14 and d["n"] == -5 and d[42] == "answer"
    d.update({"text": "Dü", "f": 0.1, "i": 2**40, "b": False, 43: "x", ("a", 1): 1, "none": None, "set": {1}, "big": 2**99})
    assert run(d, ddict_tool, "get", "text") == "Dü" and run(d, ddict_tool, "get", "f").strip() == "0.1"
    assert run(d, ddict_tool, "get", "i").strip() == str(2**40) and run(d, ddict_tool, "get", "b").strip() == "false"
    assert run(d, ddict_tool, "get", "--key-type", "int", "43") == "x"
    assert run(d, ddict_tool, "get", "--type", "i").strip() == "int64"
    # What the shell copies is the same object still.
    for key in ("none", "set", "big", "f", "text"):
        run(d, "bash", "-c", f"'{ddict_tool}' get {key} | '{ddict_tool}' put copy - --as \"$('{ddict_tool}' get --type {key})\"")
        assert d["copy"] == d[key] and type(d["copy"]) is type(d[key])


def test_a_number_of_another_width(d):
    d[5] = "five"
    for kind, data in ((0x0110, b"\5"), (0x0122, b"\5\0\0\0")):
        assert d[ddict.TypedKey(kind, data)] == "five"
    for kind, data, value in ((0x0110, b"\xff", -1), (0x0120, b"\xff", 255), (0x0132, b"\0\0\xc0?", 1.5), (0x0114, b"\xff" * 16, -1)):
        d["n"] = ddict.TypedValue(kind, data)
        assert d["n"] == value
    with pytest.raises(ddict.WrongType):
        d["n"] = ddict.TypedValue(0x0113, b"\1")
        d["n"]
