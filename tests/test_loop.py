"""The loop on scripted episodes: its figures, the best weights, episodes that fail."""

import json
import shutil
from pathlib import Path

import attrs
import pytest
import torch
import toy

from reflect_core import Assignment, Choice, Observation, Trajectory, Transition
from reflect_core.alarms import Alarms
from reflect_core.errors import CheckpointError, EnvironmentFailure
from reflect_core.loop import Training, success_rate, summary
from reflect_core.rollout import Played
from reflect_core.runfolder import RunFolder


def trajectory(task, *, success, rewards=(), shaping=0.0, episode=0):
    turns = [
        Transition(Observation("", ("a", "b")), "", Choice(0), reward, shaping)
        for reward in rewards
    ]
    return Trajectory(
        episode, task, None, tuple(turns), terminated=True, truncated=False, success=success
    )


@attrs.define
class Script:
    """A collector whose validations succeed so often, and whose training episodes may fail."""

    solved: list[int]
    fail: int = 0
    fail_valid: int = 0
    waited: float = 0.0
    greedy: list[bool] = attrs.field(factory=list)
    names: list[tuple] = attrs.field(factory=list)

    def play(self, episodes, *, greedy):
        self.greedy.append(greedy)
        self.names.append(episodes[0].name[:2])
        if episodes[0].name[0] == "eval":
            wins, failures = self.solved.pop(0), self.fail_valid
        else:
            wins, failures = 0, self.fail
        left = episodes[failures:]
        return Played(
            [trajectory(one.task, success=i < wins, episode=i) for i, one in enumerate(left)],
            ["it blew a fuse"] * failures,
        )


class Weights:
    value = 0

    def state_dict(self):
        return {"w": torch.tensor([self.value])}

    def load_state_dict(self, state):
        self.value = int(state["w"])


@attrs.define
class Steps:
    """A trainer that counts its updates in the weights."""

    weights: Weights

    iterations: list[int] = attrs.field(factory=list)

    def update(self, trajectories, *, iteration):
        self.iterations.append(iteration)
        self.weights.value += 1
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class InOrder:
    """A curriculum without a plan."""

    def assign(self, episodes, *, iteration):
        return [Assignment(task) for task in toy.Lamps().tasks("train")[:episodes]]

    def observe(self, trajectories):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Alone:
    """A crew of one."""

    is_main = True

    def share(self, episodes):
        return episodes

    def merge(self, played):
        return played

    def total(self, counts):
        return counts

    def wait(self):
        pass


def train(folder: Path, script, *, resume=False, alarms=None, **options):
    """A run of the loop, or what is left of one; what it leaves."""
    sections = {
        "train": {"iterations": 3, "episodes": 4, "valid_every": 1, "valid_episodes": 4},
        **options,
    }
    sections["train"]["keep_checkpoints"] = 1
    weights = Weights()
    folder.mkdir(exist_ok=True)
    training = Training(
        folder=RunFolder(folder), settings=toy.settings(Path("nowhere"), **sections),
        collector=script, trainer=Steps(weights), curriculum=InOrder(), weights=weights,
        valid=toy.Lamps().tasks("valid"), final_stage="full", crew=Alone(),
        alarms=alarms or Alarms(),
    )  # fmt: skip
    if resume:
        training.resume()
    training.run(lambda **figures: None)
    return training


def test_the_best_weights_on_valid_are_taken_up_the_newest_of_equals(tmp_path):
    script = Script([1, 3, 3, 2])
    training = train(tmp_path, script)
    assert (training.best_iteration, training.best_success) == (2, 0.75)
    assert training.weights.value == 2
    kept = {path.name for path in training.folder.checkpoints.iterdir()}
    assert kept == {"000002", "000003"}
    assert script.greedy == [False] * 7, "training and validation are sampled"


def test_each_iteration_draws_anew_and_is_told_to_the_trainer(tmp_path):
    script = Script([0] * 4)
    training = train(tmp_path, script)
    assert training.trainer.iterations == [0, 1, 2]
    played = [name for name in script.names if name[0] == "train"]
    assert played == [("train", 0), ("train", 1), ("train", 2)]


def test_what_was_best_before_a_stop_is_best_after_it(tmp_path):
    plan = {"iterations": 1, "episodes": 4, "valid_every": 1, "valid_episodes": 4}
    train(tmp_path, Script([3, 4]), train=dict(plan))
    training = train(tmp_path, Script([1, 0]), resume=True, train={**plan, "iterations": 3})
    assert (training.best_iteration, training.best_success) == (1, 1.0)
    assert training.weights.value == 1


def test_where_the_best_weights_are_gone_the_advice_leads_on(tmp_path):
    train(tmp_path, Script([1, 3, 2, 2]))
    best = tmp_path / "checkpoints" / "000001"
    for damage in (lambda: (best / "state.json").write_text("{"), lambda: shutil.rmtree(best)):
        damage()
        with pytest.raises(CheckpointError, match="000001") as caught:
            train(tmp_path, Script([]), resume=True)
        assert "remove it and the later ones" in str(caught.value)
    shutil.rmtree(tmp_path / "checkpoints" / "000003")
    assert train(tmp_path, Script([1, 3, 2, 2]), resume=True).best_iteration == 1


def test_weights_that_were_never_beaten_are_those_of_the_warm_up(tmp_path):
    assert train(tmp_path, Script([4, 3, 3, 2])).weights.value == 0


def test_rl_stops_where_too_many_episodes_fail(tmp_path):
    with pytest.raises(EnvironmentFailure, match="2 of 4 episodes failed"):
        train(tmp_path, Script([0] * 4, fail=2), rollout={"failed_episodes": 0.4})


def test_failed_episodes_are_counted_and_the_others_learnt_from(tmp_path):
    train(tmp_path, Script([0] * 4, fail=1), rollout={"failed_episodes": 0.5})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["stage"] == "train"]
    assert [(row["failed_episodes"], row["episodes"]) for row in rows] == [(1, 3)] * 3


def test_those_of_a_validation_are_told_too(tmp_path):
    told = []
    train(tmp_path, Script([0] * 4, fail_valid=1), alarms=Alarms(told.append),
          rollout={"failed_episodes": 0.5})  # fmt: skip
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["stage"] == "valid"]
    assert [(row["failed_episodes"], row["episodes"]) for row in rows] == [(1, 3)] * 4
    assert [row["alarms"]["failed_episodes"] for row in rows] == [1] * 4
    assert [words for words in told if "fuse" in words] == [
        "episodes that fail in the environment are dropped and counted: it blew a fuse"
    ]


def test_the_figures_of_episodes_by_hand():
    task = toy.Lamps().tasks("train")[0]
    solved = trajectory(task, success=True, rewards=(0.5, 0.75), shaping=0.3)
    lost = trajectory(task, success=False, rewards=(-0.25,))
    expected = {"episodes": 3, "success_rate": 2 / 3, "mean_return": 0.75, "mean_turns": 5 / 3}
    assert summary([solved, lost, solved]) == pytest.approx(expected)
    assert success_rate([]) == 0
    assert summary([]) == {"episodes": 0, "success_rate": 0, "mean_return": 0, "mean_turns": 0}
