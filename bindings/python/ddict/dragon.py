# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The dictionary by the names of Dragon's DDict, for programs that come from there.

    from ddict.dragon import DDict          # was: from dragon.data.ddict import DDict

docs/dragon.md goes through what differs. Checkpoints in memory are not there: what needs them raises DDictNotImplementedError.
"""

from __future__ import annotations

import collections.abc
import io
import pickle
from typing import Any, Callable, Iterator, Optional

import ddict
from ddict import _dragon_filter, _dragon_options, _pickles
from ddict._dragon_errors import (DDictCheckpointSyncError, DDictError, DDictFullError, DDictFutureCheckpointError, DDictKeyError,
                                  DDictNotImplementedError, DDictPersistCheckpointError, DDictSyncError, DDictTimeoutError,
                                  DDictUnableToCreateError, SAVING, not_there, telling, told)
from ddict._dragon_options import DAOSCheckpointPersister, NULLCheckpointPersister, PosixCheckpointPersister
from ddict._dragon_views import DDictItemsView, DDictKeysView, DDictManagerStats, DDictValuesView, Node

__all__ = ["DAOSCheckpointPersister", "DDict", "DDictCheckpointSyncError", "DDictError", "DDictFullError",
           "DDictFutureCheckpointError", "DDictItemsView", "DDictKeyError", "DDictKeysView", "DDictManagerStats",
           "DDictNotImplementedError", "DDictPersistCheckpointError", "DDictSyncError", "DDictTimeoutError",
           "DDictUnableToCreateError", "DDictValuesView", "NULLCheckpointPersister", "Node", "PosixCheckpointPersister"]

_NOTHING = object()
_FOR_EVER = float("inf")
_PICKLED = "pickled key"
_WAITS = ",wait_for_keys"
_BATCH_MAX = 512
_LATER_BYTES_MAX = 16 * 1024
_CHECKPOINTS = "checkpoints in memory"
# What may be put later than it was given: nobody can change it meanwhile.
_UNCHANGING: tuple[Any, ...] = (str, bytes, int, float, bool, complex, type(None))


class _Detached:
    """What a DDict has in place of its dictionary after detach()."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ddict.NotAttached("this DDict was detached, or destroyed, here")

    def __getitem__(self, key: Any) -> Any:
        self.any

    def __len__(self) -> int:
        return int(self.any)

    def __contains__(self, key: Any) -> bool:
        return bool(self.any)


class _ByCloudpickle:
    """A value that only cloudpickle can pickle: what is read is the value itself."""

    def __init__(self, value: Any) -> None:
        self.content = _pickles.dumps(value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (pickle.loads, (self.content,))


class DDict:
    """Dragon's DDict over a dictionary of ddict, whose object is d.dictionary."""

    def __init__(self, managers_per_node: Optional[int] = 1, n_nodes: Optional[int] = 1, total_mem: int = 3 * 1024**2, *,
                 working_set_size: int = 1, wait_for_keys: bool = False, wait_for_writers: bool = False, policy: Any = None,
                 managers_per_policy: int = 1, orc_policy: Any = None, persist_freq: int = 0, name: str = "",
                 timeout: Optional[float] = None, trace: bool = False, restart: bool = False, read_only: bool = False,
                 restore_from: Optional[int] = None, persist_count: int = 0, persist_path: str = "",
                 persister_class: Any = NULLCheckpointPersister, streams_per_manager: int = 5,
                 manager_pool_full_thresh: float = 0.9) -> None:
        options = {one: value for one, value in locals().items() if one != "self"}
        _dragon_options.check(managers_per_node, n_nodes, total_mem, options)
        arguments = _dragon_options.create_arguments(managers_per_node, n_nodes, total_mem, options)
        try:
            made = ddict.create(**arguments, timeout=timeout)
        except ddict.Error as error:
            raise DDictUnableToCreateError("DRAGON_FAILURE", str(error)) from error
        self._become(made, timeout, wait_for_keys)

    def _become(self, made: Any, timeout: Optional[float], waits: bool) -> None:
        self._d: Any = made
        self._timeout = timeout
        self._waits = waits
        self._key_pickler: Any = None
        self._value_pickler: Any = None
        self._batch: Optional[dict[Any, Any]] = None
        self._batch_persists = False
        self._batch_error: Optional[ddict.Error] = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_batch": None, "_batch_error": None}

    @classmethod
    def attach(cls, serialized_dict: str, *, timeout: Optional[float] = None, trace: bool = False) -> DDict:
        """Attaches to a dictionary by what serialize() gave, or by a handle of ddict."""
        self = cls.__new__(cls)
        waits = isinstance(serialized_dict, str) and serialized_dict.endswith(_WAITS)
        handle = serialized_dict[: -len(_WAITS)] if waits else serialized_dict
        made = telling(ddict.attach)(handle, timeout=timeout, attach_timeout=10.0 if timeout is None else timeout)
        self._become(made, timeout, waits)
        return self

    def _like(self, made: Any) -> DDict:
        """This one over another view of the dictionary."""
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__getstate__())
        other._d = made
        return other

    # Its life

    @property
    def dictionary(self) -> Any:
        """The ddict.Dictionary below it."""
        return self._d

    @telling
    def serialize(self) -> str:
        """What attach() takes. Whoever has it can attach: treat it like a password."""
        return str(self._d.handle) + (_WAITS if self._waits else "")

    def detach(self) -> None:
        """Ends this object's use of the dictionary; other objects of this process keep theirs."""
        self._d = _Detached()

    def destroy(self, allow_restart: bool = False) -> None:
        """Ends the dictionary for everybody, and gives its memory back. A second time it does nothing."""
        if allow_restart:
            raise not_there("destroy(allow_restart=True)", SAVING)
        try:
            if not isinstance(self._d, _Detached):
                self._d.destroy()
        except (ddict.DictionaryGone, ddict.NotAttached):
            pass
        except ddict.Error as error:
            raise told(error) from error
        self._d = _Detached()

    def __enter__(self) -> DDict:
        return self

    def __exit__(self, *_: object) -> None:
        pass  # as there: a program calls destroy() or detach() itself

    @telling
    def get_name(self) -> str:
        return str(self._d.name)

    def __repr__(self) -> str:
        return "<DDict, detached>" if isinstance(self._d, _Detached) else f"<DDict of {self._d!r}>"

    # Keys and values

    def _key(self, key: Any) -> Any:
        """As ddict has it: plain keys as they are, all others by their pickle."""
        if self._key_pickler is not None:
            return self._key_pickler.dumps(key)
        return key if _is_plain(key) else (_PICKLED, pickle.dumps(key, protocol=5))

    def _key_back(self, key: Any) -> Any:
        if self._key_pickler is not None:
            return self._key_pickler.loads(key)
        return pickle.loads(key[1]) if type(key) is tuple and len(key) == 2 and key[0] == _PICKLED else key

    def _value(self, value: Any) -> Any:
        if self._value_pickler is None:
            return value
        file = io.BytesIO()
        self._value_pickler.dump(value, file)
        return file.getvalue()

    def _value_back(self, value: Any) -> Any:
        return value if self._value_pickler is None else self._value_pickler.load(io.BytesIO(value))

    def _limit(self, timeout: Optional[float] = None) -> float:
        """Of a wait: as there, without an end unless the program says one."""
        return timeout if timeout is not None else self._timeout if self._timeout is not None else _FOR_EVER

    def _put(self, put: Callable[[Any, Any], None], key: Any, value: Any) -> None:
        """Requires: both are as ddict has them."""
        try:
            put(key, value)
        except ddict.Error:
            raise
        except TypeError:
            put(key, _ByCloudpickle(value))

    @telling
    def __setitem__(self, key: Any, value: Any) -> None:
        if self._batch is not None:
            return self._put_into_batch(key, value, False)
        self._put(self._d.put, self._key(key), self._value(value))

    @telling
    def pput(self, key: Any, value: Any) -> None:
        """A persistent put: without checkpoints in memory every put is one."""
        if self._batch is not None:
            return self._put_into_batch(key, value, True)
        self._put(self._d.put, self._key(key), self._value(value))

    def __getitem__(self, key: Any) -> Any:
        try:
            stored = self._key(key)
            return self._value_back(self._d.wait(stored, self._limit()) if self._waits else self._d[stored])
        except ddict.NotFound:
            return self.__missing__(key)
        except ddict.Error as error:
            raise told(error) from error

    def __missing__(self, key: Any) -> Any:
        raise DDictKeyError("DRAGON_KEY_NOT_FOUND", f"there is no key {key!r}", key)

    @telling
    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or the default: at once, also with wait_for_keys."""
        value = self._d.get(self._key(key), _NOTHING)
        return default if value is _NOTHING else self._value_back(value)

    @telling
    def __contains__(self, key: Any) -> bool:
        return self._key(key) in self._d

    @telling
    def pop(self, key: Any, default: Any = _NOTHING) -> Any:
        """Removes a key and returns its value; of all who call it at once, one gets it."""
        stored = self._key(key)
        while True:
            try:
                value = self._d.pop(stored, _NOTHING)
            except ddict.InvalidArgument:  # what bput has stored: all of its copies
                value = self._d.bget(stored)
                if not self._d.berase(stored):
                    value = _NOTHING
            if value is not _NOTHING:
                return self._value_back(value)
            if default is not _NOTHING:
                return default
            if not self._waits:
                raise DDictKeyError("DRAGON_KEY_NOT_FOUND", f"there is no key {key!r}", key)
            self._d.wait(stored, self._limit())

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    @telling
    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value; if there is none, stores the default. Atomic."""
        return self._value_back(self._d.setdefault(self._key(key), self._value(default)))

    @telling
    def __len__(self) -> int:
        return len(self._d)

    @telling
    def clear(self) -> None:
        """Removes everything."""
        self._d.clear()

    def update(self, dict2: Any) -> None:
        """Puts the pairs of a mapping, or of an iterable of pairs; in a batch of puts, as a part of that."""
        is_own = self._batch is None
        if is_own:
            self.start_batch_put()
        try:
            for key, value in dict2.items() if hasattr(dict2, "items") else dict2:
                self[key] = value
        finally:
            if is_own:
                self.end_batch_put()

    @telling
    def popitem(self) -> tuple[Any, Any]:
        """Removes a pair, any, and returns it."""
        key, value = self._d.popitem()
        return self._key_back(key), self._value_back(value)

    def pickler(self, key_pickler: Any = None, value_pickler: Any = None) -> DDict:
        """This dictionary with keys by key_pickler.dumps and loads, values by value_pickler.dump and load: no client of its own."""
        other = self._like(self._d)
        other._key_pickler, other._value_pickler = key_pickler, value_pickler
        return other

    # Iterations

    def _scan(self, what: str, local: bool = False) -> Iterator[Any]:
        try:
            for found in getattr(self._d, what)(local=local):
                if what == "items":
                    yield self._key_back(found[0]), self._value_back(found[1])
                else:
                    yield self._key_back(found) if what == "keys" else self._value_back(found)
        except ddict.Error as error:
            raise told(error) from error

    def __iter__(self) -> Iterator[Any]:
        return self._scan("keys")

    def keys(self) -> DDictKeysView:
        return DDictKeysView(self)

    def values(self) -> DDictValuesView:
        return DDictValuesView(self)

    def items(self) -> DDictItemsView:
        return DDictItemsView(self)

    def local_keys(self) -> DDictKeysView:
        """Of the managers of this node; so is what len() and `in` say of it."""
        return DDictKeysView(self, True)

    def local_values(self) -> DDictValuesView:
        return DDictValuesView(self, True)

    def local_items(self) -> DDictItemsView:
        return DDictItemsView(self, True)

    @telling
    def local_len(self) -> int:
        return int(self._d.local_len())

    # Counting, waiting, broadcasts, batches

    @telling
    def fetch_add(self, key: Any, val: int = 1) -> int:
        """Adds to a counter and returns what it was before; 64 bits."""
        return int(self._d.fetch_add(self._key(key), val))

    @telling
    def wait_for(self, key: Any, value: Any, timeout: Optional[float] = None) -> None:
        """Waits until the key has this value, whatever it had before."""
        self._d.wait_for_value(self._key(key), self._value(value), self._limit(timeout))

    @telling
    def bput(self, key: Any, value: Any) -> None:
        """A copy on every manager, in a batch too, where it is made at once."""
        if self._batch is not None and self._batch_persists:
            raise DDictError("DRAGON_INVALID_OPERATION", "bput in a batch of persistent puts")
        self._put(self._d.bput, self._key(key), self._value(value))

    @telling
    def bget(self, key: Any) -> Any:
        """The value of the nearest copy; of a manager's view, its own."""
        try:
            return self._value_back(self._d.bget(self._key(key)))
        except ddict.NotFound:
            return self.__missing__(key)

    def start_batch_put(self, persist: bool = False) -> None:
        """Until end_batch_put(), puts are collected, and their errors come at its end."""
        if self._batch is not None:
            raise DDictError("DRAGON_INVALID_OPERATION", "a batch of puts is under way: end_batch_put() first")
        self._batch, self._batch_persists, self._batch_error = {}, persist, None

    @telling
    def end_batch_put(self) -> None:
        """Everything that was put is there when this returns; else it raises the first error."""
        if self._batch is None:
            raise DDictError("DRAGON_INVALID_OPERATION", "there is no batch of puts: start_batch_put() first")
        try:
            self._flush_batch()
        finally:
            self._batch = None
        if self._batch_error is not None:
            raise self._batch_error

    def _put_into_batch(self, key: Any, value: Any, persists: bool) -> None:
        assert self._batch is not None
        if persists != self._batch_persists:
            raise DDictError("DRAGON_INVALID_OPERATION", "pput in a batch of puts, or a put in one of persistent puts")
        key, value = self._key(key), self._value(value)
        if type(value) in _UNCHANGING and (not isinstance(value, (str, bytes)) or len(value) <= _LATER_BYTES_MAX):
            if key in self._batch or len(self._batch) >= _BATCH_MAX:
                self._flush_batch()  # of two values of one key the later one stays
            self._batch[key] = value
            return
        self._flush_batch()
        try:
            self._put(self._d.put, key, value)  # now: the program may change it as soon as this returns
        except ddict.Error as error:
            self._batch_error = self._batch_error or error

    def _flush_batch(self) -> None:
        pairs, self._batch = self._batch, {}
        for outcome in self._d.put_many(pairs, errors="return") if pairs else ():
            if isinstance(outcome, ddict.Error):
                self._batch_error = self._batch_error or outcome

    # Managers, and what they say

    @telling
    def manager(self, id: int) -> DDict:
        """The same dictionary, all of whose keys live on one manager: a view, no client of its own."""
        return self._like(self._d.manager(id))

    @telling
    def which_manager(self, key: Any) -> int:
        return int(self._d.which_manager(self._key(key)))

    @property
    @telling
    def local_managers(self) -> list[int]:
        return list(self._d.local_managers)

    @property
    def local_manager(self) -> Optional[int]:
        """A manager of this node, or None."""
        managers = self.local_managers
        return self.main_manager if self.main_manager in managers else managers[0] if managers else None

    @property
    @telling
    def main_manager(self) -> int:
        return int(self._d.main_manager)

    @property
    @telling
    def manager_nodes(self) -> list[Node]:
        return [Node(name) for name in self._d.manager_nodes()]

    @property
    def empty_managers(self) -> list[int]:
        """None: managers are empty only after a restart of the reference's, which is not there."""
        return []

    @property
    @telling
    def stats(self) -> list[DDictManagerStats]:
        return [DDictManagerStats(one["manager"], one["node"], one["pool_bytes"], one["used_bytes"], one["free_bytes"],
                                  100 * one["used_bytes"] / one["pool_bytes"], one["keys"], {one["largest_free_bytes"]: 1})
                for one in self._d.stats()]

    @property
    def dstats(self) -> dict[int, DDictManagerStats]:
        return {one.manager_id: one for one in self.stats}

    @telling
    def profile(self) -> dict[str, Any]:
        """What this process has done with the dictionary, and how long it took."""
        return dict(self._d.profile())

    @telling
    def profile_reset(self) -> None:
        self._d.profile_reset()

    def sync(self, timeout: Optional[float] = None) -> None:
        """Does nothing: what a call has done is done when it returns."""

    @telling
    def freeze(self) -> None:
        self._d.freeze()

    @telling
    def unfreeze(self) -> None:
        self._d.unfreeze()

    @property
    @telling
    def is_frozen(self) -> bool:
        return bool(self._d.is_frozen)

    @telling
    def filter(self, mgr_code: Callable[..., Any], mgr_code_args: tuple[Any, ...], comparator: Callable[[Any, Any], bool],
               branching_factor: int = 5) -> _dragon_filter.Found:
        """Runs mgr_code(dd, out_queue, *mgr_code_args) beside each manager; what they put into out_queue comes merged: x before y
        where comparator(x, y). A context manager that gives an iterator."""
        return _dragon_filter.Found(self._d.filter(_dragon_filter.run, self.__getstate__(), mgr_code, mgr_code_args, comparator,
                                                   key=_dragon_filter.order(comparator)))

    # Checkpoints

    @property
    def checkpoint_id(self) -> int:
        """0: there is one checkpoint, what is there now."""
        return 0

    @checkpoint_id.setter
    def checkpoint_id(self, chkpt_id: int) -> None:
        if chkpt_id < 0:
            raise ValueError("a checkpoint's number is 0 or more")
        if chkpt_id > 0:
            raise not_there(_CHECKPOINTS)

    def rollback(self) -> None:
        """To the checkpoint before, and no further than 0: there it is."""

    def sync_to_newest_checkpoint(self) -> None:
        """0 is the newest."""

    def checkpoint(self) -> None:
        raise not_there(_CHECKPOINTS, "put the step into the key, as in d[\"field\", step]")

    def persist(self) -> None:
        raise not_there("persist", SAVING)

    def persisted_ids(self) -> list[int]:
        raise not_there("persisted_ids", "ddict.checkpoints(dir) lists what was saved")

    def restore(self, chkpt: int) -> None:
        raise not_there("restore", "dictionary.load(path) loads what was saved")

    def advance(self) -> None:
        raise not_there("advance")

    def clone(self, clone_list: list[str]) -> None:
        raise not_there("clone", "dictionary.save(dir) here, and dictionary.load(path) there")

    def copy(self, name: str = "") -> DDict:
        raise not_there("copy", "dictionary.save(dir) here, and ddict.load(path) makes another of it")

    @classmethod
    def synchronize_ddicts(cls, serialized_ddicts: list[str]) -> None:
        raise not_there("synchronize_ddicts")


collections.abc.MutableMapping.register(DDict)


def _is_plain(key: Any) -> bool:
    kind = type(key)
    if kind is int:
        return bool(-(2**63) <= key < 2**64)
    if kind is tuple:
        return bool(key) and all(map(_is_plain, key))
    return kind in (str, bytes, float, bool) and key not in ("", b"")
