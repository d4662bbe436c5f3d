"""A run that goes on under other conditions says so, whatever stage it is in."""

import json

import pytest
from toy import lamps_registry, settings

from reflect_core.progress import QuietProgress
from reflect_core.run import execute


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
