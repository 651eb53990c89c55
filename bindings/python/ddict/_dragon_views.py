# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The views of a DDict of ddict.dragon, and what it says of its managers."""

from __future__ import annotations

import collections.abc
import dataclasses
from typing import Any, Optional

from ddict._dragon_errors import telling


class Node(str):
    """The node of a manager: its host's name."""

    __slots__ = ()

    @property
    def hostname(self) -> str:
        return str(self)


@dataclasses.dataclass
class DDictManagerStats:
    """What a manager says of itself. free_blocks has the largest free block alone; pool allocations are not counted (None)."""

    manager_id: int
    hostname: str
    total_bytes: int
    total_used_bytes: int
    pool_free_space: int
    pool_utilization: float
    num_keys: int
    free_blocks: dict[int, int]
    max_pool_allocations: Optional[int] = None
    max_pool_allocations_used: Optional[int] = None
    current_pool_allocations_used: Optional[int] = None
    timekeeper_stats: Any = None


class _View(collections.abc.MappingView):
    """Streams, as the views of ddict do."""

    __slots__ = ("_local",)
    _mapping: Any  # a DDict

    def __init__(self, mapping: Any, local: bool = False) -> None:
        super().__init__(mapping)
        self._local = local

    @telling
    def __len__(self) -> int:
        return int(self._mapping.local_len()) if self._local else len(self._mapping)

    @property
    def mapping(self) -> Any:
        """The dictionary that this is a view of."""
        return self._mapping


class DDictKeysView(_View, collections.abc.KeysView):  # type: ignore[type-arg]
    """The keys of a DDict."""

    __slots__ = ()

    @telling
    def __contains__(self, key: object) -> bool:
        if self._local and self._mapping.which_manager(key) not in self._mapping.local_managers:
            return False
        return key in self._mapping

    def __iter__(self) -> Any:
        return self._mapping._scan("keys", self._local)

    @classmethod
    def _from_iterable(cls, keys: Any) -> Any:
        return set(keys)


class DDictValuesView(_View, collections.abc.ValuesView):  # type: ignore[type-arg]
    """The values of a DDict."""

    __slots__ = ()

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)

    def __iter__(self) -> Any:
        return self._mapping._scan("values", self._local)


class DDictItemsView(_View, collections.abc.ItemsView):  # type: ignore[type-arg]
    """The pairs of a DDict."""

    __slots__ = ()

    def __contains__(self, pair: object) -> bool:
        return any(found == pair for found in self)

    def __iter__(self) -> Any:
        return self._mapping._scan("items", self._local)

    @classmethod
    def _from_iterable(cls, pairs: Any) -> Any:
        return set(pairs)
