# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a Future awaitable: the event loop watches the descriptor of its thread's connections. No thread."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Generator, Optional

from ddict import _errors
from ddict._ddict import Dictionary, Future, _await

_drivers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Driver]] = weakref.WeakKeyDictionary()


class _Driver:
    """Of one loop and one dictionary, as long as anything is awaited there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dictionary: Dictionary) -> None:
        self.loop = loop
        self.dictionary = dictionary
        self.waiters: dict[Future, asyncio.Future[None]] = {}
        self.timer: Optional[asyncio.TimerHandle] = None
        self.is_called_soon = False
        self.descriptor = dictionary._async_descriptor()
        loop.add_reader(self.descriptor, self.turn)
        _await(1)

    def call_soon(self) -> None:
        if not self.is_called_soon:
            self.is_called_soon = True
            self.loop.call_soon(self._turn_now)

    def _turn_now(self) -> None:
        self.is_called_soon = False
        if self.waiters:
            self.turn()

    def _turn_late(self) -> None:
        self.timer = None
        self._turn_now()

    def turn(self) -> None:
        """Moves along what is under way, and tells those whose operations are done."""
        try:
            seconds = self.dictionary._move_along()
        except _errors.Error:  # detached: each has its own word of that
            seconds = 0.0
        ended = [future for future in self.waiters if future._has_ended()]
        for future in ended:
            waiter = self.waiters.pop(future)
            if not waiter.done():
                waiter.set_result(None)
        if not self.waiters:
            self.close()
        elif seconds == 0.0:
            self.call_soon()
        elif self.timer is None or self.timer.when() > self.loop.time() + seconds:
            if self.timer is not None:
                self.timer.cancel()
            self.timer = self.loop.call_later(seconds, self._turn_late)

    def remove(self, future: Future) -> None:
        if self.waiters.pop(future, None) is not None and not self.waiters:
            self.close()

    def close(self) -> None:
        _await(-1)
        self.loop.remove_reader(self.descriptor)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        of_loop = _drivers.get(self.loop, {})
        if of_loop.get(self.dictionary._link) is self:
            del of_loop[self.dictionary._link]


def _driver_of(loop: asyncio.AbstractEventLoop, dictionary: Dictionary) -> _Driver:
    of_loop = _drivers.setdefault(loop, {})
    found = of_loop.get(dictionary._link)
    if found is None:
        found = of_loop[dictionary._link] = _Driver(loop, dictionary)
    return found


def note_call(link: int) -> None:
    """Another call of this thread may have taken what its loop waits for."""
    loop = asyncio._get_running_loop()
    driver = _drivers.get(loop, {}).get(link) if loop is not None else None
    if driver is not None:
        driver.call_soon()


def note_end(link: int) -> None:
    """The connections have gone, of all threads: nothing wakes their loops any more."""
    for loop, of_loop in list(_drivers.items()):
        if link in of_loop:
            loop.call_soon_threadsafe(of_loop[link]._turn_now)


def wait(self: Future) -> Generator[Any, None, Any]:
    """``await future``: cancelling the task cancels the operation."""
    if not self.done() and not (self._is_short and self._spin()):
        loop = asyncio.get_running_loop()
        driver = _driver_of(loop, self._dictionary)
        waiter: asyncio.Future[None] = loop.create_future()
        driver.waiters[self] = waiter
        driver.call_soon()
        try:
            yield from waiter.__await__()
        except BaseException:
            driver.remove(self)
            self.cancel()
            raise
    return self.result()


_NONE = object()


async def aget(self: Dictionary, key: Any, default: Any = _NONE) -> Any:
    """The value of a key, in an event loop; KeyError, or the default, if there is no such key."""
    if default is _NONE:
        return await self.get_async(key)
    try:
        return await self.at_once().get_async(key)
    except _errors.NotFound:
        return default


async def aput(self: Dictionary, key: Any, value: Any) -> None:
    """Stores a pair, in an event loop. A large array must stay as it is until it is awaited."""
    await self.put_async(key, value)


async def aerase(self: Dictionary, key: Any) -> bool:
    """Removes a key, in an event loop; says whether it was there."""
    return bool(await self.erase_async(key))


def install() -> None:
    Future.__await__ = wait  # type: ignore[assignment]
    for name, function in (("aget", aget), ("aput", aput), ("aerase", aerase)):
        function.__qualname__ = f"Dictionary.{name}"
        setattr(Dictionary, name, function)
