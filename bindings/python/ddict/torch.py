# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of a dictionary for torch's DataLoader: each batch is one call, and its rows are received into one tensor.

    loader = DataLoader(ddict.torch.Dataset(d, keys), batch_size=None, sampler=ddict.torch.batches(len(keys), 128), num_workers=4)
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, Iterator, Optional, Sequence, Union

import numpy as np

from ddict._ddict import Dictionary

# Not by an import statement: who checks types would have all of torch checked.
torch: Any = importlib.import_module("torch")


class Dataset(torch.utils.data.Dataset):  # type: ignore[misc]
    """The values of keys, arrays of one shape and element type, by their index. A list of indices gives one tensor of their rows.

    It pickles as the dictionary does, and a worker that is forked uses what it inherits."""

    def __init__(self, dictionary: Dictionary, keys: Sequence[Any], transform: Optional[Callable[[Any], Any]] = None) -> None:
        self._d = dictionary
        self._keys = keys
        self._transform = transform
        self._row: Optional[tuple[tuple[int, ...], Any]] = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: Union[int, Sequence[int]]) -> Any:
        found = torch.from_numpy(self._d[self._keys[index]]) if isinstance(index, int) else self._rows(index)
        return found if self._transform is None else self._transform(found)

    def _rows(self, indices: Sequence[int]) -> Any:
        if self._row is None:
            first = self._d[self._keys[indices[0]]]
            self._row = first.shape, first.dtype
        shape, dtype = self._row
        rows = np.empty((len(indices), *shape), dtype)
        self._d.get_batch([self._keys[index] for index in indices], out=rows)
        return torch.from_numpy(rows)


class batches:
    """A sampler for DataLoader(batch_size=None): lists of indices, in another order each time, the last one shorter."""

    def __init__(self, count: int, size: int, shuffle: bool = True, seed: int = 0) -> None:
        self._count, self._size, self._shuffle, self._seed = count, size, shuffle, seed

    def __len__(self) -> int:
        return -(-self._count // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng(self._seed).permutation(self._count) if self._shuffle else np.arange(self._count)
        self._seed += 1
        for begin in range(0, self._count, self._size):
            yield order[begin:begin + self._size].tolist()
