# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict.dragon: a program of the reference's does what it does there, and what is wrong there is right here."""

import dataclasses
import inspect
import multiprocessing
import os
import pathlib
import pickle
import threading
import time
import types

import numpy as np
import pytest

import ddict
from ddict import dragon
from ddict.dragon import (DDict, DDictCheckpointSyncError, DDictError, DDictFullError, DDictKeyError, DDictNotImplementedError,
                          DDictPersistCheckpointError, DDictTimeoutError, DDictUnableToCreateError)

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/dragon.md"


@pytest.fixture(scope="module")
def made():
    dictionary = DDict(2, 1, 64 * 1024 * 1024, timeout=20)
    yield dictionary
    dictionary.destroy()


@pytest.fixture
def dd(made):
    made.clear()
    return made


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float


def client(d, client_id):
    d["hello" + str(client_id)] = "world" + str(client_id)


def test_the_demo(dd):
    processes = [multiprocessing.Process(target=client, args=(dd, i)) for i in range(10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert dict(dd) == {f"hello{i}": f"world{i}" for i in range(10)} and len(dd) == 10


def test_a_mapping(dd):
    dd["a"], dd[1], dd[Point(1, 2.0)], dd[frozenset([1])], dd[None], dd[""] = 1, 2, 3, 4, 5, 6
    assert dd["a"] == 1 and dd[Point(1, 2.0)] == 3 and dd[frozenset([1])] == 4 and dd[None] == 5 and dd[""] == 6
    assert set(dd) == {"a", 1, Point(1, 2.0), frozenset([1]), None, ""} == set(dd.keys()) and sum(dd.values()) == 21
    assert ("a", 1) in dd.items() and None in dd and "b" not in dd.keys() and 6 in dd.values() and dd.keys().mapping is dd
    del dd[None]
    assert dd.pop("a") == 1 and dd.pop("a", 7) == 7 and dd.pop("a", None) is None and dd.get("a", 8) == 8
    with pytest.raises(DDictKeyError) as raised:
        dd.pop(("not", 1))
    assert raised.value.key == ("not", 1) and raised.value.lib_err == "DRAGON_KEY_NOT_FOUND" and "not" in str(raised.value)
    with pytest.raises(KeyError):
        dd[Point(2, 3)]
    dd.update({"u": 1, "v": np.arange(3)})
    assert dd.setdefault("u", 2) == 1 and dd["v"].tolist() == [0, 1, 2]
    assert len(dd) == 6 and dd.popitem() and len(dd) == 5
    dd["function"] = lambda x: x + 1
    assert dd["function"](1) == 2


def test_a_key_that_is_missing_is_for_the_program(dd):
    class Own(DDict):
        def __missing__(self, key):
            return f"no {key}"

    own = Own.attach(dd.serialize())
    assert own["x"] == "no x" and own.manager(0)["y"] == "no y"
    own.detach()
    with pytest.raises(DDictError, match="detached"):
        own["x"]
    dd["still"] = 1


def test_attaching_and_pickling(dd):
    other = DDict.attach(dd.serialize(), timeout=5, trace=True)
    again = pickle.loads(pickle.dumps(other))
    other["k"] = 1
    other.detach()
    other.detach()
    assert again["k"] == 1 and repr(other) == "<DDict, detached>"
    with pytest.raises(DDictError) as raised:
        DDict.attach("nonsense")
    assert raised.value.lib_err == "DRAGON_INVALID_ARGUMENT"
    with dd as same:
        assert same is dd and len(dd.get_name()) == 10
    assert dd["k"] == 1  # the end of a with does nothing, as there


def test_waiting_for_keys():
    waiting = DDict(1, 1, 4 << 20, working_set_size=2, wait_for_keys=True, timeout=20)
    try:
        other = DDict.attach(waiting.serialize(), timeout=20)
        results = []
        thread = threading.Thread(target=lambda: results.extend([other["later"], other.pop("taken")]))
        thread.start()
        assert "later" not in waiting and waiting.get("later", 0) == 0  # at once
        waiting["later"], waiting["taken"] = 1, 2
        thread.join(20)
        assert results == [1, 2] and "taken" not in waiting
        hurried = DDict.attach(waiting.serialize(), timeout=0.1)
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            hurried["never"]
        assert isinstance(raised.value, DDictTimeoutError) and time.monotonic() - begin < 5
    finally:
        waiting.destroy()
        waiting.destroy()


def test_counting_and_waiting_for_values(dd):
    assert dd.fetch_add("n") == 0 and dd.fetch_add("n", 2**40) == 1 and dd["n"] == 2**40 + 1
    dd["text"] = "t"
    with pytest.raises(DDictError) as raised:
        dd.fetch_add("text")
    assert raised.value.lib_err == "DRAGON_FAILURE"
    dd["state"] = "first"
    threading.Timer(0.1, lambda: (dd.__setitem__("state", "second"), dd.__setitem__("state", "third"))).start()
    dd.wait_for("state", "third", timeout=20)
    with pytest.raises(DDictTimeoutError):
        dd.wait_for("state", "never", timeout=0.05)


def test_broadcasts(dd):
    dd.bput("weights", np.ones(5))
    assert dd.bget("weights").sum() == 5 and len(dd) == 1 and dd["weights"].sum() == 5 and dd.manager(1).bget("weights").sum() == 5
    assert dd.pop("weights").sum() == 5 and len(dd) == 0
    with pytest.raises(DDictKeyError):
        dd.bget("weights")


def test_batches(dd):
    array = np.zeros(3)
    dd.start_batch_put()
    for i in range(1200):
        array[:] = i
        dd[i] = i
        if i % 100 == 0:
            dd[("array", i)] = array
    for n in range(30):
        dd["again"] = n if n % 3 else array
    dd["again"] = 2
    with pytest.raises(DDictError, match="INVALID_OPERATION"):
        dd.pput("p", 1)
    with pytest.raises(DDictError, match="INVALID_OPERATION"):
        dd.start_batch_put()
    dd.update({"of an update": 1})  # is a part of it
    assert "of an update" not in dd
    dd.end_batch_put()
    assert dd.pop("of an update") == 1
    assert len(dd) == 1213 and dd[("array", 1100)].tolist() == [1100] * 3 and dd["again"] == 2
    with pytest.raises(DDictError, match="INVALID_OPERATION"):
        dd.end_batch_put()
    dd.start_batch_put(persist=True)
    dd.pput("p", 1)
    for wrong in (lambda: dd.__setitem__("q", 1), lambda: dd.bput("q", 1)):
        with pytest.raises(DDictError, match="INVALID_OPERATION"):
            wrong()
    dd.end_batch_put()
    dd.start_batch_put()
    dd["too large"] = b"x" * (60 << 20)
    dd["fits"] = 1
    with pytest.raises(DDictFullError) as raised:
        dd.end_batch_put()
    assert raised.value.lib_err == "DRAGON_MEMORY_POOL_FULL" and dd["fits"] == 1


def test_errors(dd):
    with pytest.raises(DDictFullError):
        dd["k"] = b"x" * (60 << 20)
    with pytest.raises(DDictError) as raised:
        dd["k" * 2000] = 1
    assert raised.value.lib_err == "DRAGON_INVALID_ARGUMENT"
    dd.freeze()
    try:
        assert dd.is_frozen
        for change in (lambda: dd.__setitem__("k", 1), lambda: dd.fetch_add("n"), dd.clear):
            with pytest.raises(DDictError) as raised:
                change()
            assert raised.value.lib_err == "DRAGON_INVALID_OPERATION"
    finally:
        dd.unfreeze()
    for kind in (DDictError, DDictKeyError, DDictTimeoutError):
        error = pickle.loads(pickle.dumps(kind("DRAGON_X", "text")))
        assert type(error) is kind and error.lib_err == "DRAGON_X" and error.msg == "text"


def test_managers(dd):
    near = dd.manager(1)
    near["here"] = 1
    assert [len(dd.manager(i)) for i in range(2)] == [0, 1] and list(near.keys()) == ["here"]
    with pytest.raises(DDictError) as raised:
        dd.manager(2)
    assert raised.value.lib_err == "DRAGON_INVALID_ARGUMENT"
    assert dd.local_managers == [0, 1] and dd.local_manager == dd.main_manager and 0 <= dd.which_manager(Point(1, 2)) < 2
    assert dd.manager_nodes[0].hostname == dd.stats[0].hostname and dd.dstats[1].num_keys == 1 and dd.empty_managers == []
    assert dd.stats[0].total_bytes == 32 << 20 and 0 <= dd.stats[0].pool_utilization < 50
    assert dd.local_len() == len(dd.local_keys()) == 1 and "here" not in dd.local_keys()  # its hash is of another manager, perhaps
    assert list(dd.local_items()) == [("here", 1)] and list(dd.local_values()) == [1]
    dd.sync(timeout=1)
    assert dd.profile()["threads"] >= 1
    dd.profile_reset()


def test_picklers(dd):
    keys = types.SimpleNamespace(dumps=lambda key: repr(key).encode(), loads=lambda content: eval(content))
    values = types.SimpleNamespace(dump=lambda value, file: file.write(value.tobytes()),
                                   load=lambda file: np.frombuffer(file.read(), "i8"))
    with dd.pickler(keys, values) as own:
        own[{"a": 1}["a"]] = np.arange(3)
        own[[1, 2]] = np.arange(4)
        assert own[[1, 2]].sum() == 6 and [1, 2] in list(own.keys()) and own.get([3]) is None
        assert sorted(len(value) for _, value in own.items()) == [3, 4] and own.pop([1, 2]).sum() == 6
    assert dd[b"1"] == np.arange(3).tobytes()


def largest(manager, out_queue, count):
    for value in sorted(manager.values(), reverse=True)[:count]:
        out_queue.put(value)


def flood(manager, out_queue):
    while True:
        out_queue.put(1)


def fails(manager, out_queue):
    raise ValueError("of no use")


def ends(manager, out_queue):
    out_queue.put(1)
    os._exit(3)


def test_filters(dd):
    dd.update({Point(i, 0.0): i for i in range(100)})
    with dd.filter(largest, (100,), lambda x, y: x > y) as candidates:
        assert [next(candidates) for _ in range(5)] == [99, 98, 97, 96, 95]
    with dd.filter(largest, (100,), lambda x, y: True) as candidates:
        assert sorted(candidates) == list(range(100))
    with dd.filter(flood, (), lambda x, y: False) as candidates:
        assert [next(candidates) for _ in range(5000)] == [1] * 5000
    with pytest.raises(ValueError, match="of no use"), dd.filter(fails, (), lambda x, y: False) as candidates:
        next(candidates)
    with pytest.raises(DDictError, match="has ended before its function") as raised, dd.filter(ends, (), lambda x, y: False) as candidates:
        list(candidates)
    assert isinstance(raised.value.__cause__, ddict.SystemFailure)
    assert sorted(dd.manager(0).filter(largest, (100,), lambda x, y: x > y)) == sorted(dd.manager(0).values())


WRONG = [(AttributeError, {"read_only": True}), (AttributeError, {"read_only": True, "name": "a"}),
         (AttributeError, {"restore_from": 1}), (AttributeError, {"persist_freq": 1}), (ValueError, {"working_set_size": 0}),
         (ValueError, {"wait_for_keys": True}), (ValueError, {"wait_for_writers": True}), (ValueError, {"persist_freq": -1, "persister_class":
         dragon.PosixCheckpointPersister}), (ValueError, {"persist_count": -2}), (AttributeError, {"n_nodes": 1.5}),
         (AttributeError, {"total_mem": "1G"}), (AttributeError, {"managers_per_node": None}), (AttributeError, {"policy": [1]}),
         (AttributeError, {"restart": True, "policy": 1}), (AttributeError, {"restart": True}),
         (DDictNotImplementedError, {"policy": types.SimpleNamespace(host_name="")}), (AttributeError, {"n_nodes": 0}),
         (DDictNotImplementedError, {"persister_class": dragon.DAOSCheckpointPersister}),
         (DDictUnableToCreateError, {"restore_from": 1, "name": "a"}),
         (RuntimeError, {"name": "a name/with a slash"})]


@pytest.mark.parametrize("kind, options", WRONG, ids=lambda value: str(value) if isinstance(value, dict) else value.__name__)
def test_wrong_arguments(kind, options):
    with pytest.raises(kind):
        DDict(**options)


def test_what_is_not_there(dd):
    for call in (lambda: DDict(working_set_size=9), lambda: DDict(persister_class=dragon.DAOSCheckpointPersister)):
        with pytest.raises(DDictNotImplementedError, match="not there") as raised:
            call()
        assert isinstance(raised.value, (DDictError, NotImplementedError)) and raised.value.lib_err == "DRAGON_NOT_IMPLEMENTED"


def test_clone_and_copy(dd):
    for i in range(200):
        dd[i] = i
    dd[{"pickled": 1}] = "p"
    target = DDict(3, 1, 64 * 1024 * 1024)
    target["old"] = 1
    dd.clone([target.serialize()])
    assert len(target) == len(dd) == 201 and target[7] == 7 and target[{"pickled": 1}] == "p" and "old" not in target
    copy = dd.copy("another")
    assert copy.get_name() == "another" and len(copy) == 201
    assert len(dd.copy().get_name()) == 10
    copy.destroy()
    target.destroy()


def test_synchronize():
    full = DDict(1, 1, 32 * 1024 * 1024)
    for i in range(200):
        full[i] = i
    empty = DDict(2, 1, 32 * 1024 * 1024, name="synchronized")
    empty.destroy()
    empty = DDict(2, 1, 32 * 1024 * 1024, name="synchronized", restart=True)
    assert empty.empty_managers == [0, 1] and len(empty) == 0
    DDict.synchronize_ddicts([empty.serialize(), full.serialize()])
    assert len(empty) == 200 and all(empty[i] == i for i in range(200))
    with pytest.raises(RuntimeError):
        DDict.synchronize_ddicts([empty.serialize()])
    with pytest.raises(ValueError):
        DDict.synchronize_ddicts([])
    empty.destroy()
    full.destroy()


def test_a_persister_of_ones_own():
    objects = {}

    class Persister(dragon.CheckpointPersister):
        def __init__(self, path):
            assert path == "here"

        def create(self, name):
            class Object(bytearray):
                def write(self, data):
                    self += data

                def commit(self):
                    objects[name] = bytes(self)
            return Object()

        def size(self, name):
            return len(objects[name])

        def read(self, name, offset, count):
            return objects[name][offset:offset + count]

        def list(self, prefix):
            return [name for name in objects if name.startswith(prefix)]

        def remove(self, name):
            objects.pop(name, None)

    options = {"name": "steps", "persister_class": Persister, "persist_path": "here"}
    d = DDict(2, 1, 32 * 1024 * 1024, **options)
    d["k"] = 1
    d.persist()
    assert d.persisted_ids() == [0] and "steps/000001/commit" in objects
    d.destroy()
    d = DDict(1, 1, 32 * 1024 * 1024, restore_from=0, **options)
    assert d["k"] == 1
    d.destroy()
    with pytest.raises(DDictUnableToCreateError):
        DDict(1, 1, 32 * 1024 * 1024, restore_from=5, **options)
    with pytest.raises(DDictNotImplementedError):
        DDict(persist_freq=1, **options)


def test_persisting(tmp_path):
    options = {"name": "steps", "persister_class": dragon.PosixCheckpointPersister, "persist_path": str(tmp_path), "timeout": 20}
    d = DDict(2, 1, 64 * 1024 * 1024, working_set_size=2, persist_count=-1, **options)
    for step in range(4):
        d["step"], d[f"of {step}"] = step, step
        assert d.persist() is None
        d.checkpoint()
    other = DDict.attach(d.serialize())
    assert d.persisted_ids() == other.persisted_ids() == [0, 1, 2, 3]
    d["step"] = "later"
    d.start_batch_put()
    with pytest.raises(DDictError) as raised:
        d.restore(1)
    d.end_batch_put()
    assert raised.value.lib_err == "DRAGON_INVALID_OPERATION"
    d.restore(2)
    assert d.checkpoint_id == 2 and d["step"] == 2 and len(d) == 4, "what older steps have written is in it"
    with pytest.raises(DDictPersistCheckpointError, match="0, 1, 2, 3") as raised:
        d.restore(9)
    assert raised.value.lib_err == "DRAGON_INVALID_OPERATION" and d["step"] == 2
    assert d.persisted_ids() == [0, 1, 2, 3], "no file is removed"
    d.destroy()
    again = DDict(1, 1, 64 * 1024 * 1024, restore_from=3, **options)
    assert again.checkpoint_id == 3 and again["step"] == 3
    again.destroy()
    with pytest.raises(DDictUnableToCreateError, match="DRAGON_DDICT_PERSIST_CHECKPOINT_UNAVAILABLE"):
        DDict(1, 1, 64 * 1024 * 1024, restore_from=4, **options)


def test_read_only(tmp_path):
    options = {"name": "steps", "persister_class": dragon.PosixCheckpointPersister, "persist_path": str(tmp_path), "timeout": 20}
    d = DDict(1, 1, 64 * 1024 * 1024, working_set_size=2, **options)
    for step in range(3):
        d["step"] = step
        d.persist()
        d.checkpoint()
    with pytest.raises(DDictError) as raised:
        d.advance()
    assert raised.value.lib_err == "DRAGON_INVALID_OPERATION"
    reader = DDict(1, 1, 64 * 1024 * 1024, restore_from=0, read_only=True, **options)
    for step in range(3):
        assert reader["step"] == step == reader.checkpoint_id
        with pytest.raises(DDictError) as raised:
            reader["step"] = 7
        assert raised.value.lib_err == "DRAGON_INVALID_OPERATION"
        if step < 2:
            assert reader.advance() is None
    with pytest.raises(DDictPersistCheckpointError):
        reader.advance()
    reader.destroy()
    d.destroy()


def test_the_null_persister(dd):
    assert dd.persist() is None and dd.persisted_ids() == []
    with pytest.raises(DDictPersistCheckpointError):
        dd.restore(0)


def test_checkpoints():
    d = DDict(2, 1, 64 * 1024 * 1024, working_set_size=2, timeout=20)
    try:
        d["k"] = 0
        other = pickle.loads(pickle.dumps(d))
        assert d.checkpoint_id == 0 and d.checkpoint() is None and d.checkpoint_id == 1
        assert d["k"] == 0 and d.pop("k") == 0 and "k" not in d
        assert other.checkpoint_id == 0 and other["k"] == 0, "each object has its own"
        one = d.manager(0)
        assert one.checkpoint_id == 1 and one.checkpoint() is None and one.checkpoint_id == 2 and d.checkpoint_id == 1
        d.rollback()
        d.rollback()
        assert d.checkpoint_id == 0 and d["k"] == 0
        for step in range(2, 5):
            d.checkpoint_id = step
            d["k"] = step
        with pytest.raises(DDictCheckpointSyncError) as raised:
            other["k"]
        assert raised.value.lib_err == "DRAGON_DDICT_CHECKPOINT_RETIRED"
        other.sync_to_newest_checkpoint()
        assert other.checkpoint_id == 4 and other["k"] == 4
        d.checkpoint_id = 3
        assert d["k"] == 3 and len(d) == 1 and list(d.items()) == [("k", 3)]
        with pytest.raises(ValueError):
            d.checkpoint_id = -1
    finally:
        d.destroy()


def test_checkpoints_that_wait():
    d = DDict(1, 1, 4 * 1024 * 1024, working_set_size=2, wait_for_keys=True, wait_for_writers=True, timeout=20)
    try:
        d["step"] = 0
        d.pput("mesh", "of all")
        other = DDict.attach(d.serialize(), timeout=20)
        d.checkpoint()
        assert d["mesh"] == "of all" and "step" not in d and d.get("step") is None and len(d) == 1
        d["more"] = 1
        d.checkpoint()
        results = []
        thread = threading.Thread(target=lambda: results.append(d.__setitem__("step", 2)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()  # until "step" has been put at 1
        other.checkpoint()
        other["step"] = 1
        thread.join(20)
        assert results == [None] and d["step"] == 2 and d.dictionary.newest_checkpoint_id() == 2
        d.start_batch_put(persist=True)
        d.pput("settings", 7)
        d.end_batch_put()
        other.sync_to_newest_checkpoint()
        assert other["settings"] == 7
        hurried = DDict.attach(d.serialize(), timeout=0.1)
        hurried.checkpoint_id = 9
        with pytest.raises(DDictTimeoutError):
            hurried["step"] = 9
    finally:
        d.destroy()


def test_restart():
    arguments = {"managers_per_node": 2, "total_mem": 16 << 20, "name": f"dragon-{os.getpid()}"}
    first = DDict(**arguments)
    first[Point(1, 2)] = {"a": [1]}
    first.fetch_add("counter", 5)
    first.destroy(allow_restart=True)
    first.destroy(allow_restart=True)
    again = DDict(**arguments, restart=True)
    assert again[Point(1, 2)] == {"a": [1]} and again.fetch_add("counter") == 5 and again.empty_managers == []
    again.destroy()
    empty = DDict(**arguments, restart=True)
    assert len(empty) == 0 and empty.empty_managers == [0, 1]
    empty.destroy(allow_restart=True)
    with pytest.raises(dragon.DDictUnableToCreateError, match="asked for"):
        DDict(**{**arguments, "managers_per_node": 1}, restart=True)
    DDict(**arguments, restart=True).destroy()


def test_another_destroys_it():
    one = DDict(total_mem=1000)  # less than a manager needs: it gets that
    other = DDict.attach(one.serialize())
    other["k"] = 1
    other.destroy()
    with pytest.raises(DDictError) as raised:
        one["k"]
    assert raised.value.lib_err == "DRAGON_OBJECT_DESTROYED"
    one.destroy()


def test_the_page_names_everything():
    text = PAGE.read_text()
    for name, member in [*inspect.getmembers(DDict), *((name, None) for name in dragon.__all__)]:
        if not name.startswith("_"):
            assert f"`{name}" in text, name
    for name in inspect.signature(DDict).parameters:
        assert f"`{name}" in text, name
