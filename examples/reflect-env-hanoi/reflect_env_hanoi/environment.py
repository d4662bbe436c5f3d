"""The episodes: what is shown, what may be done, what it is worth."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

from reflect_core import EpisodeOver, Observation, Step, Task
from reflect_core.streams import stream_seed
from reflect_env_hanoi.plugin import HanoiConfig
from reflect_env_hanoi.towers import RODS, moved, moves, way

SPLITS = {"train": range(6), "valid": range(6, 7), "test": range(7, 10)}
"""Tenths of the tasks."""


@functools.cache
def all_tasks(disks: int) -> Mapping[str, Sequence[Task]]:
    """The tasks of every split: all positions, and all goals that are not reached in them."""
    found: dict[str, list[Task]] = {split: [] for split in SPLITS}
    towers = itertools.product(RODS, repeat=disks)
    for position, goal in itertools.product(map("".join, towers), RODS):
        fewest = len(way(position, goal))
        if not fewest:
            continue
        name = f"{position}-{goal}"
        # by its name: a task stays in its split whatever the options and the seed
        tenth = stream_seed(0, "hanoi", "split", name) % 10
        split = next(each for each, tenths in SPLITS.items() if tenth in tenths)
        found[split].append(
            Task(
                name,
                split,
                f"bring all disks to {goal}",
                level=1 + (fewest - 1) // 4,
                data={"position": position, "goal": goal, "fewest": fewest},
            )
        )
    return found


class Hanoi:
    """Bring all disks to the goal's rod: ``move 1 to C``, where 1 is the smallest disk.

    A task is a position and a goal. A turn costs 1/20, the last of a solved episode gives 1. The
    horizon is the fewest moves and ``slack`` more; it belongs to the task.
    """

    def __init__(self, config: HanoiConfig) -> None:
        self.config = config
        self._tasks = all_tasks(config.disks)
        self._over = True

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split; ``level`` is the fewest moves, counted by four."""
        return self._tasks[split]

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode; nothing in it is random."""
        self._position, self._goal = str(task.data["position"]), str(task.data["goal"])
        self._left = int(task.data["fewest"]) + self.config.slack
        self._over, self._wrong = False, False
        return self._observe()

    def step(self, action: str) -> Step:
        """Move a disk; any other text costs the turn and moves nothing."""
        if self._over:
            raise EpisodeOver("reset first")
        before = len(way(self._position, self._goal))
        legal = action in self._menu()
        if legal:
            _, disk, _, rod = action.split()
            self._position = moved(self._position, int(disk) - 1, rod)
        self._left -= 1
        self._wrong = len(way(self._position, self._goal)) >= before
        success = set(self._position) == {self._goal}
        self._over = success or not self._left
        reward = 1.0 if success else -1 / 20
        return Step(self._observe(), reward, terminated=self._over, success=success)

    def close(self) -> None:
        """Nothing is held."""

    def expert_action(self) -> str:
        """The first move of the shortest way."""
        if self._over:
            raise EpisodeOver("reset first")
        disk, rod = way(self._position, self._goal)[0]
        return f"move {disk + 1} to {rod}"

    def expert_reflection(self) -> str:
        """Which disk has to get where, what for, and the move."""
        action = self.expert_action()
        wanted = max(i for i, rod in enumerate(self._position) if rod != self._goal)
        mistake = "Wrong move. " if self._wrong else ""
        return f"{mistake}{wanted + 1} must get to {self._goal}: {action}"

    def _menu(self) -> tuple[str, ...]:
        return tuple(f"move {disk + 1} to {rod}" for disk, rod in moves(self._position))

    def _observe(self) -> Observation:
        rods = []
        for rod in RODS:
            disks = [str(i + 1) for i, each in enumerate(self._position) if each == rod]
            rods.append(f"{rod}: {' '.join(disks) or 'empty'}")
        text = f"{', '.join(rods)}. Goal {self._goal}, {self._left} turns left."
        return Observation(text, self._menu(), state_key=f"{self._position}-{self._left}")
