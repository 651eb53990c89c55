# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What is put comes back: every kind of value, and what cannot be a value is refused."""

import array
import dataclasses
import datetime
import decimal
import enum
import fractions
import pickle
import sys
import threading
import zoneinfo

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas
import pytest

import ddict

UTC = datetime.timezone.utc
EXACT = ["", "text", "\0", "ünï", "\U0001f600", "\udcff", "\ud800", "a\udcc3\udca9", b"", b"ab", b"\0" * 70000, 0, -1, 2**63 - 1,
         -2**63, 2**63, 2**64 - 1, 2**64, -2**63 - 1, 10**500, -10**500, 0.0, 1.5, float("inf"), sys.float_info.min, True,
         False, None, 1 + 2j, datetime.datetime(2026, 11, 28, 23, 59, 59, 999999),
         datetime.datetime(1, 1, 1, tzinfo=UTC), datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(-datetime.timedelta(hours=3))),
         datetime.datetime(2026, 6, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), datetime.datetime(2026, 10, 25, 2, fold=1),
         datetime.date(2026, 1, 1), datetime.timedelta(1), [], [1, 2, 3], [2**63, 1], [-1, 2**63], [2**70], [1.5, -0.5],
         [True, False], [1j], ["a", "", "bcd"], [b"x", b""], [None, None], [[1], [2, 3]], [[1], ["a"]], [[]], [1, "x", 2.5],
         [True, 1], (), (1,), ("x", 7, 2.5, None, b"y", True), ((1, ("a",)), "z"), {}, {"a": 1, "b": 2}, {1: 1.5},
         {"a": 1, "b": "x"}, {(1, 2): [3]}, {"n": {"m": 1}}, {1, 2}, frozenset([3, 4]), range(5), slice(1, 2), Ellipsis,
         decimal.Decimal("1.50"), fractions.Fraction(1, 3), ddict.TypedValue(0x8007, b"mine"), ddict.TypedValue(0x2c01, b"12345678"),
         ValueError, len]


@dataclasses.dataclass
class Record:
    name: str
    field: object


class Colour(enum.IntEnum):
    RED = 1


class Named(str):
    pass


@pytest.mark.parametrize("value", EXACT, ids=lambda value: repr(value)[:30])
def test_a_value_comes_back_as_it_was(d, value):
    d["v"] = value
    found = d["v"]
    assert type(found) is type(value) and found == value and repr(found) == repr(value)
    assert d.get_many(["v"])[0] == value
    assert d.pop("v") == value


@pytest.mark.parametrize("value", [Record("x", [1, 2]), Colour.RED, Named("n"), decimal.Context(prec=3).create_decimal("1.25")],
                         ids=lambda value: type(value).__name__)
def test_other_types_are_pickled(d, value):
    d["v"] = value
    assert d["v"] == value and type(d["v"]) is type(value)


def test_a_nan_stays_one(d):
    d["v"] = float("nan")
    assert d["v"] != d["v"]


@pytest.mark.parametrize("value", [bytearray(b"xy"), memoryview(b"xy"), memoryview(b"x_y_")[::2], pickle.PickleBuffer(b"xy")],
                         ids=lambda value: type(value).__name__)
def test_what_is_like_bytes_comes_back_as_bytes(d, value):
    d["v"] = value
    assert d["v"] == b"xy" and type(d["v"]) is bytes


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.float64(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True),
                                    np.complex64(1 + 2j), np.str_("text"), np.bytes_(b"ab")], ids=lambda s: type(s).__name__)
def test_scalars_of_numpy_come_back_as_python_s(d, scalar):
    d["v"] = scalar
    assert d["v"] == scalar.item() and type(d["v"]) is type(scalar.item())


@pytest.mark.parametrize("scalar", [np.float16(2), np.longdouble(2), np.datetime64("2026-01-01"), np.timedelta64(5, "s"),
                                    np.zeros(1, "i4,f8")[0]], ids=lambda s: type(s).__name__)
def test_scalars_that_python_has_not_come_back_as_they_were(d, scalar):
    d["v"] = scalar
    assert d["v"] == scalar and type(d["v"]) is type(scalar) and d["v"].dtype == scalar.dtype


DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "f2", "g", ">f4", ">i8", "M8[s]",
          "m8[D]", "U3", "S2", "V5", "i4,f8", [("a", "i4"), ("b", "f4", (2,))], "O"]
SHAPES = [(), (0,), (5,), (2, 3), (0, 3), (3, 1, 2), (1,) * 9, (64, 64)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_array_comes_back_as_it_was(d, dtype):
    dtype = np.dtype(dtype)
    for shape in SHAPES:
        count = int(np.prod(shape))
        plain = np.arange(1, count + 1, dtype="u1").astype("S4").astype("U4") if dtype.kind in "US" else np.arange(1, count + 1)
        made = np.zeros(shape, dtype)
        if dtype.kind not in "V":
            made = plain.astype(dtype).reshape(shape)
        for form in (made, np.asfortranarray(made), made[::-1] if shape else made, made.T):
            d["v"] = form
            found = d["v"]
            assert type(found) is np.ndarray and found.dtype == form.dtype and found.shape == form.shape
            assert np.array_equal(found, form) and found.flags.writeable and found.flags.aligned


def test_arrays_within_others(d):
    values = [[np.zeros(3), np.ones((2, 2))], {"w": np.ones(5000), "b": np.zeros(3)}, (1, np.arange(3)),
              {"model": np.ones(5000), "name": "x", "s": {1}}, Record("x", np.arange(100000))]
    for value in values:
        d["v"] = value
        np.testing.assert_equal(dataclasses.asdict(d["v"]) if isinstance(value, Record) else d["v"],
                                dataclasses.asdict(value) if isinstance(value, Record) else value)


def test_typed_buffers_are_arrays(d):
    d["v"] = array.array("d", [1, 2])
    assert d["v"].dtype == "f8" and list(d["v"]) == [1, 2]
    d["v"] = memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3))
    assert d["v"].shape == (2, 3) and d["v"].dtype == "i4"


class Tensor:
    """What another library's array looks like: DLPack, and no buffer."""

    def __init__(self, data):
        self.data = data

    def __dlpack__(self, stream=None):
        return self.data.__dlpack__()

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


def test_what_has_dlpack_is_an_array(d):
    d["v"] = Tensor(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(d["v"], np.arange(6.0).reshape(2, 3))
    assert type(d["v", np]) is np.ndarray  # any module with from_dlpack


class OnGpu(Tensor):
    def __dlpack__(self, stream=None):
        raise AssertionError("nobody may ask for it")

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA


def test_what_is_on_a_gpu_is_refused(d):
    tensor = OnGpu(np.arange(6.0))
    d["v"] = np.arange(6.0)
    for call in (lambda: d.__setitem__("gpu", tensor), lambda: d.put_many([("gpu", tensor)]), lambda: d.put_async("gpu", tensor).result(),
                 lambda: d.get_into("v", tensor), lambda: d.get_batch(["v"], tensor)):
        with pytest.raises(ddict.InvalidArgument, match="memory of a device .*tensor.cpu"):
            call()
    assert "gpu" not in d


def test_an_array_is_received_into_what_has_dlpack(d):
    d["v"] = np.arange(6.0).reshape(2, 3)
    d["w"] = np.arange(3.0)
    out = Tensor(np.zeros((2, 3)))
    assert d.get_into("v", out) is out and np.array_equal(out.data, d["v"])
    rows = Tensor(np.zeros((2, 3)))
    d.get_batch(["w", "w"], rows)
    assert np.array_equal(rows.data, [[0, 1, 2]] * 2)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    for wrong in (read_only, b"x" * 24):
        with pytest.raises(ddict.InvalidArgument, match="read-only"):
            d.get_into("w", wrong)
    with pytest.raises(BufferError):  # it says so itself
        d.get_into("w", Tensor(read_only))


def lists_of_lists(width, depth):
    value = ["x"]
    for _ in range(depth):
        value = [value] * width
    return value


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: (v, v), lambda v: {"a": v, "b": v}])
def test_shared_parts_are_not_written_without_a_bound(d, wrap):
    d["v"] = wrap(lists_of_lists(12, 12))  # 9 * 10^12 items, of thirteen lists
    assert d.type_and_size("v")[1] < 4096
    part = d["v"]
    while not isinstance(part, list) or part != ["x"]:
        part = part["a"] if isinstance(part, dict) else part[0]
        if isinstance(part, list) and len(part) == 12:
            assert all(one is part[0] for one in part)
    d["few"] = wrap(lists_of_lists(3, 4))  # the form that C++ reads
    assert d["few"] == wrap(lists_of_lists(3, 4)) and d.type_and_size("few")[0] != d.type_and_size("v")[0]


def test_a_large_object_is_not_copied_when_it_is_read(d):
    d["v"] = {"a": np.ones(1 << 20), "s": {1}}
    found = d["v"]
    assert found["a"].base is not None and found["a"].flags.writeable
    d["b"] = b"x" * (1 << 20)
    assert d["b"] == b"x" * (1 << 20)


def test_a_large_array_is_sent_from_where_it_lies(d, python):
    """There is memory for one array, and not for another: whoever copies it fails."""
    python("""
import resource, sys
import numpy as np, ddict
d = ddict.attach(sys.argv[1], timeout=20)
for call in (lambda: d.put("k", 1), lambda: d.put_async("k", 1).result(), lambda: d.setdefault("k", 1), lambda: d.bput("b", np.zeros(5000)),
             lambda: d.put_many({"k": 1, "b2": np.zeros(5000)})):
    call()
array = np.arange(2**22, dtype="f8")
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**24, resource.RLIM_INFINITY))
try:
    array.copy()
    assert False, "the limit is none"
except MemoryError:
    pass
d["a"] = array
d.put_async("a", array).result()
assert d.put_if_present("a", array) and not d.put_if_absent("a", array)
del d["a"]
d.setdefault("a", array)
d.put_many({"a": array, "small": 1, "text": "t" * 20000})
d.update({"a": {"in": array}})
d.bput("b", array)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert d["a"]["in"][-1] == d.bget("b")[-1] == 2**22 - 1 and d["small"] == 1 and len(d["text"]) == 20000
""", d.handle)


def test_large_and_small_values_in_one_call(d):
    array = np.arange(5000.0)
    outcomes = d.put_many([("a", array), ("b", 1), ("c" * 2000, array), ("d" * 2000, 1), ("e", array)], errors="return")
    assert [type(one) for one in outcomes] == [type(None), type(None), ddict.TooLarge, ddict.TooLarge, type(None)]
    assert d.put_many([("a", 1), ("a", array)]) == [None] * 2
    assert np.array_equal(d["a"], array) or np.array_equal(d["a"], 1)  # one of the two
    d.update({i: array for i in range(50)})
    assert all(np.array_equal(found, array) for found in d.get_many(range(50)))
    with pytest.raises(ddict.TooLarge):
        d.put_many({"x" * 2000: array, "y": array})
    assert np.array_equal(d["y"], array)


def test_data_frames(d):
    frame = pandas.DataFrame({"a": np.arange(100000), "b": np.linspace(0, 1, 100000), "c": ["x", "y"] * 50000})
    d["frame"] = frame
    pandas.testing.assert_frame_equal(d["frame"], frame)
    assert np.shares_memory(d["frame"]["a"].to_numpy(), d["frame"]["a"].to_numpy()) is False


def test_values_that_change_their_kind_while_they_are_read(d):
    stop = threading.Event()
    kinds = [b"x" * 100000, b"y" * 200000, "t", np.zeros(50000), {1}, b""]

    def change():
        i = 0
        while not stop.is_set():
            d["v"] = kinds[i % len(kinds)]
            i += 1

    d["v"] = b""
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            found = d["v"]
            assert any(type(found) is type(kind) and np.array_equal(found, kind) for kind in kinds)
    finally:
        stop.set()
        thread.join(60)


def nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


def test_what_holds_itself_comes_back_so(d):
    ring = [1]
    ring.append(ring)
    d["v"] = ring
    assert d["v"][1][1][0] == 1
    d["v"] = nested(1, 60)
    assert d["v"] == nested(1, 60)


@pytest.mark.parametrize("value", [threading.Lock(), lambda: 1, (n for n in [1]), [object(), threading.Lock()]],
                         ids=lambda value: type(value).__name__)
def test_what_cannot_be_pickled_is_named(d, value):
    with pytest.raises(TypeError, match=type(value).__name__):
        d["v"] = value
    assert "v" not in d


def test_no_pickle_where_none_is_allowed(d):
    strict = ddict.attach(d.handle, allow_pickle=False)
    d["v"] = {1, 2}
    with pytest.raises(TypeError, match="allow_pickle"):
        strict["v"]
    with pytest.raises(TypeError, match="allow_pickle"):
        strict["w"] = {1, 2}
    for value in (1, "x", [1.5], ("a", 1), {"a": 1}, 2**99, None):
        strict["w"] = value
        assert strict["w"] == value
    strict["w"] = np.zeros(3, "i4,f8")
    assert not strict.within(1).allow_pickle and not pickle.loads(pickle.dumps(strict)).allow_pickle
    strict.detach()


def test_a_pickle_of_a_class_that_is_not_there_says_which(d, python):
    python("""
import sys, types, ddict
module = types.ModuleType("elsewhere"); sys.modules["elsewhere"] = module
exec("class Thing: pass", module.__dict__)
ddict.attach(sys.argv[1])["v"] = module.Thing()
""", d.handle)
    with pytest.raises(ddict.Unreadable, match="elsewhere") as caught:
        d["v"]
    assert isinstance(caught.value, TypeError)


def test_bytes_that_are_not_of_their_type_are_refused(d, chance):
    """Whatever others have written is an object or WrongType, and never ends the process."""
    good = []
    for value in EXACT[:60] + [np.zeros((2, 3)), np.zeros(3, "i4,f8"), {"a": np.ones(1000), "s": {1}}]:
        d["v"] = value
        typed = d.get_typed("v")
        assert d.type_and_size("v") == (typed.type, len(typed.data))
        good.append((typed.type, typed.data))
    for _ in range(1500):
        kind, data = chance.choice(good)
        data = bytearray(data[:chance.choice([10, 100, 10000])])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        if kind == 0x0704:
            continue  # a pickle is a program: who may put one is trusted
        d["v"] = ddict.TypedValue(chance.choice([kind, chance.randrange(0x0500), chance.choice([0x400, 0x500, 0x600, 0x703])]),
                                  bytes(data))
        try:
            d["v"]
        except (ddict.WrongType, TypeError, RecursionError):
            pass


@hypothesis.settings(max_examples=150)
@hypothesis.given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.complex_numbers(allow_nan=False),
              st.datetimes(timezones=st.sampled_from([None, UTC]))),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)), max_leaves=12))
def test_any_value(shared, value):
    shared["any"] = value
    found = shared["any"]
    assert found == value and repr(found) == repr(value)
