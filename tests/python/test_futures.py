# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Operations that run while the program does something else: futures, and await."""

import asyncio
import concurrent.futures
import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import ddict

LARGE = 3 << 20


def run(coroutine):
    """With a deadline."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def waiting(d):
    return sum(one["waiting"] for one in d.stats())


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def stopped(shared):
    """The managers do not answer."""
    pids = [one["pid"] for one in shared.stats()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_future_has_what_came_of_it(d):
    array = np.arange(LARGE // 8, dtype="f8")
    puts = [d.put_async(i, [i] * i) for i in range(100)] + [d.put_async("array", array), d.put_async("object", {"a": array, "s": {1}})]
    assert [put.result() for put in puts] == [None] * 102 and all(put.done() and put.exception() is None for put in puts)
    gets = [d.get_async(i) for i in range(100)]
    assert [get.result(20) for get in gets] == [[i] * i for i in range(100)]
    assert np.array_equal(d.get_async("array").result(), array) and np.array_equal(d.get_async("object").result()["a"], array)
    missing = d.get_async("nobody")
    assert isinstance(missing.exception(), ddict.NotFound) and missing.exception().key == "nobody"
    with pytest.raises(KeyError):
        missing.result()
    assert d.erase_async(5).result() is True and d.erase_async(5).result() is False
    d["empty"] = ""
    assert d.wait_async("empty").result() == "" == d.get_async("empty").result()
    assert "get" in repr(missing) and "failed" in repr(missing) and not missing.running()


def test_what_cannot_be_begun_is_said_at_once(d):
    for wrong in (lambda: d.put_async(None, 1), lambda: d.put_async("k", lambda: 1), lambda: d.get_async([])):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ddict.InvalidArgument):
        d.get_async("").result()


def test_what_cannot_be_read_is_its_outcome(d):
    d["mal"] = ddict.TypedValue(0x0213, b"x" * 7)
    with pytest.raises(ddict.WrongType, match="mal") as caught:
        d.get_async("mal").result()
    assert caught.value.key == "mal" and caught.value.operation == "get"


def test_a_wait_ends_at_its_deadline_or_by_cancelling(d):
    late = d.wait_async("never", timeout=0.05)
    with pytest.raises(ddict.Timeout) as caught:
        late.result()
    assert caught.value.manager_state == "answered"
    wait = d.wait_async("never", timeout=60)
    with pytest.raises(ddict.Timeout, match="under way"):
        wait.result(0.01)
    until(lambda: waiting(d) == 1)
    assert wait.cancel() and wait.cancelled() and wait.done() and wait.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        wait.result()
    until(lambda: waiting(d) == 0)
    done = d.put_async("k", 1)
    done.result()
    assert not done.cancel() and not done.cancelled() and d["k"] == 1
    forgotten = d.wait_async("never", timeout=60)
    until(lambda: waiting(d) == 1)
    del forgotten
    until(lambda: waiting(d) == 0)


def test_a_put_that_nobody_holds_is_made(d):
    for i in range(200):
        d.put_async(i, i)
    assert sorted(d) == list(range(200))


def test_a_cancelled_put_may_have_been_made(d, stopped):
    put = d.within(60).put_async("k", 1)
    assert put.cancel()
    with pytest.raises(concurrent.futures.CancelledError, match="may"):
        put.result()


def test_deadlines(d, stopped):
    begin = time.monotonic()
    put = d.within(0.3).put_async("k", np.zeros(LARGE, "u1"))
    with pytest.raises(ddict.Timeout) as caught:
        put.result()
    assert caught.value.key == "k" and time.monotonic() - begin < 20


def test_callbacks(d):
    seen = []
    wait = d.wait_async("later", 20)
    wait.add_done_callback(seen.append)
    wait.add_done_callback(lambda future: 1 / 0)
    d["later"] = 1
    unraised = []
    hook, __import__("sys").unraisablehook = __import__("sys").unraisablehook, lambda what: unraised.append(what.exc_type)
    try:
        assert wait.result() == 1
    finally:
        __import__("sys").unraisablehook = hook
    assert seen == [wait] and unraised == [ZeroDivisionError]
    wait.add_done_callback(seen.append)
    assert seen == [wait, wait]


def test_another_thread_is_told(d):
    wait = d.wait_async("never", 20)
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        for call in (wait.result, wait.done, wait.cancel):
            with pytest.raises(ddict.InvalidArgument, match="thread"):
                other.submit(call).result()
        done = d.put_async("k", 1)
        done.result()
        assert other.submit(done.result).result() is None
        # One that another thread lets go of is left alone.
        box = [d.put_async("left", np.zeros(LARGE, "u1"))]
        other.submit(box.clear).result()
    wait.cancel()
    until(lambda: "left" in d)


def test_memory_is_kept_as_long_as_it_is_needed(d, stopped, shared):
    class Array(np.ndarray):
        pass

    value = np.zeros(LARGE, "u1").view(Array)
    watch = weakref.ref(value)
    put = d.within(0.2).put_async("k", memoryview(value))
    del value
    gc.collect()
    assert watch() is not None
    put.exception()
    del put
    gc.collect()
    assert watch() is None


def test_an_array_that_changes_meanwhile_is_no_crash(d):
    array = np.zeros(LARGE, "u1")
    for i in range(20):
        put = d.put_async("k", array)
        array[:] = i + 1
        put.result()
        assert d["k"].shape == array.shape


def test_ctrl_c_ends_result(d, python):
    python("""
import os, signal, sys, threading, time, ddict
d = ddict.attach(sys.argv[1], timeout=60)
wait = d.wait_async("never")
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    wait.result()
except KeyboardInterrupt:
    assert time.monotonic() - begin < 20 and not wait.done()
    d["never"] = 1
    assert wait.result() == 1
    print("interrupted")
""", d.handle)


def test_detach_ends_them(d):
    other = ddict.attach(d.handle)
    wait = other.wait_async("never", 60)
    other.detach()
    for call in (wait.result, wait.result):
        with pytest.raises(ddict.NotAttached):
            call()


@pytest.mark.parametrize("ending", ["", "del f", "d.detach()", "sys.exit(0)", "os.fork() or os._exit(0)"])
def test_the_end_with_operations_under_way(d, python, ending):
    python(f"""
import os, sys, numpy, ddict
d = ddict.attach(sys.argv[1], timeout=20)
f = [d.wait_async("never", 60), d.put_async("k", numpy.zeros(1 << 22)), d.get_async("k"), d.put_async("small", 1)]
{ending}
""", d.handle)
    until(lambda: waiting(d) == 0)


# ---- await ----

def test_await(d):
    async def work():
        await d.aput("k", np.arange(LARGE))
        assert (await d.aget("k")).shape == (LARGE,)
        assert await d.aerase("k") and not await d.aerase("k")
        assert await d.aget("nobody", 5) == 5 and await d.aget("nobody", default=None) is None
        with pytest.raises(ddict.NotFound):
            await d.aget("nobody")
        await asyncio.gather(*(d.aput(i, i) for i in range(3000)))
        assert await asyncio.gather(*(d.aget(i) for i in range(3000))) == list(range(3000))
        return await d.put_async("f", 1)

    assert run(work()) is None and d["f"] == 1 and len(d) == 3001


def test_the_loop_goes_on_while_one_waits(d):
    async def work():
        waits = [asyncio.ensure_future(one(i)) for i in range(50)]
        begin = time.process_time()
        for _ in range(20):
            await asyncio.sleep(0.02)
        idle = time.process_time() - begin
        threading.Thread(target=lambda: [d.__setitem__(("late", i), i) for i in range(50)]).start()
        assert await asyncio.gather(*waits) == list(range(50))
        return idle

    async def one(i):
        return await d.wait_async(("late", i), 50)

    assert run(work()) < 0.3  # of 0.4 s: there is nothing to do


def test_calls_in_between_wake_nobody_too_late(d):
    """Another call of the same thread takes what comes for those that wait."""
    async def setter():
        for i in range(300):
            d[("k", i)] = i
            d.get("nobody")
            await asyncio.sleep(0)

    async def getter():
        return [await d.wait_async(("k", i), 50) for i in range(300)]

    async def work():
        begin = time.monotonic()
        found, _ = await asyncio.gather(getter(), setter())
        assert found == list(range(300))
        return time.monotonic() - begin

    assert run(work()) < 20


def test_cancelling_a_task_cancels_the_operation(d):
    async def work():
        task = asyncio.ensure_future(one())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(one(), 0.05)
        await d.aput("after", 1)

    async def one():
        return await d.wait_async("never", 50)

    run(work())
    until(lambda: waiting(d) == 0)
    assert d["after"] == 1


def test_a_deadline_in_a_loop(d, stopped):
    async def work():
        begin = time.monotonic()
        with pytest.raises(ddict.Timeout):
            await d.within(0.3).aput("k", 1)
        assert time.monotonic() - begin < 20

    run(work())


def test_a_loop_in_each_thread(d):
    failures = []

    async def work(n):
        await asyncio.gather(*(d.aput((n, i), i) for i in range(100)))
        assert await asyncio.gather(*(d.aget((n, i)) for i in range(100))) == list(range(100))

    def thread(n):
        try:
            for _ in range(3):  # a loop after another
                run(work(n))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=thread, args=(n,)) for n in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not failures and len(d) == 300


def test_detach_while_one_awaits(d):
    async def work():
        other = ddict.attach(d.handle)
        task = asyncio.ensure_future(one(other))
        await asyncio.sleep(0.05)
        other.detach()
        begin = time.monotonic()
        with pytest.raises(ddict.NotAttached):
            await task
        assert time.monotonic() - begin < 20

    async def one(other):
        return await other.wait_async("never", 50)

    run(work())
