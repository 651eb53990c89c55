# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Pickles for other programs: also of functions of this program and of closures, and without the handles of dictionaries."""

from __future__ import annotations

import functools
import io
import pickle
from typing import Any, Callable, Optional

from ddict import _mapping
from ddict._ddict import Dictionary


def dumps(value: Any) -> bytes:
    """A pickle that another program can read: with cloudpickle, of functions of the program itself and of closures too."""
    return _dumps(value, None)


def _dumps(value: Any, number_of: Optional[Callable[[str], Optional[int]]]) -> bytes:
    file = io.BytesIO()
    pickler = _pickler_class()(file, protocol=5)
    pickler.number_of = number_of
    pickler.dump(value)
    return file.getvalue()


@functools.lru_cache(maxsize=None)
def _pickler_class() -> Any:
    try:
        import cloudpickle  # type: ignore[import]
    except ImportError:
        return type("_Pickler", (_WithoutHandles, pickle.Pickler), {})
    return type("_Pickler", (_WithoutHandles, cloudpickle.CloudPickler), {})


class _WithoutHandles:
    """What a pickler does first."""

    number_of: Optional[Callable[[str], Optional[int]]] = None

    def reducer_override(self, value: Any) -> Any:
        if self.number_of is not None and issubclass(type(value), Dictionary):
            from_pickle, (handle, *view) = value.__reduce__()
            number = self.number_of(handle)
            return (from_pickle, (handle, *view)) if number is None else (_dictionary, (number, *view))
        others = getattr(super(), "reducer_override", None)  # cloudpickle's
        return NotImplemented if others is None else others(value)


def _dictionary(number: int, *view: Any) -> Dictionary:
    """What stands in a pickle for a dictionary whose handle travels elsewhere."""
    raise pickle.UnpicklingError("this pickle has a dictionary without its handle, and is for a filter's processes only")


class Handles:
    """The handles of the dictionaries within pickles, which have a number in place of each: a handle has the secret, and goes
    another way than the pickles do."""

    def __init__(self, known: Optional[list[str]] = None) -> None:
        """Of the side that begins; with the handles that it knows, of the other side."""
        self.all: list[str] = [] if known is None else known
        self._is_complete = known is not None

    def dumps(self, value: Any) -> bytes:
        return _dumps(value, self._number_of)

    def loads(self, content: bytes) -> Any:
        return _Unpickler(io.BytesIO(content), self.all).load()

    def _number_of(self, handle: str) -> Optional[int]:
        if handle in self.all:
            return self.all.index(handle)
        if self._is_complete:
            return None
        self.all.append(handle)
        return len(self.all) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, handles: list[str]) -> None:
        super().__init__(file)
        self._handles = handles

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (_dictionary.__module__, _dictionary.__name__):
            return lambda number, *view: _mapping.from_pickle(self._handles[number], *view)
        return super().find_class(module, name)
