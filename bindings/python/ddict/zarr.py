# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A dictionary as a store of zarr 2: chunks of arrays that all programs of a job read and write.

    import ddict, ddict.zarr, zarr

    group = zarr.group(store=ddict.zarr.Store(ddict.attach(), prefix="run7/"))
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Optional

import zarr.storage  # type: ignore[import]
from numcodecs.compat import ensure_contiguous_ndarray  # type: ignore[import]
from zarr.util import normalize_storage_path  # type: ignore[import]

from ddict._ddict import Dictionary
from ddict._prefix import folder


class Store(zarr.storage.Store):  # type: ignore[misc]
    """Its keys are the dictionary's texts that begin with prefix, its values bytes, which C++ and the shell read too. A prefix ends with
    "/", which is added where it is missing; there is none without one, for clear() removes all that begins with it.

    Any number of threads and processes may use it at once; it pickles as the dictionary does. The chunks of one read or write of an
    array go together, and chunks are sent from where they lie."""

    def __init__(self, dictionary: Dictionary, prefix: str, dimension_separator: Optional[str] = None) -> None:
        self._d = dictionary
        self._prefix = folder(prefix)
        self._dimension_separator = dimension_separator

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(f"a key of a store is a str, not a {type(key).__name__!r}")
        return self._prefix + key

    def __getitem__(self, key: str) -> Any:
        try:
            return self._d[self._key(key)]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, value: Any) -> None:
        self._d[self._key(key)] = _bytes_of(value)

    def __delitem__(self, key: str) -> None:
        if not self._d.erase(self._key(key)):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._prefix + key in self._d

    def __iter__(self) -> Iterator[str]:
        return (key[len(self._prefix):] for key in self._d.keys(self._prefix) if isinstance(key, str))

    def __len__(self) -> int:
        return self._d.count_prefix(self._prefix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and (self._d.handle, self._prefix) == (other._d.handle, other._prefix)

    def getitems(self, keys: Iterable[str], **_: Any) -> dict[str, Any]:
        """Those that are there, in one call: zarr reads all chunks of a selection so."""
        names = list(keys)
        found = self._d.get_many([self._prefix + key for key in names], default=_MISSING)
        return {key: value for key, value in zip(names, found) if value is not _MISSING}

    def setitems(self, values: Mapping[str, Any]) -> None:
        """In one call."""
        self._d.put_many({self._prefix + key: _bytes_of(value) for key, value in values.items()})

    def delitems(self, keys: Iterable[str]) -> None:
        """In one call; keys that are not there are none the worse."""
        self._d.erase_many([self._prefix + key for key in keys])

    def listdir(self, path: str = "") -> list[str]:
        """The names below a path; the managers choose by prefix."""
        before = self._folder(path)
        return sorted({key[len(before):].split("/", 1)[0] for key in self._d.keys(before) if isinstance(key, str)})

    def rmdir(self, path: str = "") -> None:
        """Removes what is below a path: the managers do it."""
        self._d.erase_prefix(self._folder(path))

    def getsize(self, path: str = "") -> int:
        """The bytes of what is at a path, or right below it; of the values nothing is moved."""
        path = normalize_storage_path(path)
        if path and (alone := self._d.type_and_size(self._prefix + path)) is not None:
            return alone[1]
        before = self._folder(path)
        keys = [key for key in self._d.keys(before) if isinstance(key, str) and "/" not in key[len(before):]]
        return sum(found[1] for key in keys if (found := self._d.type_and_size(key)) is not None)

    def clear(self) -> None:
        """Removes all of the store, and nothing else of the dictionary."""
        self._d.erase_prefix(self._prefix)

    def _folder(self, path: str) -> str:
        path = normalize_storage_path(path)
        return self._prefix + (path + "/" if path else "")


_MISSING = object()


def _bytes_of(value: Any) -> Any:
    """Where they lie."""
    return value if isinstance(value, bytes) else memoryview(ensure_contiguous_ndarray(value)).cast("B")
