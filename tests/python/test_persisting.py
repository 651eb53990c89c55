# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A dictionary that is persisted, checkpoint by checkpoint, and restored."""

import multiprocessing
import pickle
import time

import pytest

import ddict


@pytest.fixture
def steps(tmp_path):
    made = ddict.create(managers_per_node=2, total_mem="32M", name="steps", working_set=2, persist_path=tmp_path, persist_count=3)
    yield made
    try:
        made.destroy()
    except ddict.NotAttached:
        pass


def _seen(d):
    return d.checkpoint_id, d["k"]


def test_any_step_is_restored(steps, tmp_path):
    assert steps.persist_path == str(tmp_path) and steps.persisted_ids() == []
    for step in range(5):
        steps["step"], steps["of", step] = step, [step]
        saved = steps.persist()
        assert isinstance(saved, ddict.CheckpointInfo) and saved.checkpoint == step
        steps.checkpoint()
    assert steps.persisted_ids() == [2, 3, 4]
    restored = steps.restore(3)
    assert restored.checkpoint == 3 and steps.checkpoint_id == 3 == steps.newest_checkpoint_id()
    assert steps["step"] == 3 and steps["of", 0] == [0] and ("of", 4) not in steps
    with pytest.raises(ddict.CheckpointRetired):
        steps.at(2).get("step")
    with pytest.raises(ddict.NotFound, match="which has 2, 3, 4") as raised:
        steps.restore(1)
    assert raised.value.operation == "restore" and steps["step"] == 3
    with pytest.raises(ddict.InvalidArgument):
        steps.manager(0).persist()
    with pytest.raises(TypeError):
        steps.restore("3")
    with pytest.raises(ZeroDivisionError):
        steps.persist(progress=lambda *_: 1 / 0)


def test_a_view_is_persisted_at_its_checkpoint(steps):
    steps["k"] = "old"
    steps.checkpoint()
    steps["k"] = "new"
    assert steps.at(0).persist().checkpoint == 0 and steps.at(0).save(steps.persist_path).checkpoint == 0
    steps.restore(0)
    assert steps["k"] == "old" and steps.persisted_ids() == [0]


def test_a_dictionary_that_begins_with_one(steps, tmp_path):
    steps.checkpoint_id = 6
    steps["k"] = "v"
    steps.persist()
    other = pickle.loads(pickle.dumps(steps))
    assert other.persist_path == str(tmp_path) and other.persisted_ids() == [6]
    with pytest.raises(ddict.Busy):
        ddict.create(total_mem="16M", name="steps", persist_path=tmp_path)
    steps.destroy()
    options = {"managers_per_node": 3, "total_mem": "32M", "name": "steps", "persist_path": str(tmp_path)}
    again = ddict.create(restore_from=6, **options)
    assert dict(again) == {"k": "v"} and again.checkpoint_id == 6
    with multiprocessing.get_context("fork").Pool(1) as pool:  # which attaches anew
        assert pool.apply(_seen, (again,)) == (6, "v")
    again.destroy()
    with pytest.raises(ddict.NotFound):
        ddict.create(restore_from=7, **options)


def test_without_a_persist_path(d):
    assert d.persist_path == ""
    for call in (d.persist, d.persisted_ids, lambda: d.restore(0)):
        with pytest.raises(ddict.InvalidArgument, match="no persist path"):
            call()


def test_read_only(steps, tmp_path):
    for step in (0, 3):
        steps.checkpoint_id = step
        steps["step"] = step
        steps.persist()
    with pytest.raises(ddict.InvalidArgument):
        steps.advance()
    options = {"total_mem": "32M", "name": "steps", "persist_path": tmp_path, "read_only": True}
    with pytest.raises(ddict.InvalidArgument):
        ddict.create(**options)
    reader = ddict.create(restore_from=0, **options)
    assert reader.is_read_only and not steps.is_read_only and reader["step"] == 0
    for call in (lambda: reader.put("k", 1), reader.clear, lambda: reader.update(a=1), reader.unfreeze, reader.persist):
        with pytest.raises(ddict.Frozen, match="read-only"):
            call()
    assert reader.advance().checkpoint == 3 == reader.checkpoint_id and reader["step"] == 3
    with pytest.raises(ddict.NotFound, match="no checkpoint after 3"):
        reader.advance()
    assert reader.restore(0).checkpoint == 0 and reader["step"] == 0
    reader.destroy()


def _wait_until(done):
    deadline = time.monotonic() + 40
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_second_by_itself(tmp_path):
    steps = ddict.create(total_mem="32M", name="steps", working_set=2, persist_path=tmp_path, persist_freq=2)
    _wait_until(lambda: steps.persist_status().running)
    for step in range(5):
        steps["step"] = step
        steps.checkpoint()
    _wait_until(lambda: steps.persist_status().persisted == 2)
    status = steps.persist_status()
    assert isinstance(status, ddict.PersistStatus) and (status.every, status.last_persisted, status.overtaken, status.failed) == (2, 2, 0, 0)
    assert status.last_missed is None and status.error is None and steps.persisted_ids() == [0, 2]
    assert steps.stats()[0]["newest_checkpoint"] == 4 and steps.stats()[0]["working_set"] == 2
    steps.destroy()


def test_every_second_by_the_program(steps, tmp_path):
    for step in range(3):
        steps["step"] = step
        steps.checkpoint()
    asked = []
    status = steps.persist_every(1, lambda: asked.append(1) or ("go_on" if len(asked) < 3 else "finish"))
    assert not status.running and status.persisted == 2 and steps.persisted_ids() == [1, 2]
    with pytest.raises(ValueError, match="go_on"):
        steps.persist_every(1, lambda: "whatever")
    with pytest.raises(ZeroDivisionError):
        steps.persist_every(1, lambda: 1 / 0)
    with pytest.raises(ddict.InvalidArgument):
        steps.persist_every(0)


def test_a_folder_that_goes_away_meanwhile(steps, tmp_path):
    steps["step"] = 0
    steps.at(2)["step"] = 2

    def order():
        if (tmp_path / "steps").is_dir():
            (tmp_path / "steps").rename(tmp_path / "elsewhere")
            (tmp_path / "steps").write_text("in the way")
        return "finish"

    status = steps.persist_every(2, order)
    assert status.failed == 1 and status.last_missed == 2 and isinstance(status.error, ddict.SystemFailure)
    assert steps.persist_status().failed == 1
