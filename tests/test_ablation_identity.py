"""What arms of an ablation share: the keys of their stages, and taking one over."""

import os
import subprocess
import sys

import pytest
from studies import SHORT, arm, keys
from toy import lamps_registry, settings

from reflect_core import config
from reflect_core.ablation.costs import costs
from reflect_core.ablation.identity import SHARED, adopt, stage_keys
from reflect_core.neutral import renewed
from reflect_core.progress import QuietProgress
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder


def shared(registry, base, name):
    """Which stages an arm has in common with the whole method."""
    mine, whole = keys(registry, base, *arm(base, name).overrides), keys(registry, base)
    return {stage for stage, key in mine.items() if whole.get(stage) == key}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("random", set()),
        ("follow", {"teach", "sft reflector"}),
        ("warmup", {"teach", "sft reflector", "sft policy"}),
        ("rl-only", set()),
        ("no-reflection", {"teach"}),
        ("unnamed", set()),
        ("no-negatives", set()),
        ("depth", {"teach", "sft reflector", "sft policy"}),
    ],
)
def test_an_arm_shares_what_its_overrides_cannot_reach(registry, base, name, stages):
    assert shared(registry, base, name) == stages


@pytest.mark.parametrize(
    "word",
    [
        "seed=1",
        "env.entries=7",
        "teach.episodes=7",
        "sft.batch_size=7",
        "model.dtype=bfloat16",
        "rollout.history=1",
        "rollout.name_actions=false",
        "rollout.check_reflections=false",
    ],
)
def test_whatever_reaches_a_warm_up_changes_its_key(registry, base, word):
    mine, whole = keys(registry, base, word), keys(registry, base)
    assert all(mine[stage] != whole[stage] for stage in ("sft reflector", "sft policy"))


@pytest.mark.parametrize(
    "word", ["rollout.reflect_probability=0.5", "sft.policy_reflected=0.5", "policy_from=reflector"]
)
def test_how_the_policy_begins_reaches_the_policy_alone(registry, base, word):
    mine, whole = keys(registry, base, word), keys(registry, base)
    assert {stage for stage in whole if mine[stage] != whole[stage]} == {"sft policy"}


def test_the_same_share_of_reflections_is_the_same_however_it_is_said(registry, base):
    said = keys(registry, base, "sft.policy_reflected=0.5")
    assert said == keys(registry, base, "rollout.reflect_probability=0.5")
    assert keys(registry, base, "sft.policy_reflected=1") == keys(registry, base)


def test_a_learning_rate_reaches_the_players_that_learn_with_it(registry, base):
    def changed(*words):
        one = keys(registry, base, "sft.lr=0.01", "sft.policy_lr=none")
        other = keys(registry, base, *words)
        return {stage.removeprefix("sft ") for stage in one if one[stage] != other[stage]}

    assert changed("sft.lr=0.1", "sft.policy_lr=none") == {"reflector", "policy"}
    assert changed("sft.lr=0.01", "sft.policy_lr=0.1") == {"policy"}
    assert changed("sft.lr=0.1", "sft.policy_lr=0.01") == {"reflector"}
    assert changed("sft.lr=0.01", "sft.policy_lr=0.01") == set(), "however it is said"


@pytest.mark.parametrize("word", ["trainer.lr=0.1", "train.iterations=9", "eval.episodes=9"])
def test_what_comes_later_does_not(registry, base, word):
    assert keys(registry, base, word) == keys(registry, base)


def test_what_changes_no_outcome_changes_no_key(registry, base):
    asked = config.override(
        registry, base, ["teacher=openai", "teacher.model=m", "teacher.when_spent=stop"]
    )
    spent = ["teacher.budget=5", "teacher.timeout=3", "rollout.worker_timeout=9"]
    assert keys(registry, asked, *spent) == keys(registry, asked)
    assert keys(registry, asked, "teacher.max_tokens=5") != keys(registry, asked)
    without = config.override(registry, asked, ["teacher.when_spent=go-on"])
    assert keys(registry, without, "teacher.budget=5") != keys(registry, without), "decides"
    other = config.override(registry, asked, [*spent, "train.iterations=7"])
    made = renewed(other, asked)
    assert made.teacher == asked.teacher and made.rollout == asked.rollout
    assert made.train == other.train
    assert renewed(base, asked).teacher == base.teacher


@pytest.mark.parametrize("origin", ["base", "reflector"])
def test_a_policy_that_begins_as_the_reflector_is_not_the_one_of_another_reflector(
    base, registry, origin
):
    made = config.override(registry, base, [f"sft.policy_from={origin}"])
    other = config.override(registry, made, ["sft.reflector_updates=77"])
    mine, its = stage_keys(made), stage_keys(other)
    assert mine["sft reflector"] != its["sft reflector"]
    assert (mine["sft policy"] != its["sft policy"]) == (origin == "reflector")
    # the reflector itself does not depend on who begins as it
    assert mine["sft reflector"] == stage_keys(base)["sft reflector"]


def test_stage_keys_are_the_same_in_every_process(base):
    program = (
        "from reflect_core import config, plugins\n"
        "from reflect_core.ablation.identity import stage_keys\n"
        f"made = config.resolve(plugins.load(), overrides={SHORT!r}, flags={{'env': 'filesys'}})\n"
        "print(stage_keys(made))"
    )
    for number in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == str(stage_keys(base))
    assert len(set(stage_keys(base).values())) == len(SHARED)


def test_a_stage_whose_adoption_was_killed_is_taken_over_once(model_folder, tmp_path, monkeypatch):
    made = settings(model_folder("lfm2"))
    execute(tmp_path / "a", made, ["teach", "sft"], lamps_registry(), QuietProgress())
    donor, folder = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", lambda self, stage: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adopt(folder, donor, "teach")
    for stage in SHARED:
        adopt(folder, donor, stage)
    assert costs(folder.path) == costs(donor.path)


def test_a_stage_that_is_taken_over_is_as_if_it_had_been_run_here(model_folder, tmp_path):
    made = settings(model_folder("lfm2"))
    execute(tmp_path / "a", made, ["teach", "sft"], lamps_registry(), QuietProgress())
    donor, folder = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    for stage in SHARED:
        adopt(folder, donor, stage)
    for name in ("metrics.jsonl", "data/examples.jsonl"):
        assert (folder.path / name).read_bytes() == (donor.path / name).read_bytes()
    for folder_of in ("reflector", "warmup"):
        for file in (donor.path / folder_of).iterdir():
            assert (folder.path / folder_of / file.name).read_bytes() == file.read_bytes()
    assert costs(folder.path) == costs(donor.path)
    execute(tmp_path / "b", made, ["teach", "sft", "train"], lamps_registry(), QuietProgress())
    execute(tmp_path / "a", made, ["train"], lamps_registry(), QuietProgress())
    assert (folder.path / "metrics.jsonl").read_bytes() == (
        donor.path / "metrics.jsonl"
    ).read_bytes()
