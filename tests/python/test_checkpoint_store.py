# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in a store of the program's own."""

import pytest

import ddict


class _Object:
    def __init__(self, store, name):
        self._store, self._name, self._data = store, name, bytearray()

    def write(self, data):
        self._store.use()
        self._data += data

    def commit(self):
        self._store.use()
        self._store.objects[self._name] = bytes(self._data)

    def abort(self):
        self._store.aborted.append(self._name)


class Store(ddict.CheckpointStore):
    """In this process's memory."""

    def __init__(self):
        self.objects, self.aborted, self.uses_left = {}, [], None

    def use(self):
        if self.uses_left is not None:
            self.uses_left -= 1
            if self.uses_left < 0:
                raise OSError("the store is away")

    def create(self, name):
        if name in self.objects:
            raise FileExistsError(name)
        return _Object(self, name)

    def size(self, name):
        return len(self.objects[name])

    def read(self, name, offset, count):
        self.use()
        return memoryview(self.objects[name])[offset:offset + count]

    def list(self, prefix):
        return [name for name in self.objects if name.startswith(prefix)]

    def remove(self, name):
        self.objects.pop(name, None)


@pytest.fixture
def steps():
    made = ddict.create(managers_per_node=2, total_mem="32M", name="steps", working_set=2)
    yield made
    made.destroy()


def test_steps_in_a_store(steps):
    store = Store()
    steps.set_checkpoint_store(store)
    for step in range(3):
        steps["step"], steps["large"] = step, bytes([step]) * (2 << 20)
        assert steps.persist().checkpoint == step
        steps.checkpoint()
    assert steps.persisted_ids() == [0, 1, 2]
    assert "steps/000002/commit" in store.objects and len(store.objects) == 9
    steps.restore(1)
    assert steps["step"] == 1 and steps["large"] == bytes([1]) * (2 << 20)
    steps.clear()
    steps.load("steps/000003")
    assert steps["step"] == 2
    with pytest.raises(ddict.NotFound):
        steps.restore(7)


def test_what_a_store_raises(steps):
    store = Store()
    steps.set_checkpoint_store(store)
    steps["k"] = "before"
    steps.save("")
    steps["k"] = "after"
    store.uses_left = 3
    with pytest.raises(ddict.SystemFailure, match="OSError: the store is away"):
        steps.save("")
    assert store.aborted
    store.uses_left = None
    assert [name for name in store.objects if name.endswith("commit")] == ["steps/000001/commit"]
    steps.load("steps")
    assert steps["k"] == "before"
    store.objects["steps/000001/manager-000001.ddict"] += b"x"
    with pytest.raises(ddict.ProtocolError):
        steps.load("steps")
    del store.objects["steps/000001/manager-000001.ddict"]
    with pytest.raises(ddict.ProtocolError):
        steps.load("steps")
    store.read = lambda name, offset, count: b"short"
    with pytest.raises(ddict.SystemFailure, match="gave 5 bytes"):
        steps.load("steps")
    with pytest.raises(TypeError, match="has a method create"):
        steps.set_checkpoint_store(object())
    steps.set_checkpoint_store(None)
    with pytest.raises(ddict.InvalidArgument):
        steps.persist()


def test_every_second_into_a_store(steps):
    store = Store()
    steps.set_checkpoint_store(store)
    for step in range(3):
        steps["step"] = step
        steps.checkpoint()
    assert steps.persist_every(1, lambda: "finish").persisted == 2 and steps.persisted_ids() == [1, 2]
