# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Bounded queues."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import ddict


def test_what_is_pushed_is_taken(d):
    producer = d.queue("steps", items=4, bytes="1M")
    consumer = d.queue("steps")
    producer.push("text")
    producer.push(np.arange(1000))
    producer.push({"any": "thing"})
    with consumer.take(timeout=20) as item:
        assert (item.value, item.value, item.number, item.attempt, item.producer, item.nbytes) == ("text", "text", 0, 1, 0, 4)
    item = consumer.take()
    assert item.value.sum() == 499500
    item.renew()
    item.finish()
    with pytest.raises(ddict.InvalidArgument):
        item.finish()
    assert consumer.take().value == {"any": "thing"}
    with pytest.raises(RuntimeError, match="mine"), consumer.take() as item:  # the last one has gone back
        assert item.attempt == 2
        raise RuntimeError("mine")
    stats = producer.stats()
    assert (stats["ready"], stats["finished"], stats["bytes_max"], stats["closed"]) == (1, 2, 1 << 20, False)
    producer.close()
    with pytest.raises(ddict.InvalidArgument):
        producer.push(1)
    seen = []
    for item in consumer:
        with item:
            seen.append((item.value, item.attempt))
    assert seen == [({"any": "thing"}, 3)] and consumer.take() is None
    assert consumer.name == "steps"
    producer.remove()
    with pytest.raises(ddict.NotFound):
        consumer.stats()


def test_the_bound_is_of_elements(d):
    """The header of an array does not count: two halves of the bound fit into it."""
    queue = d.queue("steps", bytes=2 * 8000, producers=2)
    queue.push(np.zeros(1000))
    assert (queue.stats()["bytes"], queue.stats()["bytes_max"]) == (8000, 16000)
    with pytest.raises(ddict.TooLarge, match="divided by its producers"):
        queue.push(np.zeros(1001))
    with queue.take() as item:
        assert item.value.shape == (1000,)
    queue.push(np.zeros((10, 100)))
    with pytest.raises(ddict.Timeout, match="share"):
        queue.push(np.zeros(1, "u1"), timeout=0.1)


def test_a_value_is_fetched_once(d):
    queue = d.queue("steps", items=4)
    queue.push(np.arange(1000))
    with queue.take() as item:
        value = item.value
        gets = d.profile()
        assert item.value is value
        assert d.profile() == gets
    assert item.value is value  # also when it is finished


def test_wrong_bounds_are_refused_at_once(d):
    for wrong in ({"items": 0}, {"producers": 0}, {"items": 5000}, {"items": 4, "lease": 0.001}):
        with pytest.raises(ddict.InvalidArgument, match="queue 'steps'"):
            d.queue("steps", **wrong)
    with pytest.raises(ValueError, match="invalid size 0"):
        d.queue("steps", bytes=0)


def test_a_share_is_waited_for(d):
    queue = d.queue("steps", items=1, producers=1)
    queue.push(1)
    with pytest.raises(ddict.Timeout, match="share"):
        queue.push(2, timeout=0.1)
    other = d.queue("steps")
    with pytest.raises(ddict.Timeout, match="other producers"):
        other.push(2, timeout=0.1)
    taker = threading.Timer(0.2, lambda: other.take().finish())
    taker.start()
    queue.push(2, timeout=20)
    taker.join()
    queue.leave()
    assert other.join() == 0
    with pytest.raises(ddict.Timeout):
        d.within(0.1).queue("nobody")
    with pytest.raises(ddict.InvalidArgument, match="items is 1"):
        d.queue("steps", items=2)


def test_a_killed_consumer_loses_its_item(d):
    queue = d.queue("steps", items=4, lease=0.5)
    queue.push("work")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            item = ddict.attach(d.handle).queue("steps").take()
            os.write(writer, item.value.encode())
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 10) == b"work"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with queue.take(timeout=30) as item:
        assert (item.value, item.attempt) == ("work", 2)


def test_a_loop_waits_for_what_a_killed_worker_has(d, monkeypatch):
    """Longer than any call may take: with nobody else left, the last item would be lost."""
    monkeypatch.setenv("DDICT_OPERATION_TIMEOUT", "0.5")
    queue = d.queue("steps", items=4, lease=3)
    queue.push("work")
    queue.close()
    started, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            item = ddict.attach(d.handle).queue("steps").take()
            os.write(told, item.value.encode())
            time.sleep(60)
        finally:
            os._exit(1)
    assert os.read(started, 10) == b"work"
    os.close(started)
    os.close(told)
    mine = ddict.attach(d.handle)
    with pytest.raises(ddict.Timeout, match="no item has come"):
        mine.queue("steps").take()
    killer = threading.Timer(1, os.kill, (child, signal.SIGKILL))
    killer.start()
    begin = time.monotonic()
    seen = []
    for item in mine.queue("steps"):
        with item:
            seen.append((item.value, item.attempt))
    killer.join()
    os.waitpid(child, 0)
    assert seen == [("work", 2)]
    assert time.monotonic() - begin > 2  # four of its calls' time and more
    mine.detach()


def test_a_loop_ends_when_its_producers_are_gone(d):
    """Killed before it closes the queue: what it has pushed is there."""
    queue = d.queue("steps", items=4, lease=0.5)
    child = os.fork()
    if child == 0:
        try:
            mine = ddict.attach(d.handle).queue("steps")
            mine.push("first")
            mine.push("second")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    seen = []
    for item in queue.items(until_producers_gone=True):
        with item:
            seen.append(item.value)
    assert seen == ["first", "second"]
    assert not queue.stats()["closed"]
    with pytest.raises(ddict.Timeout, match="no item has come"):
        next(d.within(0.3).queue("steps").items())  # which waits for it to be closed
    items = queue.items(until_producers_gone=True)
    assert iter(items) is items
    assert list(items) == []
    queue.close()
    assert list(queue.items()) == []


def test_a_loop_over_a_view_of_within_waits_that_long(d):
    d.queue("steps", items=4)
    begin = time.monotonic()
    with pytest.raises(ddict.Timeout, match="no item has come"):
        next(d.within(0.3).queue("steps"))
    assert time.monotonic() - begin > 0.29


def test_a_loop_ends_with_an_error(d):
    d.queue("steps", items=4)
    remover = threading.Timer(0.2, lambda: d.queue("steps").remove())
    remover.start()
    with pytest.raises(ddict.NotFound, match="removed"):
        next(d.queue("steps"))
    remover.join()


def test_who_is_late_is_told(d):
    late = d.queue("steps", items=4, lease=0.3, renew_by_hand=True)
    late.push("work")
    item = late.take()
    with d.queue("steps").take(timeout=30) as again:
        assert again.attempt == 2
    with pytest.raises(ddict.NotFound, match="queue 'steps'.*lease lost"):
        print(item.value)
    with pytest.raises(ddict.NotFound, match="queue 'steps'.*lease lost"):
        item.finish()
