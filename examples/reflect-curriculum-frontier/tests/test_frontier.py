"""The contract, and which levels come how often."""

from collections import Counter
from types import SimpleNamespace

import pytest
from reflect_curriculum_frontier import Frontier, FrontierConfig

from reflect_core import Task, Trajectory
from reflect_core.testing import CurriculumContract

TASKS = [Task(f"{level}-{i}", "train", "", level=level) for level in (1, 2, 5) for i in range(4)]


class TestContract(CurriculumContract):
    """Every law."""

    spec = "frontier"


def play(curriculum, solves, iterations=6, episodes=60):
    """Levels drawn in the last iteration, and what is logged; ``solves`` is the deepest solved."""
    for iteration in range(iterations):
        assigned = curriculum.assign(episodes, iteration=iteration)
        told = curriculum.observe(
            [
                Trajectory(i, each.task, None, (), True, False, each.task.level < solves
                           or (each.task.level == solves and i % 2 == 0))
                for i, each in enumerate(assigned)
            ]
        )  # fmt: skip
    return Counter(each.task.level for each in assigned), told


@pytest.mark.parametrize("level", [1, 2, 5])
def test_the_level_that_is_won_half_of_the_time_comes_most_often(level):
    context = SimpleNamespace(seed=0, tasks=lambda split: TASKS)
    drawn, told = play(Frontier(FrontierConfig(), context), level)
    assert drawn.most_common(1)[0][0] == level
    assert told == {"frontier_level": level}


def test_no_level_is_left_out():
    context = SimpleNamespace(seed=0, tasks=lambda split: TASKS)
    drawn, _ = play(Frontier(FrontierConfig(floor=0.2), context), 2, episodes=200)
    assert set(drawn) == {1, 2, 5}
