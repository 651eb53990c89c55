# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The exceptions of ddict.dragon, by the reference's names, and which of them an error of ddict is."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, cast

from ddict import _errors


class DDictError(Exception):
    """What all others are too. lib_err is the reference's code as a text, such as "DRAGON_KEY_NOT_FOUND"; the cause is an
    error of ddict, which names key, manager and node."""

    def __init__(self, lib_err: str = "DRAGON_FAILURE", msg: str = "", lib_msg: str = "") -> None:
        super().__init__(lib_err, msg, lib_msg)
        self.lib_err, self.msg, self.lib_msg = lib_err, msg, lib_msg

    def __str__(self) -> str:
        return f"{self.msg} ({self.lib_err})"


class DDictKeyError(DDictError, KeyError):
    """There is no such key; key has it."""

    def __init__(self, lib_err: str = "DRAGON_KEY_NOT_FOUND", msg: str = "", key: Any = None) -> None:
        super().__init__(lib_err, msg)
        self.args = (lib_err, msg, key)
        self.key = key


class DDictFullError(DDictError):
    """The memory of the key's manager is full, or the value is larger than that."""


class DDictTimeoutError(DDictError, TimeoutError):
    """The deadline has passed."""


class DDictUnableToCreateError(DDictError, RuntimeError):
    """The dictionary could not be started."""


class DDictSyncError(DDictError):
    """Of the reference's synchronizing of dictionaries, which is not there."""


class DDictCheckpointSyncError(DDictError):
    """The checkpoint is older than the working set: sync_to_newest_checkpoint()."""


class DDictFutureCheckpointError(DDictError):
    """Of the reference's batches at a checkpoint that is too new, which ddict takes."""


class DDictPersistCheckpointError(DDictError):
    """There is no such persisted checkpoint."""


class DDictNotImplementedError(DDictError, NotImplementedError):
    """The reference has this, and ddict has not; the text says what does instead."""


SAVING = "dictionary.save(dir) and ddict.load(path) keep a dictionary on disk, as ddict save and ddict load do in the shell"


def not_there(what: str, instead: str = "") -> DDictNotImplementedError:
    return DDictNotImplementedError("DRAGON_NOT_IMPLEMENTED", f"{what}: not there{'; ' if instead else ''}{instead}")


KEY_BYTES_MAX = 1024
_CODES: dict[type, tuple[type[DDictError], str]] = {
    _errors.NoSpace: (DDictFullError, "DRAGON_MEMORY_POOL_FULL"),
    _errors.TooLarge: (DDictFullError, "DRAGON_MEMORY_POOL_FULL"),
    _errors.Timeout: (DDictTimeoutError, "DRAGON_TIMEOUT"),
    _errors.Frozen: (DDictError, "DRAGON_INVALID_OPERATION"),
    _errors.InvalidArgument: (DDictError, "DRAGON_INVALID_ARGUMENT"),
    _errors.BadHandle: (DDictError, "DRAGON_INVALID_ARGUMENT"),
    _errors.NotAttached: (DDictError, "DRAGON_OBJECT_DESTROYED"),
    _errors.DictionaryGone: (DDictError, "DRAGON_OBJECT_DESTROYED"),
    _errors.ManagerLost: (DDictError, "DRAGON_OBJECT_DESTROYED"),
    _errors.CheckpointRetired: (DDictCheckpointSyncError, "DRAGON_DDICT_CHECKPOINT_RETIRED"),
}


def told(error: _errors.Error) -> DDictError:
    """An error of ddict by the reference's names."""
    if isinstance(error, _errors.NotFound):
        return DDictKeyError("DRAGON_KEY_NOT_FOUND", str(error), error.key)
    if isinstance(error, _errors.TooLarge) and error.have_bytes == KEY_BYTES_MAX:
        return DDictError("DRAGON_INVALID_ARGUMENT", str(error))
    kind, code = _CODES.get(type(error), (DDictError, "DRAGON_FAILURE"))
    return kind(code, str(error))


Method = TypeVar("Method", bound=Callable[..., Any])


def telling(method: Method) -> Method:
    """A method whose errors are told by the reference's names."""

    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except _errors.Error as error:
            raise told(error) from error

    return cast(Method, call)
