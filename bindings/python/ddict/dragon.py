# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The dictionary by the names of Dragon's DDict, for programs that come from there.

    from ddict.dragon import DDict          # was: from dragon.data.ddict import DDict

docs/dragon.md goes through what differs. What is not there raises DDictNotImplementedError.
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
                                  DDictUnableToCreateError, not_there, telling, told)
from ddict._dragon_options import CheckpointPersister, DAOSCheckpointPersister, NULLCheckpointPersister, PosixCheckpointPersister
from ddict._dragon_views import DDictItemsView, DDictKeysView, DDictManagerStats, DDictValuesView, Node

__all__ = ["CheckpointPersister", "DAOSCheckpointPersister", "DDict", "DDictCheckpointSyncError", "DDictError", "DDictFullError",
           "DDictFutureCheckpointError", "DDictItemsView", "DDictKeyError", "DDictKeysView", "DDictManagerStats",
           "DDictNotImplementedError", "DDictPersistCheckpointError", "DDictSyncError", "DDictTimeoutError",
           "DDictUnableToCreateError", "DDictValuesView", "NULLCheckpointPersister", "Node", "PosixCheckpointPersister"]

_NOTHING = object()
_FOR_EVER = float("inf")
_PICKLED = "pickled key"
_WAITS = ",wait_for_keys"
_WAITS_FOR_WRITERS = ",wait_for_writers"
_BATCH_MAX = 512
_LATER_BYTES_MAX = 16 * 1024
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
        except ddict.NotFound as error:
            missing = "DRAGON_FAILURE" if restore_from is None else "DRAGON_DDICT_PERSIST_CHECKPOINT_UNAVAILABLE"
            raise DDictUnableToCreateError(missing, str(error)) from error
        except ddict.Error as error:
            raise DDictUnableToCreateError("DRAGON_FAILURE", str(error)) from error
        self._become(made, timeout, wait_for_keys, wait_for_writers)
        if _dragon_options.is_own(persister_class):
            _dragon_options.persist_to(self, persister_class(persist_path), restore_from)

    def _become(self, made: Any, timeout: Optional[float], waits: bool, waits_for_writers: bool) -> None:
        self._d: Any = made
        self._timeout = timeout
        self._waits = waits
        self._has_store = False
        self._waits_for_writers = waits_for_writers
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
        handle, waits = serialized_dict, []
        for word in (_WAITS_FOR_WRITERS, _WAITS):
            waits.append(isinstance(handle, str) and handle.endswith(word))
            handle = handle[: -len(word)] if waits[-1] else handle
        made = telling(ddict.attach)(handle, timeout=timeout, attach_timeout=10.0 if timeout is None else timeout)
        self._become(made, timeout, waits[1], waits[0])
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
        return str(self._d.handle) + (_WAITS if self._waits else "") + (_WAITS_FOR_WRITERS if self._waits_for_writers else "")

    def detach(self) -> None:
        """Ends this object's use of the dictionary; other objects of this process keep theirs."""
        self._d = _Detached()

    def destroy(self, allow_restart: bool = False) -> None:
        """Ends the dictionary for everybody, and gives its memory back; with allow_restart it stays in the shared memory of its
        nodes, for DDict(restart=True) with the same name. A second time it does nothing."""
        try:
            if not isinstance(self._d, _Detached):
                self._d.destroy(keep=allow_restart)
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

    def _for_puts(self) -> Any:
        """Where checkpoints wait, a put may take until those whom they wait for are there."""
        return self._d.within(self._limit()) if self._waits or self._waits_for_writers else self._d

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
        self._put(self._for_puts().put, self._key(key), self._value(value))

    @telling
    def pput(self, key: Any, value: Any) -> None:
        """A persistent put: without wait_for_keys every put is one."""
        if self._batch is not None:
            return self._put_into_batch(key, value, True)
        self._put(self._for_puts().persistent().put, self._key(key), self._value(value))

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
        view = self._for_puts().persistent() if self._batch_persists else self._for_puts()
        for outcome in view.put_many(pairs, errors="return") if pairs else ():
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
    @telling
    def empty_managers(self) -> list[int]:
        """After restart=True: the managers of which nothing was left on their nodes."""
        return [int(one) for one in self._d.empty_managers()]

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

    def _go_to(self, chkpt_id: int) -> None:
        self._d = self._d.at(chkpt_id)

    @property
    @telling
    def checkpoint_id(self) -> int:
        """Of this object's calls; others have their own."""
        return int(self._d.checkpoint_id)

    @checkpoint_id.setter
    @telling
    def checkpoint_id(self, chkpt_id: int) -> None:
        if chkpt_id < 0:
            raise ValueError("a checkpoint's number is 0 or more")
        self._go_to(chkpt_id)

    @telling
    def rollback(self) -> None:
        """To the checkpoint before, and no further than 0."""
        self._go_to(max(self._d.checkpoint_id, 1) - 1)

    @telling
    def sync_to_newest_checkpoint(self) -> None:
        """To the newest that any manager has seen."""
        self._go_to(self._d.newest_checkpoint_id())

    @telling
    def checkpoint(self) -> None:
        """To the next one."""
        self._go_to(self._d.checkpoint_id + 1)

    @telling
    def persist(self) -> None:
        """Saves what is seen at this object's checkpoint, all of it, whichever that is; without a persister, nothing."""
        if self._d.persist_path or self._has_store:
            self._d.persist()

    @telling
    def persisted_ids(self) -> list[int]:
        """Of the checkpoints that are complete; without a persister, none."""
        return [int(one) for one in self._d.persisted_ids()] if self._d.persist_path or self._has_store else []

    @telling
    def restore(self, chkpt: int) -> None:
        """What was persisted takes the place of all that is there, and this object goes on at it. No file is removed."""
        if self._batch is not None:
            raise DDictError("DRAGON_INVALID_OPERATION", "a batch of puts is under way: end_batch_put() first")
        if chkpt not in self.persisted_ids():
            raise DDictPersistCheckpointError("DRAGON_INVALID_OPERATION", f"checkpoint {chkpt} is not persisted: {self.persisted_ids()} are")
        self._d.restore(chkpt)
        self._go_to(chkpt)

    @telling
    def advance(self) -> None:
        """Of a dictionary that is read_only: to the next persisted checkpoint; DDictPersistCheckpointError if there is none."""
        if not self._d.is_read_only:
            raise DDictError("DRAGON_INVALID_OPERATION", "advance() is of a dictionary that is read_only: restore(id) goes to any")
        following = [one for one in self.persisted_ids() if one > self.checkpoint_id]
        if not following:
            raise DDictPersistCheckpointError("DRAGON_INVALID_OPERATION", f"no checkpoint after {self.checkpoint_id} is persisted")
        self.restore(following[0])

    @telling
    def clone(self, clone_list: list[str]) -> None:
        """What is seen at this object's checkpoint takes the place of all that is in these, whatever their number of managers."""
        for serialized in clone_list:
            self._d.clone_to(DDict.attach(serialized).dictionary)

    @telling
    def copy(self, name: str = "") -> DDict:
        """A new dictionary like this one, with what is seen at this object's checkpoint."""
        made = self._d.copy(name=name or _dragon_options.random_name())
        other = self.__class__.__new__(self.__class__)
        other._become(made, self._timeout, self._waits, self._waits_for_writers)
        return other

    @classmethod
    @telling
    def synchronize_ddicts(cls, serialized_ddicts: list[str]) -> None:
        """Fills the managers that began empty from one of these that has all."""
        if not serialized_ddicts:
            raise ValueError("a list of serialized dictionaries is needed")
        all_of_them = [cls.attach(one).dictionary for one in serialized_ddicts]
        full = [one for one in all_of_them if not one.empty_managers()]
        if not full:
            raise RuntimeError("each of them has managers that began empty: there is none to fill them from")
        for one in (one for one in all_of_them if one.empty_managers()):
            one.synchronize_from(full[0].at(full[0].newest_checkpoint_id()))


collections.abc.MutableMapping.register(DDict)


def _is_plain(key: Any) -> bool:
    kind = type(key)
    if kind is int:
        return bool(-(2**63) <= key < 2**64)
    if kind is tuple:
        return bool(key) and all(map(_is_plain, key))
    return kind in (str, bytes, float, bool) and key not in ("", b"")
