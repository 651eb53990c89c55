# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Functions that run where the pairs are: what they yield comes, in order; errors come too; and nothing is left of them."""

import itertools
import os
import signal
import socket
import threading
import time

import pytest

import ddict
from ddict import _frames


def pairs(local, prefix=""):
    yield from local.items(prefix, local=True)


def ordered(local, count):
    yield from sorted(value for _, value in local.items(local=True))[:count]


def endless(local):
    yield os.getpid()
    yield from itertools.count()


def wrong(local):
    yield 1
    raise ZeroDivisionError("of no use")


def children():
    with open(f"/proc/self/task/{threading.main_thread().native_id}/children") as file:
        return set(file.read().split())


def is_there(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.fixture(autouse=True)
def nothing_is_left(d):
    before = children()
    yield
    assert children() == before


def test_all_pairs_come_once(d):
    d.update({f"cell/{i}": i for i in range(3000)})
    d["other"] = -1
    assert sorted(d.filter(pairs, "cell/")) == sorted((f"cell/{i}", i) for i in range(3000))


def test_closures_and_what_is_found_in_order(d):
    d.update({i: i * 7919 % 1000 for i in range(1000)})
    above = 100
    with d.filter(lambda local: (n for n in ordered(local, 1000) if n > above), key=lambda n: n) as found:
        assert list(itertools.islice(found, 5)) == [101, 102, 103, 104, 105]
    assert list(found) == []


def test_one_manager_only(d):
    d.update({i: i for i in range(100)})
    near = d.manager(1)
    assert sorted(d.filter(lambda local: local.keys()).__iter__()) == list(range(100))
    assert sorted(near.filter(lambda local: local.keys())) == sorted(near.keys())


def test_leaving_an_endless_one(d):
    with d.filter(endless) as found:
        pid = next(found)
        assert is_there(pid) and list(itertools.islice(found, 10000)) == list(range(10000))
    assert not is_there(pid)
    descriptors = len(os.listdir("/proc/self/fd"))
    next(d.filter(endless))  # without a with
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_one_that_yields_nothing(d):
    assert list(d.filter(lambda local: None)) == [] == list(d.filter(lambda local: []))


def test_what_is_found_comes_at_once(d):
    def slow(local):
        yield "first"
        local.wait("go", 60)
        yield "second"

    with d.filter(slow) as found:
        assert next(found) == "first"
        d["go"] = 1
        assert list(found) == ["second"]


def test_an_exception_comes_with_its_traceback(d):
    found = d.filter(wrong)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError, match="of no use") as raised:
        next(found)
    assert "in wrong" in str(raised.value.__cause__) and socket.gethostname() in str(raised.value.__cause__)


def test_what_cannot_be_sent(d):
    class Own(Exception):
        def __reduce__(self):
            raise TypeError("not I")

    def fails(local):
        raise Own("own")

    with pytest.raises(ddict.SystemFailure) as raised:
        list(d.filter(fails))
    assert "Own: own" in str(raised.value.__cause__) and raised.value.operation == "filter"
    with pytest.raises(TypeError, match="pickle"):
        list(d.filter(lambda local: [threading.Lock()]))
    with pytest.raises(TypeError, match="an argument of it"):
        d.filter(pairs, threading.Lock())
    with pytest.raises(TypeError, match="a function, not a 'int'"):
        d.filter(1)
    with pytest.raises(ddict.SystemFailure, match="has failed on node"):
        list(d.filter(lambda local: exit(3)))


def test_a_process_that_is_killed(d):
    found = d.filter(endless)
    pid = next(found)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ddict.SystemFailure, match="has ended before its function"):
        for _ in found:
            pass
    assert not is_there(pid)


def test_ctrl_c(d):
    def silent(local):
        local["pid"] = os.getpid()
        local.wait("never", 600)

    main = threading.main_thread().ident
    thread = threading.Thread(target=lambda: (d.wait("pid", 60), signal.pthread_kill(main, signal.SIGINT)))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        next(d.filter(silent))
    thread.join()
    deadline = time.monotonic() + 10
    while is_there(d["pid"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_there(d["pid"])


def test_a_program_without_cloudpickle(d, python):
    python("""
import sys
sys.modules["cloudpickle"] = None
import ddict
d = ddict.attach(sys.argv[1])
def mine(local):
    return local.keys()
try:
    d.filter(mine)
except TypeError as error:
    assert "python3-cloudpickle" in str(error), error
else:
    assert False
""", d.handle)


def test_nothing_is_imported_from_the_working_folder(d, tmp_path, monkeypatch):
    for module in ("json", "socket", "ddict"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({module!r})")
    monkeypatch.chdir(tmp_path)
    d["k"] = 1
    assert list(d.filter(pairs)) == [("k", 1)]
    assert not (tmp_path / "imported").exists()


def test_a_stranger_is_not_answered():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        theirs.settimeout(10)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(_frames.is_trusted(theirs, b"guessed", b"process", b"filter")))
        thread.start()
        assert not _frames.is_trusted(ours, b"secret", b"filter", b"process")
        thread.join()
        assert answers == [False]
