# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What a dictionary was saved to, and what is made of saving and loading."""

from __future__ import annotations

import dataclasses
import datetime
import os
import warnings
from typing import Any, Callable, Optional, Union

from ddict import _errors
from ddict._ddict import Dictionary, create


@dataclasses.dataclass(frozen=True)
class CheckpointInfo:
    """One checkpoint. All but path and state are of one that is committed."""

    path: str
    """Its folder."""
    state: str
    """committed, damaged, writing, or unfinished: left by a save that has died."""
    name: str
    """The dictionary's."""
    generation: int
    checkpoint: int
    """The id, in memory, of what was saved."""
    managers: int
    pairs: int
    value_bytes: int
    bytes: int
    """Of its files."""
    began: datetime.datetime
    ended: datetime.datetime
    error: Optional[_errors.Error]
    """Of one that is damaged: why. Of one just saved: why an older one could not be removed."""


@dataclasses.dataclass(frozen=True)
class PersistStatus:
    """How checkpoints are persisted by themselves."""

    running: bool
    every: int
    """0: nothing does so."""
    persisted: int
    overtaken: int
    """Gone from memory before they were written."""
    failed: int
    last_persisted: Optional[int]
    """An id."""
    last_missed: Optional[int]
    error: Optional[_errors.Error]
    """Of that one; or what else keeps it from persisting now."""


class DamagedCheckpoint(UserWarning):
    """load_latest() has passed over a checkpoint: the text says which, and what is wrong with it."""


def made(path: str, state: str, name: str, generation: int, checkpoint: int, managers: int, pairs: int, value_bytes: int, size: int,
         began: float, ended: float, error: Optional[_errors.Error]) -> CheckpointInfo:
    def time_of(seconds: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    return CheckpointInfo(path, state, name, generation, checkpoint, managers, pairs, value_bytes, size, time_of(began), time_of(ended), error)


def load_latest(self: Dictionary, dir: Union[str, os.PathLike[str]], *,  # pylint: disable=redefined-builtin
                progress: Optional[Callable[[int, int, int], Any]] = None, threads: int = 0,
                exclusive: bool = False) -> Optional[CheckpointInfo]:
    """load() of the newest checkpoint that a dictionary of this name has saved to dir and that is whole; None if there is none yet.

    A damaged one is passed over, with a DamagedCheckpoint warning; if all are damaged, that is a ProtocolError. If it cannot be
    found out whether there is one, as when a file system is away, that is a SystemFailure.
    """
    try:
        loaded, damaged = self._load_latest(dir, progress, threads, exclusive)
    except _errors.NotFound:
        return None
    for one in damaged:
        warnings.warn(f"passed over: {one.path}: {one.error}", DamagedCheckpoint, stacklevel=2)
    return loaded


def load(path: Union[str, os.PathLike[str]], **options: Any) -> Dictionary:
    """Starts a dictionary that begins with a checkpoint: create(**options), and load(path) into it.

    If that cannot be loaded, there is no dictionary.
    """
    dictionary = create(**options)
    try:
        dictionary.load(path, exclusive=True)
    except BaseException:
        dictionary.destroy()
        raise
    return dictionary


def install() -> None:
    load_latest.__qualname__ = "Dictionary.load_latest"
    setattr(Dictionary, "load_latest", load_latest)
