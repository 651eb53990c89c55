# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The filter of ddict.dragon: a function of the reference's form for each manager, in the process of its node."""

from __future__ import annotations

import functools
import heapq
import queue
import threading
from typing import Any, Callable, Iterator, Optional

from ddict._dragon_errors import telling


def order(comparator: Callable[[Any, Any], bool]) -> Callable[[Any], Any]:
    def compare(x: Any, y: Any) -> int:
        return -1 if comparator(x, y) else 1

    return functools.cmp_to_key(compare)


class Found:
    """What DDict.filter() gives: an iterator, and a context manager that ends the processes. Its errors have the reference's names."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __iter__(self) -> Found:
        return self

    @telling
    def __next__(self) -> Any:
        return next(self._found)

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes, whatever their functions are doing, and the iteration."""
        self._found.close()


class _Outcome:
    """The out_queue of one manager's function: it waits where the reader is far behind."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue(1024)

    def put(self, item: Any, timeout: Optional[float] = None) -> None:
        self.queue.put((True, item), timeout=timeout)

    def run(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
            self.queue.put((False, None))
        except BaseException as failure:
            self.queue.put((False, failure))

    def __iter__(self) -> Iterator[Any]:
        while (found := self.queue.get())[0]:
            yield found[1]
        if found[1] is not None:
            raise found[1]


def run(local: Any, state: dict[str, Any], function: Callable[..., Any], arguments: tuple[Any, ...],
        comparator: Callable[[Any, Any], bool]) -> Any:
    """The functions of a node's managers side by side, merged."""
    from ddict.dragon import DDict

    base = DDict.__new__(DDict)
    base.__dict__.update(state)
    managers = local.local_managers if (only := local.__reduce__()[1][5]) is None else [only]
    outcomes = []
    for manager in managers:
        outcomes.append(outcome := _Outcome())
        threading.Thread(target=outcome.run, args=(function, base._like(local.manager(manager)), outcome, *arguments), daemon=True).start()
    return heapq.merge(*outcomes, key=order(comparator))
