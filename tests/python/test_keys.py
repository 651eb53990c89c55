# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Keys: iteration gives back what was put, equal keys meet, and what cannot be a key is a TypeError that says what to do."""

import enum
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import ddict

GOOD = ["s", "ü", "\udcff", b"b", b"\0", 0, -1, 2**63 - 1, -2**63, 2**63, 2**64 - 1, 1.5, 0.0, float("inf"), True, False,
        ("a", 1), ("a", (1.5, b"x", True)), ("",), (2**63,), ((),), "x" * 1024]


def test_iteration_gives_back_what_was_put(d):
    for i, key in enumerate(GOOD):
        d[key] = i
    assert len(d) == len(GOOD)
    assert sorted((repr(key), value) for key, value in d.items()) == sorted((repr(k), i) for i, k in enumerate(GOOD))
    for i, key in enumerate(GOOD):
        assert d[key] == i and d.pop(key) == i
    assert len(d) == 0


def test_keys_of_different_types_differ(d):
    for key in (1, 1.0, True, "1", b"1", (1,)):
        d[key] = repr(key)
    assert len(d) == 6
    for key in (1, 1.0, True, "1", b"1", (1,)):
        assert d[key] == repr(key)


class Colour(enum.IntEnum):
    RED = 1


class Name(str, enum.Enum):
    X = "x"


def test_what_is_a_key_in_another_guise(d):
    d[1] = "int"
    d["x"] = "str"
    d[0.5] = "float"
    d[0.0] = "zero"
    d[("a", 1)] = "tuple"
    assert d[np.int8(1)] == d[Colour.RED] == d[np.uint64(1)] == "int"
    assert d[np.str_("x")] == d[Name.X] == "str"
    assert d[np.float32(0.5)] == "float" and d[-0.0] == "zero" and d[("a", np.int32(1))] == "tuple"


def test_all_nans_are_one_key(d):
    d[float("nan")] = 1
    assert d[-float("nan")] == d[np.float32("nan")] == 1 and math.isnan(next(iter(d)))
    d[(float("nan"), -0.0)] = 2
    assert d[(np.float64("nan"), 0.0)] == 2


@pytest.mark.parametrize("key, error, words", [
    (None, TypeError, "str, bytes, int"), ([1], TypeError, "str, bytes, int"), ({}, TypeError, "dict"), (1j, TypeError, "complex"),
    ((None,), TypeError, "NoneType"), (object(), TypeError, "object"), (np.zeros(1), TypeError, "ndarray"), (bytearray(b"x"), TypeError, "bytearray"),
    (2**64, ValueError, "2\\^63"), (-2**63 - 1, ValueError, "2\\^63"), ("", ValueError, "empty"), (b"", ValueError, "empty"), ((), ValueError, "empty"),
    ("\ud800", ValueError, "surrogate"), ("\udcc3\udca9", ValueError, "surrogate"), ("x" * 1025, ValueError, "1024"), (b"x" * 10**6, ValueError, "1024")],
    ids=lambda part: repr(part)[:20])
def test_what_cannot_be_a_key_is_refused_by_every_call(d, key, error, words):
    d["a"] = 1
    for call in (lambda: d[key], lambda: d.__setitem__(key, 1), lambda: d.__delitem__(key), lambda: key in d, lambda: d.get(key),
                 lambda: d.pop(key, 1), lambda: d.setdefault(key), lambda: d.get_many(["a", key]), lambda: d.put_many([(key, 1)]),
                 lambda: d.erase_many([key]), lambda: d.incr(key), lambda: d.wait(key, 1), lambda: d.wait_any([key], 1),
                 lambda: d.update([(key, 1)]), lambda: d.bput(key, 1), lambda: d.compare_and_swap(key, 1, 2)):
        with pytest.raises(error, match=words):
            call()
    assert len(d) == 1


def test_a_key_within_itself_is_refused(d):
    key = ()
    for _ in range(100000):
        key = (key,)
    with pytest.raises((RecursionError, ValueError)):
        d[key] = 1


@pytest.mark.parametrize("key", [ddict.TypedKey(0x8007, b"theirs"), ddict.TypedKey(0x0212, b"\1\0\0\0\2\0\0\0")], ids=repr)
def test_keys_of_other_languages(d, key):
    d[key] = 1
    assert list(d) == [key] and d[key] == 1 and hash(key) == hash(ddict.TypedKey(key.type, key.data))
    with pytest.raises(AttributeError):
        key.type = 3


def test_typed_numbers_take_their_one_form(d):
    d[5] = "five"
    assert d[ddict.TypedKey(0x0110, b"\5")] == "five"
    with pytest.raises(ValueError):
        d[ddict.TypedKey(0x0110, b"\5\0")]


KEY = st.recursive(st.one_of(st.text(min_size=1, max_size=50), st.binary(min_size=1), st.integers(-2**63, 2**64 - 1), st.floats(), st.booleans()),
                   lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple), max_leaves=6)


def normal(key):
    return tuple(map(normal, key)) if isinstance(key, tuple) else 0.0 if key == 0 and isinstance(key, float) else key


@hypothesis.settings(max_examples=150)
@hypothesis.given(KEY)
def test_any_key(shared, key):
    shared.clear()
    shared[key] = 1
    (found,) = shared
    assert repr(found) == repr(normal(key))
    assert shared[found] == 1
