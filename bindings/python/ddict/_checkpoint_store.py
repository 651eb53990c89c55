# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A place of one's own for checkpoints, below their format."""

from __future__ import annotations

import abc
import typing
from typing import Iterable, Union


class CheckpointObject(typing.Protocol):
    """An object that is being written. It is there, whole, when commit() returns, and not before; abort() is called instead, if
    there is such a method, when it is given up."""

    def write(self, data: bytes) -> None: ...

    def commit(self) -> None: ...


class CheckpointStore(abc.ABC):
    """What Dictionary.set_checkpoint_store() takes: named objects, of which "commit" makes those beside it a checkpoint.

    Names are texts such as "steps/000012/manager-000003.ddict"; the slashes need not mean folders. What a method raises reaches
    the caller of save() or load() as a SystemFailure; FileNotFoundError or KeyError says for certain that there is no such object,
    FileExistsError that there is one already. Methods may be called by several threads at once, one after the other.
    """

    @abc.abstractmethod
    def create(self, name: str) -> CheckpointObject:
        """Begins a new object."""

    @abc.abstractmethod
    def size(self, name: str) -> int:
        """How many bytes it has."""

    @abc.abstractmethod
    def read(self, name: str, offset: int, count: int) -> Union[bytes, bytearray, memoryview]:
        """So many bytes of it from this offset on, which are never more than there are."""

    @abc.abstractmethod
    def list(self, prefix: str) -> Iterable[str]:
        """The names of all objects that begin with this, in any order."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """No error if it is not there."""
