# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A Dictionary is a mapping: whatever is done to it and to a dict, both are the same."""

import collections.abc

import hypothesis
import hypothesis.stateful
import hypothesis.strategies as st
import pytest

import ddict

KEYS = st.one_of(st.sampled_from(["a", "b", "cell/1", "cell/2", "ü"]), st.integers(-3, 3).map(lambda n: ("n", n)),
                 st.binary(min_size=1, max_size=3), st.text(alphabet="xyz", min_size=1, max_size=2))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
                   st.lists(st.integers()), st.dictionaries(st.text(), st.floats(allow_nan=False)),
                   st.tuples(st.text(), st.integers()), st.frozensets(st.integers(), max_size=3))


class AsADict(hypothesis.stateful.RuleBasedStateMachine):
    """Every step on both; the dictionary is compared as a whole at the end of each run and now and then."""

    dictionary = None

    def __init__(self):
        super().__init__()
        self.dictionary.clear()
        self.model = {}

    @hypothesis.stateful.rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.dictionary[key] = value
        self.model[key] = value

    @hypothesis.stateful.rule(key=KEYS)
    def get(self, key):
        missing = object()
        assert self.dictionary.get(key, missing) == self.model.get(key, missing)
        assert (key in self.dictionary) == (key in self.model)
        if key in self.model:
            assert self.dictionary[key] == self.model[key]
        else:
            with pytest.raises(KeyError):
                self.dictionary[key]

    @hypothesis.stateful.rule(key=KEYS)
    def delete(self, key):
        if key in self.model:
            del self.dictionary[key]
            del self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.dictionary[key]

    @hypothesis.stateful.rule(key=KEYS, value=VALUES)
    def setdefault(self, key, value):
        assert self.dictionary.setdefault(key, value) == self.model.setdefault(key, value)

    @hypothesis.stateful.rule(key=KEYS)
    def pop(self, key):
        assert self.dictionary.pop(key, "default") == self.model.pop(key, "default")

    @hypothesis.stateful.rule()
    def popitem(self):
        if self.model:
            key, value = self.dictionary.popitem()
            assert self.model.pop(key) == value
        else:
            with pytest.raises(KeyError):
                self.dictionary.popitem()

    @hypothesis.stateful.rule(pairs=st.dictionaries(KEYS, VALUES, max_size=6), how=st.integers(0, 3))
    def update(self, pairs, how):
        if how == 0:
            self.dictionary.update(pairs)
        elif how == 1:
            self.dictionary.update(iter(pairs.items()))
        elif how == 2:
            self.dictionary |= pairs
        else:
            assert self.dictionary.put_many(pairs) == [None] * len(pairs)
        self.model.update(pairs)

    @hypothesis.stateful.rule(keys=st.lists(KEYS, max_size=6))
    def get_many(self, keys):
        assert self.dictionary.get_many(keys, 0) == [self.model.get(key, 0) for key in keys]

    @hypothesis.stateful.rule(keys=st.lists(KEYS, max_size=4, unique=True))
    def erase_many(self, keys):
        assert self.dictionary.erase_many(keys) == [self.model.pop(key, self) is not self for key in keys]

    @hypothesis.stateful.rule()
    def clear(self):
        self.dictionary.clear()
        self.model.clear()

    @hypothesis.stateful.rule(prefix=st.sampled_from(["", "cell/", "x", "none"]))
    def views(self, prefix):
        wanted = {key: value for key, value in self.model.items()
                  if not prefix or (isinstance(key, str) and key.startswith(prefix))}
        assert dict(self.dictionary.items(prefix=prefix)) == wanted
        assert set(self.dictionary.keys(prefix)) == set(wanted)
        assert len(self.dictionary.keys(prefix)) == len(wanted) == len(self.dictionary.values(prefix))
        assert self.dictionary.keys(prefix) == wanted.keys()
        for value in self.dictionary.values(prefix):
            assert value in wanted.values()

    def teardown(self):
        self.views("")
        assert len(self.dictionary) == len(self.model)


def test_it_is_what_a_dict_is(d):
    AsADict.dictionary = d
    hypothesis.stateful.run_state_machine_as_test(
        AsADict, settings=hypothesis.settings(max_examples=25, stateful_step_count=60))


def test_it_is_registered_as_a_mapping(d):
    assert isinstance(d, collections.abc.MutableMapping)
    assert isinstance(d.keys(), collections.abc.KeysView)
    assert isinstance(d.items(), collections.abc.ItemsView)
    assert isinstance(d.values(), collections.abc.ValuesView)
    assert hash(d) == hash(d) and d == d and not d == {}  # as an object: to compare all pairs is for dict(d)


def test_views_are_sets(d):
    d.update(a=1, b=2, c=3)
    assert d.keys() & {"a", "z"} == {"a"}
    assert d.items() - {("a", 1)} == {("b", 2), ("c", 3)}
    assert "a" in d.keys() and "z" not in d.keys() and "a" not in d.keys("b")
    assert ("a", 1) in d.items() and ("a", 2) not in d.items() and 3 in d.values() and 4 not in d.values()
    assert sorted(d.keys(local=True)) == ["a", "b", "c"] and d.local_len() == 3
    assert "<KeysView of" in repr(d.keys("a"))


def test_a_long_iteration_streams(d):
    d.update((f"cell/{i}", i) for i in range(20000))
    assert sum(d.values(prefix="cell/")) == sum(range(20000))
    assert len({key for key in d}) == 20000
    assert d.erase_prefix("cell/") == 20000 and len(d) == 0


def test_an_iteration_may_be_left(d):
    d.update((i, i) for i in range(1000))
    for _ in range(100):
        next(iter(d.items()))


def test_the_context_manager_detaches(shared):
    with ddict.attach(shared.handle) as d:
        d["a"] = 1
    with pytest.raises(ddict.NotAttached):
        d["a"]
    assert "detached" in repr(d)


def test_frozen_forbids_changes_and_is_undone(d):
    d["a"] = 1
    with d.frozen() as same:
        assert same is d and d.is_frozen
        with pytest.raises(ddict.Frozen):
            d["a"] = 2
    d["a"] = 2
    with pytest.raises(ZeroDivisionError), d.frozen():
        1 / 0
    assert not d.is_frozen


def test_setdefault_is_atomic(d):
    import threading

    found = []
    start = threading.Barrier(4)

    def add(n):
        start.wait(20)
        found.append([d.setdefault(("one", i), n) for i in range(100)])

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4 and found.count(found[0]) == 4
