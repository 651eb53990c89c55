# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in the middle of something: memory runs out, a value cannot be read, a process is forked."""

import enum
import os
import sys
import threading
import time

import numpy as np
import pytest

import ddict


def test_memory_that_runs_out_ends_one_call(d, python):
    d.clear()
    out = python("""
import resource, sys
import numpy as np, ddict
d = ddict.attach(sys.argv[1], timeout=20)
d["k"] = 1
value = np.zeros(2**27, "u1")[::2]  # has to be copied
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**25, resource.RLIM_INFINITY))
try:
    d["x"] = value
except MemoryError:
    print("no memory")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert d["k"] == 1
d.detach()
again = ddict.attach(sys.argv[1], timeout=20)
assert again["k"] == 1 and "x" not in again
""", d.handle)
    assert out == "no memory\n"


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("key", [1, Colour.RED, frozenset((1,))])
def test_a_dict_whose_keys_have_no_form_is_pickled_and_let_go(d, key):
    value = bytes(range(100))
    mixed = {"a": value, key: value}
    before = sys.getrefcount(value)
    for _ in range(10):
        d["mixed"] = mixed
    assert sys.getrefcount(value) == before and d["mixed"] == mixed


def test_pop_of_what_cannot_be_read_takes_nothing(d):
    d["pickle"] = {1, 2}
    strict = ddict.attach(d.handle, allow_pickle=False)
    for take in (lambda: strict.pop("pickle"), lambda: strict.pop("pickle", None), strict.popitem):
        with pytest.raises(ddict.WrongType):
            take()
    assert d["pickle"] == {1, 2}
    strict.detach()


def test_get_many_returns_why_a_value_cannot_be_read(d):
    d.update({"a": 1, "pickle": {1, 2}, "b": 2})
    strict = ddict.attach(d.handle, allow_pickle=False)
    a, wrong, b, missing = strict.get_many(["a", "pickle", "b", "nobody"], errors="return")
    assert (a, b, missing) == (1, 2, None) and isinstance(wrong, ddict.WrongType)
    with pytest.raises(ddict.WrongType):
        strict.get_many(["a", "pickle"])
    strict.detach()



READS = {
    "get": lambda d, key: d[key],
    "pop": lambda d, key: d.pop(key),
    "wait_for": lambda d, key: d.wait(key, 5),
    "wait_for_any": lambda d, key: d.wait_any([key], 5),
    "batch_get": lambda d, key: d.get_many([key]),
    "scan": lambda d, key: list(d.items(prefix="mal")),
}


@pytest.mark.parametrize("operation", READS)
def test_what_cannot_be_read_is_named(d, operation):
    vector = ddict.TypedValue(0x0213, b"x" * 7)  # of eight bytes each
    d["mal"] = vector
    with pytest.raises(ddict.WrongType, match="mal") as caught:
        READS[operation](d, "mal")
    error = caught.value
    assert (error.key, error.operation, error.manager) == ("mal", operation, d.which_manager("mal"))
    assert error.node in d.manager_nodes() and str(error.manager) in str(error)
    assert d.get_typed("mal") == vector  # also after a pop
    again = d.get_many(["mal"], errors="return")[0]
    assert again.key == "mal" and again.operation == "batch_get"


def test_what_cannot_be_read_of_a_broadcast_and_a_view_is_named(d):
    d.bput("mal", ddict.TypedValue(0x0213, b"x" * 7))
    with pytest.raises(ddict.WrongType, match="mal") as caught:
        d.bget("mal")
    assert caught.value.operation == "broadcast_get" and caught.value.key == "mal"
    with d.frozen(), pytest.raises(ddict.WrongType, match="mal") as caught:
        d.view("mal")
    assert caught.value.operation == "view" and caught.value.manager == d.which_manager("mal")
    d.berase("mal")


def test_a_pickle_that_cannot_be_read_is_named(d):
    d["p"] = Colour.RED
    typed = d.get_typed("p")
    d["p"] = ddict.TypedValue(typed.type, typed.data.replace(b"Colour", b"Kolour"))
    with pytest.raises(ddict.Unreadable, match="Kolour") as caught:
        d["p"]
    assert caught.value.key == "p" and caught.value.manager is not None and isinstance(caught.value.__cause__, AttributeError)


def test_no_object_is_made_without_its_parts(d):
    classes = [ddict.Dictionary, type(iter(d)), sys.modules["ddict._ddict"]._Memory]
    for kind in classes:
        for make in (kind, lambda kind=kind: kind.__new__(kind), lambda kind=kind: type("Derived", (kind,), {})()):
            with pytest.raises(TypeError, match="ddict.attach"):
                make()
        with pytest.raises(TypeError):
            object.__new__(kind)


def test_elements_without_bytes_are_refused(d):
    d["letters"] = np.zeros(0, "<U1")
    typed = d.get_typed("letters")
    changed = typed.data.replace(b"<U1", b"<U0")
    assert changed != typed.data
    d["letters"] = ddict.TypedValue(typed.type, changed)
    with pytest.raises(ddict.WrongType, match="without bytes"):
        d["letters"]
    nothing = np.zeros(3, "V0")
    d["nothing"] = nothing
    assert d["nothing"].dtype == nothing.dtype and d["nothing"].shape == (3,)


def test_a_structured_scalar_in_a_frozen_view_is_a_copy(d):
    scalar = np.array((1, 2.0), "i4,f8")[()]
    d["s"] = scalar
    with d.frozen():
        seen = d.view("s")
        seen["f0"] = 5
        assert d["s"] == scalar


def test_the_first_arrays_of_two_threads(d, python):
    d["field"] = np.arange(100, dtype="f4")
    python("""
import sys, threading
import ddict
found = []
def read():
    found.append(ddict.attach(sys.argv[1], timeout=20)["field"].sum())
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join(50)
assert found == [4950.0] * 8, found
""", d.handle)


def test_detach_ends_threads_that_call_without_a_pause(d, python):
    python("""
import sys, threading, time
import ddict
d = ddict.attach(sys.argv[1], timeout=20)
d["k"] = 1
ended = []
def call():
    try:
        while True: d["k"]
    except ddict.NotAttached:
        ended.append(True)
threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
time.sleep(0.2)
d.detach()
for thread in threads: thread.join(20)
assert ended == [True] * 8
""", d.handle)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_is_in_no_call_of_its_parents(d):
    other = ddict.attach(d.handle, timeout=20)
    ended = []

    def wait():
        with pytest.raises(ddict.NotAttached, match="never.*detached here"):
            other.wait("never", 30)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 20
    while not any(one["waiting"] for one in d.stats()) and time.monotonic() < deadline:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            other["child"] = 1
            begin = time.monotonic()
            other.detach()
            status = 0 if time.monotonic() - begin < 4 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    other.detach()
    waiting.join(20)
    assert ended and d["child"] == 1


def test_a_fork_while_another_thread_attaches(d, python):
    """The manager does not answer: neither the fork nor Ctrl-C may wait for it."""
    python("""
import os, signal, sys, threading, time
import ddict
d = ddict.attach(sys.argv[1], timeout=20)
pids = [one["pid"] for one in d.stats()]
for pid in pids: os.kill(pid, signal.SIGSTOP)
try:
    import pickle
    os.environ["DDICT_LOCAL_READS"] = "0"
    def attach():
        try: ddict.attach(sys.argv[1], timeout=3, local_reads=False)["k"]
        except ddict.Error: pass
    threads = [threading.Thread(target=attach) for _ in range(2)]
    for thread in threads: thread.start()
    time.sleep(0.3)
    begin = time.monotonic()
    for _ in range(5):
        child = os.fork()
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
    assert time.monotonic() - begin < 2.5, time.monotonic() - begin
finally:
    for pid in pids: os.kill(pid, signal.SIGCONT)
for thread in threads: thread.join(30)
""", d.handle)
