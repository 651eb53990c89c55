# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Dictionaries that end and leave their memory, and others that go on with it: also in another process."""

import glob
import os

import pytest

import ddict

OPTIONS = {"managers_per_node": 2, "total_mem": "16M", "name": f"python-kept-{os.getpid()}"}

GO_ON = """
import sys, ddict
d = ddict.create(managers_per_node=2, total_mem="16M", name=sys.argv[1], resume=True)
assert d["key"] == {"a": (1, 2.5)} and d.fetch_add("counter", 1) == 3 and d.empty_managers() == []
d["another"] = "of the second"
d.destroy(keep=True)
"""


def test_goes_on(python):
    first = ddict.create(**OPTIONS)
    first["key"] = {"a": (1, 2.5)}
    first.fetch_add("counter", 3)
    handle = first.handle
    first.destroy(keep=True)
    with pytest.raises(ddict.NotAttached):
        first.get("key")
    python(GO_ON, OPTIONS["name"])
    with pytest.raises(ddict.DictionaryGone):
        ddict.attach(handle)["key"]
    last = ddict.create(**OPTIONS, resume=True)
    assert last["another"] == "of the second" and last.fetch_add("counter", 0) == 4
    last.destroy()


def test_other_settings_are_refused():
    ddict.create(**OPTIONS).destroy(keep=True)
    with pytest.raises(ddict.InvalidArgument, match="2 managers with 16M.*2 managers with 32M"):
        ddict.create(**{**OPTIONS, "total_mem": "32M"}, resume=True)
    ddict.create(**OPTIONS, resume=True).destroy()
    with pytest.raises(ddict.NotFound, match=OPTIONS["name"]):
        ddict.create(**OPTIONS, resume=True)


def test_a_part_is_missing():
    before = set(glob.glob("/dev/shm/ddict-*"))
    first = ddict.create(**OPTIONS)
    for i in range(100):
        first[i] = i
    kept = len(first.manager(0))
    first.destroy(keep=True)
    (pool,) = [path for path in glob.glob("/dev/shm/ddict-*-m1") if path not in before]
    os.unlink(pool)
    with pytest.raises(ddict.NotFound, match="manager 1"):
        ddict.create(**OPTIONS, resume=True)
    again = ddict.create(**OPTIONS, resume=True, allow_empty=True)
    assert again.empty_managers() == [1] and len(again) == kept
    assert [one["without_kept"] for one in again.stats()] == [False, True]
    again.destroy()
    assert set(glob.glob("/dev/shm/ddict-*")) <= before
