"""The contract, and what it cannot know."""

import itertools
import random

from reflect_env_hanoi.environment import Hanoi
from reflect_env_hanoi.plugin import HanoiConfig
from reflect_env_hanoi.towers import RODS, moved, moves, way

from reflect_core.testing import EnvironmentContract


class TestContract(EnvironmentContract):
    """Every law, with the options that are installed."""

    spec = "hanoi"


class TestThreeDisks(EnvironmentContract):
    """Every law, with other options and a shorter search."""

    max_examples = 10

    def make(self):
        """Build one with three disks and no move to spare."""
        return Hanoi(HanoiConfig(disks=3, slack=0))


def distances(disks, goal):
    """The fewest moves from every position, by breadth-first search from the end."""
    found = {goal * disks: 0}
    queue = list(found)
    for position in queue:
        for disk, rod in moves(position):
            after = moved(position, disk, rod)
            if after not in found:
                found[after] = found[position] + 1
                queue.append(after)
    return found


def test_the_way_is_a_shortest_one_from_everywhere():
    for goal in RODS:
        fewest = distances(4, goal)
        assert len(fewest) == 3**4
        for position, count in fewest.items():
            steps = way(position, goal)
            assert len(steps) == count
            for disk, rod in steps:
                assert (disk, rod) in moves(position)
                position = moved(position, disk, rod)
            assert set(position) == {goal}


def test_the_splits_are_all_positions_that_are_to_be_solved():
    env = Hanoi(HanoiConfig())
    names = [[task.task_id for task in env.tasks(split)] for split in ("train", "valid", "test")]
    assert len(set(itertools.chain(*names))) == sum(map(len, names)) == 3 * 3**4 - 3


def test_random_moves_seldom_solve_a_task():
    env, draw = Hanoi(HanoiConfig()), random.Random(0)
    solved = 0
    for task in env.tasks("test"):
        observation = env.reset(task, seed=0)
        while True:
            step = env.step(draw.choice(observation.legal_actions))
            observation = step.observation
            if step.over:
                break
        solved += step.success
    assert solved / len(env.tasks("test")) < 0.2
