# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A connector of ProxyStore: objects that proxies stand for are kept in a dictionary.

    store = proxystore.store.Store("ddict", ddict.proxystore.Connector(ddict.attach().handle))
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple, Optional, Sequence

from ddict import _errors
from ddict._ddict import Dictionary, attach
from ddict._prefix import folder


class Key(NamedTuple):
    """Of one object."""

    id: str


class Connector:
    """Bytes by keys of its own, which begin with prefix (and that ends with "/", added where it is missing). Without a handle, in the
    environment's dictionary."""

    def __init__(self, handle: Optional[str] = None, prefix: str = "proxy/", timeout: Optional[float] = None) -> None:
        self._prefix = folder(prefix)
        self._attached: Optional[Dictionary] = attach(handle, timeout=timeout)
        self._config = {"handle": self._d.handle, "prefix": self._prefix, "timeout": timeout}

    @property
    def _d(self) -> Dictionary:
        if self._attached is None:
            raise _errors.NotAttached(f"the connector {self._prefix!r} was closed here")
        return self._attached

    def __enter__(self) -> Connector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ddict.proxystore.Connector {self._prefix!r}{', closed' if self._attached is None else f' of {self._attached!r}'}>"

    def config(self) -> dict[str, Any]:
        """What from_config() makes the same of, in other programs too. It has the handle: treat it like a password."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Connector:
        return cls(**config)

    def close(self, clear: bool = False) -> None:
        """Ends this connector's use of the dictionary; with clear, the objects are removed first, whoever put them. No detach():
        objects of this process that came out of pickles have the same attachment, which ends with the last of them."""
        if clear:
            self._d.erase_prefix(self._prefix)
        self._attached = None

    def put(self, obj: Any) -> Key:
        return self.put_batch([obj])[0]

    def put_batch(self, objs: Sequence[Any]) -> list[Key]:
        keys = [self.new_key() for _ in objs]
        self._d.put_many({self._name(key): obj for key, obj in zip(keys, objs)})
        return keys

    def new_key(self, obj: Any = None) -> Key:
        """For an object that set() will put later."""
        return Key(uuid.uuid4().hex)

    def set(self, key: Key, obj: Any) -> None:
        self._d[self._name(key)] = obj

    def get(self, key: Key) -> Any:
        """None if it is not there."""
        return self._d.get(self._name(key))

    def get_batch(self, keys: Sequence[Key]) -> list[Any]:
        return self._d.get_many([self._name(key) for key in keys])

    def exists(self, key: Key) -> bool:
        return self._name(key) in self._d

    def evict(self, key: Key) -> None:
        self._d.erase(self._name(key))

    def _name(self, key: Key) -> str:
        return self._prefix + key.id
