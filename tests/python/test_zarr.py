# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict.zarr.Store: zarr's own tests of stores, and arrays that several programs write."""

import multiprocessing
import pickle

import numpy as np
import pytest
import zarr
import zarr.tests.test_storage as storage_tests

import ddict.zarr

DICTIONARY = None
dimension_separator_fixture = storage_tests.dimension_separator_fixture


@pytest.fixture(autouse=True)
def dictionary(d):
    global DICTIONARY
    DICTIONARY = d


class TestStore(storage_tests.StoreTests):
    """As zarr tests its own stores."""

    def create_store(self, **options):
        storage_tests.skip_if_nested_chunks(**options)
        DICTIONARY.erase_prefix("zarr/")
        return ddict.zarr.Store(DICTIONARY, "zarr/", **options)


def write_row(store, i):
    zarr.open_array(store=store, path="field", mode="r+")[i] = i


def test_an_array_of_several_processes(d):
    store = ddict.zarr.Store(d, "run/")
    field = zarr.open_array(store=store, path="field", mode="w", shape=(8, 100), chunks=(1, 40), dtype="f4")
    processes = [multiprocessing.Process(target=write_row, args=(store, i)) for i in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (field[:] == np.arange(8)[:, None]).all()
    assert d.count_prefix("run/field/") == 8 * 3 + 1 and len(store) == len(list(store)) == 25 + (".zgroup" in store)
    again = zarr.open_array(store=pickle.loads(pickle.dumps(store)), path="field", mode="r")
    assert (again[3] == 3).all() and store == pickle.loads(pickle.dumps(store)) and store != ddict.zarr.Store(d, "other/")


def test_chunks_go_together(d):
    """A read of many chunks is one call, and so is a write."""
    store = ddict.zarr.Store(d, "run/")
    array = zarr.open_array(store=store, mode="w", shape=1000, chunks=10, dtype="i8", compressor=None)
    d.profile_reset()
    array[:] = np.arange(1000)
    assert array[:].sum() == 499500
    operations = d.profile()["operations"]
    assert all(operations.get(one, {"count": 0})["count"] < 20 for one in ("get", "put")), operations
    assert d["run/7"] == np.arange(70, 80).tobytes()  # as other languages see it


def test_a_group_beside_other_keys(d):
    d.update({1: 1, "run": 2, "other/a": 3, ("run/", 1): 4})
    group = zarr.group(store=ddict.zarr.Store(d, "run/"), overwrite=True)
    group.create_dataset("a/b", data=np.arange(10), chunks=5)
    assert sorted(group.store.listdir()) == [".zgroup", "a"] and group["a/b"][:].sum() == 45
    assert group.store.getsize("a/b") > 0 and "a" in group
    del group["a"]
    assert group.store.listdir() == [".zgroup"]
    group.store.clear()
    assert len(d) == 4
    with pytest.raises(TypeError):
        group.store[1] = b""


def test_its_keys_are_apart_from_others(d):
    d.update({"run": 1, "run70/x": 2})
    store = ddict.zarr.Store(d, "run")
    store["x"] = b"1"
    assert d["run/x"] == b"1" and list(store) == ["x"]
    store.clear()
    assert sorted(d) == ["run", "run70/x"]
    with pytest.raises(ddict.InvalidArgument, match="empty prefix"):
        ddict.zarr.Store(d, "")
