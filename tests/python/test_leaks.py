# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing grows: memory, reference counts and descriptors are flat over many operations of each kind.

DDICT_TEST_LEAK_ROUNDS sets how many; 1000 of them are a million operations of most kinds."""

import gc
import os
import pickle
import resource
import sys

import numpy as np

import ddict

ROUNDS = int(os.environ.get("DDICT_TEST_LEAK_ROUNDS", 30))


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def round_of_operations(d, values, keys, times):
    out = np.zeros(100)
    for i in range(times):
        for key, value in zip(keys, values):
            d[key] = value
            d[key]
            d.get(key)
            key in d
        for wrong in (lambda: d["nobody"], lambda: d[None], lambda: d.__setitem__("k", lambda: 1), lambda: d.get_into("array", b""),
                      lambda: d.wait("never", 0), lambda: d.get_into("array", np.zeros(3))):
            try:
                wrong()
            except Exception:
                pass
        d.get_many(keys)
        d.put_many(zip(keys, values))
        d.get_into("array", out)
        d.get_batch(["array"] * 3, np.zeros((3, 100)))
        d.incr("n")
        d.pop("n")
        d.setdefault("set", 1)
        d.compare_and_swap("set", 1, 1)
        list(d.items(prefix="a"))
        d.wait("array", 1)
        d.wait_any(["array", "z"], 1)
        d.erase_many(["array", "z"])
        pickle.loads(pickle.dumps(d.within(3)))["set"]


def test_nothing_grows(d):
    values = ["text", b"bytes" * 5000, 5, 2**70, 1.5, None, (1, "x"), [1.0] * 100, {"a": 1}, {1, 2}, np.zeros(100), np.zeros(5000),
              np.zeros(3, "i4,f8"), {"w": np.ones(5000), "s": {1}}, {"a": 1, 1: 2}]
    keys = ["array" if i == 10 else (i, "k") if i % 3 else i + 1 for i in range(len(values))]
    round_of_operations(d, values, keys, 60)  # all caches are filled, and all memory that is kept is there
    gc.collect()
    counts = [sys.getrefcount(one) for one in [*values, *keys, None, d, ddict.ABSENT, d.__class__]]
    descriptors = len(os.listdir("/proc/self/fd"))
    resident = resident_bytes()
    blocks = sys.getallocatedblocks()
    round_of_operations(d, values, keys, 60 * ROUNDS)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    found = [sys.getrefcount(one) for one in [*values, *keys, None, d, ddict.ABSENT, d.__class__]]
    assert all(after - before < 50 for before, after in zip(counts, found)), list(zip(counts, found))
    # What the interpreter keeps of its own is some hundreds; what leaks has one for each turn at the least.
    assert sys.getallocatedblocks() - blocks < 50 * ROUNDS
    assert resident_bytes() - resident < 8 << 20
