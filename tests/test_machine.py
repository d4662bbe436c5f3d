"""A run that goes on under other conditions says so, whatever stage it is in."""

import json

import attrs
import pytest
from toy import lamps_registry, settings

from reflect_core.ablation.identity import adopt
from reflect_core.errors import CheckpointError, ReflectError
from reflect_core.progress import QuietProgress
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.testing.lamps import Lamps


@pytest.fixture
def begun(model_folder, tmp_path):
    """A run that has been taught, and what goes on with it."""
    made = settings(model_folder("lfm2"))

    def go_on():
        progress = QuietProgress()
        execute(tmp_path, made, ["teach", "sft"], lamps_registry(), progress)
        return [word for word in progress.warnings if "resumed" in word or "tasks are" in word]

    execute(tmp_path, made, ["teach"], lamps_registry(), QuietProgress())
    return tmp_path / "machine.json", go_on


def test_under_the_same_conditions_there_is_nothing_to_say(begun):
    _, go_on = begun
    assert go_on() == []


def test_other_conditions_are_told_before_rl_too_and_those_never_noted_are_not(begun):
    path, go_on = begun
    noted = json.loads(path.read_text())
    assert {"python", "torch", "transformers", "threads", "processes", "device"} <= set(noted)
    noted |= {"processes": 7, "torch": "0.1"}
    del noted["threads"]
    path.write_text(json.dumps(noted))
    (told,) = go_on()
    assert "processes 7 to 1" in told
    assert "torch 0.1 to" in told
    assert "threads" not in told


def test_a_run_that_has_learnt_all_has_nothing_to_compare(begun):
    path, go_on = begun
    go_on()
    path.write_text(json.dumps({"torch": "0.1"}))
    assert go_on() == []


def test_settings_that_a_finished_stage_did_not_have_are_told(model_folder, tmp_path):
    made = settings(model_folder("lfm2"))

    def told(now, stages):
        progress = QuietProgress()
        execute(tmp_path, now, stages, lamps_registry(), progress)
        return [word for word in progress.warnings if "run.toml has changed" in word]

    assert told(made, ["teach"]) == []
    later = attrs.evolve(made, sft=attrs.evolve(made.sft, reflector_updates=1))
    assert told(later, ["sft"]) == []  # which was still to come
    assert told(later, ["train"]) == []
    other = attrs.evolve(later, seed=7)
    (tmp_path / "stages.json").write_text(
        json.dumps(
            {
                stage: lengths
                for stage, lengths in json.loads((tmp_path / "stages.json").read_text()).items()
                if stage != "train"
            }
        )
    )
    (word,) = told(other, ["train"])
    assert "teach" in word and "sft reflector" in word and "sft policy" in word


@pytest.mark.parametrize("text", ["{", "7", "[]", "null"])
def test_damaged_notes_are_told_with_the_way_on(begun, text):
    path, go_on = begun
    path.write_text(text)
    with pytest.raises(CheckpointError) as caught:
        go_on()
    assert "remove it" in caught.value.then


def test_tasks_that_nobody_needs_may_be_missing(model_folder, tmp_path):
    class Unvalidated(Lamps):
        def tasks(self, split):
            if split == "valid":
                raise ReflectError("there are no valid games")
            return super().tasks(split)

    made = settings(model_folder("lfm2"))
    execute(tmp_path, made, ["teach"], lamps_registry(make=Unvalidated), QuietProgress())
    assert (tmp_path / "data" / "examples.jsonl").exists()


def test_a_stage_that_is_taken_over_was_begun_under_its_own_conditions(begun, tmp_path):
    path, _ = begun
    path.write_text(json.dumps({"threads": 7}))
    adopt(RunFolder(tmp_path / "other"), RunFolder(path.parent), "teach")
    assert json.loads((tmp_path / "other" / "machine.json").read_text()) == {"threads": 7}
