"""Built-in curricula: which tasks come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reflect_core.errors import ReflectError
from reflect_core.records import Assignment, Task, Trajectory
from reflect_core.streams import stream

__all__ = ["UniformCurriculum"]


class UniformCurriculum:
    """Passes over all train tasks, each pass in a new order.

    Every task is drawn once before any is drawn again, which varies less than drawing with
    replacement. The order of a pass depends on the seed and the pass alone.

    Args:
        tasks: The tasks to draw from.
        seed: The run's seed.

    Raises:
        ReflectError: There are no tasks.
    """

    def __init__(self, tasks: Sequence[Task], *, seed: int) -> None:
        if not tasks:
            raise ReflectError(
                "there is nothing to train on",
                why="the environment has no tasks in its split 'train'",
                then="see the environment's options (reflect plugins NAME)",
            )
        self._tasks = tuple(tasks)
        self._seed = seed
        self._drawn = 0
        self._order: tuple[int, Sequence[int]] = (-1, ())  # pass and its order, recomputable

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """The next ``episodes`` tasks, one episode each, on the environment's final stage."""
        assignments = [Assignment(self._task(self._drawn + i)) for i in range(episodes)]
        self._drawn += episodes
        return assignments

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Outcomes change nothing here."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """How many tasks were drawn."""
        return {"drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the tasks that were drawn."""
        self._drawn = int(state["drawn"])

    def _task(self, position: int) -> Task:
        number, place = divmod(position, len(self._tasks))
        if self._order[0] != number:
            order = stream(self._seed, "curriculum", number).permutation(len(self._tasks))
            self._order = (number, order.tolist())
        return self._tasks[self._order[1][place]]
