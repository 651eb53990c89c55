# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Functions of the program's own that say where keys live."""

import multiprocessing
import pickle
import threading

import pytest

import ddict


def column(key):
    return key[1]


def first_half(key):
    return 0 if key < "m" else 2**63


class Odd(Exception):
    pass


def test_at_a_manager(d):
    grid = d.placed_at(column)
    keys = [(row, at) for row in range(4) for at in range(5)]
    grid.update({key: key[0] * 10 + key[1] for key in keys})
    assert [grid.which_manager(key) for key in keys] == [key[1] % 2 for key in keys]
    assert [len(d.manager(i)) for i in range(2)] == [12, 8]
    assert sorted(d.keys()) == keys, "iterations of any view find them"
    assert grid[3, 4] == 34 and (3, 4) in grid and grid.get_many(keys) == [row * 10 + at for row, at in keys]
    assert grid.incr((0, 1)) == 2 and grid.pop((0, 1)) == 2 and grid.erase_many([(0, 0), (0, 1)]) == [True, False]
    assert grid.wait((1, 1), timeout=5) == 11 and grid.put_async((7, 7), 1).result(timeout=5) is None and d.manager(1)[7, 7] == 1
    own = grid.placed_at(None)
    assert own.which_manager((3, 4)) == d.which_manager((3, 4))


def test_by_a_hash(d):
    halves = d.placed_by(first_half)
    halves.put_many({"a": 1, "b": 2, "x": 3})
    assert [halves.which_manager(key) for key in "abx"] == [0, 0, 1]
    assert sorted(d.manager(0)) == ["a", "b"] and list(d.manager(1)) == ["x"]
    # All 64 bits, also of negative numbers, and the upper ones first.
    assert d.placed_by(lambda key: -1).which_manager("k") == 1
    assert d.placed_by(lambda key: 2**64 + 1).which_manager("k") == 0
    assert d.placed_at(lambda key: -1).which_manager("k") == 1


def test_what_it_is_given(d):
    seen = []
    view = d.placed_at(lambda key: seen.append(key) or 0)
    for key in ("text", b"bytes", -5, 1.5, True, ("a", 1, b"")):
        view[key] = 1
        assert seen[-1] == key and type(seen[-1]) is type(key)
    assert "placed at <function" in repr(view)


def test_what_it_raises_arrives_and_nothing_is_stored(d):
    def odd(key):
        if key == "odd":
            raise Odd("this key")
        return 0

    view = d.placed_by(odd)
    view["even"] = 1
    for call in (lambda: view.put("odd", 1), lambda: view["odd"], lambda: "odd" in view, lambda: view.get_many(["even", "odd"]),
                 lambda: view.put_many({"a": 1, "odd": 2}), lambda: view.update({"b": 1, "odd": 2}),
                 lambda: view.erase_many(["odd"]), lambda: view.incr("odd"), lambda: view.wait("odd", timeout=1),
                 lambda: view.put_async("odd", 1), lambda: view.which_manager("odd")):
        with pytest.raises(Odd, match="this key"):
            call()
        assert view["even"] == 1, "and it goes on"
    assert "odd" not in set(d.keys())
    for answer in ("text", None, 1.5):
        with pytest.raises(TypeError, match="integer"):
            d.placed_at(lambda key: answer)["k"]  # pylint: disable=cell-var-from-loop
    with pytest.raises(TypeError, match="a function is needed .* not int"):
        d.placed_by(5)
    with pytest.raises(ddict.InvalidArgument, match="placed_by"):
        view.save("/nowhere")


def in_a_child(view, results):
    view[5, 1] = "child"
    results.put(view.which_manager((5, 1)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_travels_to_other_processes(d, method):
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    child = context.Process(target=in_a_child, args=(d.placed_at(column), results))
    child.start()
    child.join(60)
    assert child.exitcode == 0 and results.get() == 1 and d.manager(1)[5, 1] == "child"


def test_travels_in_pickles(d):
    view = pickle.loads(pickle.dumps(d.placed_by(first_half).within(5)))
    view["a"] = 1
    assert d.manager(0)["a"] == 1 and "within 5" in repr(view)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(d.placed_at(lambda key: 0))


def test_any_thread_may_call(d):
    view = d.placed_at(lambda key: sum(divmod(key, 7)))
    threads = [threading.Thread(target=lambda start=start: view.update({start + i: i for i in range(300)})) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(d) == 900 and view[2299] == 299
    del view


def test_must_not_call_the_dictionary(d):
    with pytest.raises(ddict.Busy, match="in the middle of a call"):
        d.placed_at(lambda key: d.get("other", 0))["k"]
    with pytest.raises(ddict.Busy, match="in the middle of a call"):
        d.placed_by(lambda key: len(d)).get_many(["a", "b"])
    d["k"] = 1
    assert d["k"] == 1


@pytest.mark.parametrize("seconds", [0, 0.0005, 0.3])
def test_the_interpreter_ends_while_it_is_called(d, python, seconds):
    python("""
import sys, threading, time, ddict
d = ddict.attach(sys.argv[1])
seconds = float(sys.argv[2])
view = d.placed_by(lambda key: (time.sleep(seconds), hash(key) & 0xffff)[1])
def run():
    while True:
        view["k"] = 1
for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.2)
""", d.handle, str(seconds))
