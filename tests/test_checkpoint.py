"""Checkpoints and run folders: exact, refused when damaged, never half there."""

import errno
import io
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reflect_core import checkpoint
from reflect_core.checkpoint import Checkpoint
from reflect_core.errors import CheckpointError, ConfigError
from reflect_core.runfolder import RunFolder
from reflect_core.settings import EvalSettings


def example(iteration=3, **changes):
    made = Checkpoint(
        iteration=iteration,
        policy={"lm.a": torch.arange(6.0).reshape(2, 3), "value_head.bias": torch.tensor([0.1])},
        trainer={
            "optimizer": {
                "state": {0: {"step": torch.tensor(4.0)}},
                "param_groups": [{"lr": 1e-3}],
            },
            "updates": 4,
            "reference": None,
        },
        curriculum={"drawn": 96},
        logs={"metrics.jsonl": 0},
        best_iteration=2,
        best_success=0.1 + 0.2,
    )
    return attrs.evolve(made, **changes)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and type(a) is type(b)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    folder = RunFolder(tmp_path / "run")
    saved = example()
    path = checkpoint.save(folder, saved)
    assert path == folder.checkpoints / "000003" == checkpoint.latest(folder)
    loaded = checkpoint.load(path)
    expected = attrs.evolve(saved, log_hashes=folder.hashes(saved.logs))
    assert same(attrs.asdict(loaded, recurse=False), attrs.asdict(expected, recurse=False))
    assert [p.name for p in folder.checkpoints.iterdir()] == ["000003"]


numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.text(min_size=1), plain, max_size=4)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables, tables, st.floats(-1, 1))
def test_plain_values_come_back_as_they_were(tmp_path, curriculum, trainer, success):
    saved = example(curriculum=curriculum, trainer=trainer, best_success=success)
    loaded = checkpoint.load(checkpoint.save(RunFolder(tmp_path), saved))
    assert same(loaded.curriculum, curriculum)
    assert same(loaded.trainer, trainer)
    assert loaded.best_success == success


def test_nothing_in_a_checkpoint_is_run_when_it_is_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("sprung",))

    folder = RunFolder(tmp_path)
    path = checkpoint.save(folder, example(trainer={"trap": Trap()}))
    refused(path)


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert str(path) in caught.value.what
    assert caught.value.why
    assert caught.value.then
    return caught.value


FILES = (checkpoint.POLICY, checkpoint.TRAINER, checkpoint.STATE)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["removed", "empty", "shorter", "flipped", "another last byte"])
def test_a_damaged_checkpoint_is_refused(tmp_path, name, how):
    path = checkpoint.save(RunFolder(tmp_path), example())
    victim = path / name
    content = victim.read_bytes()
    if how == "removed":
        victim.unlink()
    else:
        middle = len(content) // 2
        damaged = {
            "empty": b"",
            "shorter": content[:-9],
            "flipped": content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :],
            "another last byte": content[:-1] + bytes([content[-1] ^ 0x80]),
        }
        victim.write_bytes(damaged[how])
    refused(path)


@pytest.mark.parametrize(
    "state",
    ["[]", "7", "{}", '{"format": 99}', '{"format": 1}', '{"format": 1, "sha256": []}',
     '{"format": 1, "sha256": {}, "iteration": 1}', '{"format": 1, "sha256": {"../x": "y"}}'],
)  # fmt: skip
def test_a_foreign_state_file_is_refused(tmp_path, state):
    path = checkpoint.save(RunFolder(tmp_path), example())
    (path / checkpoint.STATE).write_text(state)
    refused(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "000007")


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sets(st.integers(0, 12), min_size=1), st.integers(1, 4), st.data())
def test_pruning_keeps_the_newest_and_the_best(tmp_path, iterations, keep, data):
    folder = RunFolder(Path(tempfile.mkdtemp(dir=tmp_path)))
    best = data.draw(st.sampled_from(sorted(iterations)))
    for iteration in iterations:
        checkpoint.path_of(folder, iteration).mkdir(parents=True)
    checkpoint.prune(folder, keep=keep, best=best)
    left = {int(path.name) for path in folder.checkpoints.iterdir()}
    assert left == set(sorted(iterations)[-keep:]) | {best}
    assert checkpoint.latest(folder) == checkpoint.path_of(folder, max(iterations))


def test_pruning_keeps_what_an_older_checkpoint_needs_to_end_a_run(tmp_path):
    folder = RunFolder(tmp_path)
    for iteration, best in ((4, 4), (8, 4), (12, 12)):
        checkpoint.save(folder, attrs.evolve(example(iteration), best_iteration=best))
        checkpoint.prune(folder, keep=2, best=best)
    shutil.rmtree(checkpoint.path_of(folder, 12))  # damaged, and removed as the error asks
    newest = checkpoint.latest(folder)
    assert newest is not None
    best = checkpoint.load(newest).best_iteration
    assert checkpoint.load(checkpoint.path_of(folder, best)).iteration == 4


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path):
    folder = RunFolder(tmp_path)
    assert checkpoint.latest(folder) is None
    checkpoint.save(folder, example(3))
    (folder.checkpoints / ".000004.new").mkdir()
    assert checkpoint.latest(folder) == folder.checkpoints / "000003"
    checkpoint.save(folder, example(4))
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["000003", "000004"]


# -- the run's folder ---------------------------------------------------------------------


def rows(folder):
    path = folder.path / "metrics.jsonl"
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_logs_are_cut_back_to_where_they_were(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"n": 1})
    then = folder.positions()
    folder.log({"n": 2})
    folder.time({"n": 2})
    folder.cut(then)
    assert rows(folder) == [1]
    assert (tmp_path / "timings.jsonl").read_bytes() == b""
    folder.log({"n": 3})
    assert rows(folder) == [1, 3]


def test_a_row_that_a_crash_cut_in_two_is_gone_after_a_cut(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"n": 1})
    then = folder.positions()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"n": 2, "los')
    folder.cut(then)
    assert rows(folder) == [1]


def test_a_log_that_lost_rows_is_noticed(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"n": 1})
    then = folder.positions()
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(CheckpointError, match="shorter than when"):
        folder.cut(then)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(CheckpointError, match="shorter than when"):
        folder.cut(then)


def test_logs_are_rewound_to_the_end_of_the_last_finished_stage(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"n": 0})
    folder.rewind()
    assert rows(folder) == []
    folder.log({"n": 1})
    folder.finish("teach")
    folder.log({"n": 2})
    RunFolder(tmp_path).rewind()
    assert rows(folder) == [1]
    assert folder.finished("teach")
    assert not folder.finished("sft")


def test_logs_that_are_not_those_that_were_saved_are_noticed_and_stay(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"n": 1})
    then = folder.positions()
    hashes = folder.hashes(then)
    folder.log({"n": 2})
    folder.check_logs(then, hashes, of=tmp_path)
    folder.check_logs(then, {}, of=tmp_path)
    edited = (tmp_path / "metrics.jsonl").read_bytes().replace(b"1", b"3")
    (tmp_path / "metrics.jsonl").write_bytes(edited)
    with pytest.raises(CheckpointError, match="not the one that the checkpoint"):
        folder.check_logs(then, hashes, of=tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == edited


@pytest.mark.parametrize(
    ("label", "split", "name"),
    [("", "test", "evaluation.json"), ("", "valid", "evaluation-valid.json"),
     ("real", "test", "evaluation-real.json"), ("real", "valid", "evaluation-real-valid.json")],
)  # fmt: skip
def test_each_split_and_label_has_a_file_of_its_own(tmp_path, label, split, name):
    assert RunFolder(tmp_path).evaluation_of(EvalSettings(split=split, label=label)).name == name


@pytest.mark.parametrize("label", ["valid", "x-valid", "../x", "A", "a b", "-"])
def test_a_label_is_a_word_and_no_split(tmp_path, label):
    with pytest.raises(ConfigError, match="cannot be called"):
        RunFolder(tmp_path).evaluation_of(EvalSettings(label=label))


@pytest.mark.parametrize("content", ["[]", "nonsense", "{", '{"teach": 5}', '{"teach": {"a": []}}'])
def test_a_damaged_table_of_stages_is_refused(tmp_path, content):
    (tmp_path / "stages.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"stages\.json"):
        RunFolder(tmp_path).finished("teach")


def test_others_may_read_a_checkpoint_as_they_may_all_else(tmp_path):
    before = os.umask(0o027)
    try:
        path = checkpoint.save(RunFolder(tmp_path / "run"), example())
    finally:
        os.umask(before)
    assert {each.stat().st_mode & 0o777 for each in path.iterdir()} == {0o640}


def test_a_folder_is_replaced_whole(tmp_path):
    folder, target = RunFolder(tmp_path), tmp_path / "policy"
    folder.write_folder(target, lambda new: (new / "a").write_text("1"))
    folder.write_folder(target, lambda new: (new / "b").write_text("2"))
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_full_disk_leaves_the_old_folder_and_no_litter(tmp_path, error):
    folder, target = RunFolder(tmp_path), tmp_path / "policy"
    folder.write_folder(target, lambda new: (new / "a").write_text("1"))

    def fails(new):
        (new / "a").write_text("2")
        raise error

    with pytest.raises(type(error)):
        folder.write_folder(target, fails)
    assert (target / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]


def test_a_full_disk_in_the_middle_of_a_checkpoint_leaves_the_older_one(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    checkpoint.save(folder, example(3))

    def full(*args, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    # the system's own word: torch's writer would hide it
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(folder, example(4))
    latest = checkpoint.latest(folder)
    assert latest is not None
    assert checkpoint.load(latest).iteration == 3
    assert [p.name for p in folder.checkpoints.iterdir()] == ["000003"]


def test_what_torch_writes_goes_through_memory(tmp_path, monkeypatch):
    """Its writer raises a RuntimeError of its own where the disk is full."""
    targets, save = [], torch.save
    monkeypatch.setattr(torch, "save", lambda what, to: targets.append(to) or save(what, to))
    checkpoint.save(RunFolder(tmp_path), example())
    assert targets and all(isinstance(target, io.BytesIO) for target in targets)


def test_a_checkpoint_of_the_older_format_is_read(tmp_path):
    path = checkpoint.save(RunFolder(tmp_path), example())
    state = json.loads((path / checkpoint.STATE).read_text())
    del state["log_hashes"]
    (path / checkpoint.STATE).write_text(json.dumps({**state, "format": 1}))
    assert checkpoint.load(path).log_hashes == {}


def test_a_success_rate_that_is_no_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        checkpoint.save(RunFolder(tmp_path), example(best_success=math.nan))
    assert checkpoint.latest(RunFolder(tmp_path)) is None
