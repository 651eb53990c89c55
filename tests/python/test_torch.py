# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""torch, where it is installed: tensors as values, and a DataLoader whose workers read the dictionary."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ddict.torch  # noqa: E402  (needs torch)


def test_tensors(d):
    tensor = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    d["t"] = tensor
    assert torch.equal(d["t", torch], tensor) and d["t"].dtype == np.float32
    out = torch.empty(3, 4)
    assert d.get_into("t", out) is out and torch.equal(out, tensor)
    rows = torch.empty(2, 3, 4)
    d.get_batch(["t", "t"], out=rows)
    assert torch.equal(rows[1], tensor)
    d["model"] = torch.nn.Linear(2, 2).state_dict()
    assert d["model"]["weight"].shape == (2, 2)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_loader_with_workers(d, method):
    keys = [("sample", i) for i in range(100)]
    d.put_many((key, np.full(8, key[1], "f4")) for key in keys)
    dataset = ddict.torch.Dataset(d, keys)
    assert dataset[3].tolist() == [3] * 8 and len(dataset) == 100
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, sampler=ddict.torch.batches(len(keys), 16), num_workers=2,
                                         multiprocessing_context=method, timeout=100)
    orders = []
    for _ in range(2):
        found = [batch for batch in loader]
        assert [len(batch) for batch in found] == [16] * 6 + [4] and len(loader) == 7
        orders.append(torch.cat(found)[:, 0].tolist())
        assert sorted(orders[-1]) == list(range(100))
    assert orders[0] != orders[1]


def test_torch_batches_single_samples_too(d):
    d.put_many((i, np.full(8, i, "f4")) for i in range(10))
    loader = torch.utils.data.DataLoader(ddict.torch.Dataset(d, range(10), transform=lambda row: row * 2), batch_size=4)
    assert torch.cat(list(loader))[:, 0].tolist() == [2.0 * i for i in range(10)]


def test_a_sample_that_is_missing(d):
    d[0] = np.zeros(3)
    with pytest.raises(ddict.NotFound):
        ddict.torch.Dataset(d, [0, 1])[[0, 1]]
