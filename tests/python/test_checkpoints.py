# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Saving to disk, and loading."""

import datetime
import os
import pathlib
import signal

import numpy as np
import pytest

import ddict


def test_what_was_saved_is_loaded(d, tmp_path):
    d.update({"text": "Dragon", 7: [1, 2], ("a", 1): np.arange(5), "f": 2.5})
    d.incr("n", 41)
    before = datetime.datetime.now(datetime.timezone.utc)
    saved = d.save(tmp_path)
    assert isinstance(saved, ddict.CheckpointInfo)
    assert (saved.pairs, saved.managers, saved.generation, saved.name, saved.state) == (5, 2, 1, "python", "committed")
    assert saved.path == str(tmp_path / "python" / "000001") and saved.error is None
    assert before - datetime.timedelta(seconds=1) < saved.began <= saved.ended
    d.clear()
    d["other"] = "stays"
    assert d.load(str(tmp_path)) == saved
    assert (d["text"], d[7], d["f"], d["other"]) == ("Dragon", [1, 2], 2.5, "stays")
    assert d["a", 1].tolist() == list(range(5)) and d.incr("n") == 42
    for load in (d.load, d.load_latest):
        d.clear()
        assert load(tmp_path, exclusive=True) == saved
        assert len(d) == saved.pairs and d["text"] == "Dragon"


def test_a_dictionary_that_begins_with_one(d, tmp_path):
    d["k"] = "v"
    d.save(os.fsencode(tmp_path))
    other = ddict.load(tmp_path, managers_per_node=3, total_mem="32M", name="other")
    try:
        assert other.manager_count == 3 and dict(other) == {"k": "v"}
    finally:
        other.destroy()
    with pytest.raises(ddict.NotFound):
        ddict.load(tmp_path / "none", total_mem="16M", name="none")


def test_the_latest_that_is_whole(d, tmp_path):
    assert d.load_latest(tmp_path) is None
    for n in (1, 2, 3):
        d["n"] = n
        d.save(tmp_path)
    newest = tmp_path / "python" / "000003" / "commit"
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(ddict.DamagedCheckpoint, match="000003.*damaged") as seen:
        assert d.load_latest(tmp_path).generation == 2
    assert d["n"] == 2 and len(seen) == 1 and seen[0].filename == __file__
    assert [(one.generation, one.state) for one in ddict.checkpoints(tmp_path)] == [
        (1, "committed"), (2, "committed"), (0, "damaged")]
    assert isinstance(ddict.checkpoints(tmp_path)[2].error, ddict.ProtocolError)
    for commit in (tmp_path / "python").glob("*/commit"):
        commit.write_bytes(b"nonsense")
    with pytest.raises(ddict.ProtocolError, match="000003") as raised:
        d.load_latest(tmp_path)
    assert raised.value.operation == "load"


def test_some_are_kept(d, tmp_path):
    for _ in range(4):
        d.save(tmp_path, keep=2)
    assert [one.generation for one in ddict.checkpoints(tmp_path)] == [3, 4]


def test_compressed_where_that_makes_it_smaller(d, tmp_path, monkeypatch):
    d["zeros"] = np.zeros(10**6)
    d["noise"] = np.frombuffer(os.urandom(10**5), "u1")
    plain = d.save(tmp_path)
    assert plain.bytes > 8 * 10**6
    for options in ({"compress": True}, {}):
        saved = d.save(tmp_path, **options)
        monkeypatch.setenv("DDICT_COMPRESS", "1")
        assert saved.bytes < 10**6
        d.clear()
        d.load(saved.path)
        assert d["zeros"].shape == (10**6,) and not d["zeros"].any() and len(d["noise"]) == 10**5
    assert d.save(tmp_path, compress=False).bytes == plain.bytes
    monkeypatch.setenv("DDICT_COMPRESS", "often")
    with pytest.raises(ddict.InvalidArgument, match="DDICT_COMPRESS is 'often': 0 or 1"):
        d.save(tmp_path)


def test_errors_say_what_was_done(d, tmp_path):
    with pytest.raises(ddict.SystemFailure, match="^save: .*No such file") as raised:
        d.save(tmp_path / "no" / "such")
    assert raised.value.operation == "save"
    with pytest.raises(ddict.NotFound, match="no checkpoint in") as raised:
        d.load(tmp_path)
    assert raised.value.operation == "load"
    for view in (d.within(5), d.manager(0)):
        with pytest.raises(ddict.InvalidArgument, match="without within"):
            view.save(tmp_path)
    with pytest.raises(TypeError):
        d.save(17)
    with pytest.raises(ValueError):
        d.save("a\0b")
    with pytest.raises(ddict.NotFound):
        ddict.checkpoints(tmp_path / "none")


def test_what_does_not_fit_changes_nothing(d, tmp_path):
    for i in range(24):
        d[i] = b"x" * (1 << 20)
    d.save(tmp_path)
    with ddict.create(total_mem="16M", name="small") as small:
        small["there"] = 1
        with pytest.raises(ddict.NoSpace) as raised:
            small.load(tmp_path)
        assert raised.value.operation == "load" and raised.value.need_bytes > raised.value.have_bytes > 0
        assert raised.value.manager == 0 and not raised.value.in_doubt and dict(small) == {"there": 1}
        small.destroy()


def test_progress_is_told_and_may_end_it(d, tmp_path):
    for i in range(8):
        d[i] = b"x" * (1 << 20)
    seen = []
    d.save(tmp_path, progress=lambda *told: seen.append(told))
    assert seen and all(len(told) == 3 and 0 <= told[0] <= 8 for told in seen)
    d.load(tmp_path, progress=lambda *told: seen.append(told))
    assert seen[-1][2] > 8 << 20

    def stop(pairs, size, in_all):
        raise RuntimeError(f"enough after {pairs}")

    with pytest.raises(RuntimeError, match="enough after"):
        d.save(tmp_path, progress=stop)
    assert [one.generation for one in ddict.checkpoints(tmp_path)] == [1], "what is not complete is removed"


def test_an_interrupt_ends_it(d, tmp_path):
    for i in range(8):
        d[i] = b"x" * (1 << 20)
    calls = []

    def told(*_):
        calls.append(1)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        d.save(tmp_path, progress=told)
    assert len(calls) == 1 and ddict.checkpoints(tmp_path) == []
    assert pathlib.Path(d.save(tmp_path).path, "commit").exists()
