"""The loop plays tasks in the groups that a trainer compares."""

from pathlib import Path

import attrs
import pytest
import toy
from table import Table, context
from trainer_kinds import make

from reflect_core import Assignment
from reflect_core.errors import ConfigError
from reflect_core.loop import Training
from reflect_core.rollout import Played


class Tasks:
    """A curriculum that writes down how many tasks it is asked for."""

    def __init__(self, group_size=1):
        self.group_size = group_size

    def assign(self, episodes, *, iteration):
        self.asked = episodes
        tasks = toy.Lamps().tasks("train")
        count = episodes // self.group_size
        return [Assignment(tasks[i], group_size=self.group_size) for i in range(count)]


class Stop(Exception):
    """Enough was seen."""


class Planned:
    """A collector that keeps the plan."""

    waited = 0.0

    def play(self, episodes, *, greedy):
        self.episodes = episodes
        return Played([], [])


class Whole:
    """A crew of one."""

    is_main = False

    def share(self, episodes):
        return episodes

    def merge(self, played):
        raise Stop


@attrs.define
class Compares:
    """A trainer that compares episodes."""

    group_size: int


def plan(trainer, curriculum, episodes):
    """The groups of the episodes that the loop plays, and their tasks."""
    collector = Planned()
    settings = toy.settings(Path("nowhere"), train={"episodes": episodes})
    training = Training(
        folder=None, settings=settings, collector=collector, trainer=trainer,
        curriculum=curriculum, weights=None, valid=(), final_stage="full", crew=Whole(),
        best_success=0.0,
    )  # fmt: skip
    with pytest.raises(Stop):
        training.run(lambda **figures: None)
    return [(episode.group, episode.task.task_id) for episode in collector.episodes]


def test_the_loop_plays_each_task_as_often_as_the_trainer_compares():
    assert len(set(plan(object(), Tasks(), 6))) == 6
    for trainer, curriculum in ((Compares(3), Tasks()), (Compares(1), Tasks(3))):
        groups = plan(trainer, curriculum, 6)
        assert groups == [(0, "train-0")] * 3 + [(1, "train-1")] * 3
    curriculum = Tasks()
    plan(Compares(3), curriculum, 6)
    assert curriculum.asked == 2
    assert plan(Compares(2), Tasks(2), 8) == [(0, "train-0")] * 4 + [(1, "train-1")] * 4


def test_episodes_that_do_not_make_whole_groups_are_refused():
    with pytest.raises(ConfigError, match="6 cannot be played in groups of 4") as caught:
        plan(Compares(4), Tasks(), 6)
    assert "train.episodes=8" in str(caught.value)


@pytest.mark.parametrize(("kind", "size"), [("ppo", 1), ("reinforce-loo", 4), ("grpo", 4)])
def test_trainers_say_how_many_episodes_they_compare(kind, size):
    assert make(kind, context(Table([[0.0]])), group_size=4).group_size == size
