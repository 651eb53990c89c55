# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The exceptions: one class for each error code, of the built-in class that fits too.

docs/errors.md says what is known for sure with each, and what to do.
"""

from __future__ import annotations

from typing import Any, Optional


class Error(Exception):
    """A call has failed. The text has all of it; the attributes have its parts."""

    code: str = ""
    operation: Optional[str] = None
    """What was being done: "put", "get", ..."""
    key: Any = None
    """The key, if it was about one."""
    manager: Optional[int] = None
    node: Optional[str] = None
    in_doubt: bool = False
    """A change was sent and its outcome is not known: it may have been made. If False, it was not."""
    manager_state: str = "unknown"
    """What is known of the manager: unknown, answered, silent, unreachable, ended."""
    need_bytes: int = 0
    have_bytes: int = 0
    detail: Optional[str] = None

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message)
        for name, value in fields.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_again, (self.__class__, self.args[0] if self.args else "", self.__dict__.copy()))


def _again(kind: type, message: str, fields: dict[str, Any]) -> Error:
    error: Error = kind(message, **fields)
    return error


class NotFound(Error, KeyError):
    """There is no such key."""

    code = "not_found"


class NoSpace(Error, MemoryError):
    """The manager's memory is full: need_bytes, have_bytes."""

    code = "no_space"


class TooLarge(Error, ValueError):
    """A key above 1024 bytes, or a value that no manager can hold."""

    code = "too_large"


class InvalidArgument(Error, ValueError):
    """The call itself is wrong."""

    code = "invalid_argument"


class WrongType(Error, TypeError):
    """The stored value is of another type than the one that was asked for."""

    code = "wrong_type"


class Unreadable(WrongType):
    """A pickle that cannot be read here; its cause is what pickle says."""


class Timeout(Error, TimeoutError):
    """The deadline has passed; manager_state says whether the manager answered."""

    code = "timeout"


class ManagerLost(Error, ConnectionError):
    """The manager has ended, or cannot be reached; the keys of others are not affected."""

    code = "manager_lost"


class DictionaryGone(Error, ConnectionError):
    """The dictionary has ended."""

    code = "dictionary_gone"


class NotAttached(Error, RuntimeError):
    """There is no dictionary here, or it was detached."""

    code = "not_attached"


class BadHandle(Error, ValueError):
    """The handle is damaged, or none."""

    code = "bad_handle"


class Incompatible(Error, RuntimeError):
    """The other side has another version."""

    code = "incompatible"


class AccessDenied(Error, PermissionError):
    """The secret is not this dictionary's."""

    code = "access_denied"


class ProtocolError(Error, ConnectionError):
    """The other side sent something malformed."""

    code = "protocol"


class SystemFailure(Error, OSError):
    """The operating system, Slurm, PMIx or UCX refused something."""

    code = "system"


class Frozen(Error, RuntimeError):
    """The dictionary is frozen, and this would change it."""

    code = "frozen"


class Busy(Error, RuntimeError):
    """A bound is reached: again, or with fewer at once."""

    code = "busy"


class CheckpointRetired(Error, RuntimeError):
    """The checkpoint is older than those that are kept: go on at a newer one (sync_to_newest_checkpoint())."""

    code = "checkpoint_retired"


BY_CODE: dict[str, type[Error]] = {
    kind.code: kind
    for kind in (NotFound, NoSpace, TooLarge, InvalidArgument, WrongType, Timeout, ManagerLost, DictionaryGone,
                 NotAttached, BadHandle, Incompatible, AccessDenied, ProtocolError, SystemFailure, Frozen, Busy,
                 CheckpointRetired)
}
