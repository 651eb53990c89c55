# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a mapping that are made of others: views, popitem, the context manager, the table in a notebook."""

from __future__ import annotations

import collections.abc
import contextlib
from typing import Any, Callable, Iterator, Optional

from ddict import _errors
from ddict._ddict import Dictionary, _from_pickle

_KEYS, _VALUES, _ITEMS = range(3)


class _View(collections.abc.MappingView):
    """Streams page by page; nothing is kept here or at the managers. What others write meanwhile may be seen or not."""

    __slots__ = ("_prefix", "_local")
    _mapping: Dictionary
    _visit = _KEYS

    def __init__(self, mapping: Dictionary, prefix: str = "", local: bool = False) -> None:
        super().__init__(mapping)
        self._prefix = prefix
        self._local = local

    def __len__(self) -> int:
        if self._local:
            return sum(1 for _ in self._mapping._scan(_KEYS, self._prefix, True)) if self._prefix else \
                self._mapping.local_len()
        return self._mapping.count_prefix(self._prefix) if self._prefix else len(self._mapping)

    def __iter__(self) -> Iterator[Any]:
        return self._mapping._scan(self._visit, self._prefix, self._local)

    def __repr__(self) -> str:
        prefix = f", prefix={self._prefix!r}" if self._prefix else ""
        return f"<{self.__class__.__name__} of {self._mapping!r}{prefix}>"

    def _has(self, key: Any) -> bool:
        """Whether a key is one of those that are looked at."""
        if self._prefix and not (isinstance(key, str) and key.startswith(self._prefix)):
            return False
        return not self._local or self._mapping.which_manager(key) in self._mapping.local_managers


class KeysView(_View, collections.abc.KeysView):  # type: ignore[type-arg]
    """The keys, as a set that streams."""

    __slots__ = ()

    @classmethod
    def _from_iterable(cls, keys: Any) -> Any:
        return set(keys)

    def __contains__(self, key: object) -> bool:
        return self._has(key) and key in self._mapping


class ValuesView(_View, collections.abc.ValuesView):  # type: ignore[type-arg]
    """The values, as they stream by."""

    __slots__ = ()
    _visit = _VALUES

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class ItemsView(_View, collections.abc.ItemsView):  # type: ignore[type-arg]
    """The pairs, as a set that streams."""

    __slots__ = ()
    _visit = _ITEMS

    @classmethod
    def _from_iterable(cls, pairs: Any) -> Any:
        return set(pairs)

    def __contains__(self, pair: object) -> bool:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return False
        key, value = pair
        if not self._has(key):
            return False
        found = self._mapping.get(key, _View)
        return found is not _View and bool(found is value or found == value)


def keys(self: Dictionary, prefix: str = "", *, local: bool = False) -> KeysView:
    """The keys, streamed; only texts that begin with prefix, only of this node's managers with local=True."""
    return KeysView(self, prefix, local)


def values(self: Dictionary, prefix: str = "", *, local: bool = False) -> ValuesView:
    """The values, streamed; only of keys that are texts and begin with prefix."""
    return ValuesView(self, prefix, local)


def items(self: Dictionary, prefix: str = "", *, local: bool = False) -> ItemsView:
    """The pairs, streamed; only of keys that are texts and begin with prefix."""
    return ItemsView(self, prefix, local)


def popitem(self: Dictionary) -> tuple[Any, Any]:
    """Removes a pair, any, and returns it: of all who call it at once, each gets another. KeyError if there is none."""
    while True:
        for key in self:
            value = self.pop(key, _View)
            if value is not _View:
                return key, value
            break  # another was quicker: from the front again
        else:
            raise _errors.NotFound("popitem: the dictionary is empty", operation="pop")


def filter(self: Dictionary, function: Callable[..., Any], *args: Any, key: Optional[Callable[[Any], Any]] = None) -> Any:
    """Runs function(local, *args) in one process on each node of the managers, and streams what these yield.

    local is this dictionary, attached there: local.items(local=True) visits the pairs of that node alone. Functions and closures
    travel by cloudpickle. With key=, each function must yield in the order of key(item), and all come in that order; else they
    come as they are found. An exception on a node is raised here, once what was found before it has come. `with` ends the
    processes, whatever they are doing; so does close(), and the end of the iteration."""
    from ddict._filter import Filter

    return Filter(self, function, args, key)


@contextlib.contextmanager
def frozen(self: Dictionary) -> Iterator[Dictionary]:
    """``with d.frozen(): ...``: nobody changes the dictionary meanwhile, and view() works."""
    self.freeze()
    try:
        yield self
    finally:
        self.unfreeze()


def enter(self: Dictionary) -> Dictionary:
    """``with ddict.attach() as d: ...`` detaches at the end."""
    return self


def leave(self: Dictionary, *_: object) -> None:
    self.detach()


class Stats(list):  # type: ignore[type-arg]
    """A dict for each manager; a table in a notebook."""

    _COLUMNS = ("manager", "node", "keys", "used_bytes", "free_bytes", "puts", "gets", "hits", "sessions")

    def _repr_html_(self) -> str:
        import html

        rows = ["<tr>" + "".join(f"<th>{name}</th>" for name in self._COLUMNS) + "</tr>"]
        rows += ["<tr>" + "".join(f"<td>{html.escape(str(one[name]))}</td>" for name in self._COLUMNS) + "</tr>"
                 for one in self]
        return "<table>" + "".join(rows) + "</table>"


def from_pickle(*recipe: Any) -> Dictionary:
    """What a pickled dictionary becomes: attached at its first use, once for each handle in a process."""
    return _from_pickle(*recipe)


def install() -> None:
    native_stats = Dictionary.stats

    def stats(self: Dictionary) -> Stats:
        """What every manager says of itself: a dict for each."""
        return Stats(native_stats(self))

    for name, function in (("keys", keys), ("values", values), ("items", items), ("popitem", popitem),
                           ("filter", filter), ("frozen", frozen), ("__enter__", enter), ("__exit__", leave), ("stats", stats)):
        function.__qualname__ = f"Dictionary.{name}"
        function.__name__ = name
        setattr(Dictionary, name, function)
    Dictionary.__hash__ = object.__hash__  # type: ignore[assignment]
    Dictionary.__module__ = "ddict"
    collections.abc.MutableMapping.register(Dictionary)
