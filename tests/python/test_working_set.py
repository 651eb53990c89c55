# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in memory: steps without a barrier."""

import multiprocessing
import pickle

import numpy as np
import pytest

import ddict


@pytest.fixture
def steps():
    d = ddict.create(managers_per_node=2, total_mem="64M", working_set=3)
    yield d
    d.destroy()


def test_a_reader_a_step_behind_sees_its_own_step(steps):
    d = steps
    d["mesh"] = "constant"
    d["field"] = np.zeros(4)
    assert d.checkpoint_id == 0
    assert d.checkpoint() == 1
    d["field"] = np.ones(4)
    del d["mesh"]
    assert d["field"].sum() == 4
    assert d.at(0)["field"].sum() == 0 and d.at(0)["mesh"] == "constant"
    assert "mesh" not in d and len(d) == 1 and len(d.at(0)) == 2
    assert sorted(d.at(0)) == ["field", "mesh"] and list(d) == ["field"]
    assert d.at(ddict.NEWEST)["field"].sum() == 4
    assert d.rollback() == 0 and d["mesh"] == "constant"
    assert d.newest_checkpoint_id() == 1 and d.checkpoint_id == 0
    assert d.sync_to_newest_checkpoint() == 1 and d.checkpoint_id == 1
    d.checkpoint_id = 0
    assert d["field"].sum() == 0


def test_what_is_too_old_is_refused(steps):
    d = steps
    d["key"] = 0
    for _ in range(4):
        d.checkpoint()
        d["key"] = d.checkpoint_id
    assert d.at(2)["key"] == 2
    for call in (lambda: d.at(1)["key"], lambda: d.at(1).put("key", 1), lambda: d.at(1).pop("key"),
                 lambda: "key" in d.at(1)):
        with pytest.raises(ddict.CheckpointRetired, match="sync_to_newest_checkpoint") as caught:
            call()
        assert caught.value.key == "key" and caught.value.code == "checkpoint_retired"


def test_bad_ids(steps):
    d = steps
    for bad in (-1, 2**40, "1"):
        with pytest.raises(TypeError):
            d.at(bad)
    with pytest.raises(ddict.InvalidArgument):
        d.at(2**31)
    with pytest.raises(ddict.InvalidArgument):
        d.checkpoint_id = ddict.NEWEST + 1
    for call in (lambda: d.at(0).checkpoint(), lambda: d.at(0).rollback(), lambda: d.at(0).sync_to_newest_checkpoint()):
        with pytest.raises(ddict.InvalidArgument, match="at\\(\\)"):
            call()
    assert d.checkpoint_id == 0


def in_child(d, view, results):
    results.put((d.checkpoint_id, d["key"], view.checkpoint_id, view["key"]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_go_on_at_the_same(steps, method):
    d = steps
    d["key"] = "old"
    d.checkpoint()
    d["key"] = "new"
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=in_child, args=(d, d.at(0), results))
    child.start()
    assert results.get(timeout=60) == (1, "new", 0, "old")
    child.join(60)
    assert child.exitcode == 0
    assert pickle.loads(pickle.dumps(d.at(0)))["key"] == "old"


def test_checkpoints_that_wait():
    with pytest.raises(ddict.InvalidArgument, match="--working-set 2"):
        ddict.create(total_mem="16M", wait_for_keys=True)
    d = ddict.create(total_mem="16M", working_set=2, wait_for_keys=True)
    try:
        d["step"] = 0
        d.persistent()["mesh"] = "of all"
        d.checkpoint()
        assert d["mesh"] == "of all" and list(d) == ["mesh"]
        assert d.get("step") is None and d.pop("step", 7) == 7 and "step" not in d
        with pytest.raises(ddict.Timeout, match="waits for keys"):
            d.within(0.05)["step"]
        for view in (d.at_once(), pickle.loads(pickle.dumps(d.at_once()))):
            with pytest.raises(KeyError):
                view["step"]
        d["other"] = 1
        with pytest.raises(ddict.Timeout, match="checkpoint 2 begins when 0 is retired") as caught:
            d.at(2).within(0.05)["step"] = 2
        assert caught.value.key == "step" and d.newest_checkpoint_id() == 1
        assert d.setdefault("step", 1) == 1 and d.at(0)["step"] == 0
        pickle.loads(pickle.dumps(d.persistent()))["late"] = 5
        d.checkpoint()
        d["step"] = 2
        assert d["late"] == 5
    finally:
        d.destroy()
