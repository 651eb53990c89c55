# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Processes: whoever gets a dictionary, by a fork or by a pickle, is attached at its first use."""

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import time

import pytest

import ddict

METHODS = ["fork", "forkserver", "spawn"]


def work(d, n):
    d[("done", n)] = os.getpid()
    return d.incr("count")


def inherited(n):
    return work(DICTIONARY, n)


DICTIONARY = None


@pytest.mark.parametrize("method", METHODS)
def test_a_process_is_given_the_dictionary(d, method):
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=work, args=(d, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert d["count"] == 3 and len({d[("done", n)] for n in range(3)}) == 3


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes(d, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.starmap_async(work, [(d, n) for n in range(20)]).get(60)
    assert sorted(results) == list(range(1, 21))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_an_executor(d, method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        results = [future.result(60) for future in [executor.submit(work, d, n) for n in range(10)]]
    assert sorted(results) == list(range(1, 11))


def test_what_a_child_has_inherited(d):
    global DICTIONARY
    DICTIONARY = d
    d["before"] = 1
    scan = iter(d)
    next(scan)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map_async(inherited, range(20)).get(60)
    assert sorted(results) == list(range(1, 21)) and d["count"] == 20
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            assert d["before"] == 1 and d.within(5).manager(0) is not None
            try:
                list(scan)  # the parent's: it goes on at the most with what it has
            except ddict.NotAttached:
                pass
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert d["before"] == 1 and isinstance(list(scan), list)


def load(n):
    batch = DICTIONARY[("batch", n % 8)]
    DICTIONARY[("sum", n)] = bytes(reversed(batch))
    return len(batch)


def test_a_pool_that_loads_data(d):
    """As data loaders do: values of some MiB, from all managers and back to them, and a process for so many tasks."""
    global DICTIONARY
    DICTIONARY = d
    for n in range(8):
        d[("batch", n)] = bytes([n]) * (1 << 20) + bytes(range(256))
    with multiprocessing.get_context("fork").Pool(3, maxtasksperchild=4) as pool:
        assert pool.map_async(load, range(48)).get(120) == [(1 << 20) + 256] * 48
    for n in range(48):
        assert d[("sum", n)] == bytes(reversed(range(256))) + bytes([n % 8]) * (1 << 20)


def test_children_of_children(d):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            d.incr("depth")
            inner = os.fork()
            if inner == 0:
                d.incr("depth")
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and d["depth"] == 2


def test_threads_share_one(d):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        results = list(executor.map(lambda n: work(d, n), range(200), timeout=60))
    assert sorted(results) == list(range(1, 201))


def test_a_pickle_is_one_attachment_of_a_process(d):
    first, second = pickle.loads(pickle.dumps(d)), copy.copy(d)
    first["a"] = 1
    assert second["a"] == 1 == d["a"]
    assert repr(pickle.loads(pickle.dumps(d.within(3).manager(1)))) == repr(d.within(3).manager(1))
    lazy = pickle.loads(pickle.dumps(d).replace(d.handle.encode(), b"x" * len(d.handle)))
    with pytest.raises(ddict.BadHandle):
        lazy["a"]


def test_unpickled_ones_have_their_own_options(d):
    quick = ddict.attach(d.handle, timeout=0.05, attach_timeout=3)
    by_message = ddict.attach(d.handle, timeout=20, local_reads=False)
    for made in (d, quick, by_message):
        again = pickle.loads(pickle.dumps(made))
        assert pickle.dumps(again) == pickle.dumps(made)
        again["k"] = 1
    begin = time.monotonic()
    with pytest.raises(ddict.Timeout):
        pickle.loads(pickle.dumps(quick)).wait("never")
    assert time.monotonic() - begin < 5
    reads = pickle.loads(pickle.dumps(by_message))
    reads["k"]
    assert reads.profile()["local_reads"] == 0
    quick.detach()
    by_message.detach()


def test_after_detaching_a_pickle_attaches_anew(shared):
    d = ddict.attach(shared.handle)
    pickled = pickle.dumps(d)
    d.detach()
    with pytest.raises(ddict.NotAttached):
        d["a"]
    again = pickle.loads(pickled)
    again["a"] = 1
    assert shared["a"] == 1
