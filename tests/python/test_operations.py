# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""All other operations, and what they say when they are called wrongly."""

import os
import pickle
import threading
import time

import numpy as np
import pytest

import ddict


def test_counters(d):
    assert [d.incr("t"), d.incr("t", 5), d.fetch_add("t", -1), d["t"]] == [1, 6, 6, 5]
    assert d.incr("f", 0.5) == 0.5 and d.incr("f", 0.25) == 0.75 and d.incr("i", initial=10) == 11
    d["max"] = 2**63 - 1
    assert d.incr("max") == -2**63 == d["max"]
    d["text"] = "x"
    for wrong in (lambda: d.incr("text"), lambda: d.incr("t", "x"), lambda: d.incr("t", None)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="2\\^63"):
        d.incr("t", 2**63)


def test_counters_that_were_stored_as_more(d):
    d["n"] = 2**63
    assert [d.incr("n"), d.fetch_add("n", 5), d.incr("n", -7), d["n"]] == [2**63 + 1, 2**63 + 1, 2**63 - 1, 2**63 - 1]
    assert d.incr("n", -1) == 2**63 - 2 == d["n"]
    d["n"] = 2**64 - 2
    assert d.incr("n") == 2**64 - 1
    with pytest.raises(ddict.InvalidArgument, match="2\\^64 - 1") as caught:
        d.incr("n")
    assert caught.value.key == "n" and d["n"] == 2**64 - 1
    d["n"] = 2**64
    with pytest.raises(ddict.WrongType):
        d.incr("n")


def test_each_gets_a_number_of_its_own(d):
    found = []
    threads = [threading.Thread(target=lambda: found.extend([d.incr("t") for _ in range(200)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == list(range(1, 801))


def test_get_many_into_the_rows_of_an_array(d):
    d.update({i: np.full(4, i, "f4") for i in range(5)})
    d["other"] = np.zeros(3, "f4")
    d["vector"] = [1.0, 2.0, 3.0, 4.0]
    out = np.zeros((3, 4), "f4")
    assert d.get_many([2, 0, 4], out=out) is out and out[:, 0].tolist() == [2, 0, 4]
    assert d.get_many([1, "nobody", 3], default=7, out=out) is out and out[:, 3].tolist() == [1, 7, 3]
    out[:] = 9
    with pytest.raises(ddict.NotFound) as caught:
        d.get_many([1, "nobody", 3], out=out)
    assert caught.value.key == "nobody" and out[:, 0].tolist() == [1, 9, 3]
    for wrong in ("other", "vector"):
        one, error, three = d.get_many([1, wrong, 3], errors="return", out=out)
        assert one is None and three is None and error.key == wrong and error.operation == "batch_get"
    assert isinstance(d.get_many(["nobody"] * 3, errors="return", out=out)[0], ddict.NotFound)
    assert d.get_many(["nobody"] * 3, np.arange(4), errors="return", out=out) == [None] * 3 and out[2].tolist() == [0, 1, 2, 3]
    with pytest.raises(ddict.InvalidArgument, match="row"):
        d.get_many([1], out=out)


def test_append(d):
    assert d.append("t", "x") == 1 and d.append("t", "yz") == 3 and d["t"] == "xyz"
    d.append("v", [1.5])
    d.append("v", [2.5])
    assert d["v"] == [1.5, 2.5]
    with pytest.raises(ddict.WrongType):
        d.append("t", [1])
    with pytest.raises(TypeError, match="allow_pickle|pickled"):
        d.append("t", {1})


def test_compare_and_swap(d):
    assert d.compare_and_swap("k", ddict.ABSENT, "a") and not d.compare_and_swap("k", ddict.ABSENT, "b")
    assert d.compare_and_swap("k", "a", "b") and not d.compare_and_swap("k", "a", "c") and d["k"] == "b"
    d["n"] = None
    assert d.compare_and_swap("n", None, ddict.ABSENT) and "n" not in d
    with pytest.raises(TypeError, match="one type"):
        d.compare_and_swap("k", "b", 1)
    assert repr(ddict.ABSENT) == "ddict.ABSENT" and pickle.loads(pickle.dumps(ddict.ABSENT)) is ddict.ABSENT


def test_conditional_puts(d):
    assert d.put_if_absent("k", 1) and not d.put_if_absent("k", 2) and d["k"] == 1
    assert d.put_if_present("k", 3) and not d.put_if_present("z", 3) and d["k"] == 3 and "z" not in d
    assert d.erase("k") and not d.erase("k")
    d.put("k", 4)
    assert d["k"] == 4


def test_broadcasts(d):
    d.bput("b", np.arange(3))
    assert list(d.bget("b")) == [0, 1, 2] and "b" in d
    with pytest.raises(ddict.InvalidArgument):
        d["b"] = 1
    assert d.berase("b") and not d.berase("b")
    with pytest.raises(ddict.NotFound):
        d.bget("b")


def test_waits(d):
    with pytest.raises(ddict.Timeout) as caught:
        d.wait("k", timeout=0.05)
    assert isinstance(caught.value, TimeoutError) and caught.value.key == "k" and caught.value.manager_state == "answered"
    assert caught.value.operation == "wait_for" and not caught.value.in_doubt
    waiting = [threading.Thread(target=lambda: found.append(d.wait("k", timeout=30))) for _ in range(3)]
    found = []
    for thread in waiting:
        thread.start()
    d["k"] = [1, 2]
    for thread in waiting:
        thread.join(30)
    assert found == [[1, 2]] * 3
    assert d.wait_any(["z", "k"], timeout=5) == ("k", [1, 2])
    d.wait_for_value("k", [1, 2], timeout=5)
    with pytest.raises(TimeoutError):
        d.wait_for_value("k", [1], timeout=0.05)
    with pytest.raises(TimeoutError):
        d.wait_any(["y", "z"], timeout=0.05)
    for wrong in ([], range(257)):
        with pytest.raises(ddict.InvalidArgument):
            d.wait_any(wrong, timeout=1)


def test_only_waits_wait(d):
    """A missing key is an answer at once, not something to wait for."""
    begin = time.monotonic()
    for _ in range(20):
        assert d.get("nobody") is None and d.pop("nobody", 1) == 1 and "nobody" not in d
        with pytest.raises(KeyError):
            d["nobody"]
    assert time.monotonic() - begin < 5


def test_deadlines(d):
    d["k"] = 1
    with pytest.raises(ddict.Timeout):
        d.within(0)["k"]
    with pytest.raises(ddict.Timeout):
        d.within(-1)["k"] = 2
    assert d["k"] == 1 and d.within(5)["k"] == 1 and d.within(float("inf"))["k"] == 1 and "within 5.0 s" in repr(d.within(5))
    with pytest.raises(ddict.InvalidArgument, match="nan"):
        d.within(float("nan"))
    with pytest.raises(TypeError):
        d.within("soon")


def test_many_with_a_status_each(d):
    assert d.put_many({"a": 1, "b": np.zeros(2000)}) == [None, None]
    assert d.get_many(["a", "z"], default="none") == [1, "none"] and d.get_many([]) == []
    assert d.erase_many(["a", "z"]) == [True, False]
    d.bput("all", 1)
    outcomes = d.put_many([("x", 1), ("all", 2), ("y", 3)], errors="return")
    assert outcomes[0] is outcomes[2] is None and isinstance(outcomes[1], ddict.InvalidArgument)
    assert outcomes[1].key == "all" and outcomes[1].manager is not None and d["y"] == 3
    with pytest.raises(ddict.InvalidArgument):
        d.put_many([("x", 5), ("all", 2)])
    assert d["x"] == 5
    with pytest.raises(ddict.InvalidArgument):
        d.update({"u": 1, "all": 2})
    assert d["u"] == 1
    d.berase("all")
    with pytest.raises(ValueError, match="'raise' or 'return'"):
        d.get_many(["x"], errors="maybe")
    for wrong in (5, [1], [(1, 2, 3)]):
        with pytest.raises((TypeError, ValueError)):
            d.put_many(wrong)


def test_an_iterable_that_raises_ends_an_update(d):
    def pairs():
        yield "a", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        d.update(pairs())
    with pytest.raises(ZeroDivisionError):
        d.get_many(1 / 0 for _ in range(1))


def test_get_into(d):
    stored = np.arange(12.0).reshape(3, 4)
    d["a"] = stored
    out = np.zeros((3, 4))
    assert d.get_into("a", out) is out and np.array_equal(out, stored)
    d["v"] = [1.0, 2.0]
    assert list(d.get_into("v", np.zeros(2))) == [1, 2]
    d["b"] = bytes(range(8))
    buffer = bytearray(8)
    assert d.get_into("b", buffer) is buffer and buffer == bytes(range(8))
    d["u"] = np.arange(8, dtype="u1")
    assert d.get_into("u", buffer) == bytes(range(8))
    for wrong, error in ((np.zeros((4, 3)), TypeError), (np.zeros(12), ValueError), (np.zeros((3, 4), "f4"), TypeError),
                         (np.zeros((3, 4), ">f8"), ValueError), (np.zeros((3, 8))[:, ::2], ValueError), (np.zeros((2, 2)), ValueError),
                         (np.zeros((4, 3)).T, ValueError), (b"x" * 96, ValueError), ("text", TypeError), (None, TypeError), (np.zeros((3, 4), "O"), ValueError)):
        with pytest.raises(error):
            d.get_into("a", wrong)
    frozen = np.zeros((3, 4))
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        d.get_into("a", frozen)
    with pytest.raises(ddict.NotFound):
        d.get_into("nobody", out)
    assert np.array_equal(out, stored)


def test_get_batch(d):
    rows = {("row", i): np.full((3, 4), i, "f4") for i in range(50)}
    d.update(rows)
    out = np.full((50, 3, 4), -1, "f4")
    assert d.get_batch(rows, out) is out and all((out[i] == i).all() for i in range(50))
    d.update({i: [float(i)] * 4 for i in range(8)})
    assert (d.get_batch(range(8), np.zeros((8, 4)))[:, 0] == np.arange(8)).all()
    assert d.get_batch([], np.zeros((0, 4))).shape == (0, 4)
    with pytest.raises(ddict.NotFound) as caught:
        d.get_batch([1, 99], np.zeros((2, 4)))
    assert caught.value.key == 99
    for wrong in (np.zeros((7, 4)), np.zeros(8)[0], np.zeros((8, 5)), np.zeros((8, 4), "f4")):
        with pytest.raises((ValueError, TypeError)):
            d.get_batch(range(8), wrong)
    with pytest.raises(ddict.WrongType, match="another shape"):
        d.get_batch(list(rows)[:2], np.zeros((2, 4, 3), "f4"))


def test_view_of_a_frozen_value(d):
    stored = np.arange(100000.0).reshape(1000, 100)
    d.update({"a": stored, "v": [1, 2], "b": b"xyz", "s": np.zeros(3, "i4,f8"), "n": 5})
    with pytest.raises(ddict.InvalidArgument):
        d.view("a")
    with d.frozen():
        view = d.view("a")
        assert np.array_equal(view, stored) and not view.flags.writeable and not view.flags.owndata
        assert list(d.view("v")) == [1, 2] and bytes(d.view("b")) == b"xyz" and d.view("s").dtype == "i4,f8"
        with pytest.raises(ddict.WrongType):
            d.view("n")
        with pytest.raises(KeyError):
            d.view("nobody")
        with pytest.raises(ValueError):
            view[0] = 1
        with pytest.raises(ValueError):
            view.flags.writeable = True
    other = ddict.attach(d.handle)
    with d.frozen():
        kept = other.view("a")
        other.detach()
        assert kept[999, 99] == 99999


def test_placement(d):
    assert d.manager_count == 2 and d.local_managers == [0, 1] and d.main_manager in (0, 1)
    one = d.manager(1)
    one.update((i, i) for i in range(50))
    assert len(one) == 50 and len(d.manager(0)) == 0 and one.which_manager("x") == 1 and len(d) == 50
    assert d.which_manager("x") in (0, 1) and len(d.manager_nodes()) == 2 and "manager 1" in repr(one)
    with pytest.raises(ddict.InvalidArgument):
        d.manager(2)
    one.clear()
    assert len(d) == 0


def test_what_it_says_of_itself(d):
    d.profile_reset()
    d["k"] = 1
    d["k"]
    stats = d.stats()
    assert [one["manager"] for one in stats] == [0, 1] and sum(one["keys"] for one in stats) == 1
    assert any(one["operations"]["put"]["count"] > 0 for one in stats) and "<table>" in stats._repr_html_()
    health = d.health()
    assert [one["alive"] for one in health] == [True, True]
    assert [(one["restarts"], one["restarting"]) for one in health] == [(one["restarts"], False) for one in stats]
    profile = d.profile()
    assert profile["operations"]["put"]["count"] == 1 and profile["local_reads"] == 1
    before = sum(one["local_reads"] for one in stats)
    assert "k" in d and d.get("nobody") is None
    assert sum(one["local_reads"] for one in d.stats()) == before + 2
    assert d.name == "python" and d.handle == d.serialize() and "'python', 2 managers" in repr(d)


def test_a_full_dictionary():
    small = ddict.create(total_mem="16M")
    with pytest.raises(ddict.NoSpace) as caught:
        for i in range(4):
            small[i] = np.zeros(6 << 20, "u1")
    assert caught.value.need_bytes > 6 << 20 > caught.value.have_bytes and caught.value.key == i
    assert isinstance(caught.value, MemoryError) and not caught.value.in_doubt
    with pytest.raises(ddict.TooLarge) as caught:
        small["k"] = np.zeros(20 << 20, "u1")
    assert isinstance(caught.value, ValueError)
    small.destroy()


def test_a_manager_is_restarted():
    own = ddict.create(total_mem="16M", managers_per_node=2)
    own.update({i: i for i in range(100)})
    own.restart(1)
    assert [manager["restarts"] for manager in own.stats()] == [0, 1]
    assert dict(own.items()) == {i: i for i in range(100)}
    with pytest.raises(ddict.InvalidArgument):
        own.restart(2)
    own.destroy()
    steady = ddict.create(total_mem="16M", restart=False)
    with pytest.raises(ddict.InvalidArgument, match="--no-restart"):
        steady.restart(0)
    steady.destroy()


@pytest.mark.parametrize("handle", ["", "x", "ddict", "\udcff", "a" * 100000, "ünï"])
def test_a_handle_that_is_none(handle):
    with pytest.raises((ddict.BadHandle, ddict.InvalidArgument, UnicodeError)):
        ddict.attach(handle)


def test_no_handle_at_all(python):
    assert "DDICT_HANDLE" in python("""
import ddict
try:
    ddict.attach()
except ddict.NotAttached as error:
    assert isinstance(error, RuntimeError) and error.operation == "attach"
    print(error)
""", env={key: value for key, value in os.environ.items() if "HANDLE" not in key})


def test_a_dictionary_that_has_ended(shared):
    gone = ddict.create(total_mem="16M")
    other = ddict.attach(gone.handle, timeout=5)
    other["a"] = 1
    scan = iter(other)
    gone.destroy()
    for call in (lambda: gone["a"], lambda: gone.destroy(), lambda: len(gone)):
        with pytest.raises(ddict.NotAttached):
            call()
    gone.detach()
    for call in (lambda: other["a"], lambda: other.wait("b", 1), lambda: next(scan), lambda: len(other)):
        with pytest.raises((ddict.DictionaryGone, ddict.ManagerLost)):
            call()
    with pytest.raises((ddict.DictionaryGone, ddict.ManagerLost, ddict.Timeout)):
        ddict.attach(gone.handle, attach_timeout=2)


def test_wrong_options():
    for wrong, error in (({"total_mem": "64Q"}, ValueError), ({"total_mem": -1}, ValueError), ({"total_mem": 1.5}, TypeError),
                         ({"total_mem": True}, TypeError), ({"timeout": 0}, ValueError), ({"nodes": -1}, TypeError), ({"no": 1}, TypeError)):
        with pytest.raises(error):
            ddict.create(**wrong)


def test_errors_travel_between_processes(d):
    with pytest.raises(KeyError) as caught:
        d[("a", 1)]
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is ddict.NotFound and str(again) == str(caught.value) and again.key == ("a", 1)
    assert again.node and again.manager in (0, 1) and again.code == "not_found"
    from ddict import _errors

    for kind in _errors.BY_CODE.values():
        again = pickle.loads(pickle.dumps(kind("words", key="k", need_bytes=5)))
        assert type(again) is kind and str(again) == "words" and again.key == "k" and again.need_bytes == 5


def test_detaching_while_others_call(shared):
    d = ddict.attach(shared.handle)
    outcomes = []

    def wait():
        try:
            outcomes.append(d.wait("never", timeout=60))
        except (ddict.NotAttached, ddict.Timeout) as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    while sum(one["waiting"] for one in shared.stats()) < 3:
        pass
    begin = time.monotonic()
    d.detach()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 3 and time.monotonic() - begin < 10


def test_a_put_waits_for_space():
    large = bytes(20 << 20)
    with ddict.create(total_mem="64M") as d:
        waiting = d.within(0.3).when_space()
        with pytest.raises(ddict.NoSpace):
            for i in range(10):
                d[i] = large
        with pytest.raises(ddict.Timeout, match="waited for space"):
            waiting["new"] = large
        assert "new" not in d
        eraser = threading.Timer(0.2, lambda: d.pop(0))
        eraser.start()
        pickle.loads(pickle.dumps(d.within(20).when_space()))["new"] = large
        eraser.join()
        assert len(d["new"]) == len(large)
        with pytest.raises(ddict.TooLarge):
            waiting["new"] = bytes(65 << 20)
        d.destroy()


def test_times_to_live(d):
    d.with_ttl(3600)["k"] = "v"
    assert 3500 < d.time_to_live("k") <= 3600
    assert d.touch("k", None) and d.time_to_live("k") is None
    assert d["k"] == "v"
    assert not d.touch("nobody", 1)
    with pytest.raises(KeyError):
        d.time_to_live("nobody")
    again = pickle.loads(pickle.dumps(d.with_ttl(1800)))
    again["k"] = "w"
    assert 1700 < d.time_to_live("k") <= 1800
    assert "ttl 1800.0 s" in repr(again)
    again.with_ttl(None)["k"] = "x"
    assert d.time_to_live("k") is None
    d.put_many({"a": 1, "b": 2})
    again.put_many({"a": 1, "b": 2})
    assert d.time_to_live("a") > 1700 and d.time_to_live("b") > 1700
    d.with_ttl(0.05)["k"] = "brief"
    deadline = time.monotonic() + 20
    while "k" in d and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "k" not in d
    for wrong in ("1", float("nan")):
        with pytest.raises((TypeError, ValueError)):
            d.with_ttl(wrong)


def test_a_wait_ends_with_the_key_of_who_was_to_put(d):
    d.with_ttl(0.3)["worker"] = 1
    with pytest.raises(KeyError, match="never"):
        d.wait("never", 20, alive="worker")
    d["worker"] = 1
    with pytest.raises(ddict.Timeout):
        d.wait("never", 0.5, alive="worker")
    d["result"] = 5
    assert d.wait("result", alive="nobody") == 5
