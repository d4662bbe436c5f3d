"""Built-in curricula: which tasks come next, on which stage, and what is learnt from them.

Those that go from easy to hard climb a ladder of rungs (:class:`Rung`), by the stages of the
environment or by the levels of the tasks. They differ in what makes them climb: the
iterations that have passed, or the success of the episodes.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from reflect_core.errors import ConfigError, ReflectError
from reflect_core.records import Assignment, Task, Trajectory
from reflect_core.streams import stream

__all__ = [
    "AdaptiveCurriculum",
    "FirstTurnCurriculum",
    "Passes",
    "Rung",
    "ScheduledCurriculum",
    "UniformCurriculum",
    "level_ladder",
    "stage_ladder",
    "stage_shares",
]


class Passes:
    """Passes over tasks, each in a new order.

    Every task is drawn once before any is drawn again, which varies less than drawing with
    replacement. The order of a pass depends on the seed, the name and the pass alone.

    Args:
        tasks: The tasks to draw from.
        seed: The run's seed.
        name: Tells these passes from others of the same run.

    Attributes:
        drawn: How many tasks were drawn so far, all that there is to save.

    Raises:
        ReflectError: There are no tasks.

    >>> passes = Passes([Task(name, "train", "") for name in "abc"], seed=0)
    >>> sorted(task.task_id for task in passes.take(3))
    ['a', 'b', 'c']
    """

    def __init__(self, tasks: Sequence[Task], *, seed: int, name: Sequence[str | int] = ()) -> None:
        if not tasks:
            raise ReflectError(
                "there is nothing to train on",
                why="the environment has no tasks in its split 'train'",
                then="see the environment's options (reflect plugins NAME)",
            )
        self.drawn = 0
        self._tasks = tuple(tasks)
        self._seed = seed
        self._name = tuple(name)
        self._order: tuple[int, Sequence[int]] = (-1, ())  # pass and its order, recomputable

    def take(self, count: int) -> list[Task]:
        """The next ``count`` tasks."""
        taken = [self._task(self.drawn + i) for i in range(count)]
        self.drawn += count
        return taken

    def _task(self, position: int) -> Task:
        number, place = divmod(position, len(self._tasks))
        if self._order[0] != number:
            generator = stream(self._seed, "curriculum", *self._name, number)
            self._order = (number, generator.permutation(len(self._tasks)).tolist())
        return self._tasks[self._order[1][place]]


class UniformCurriculum:
    """All tasks alike, on the environment's final stage, in :class:`Passes`.

    Args:
        tasks: The tasks to draw from.
        seed: The run's seed.

    Raises:
        ReflectError: There are no tasks.
    """

    def __init__(self, tasks: Sequence[Task], *, seed: int) -> None:
        self._passes = Passes(tasks, seed=seed)

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """The next ``episodes`` tasks, one episode each."""
        return [Assignment(task) for task in self._passes.take(episodes)]

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Outcomes change nothing here."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """How many tasks were drawn."""
        return {"drawn": self._passes.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the tasks that were drawn."""
        self._passes.drawn = int(state["drawn"])


class FirstTurnCurriculum(UniformCurriculum):
    """At first a bandit: of each episode only the first turn is learnt from.

    The episode is played to its end, so that the turn is worth what came of it; later turns
    are left as they are until the first ones are good.

    Args:
        tasks, seed: As in :class:`UniformCurriculum`.
        bandit_iterations: How many iterations learn from first turns alone; the others learn
            from whole episodes.

    Raises:
        ReflectError: There are no tasks.
    """

    def __init__(self, tasks: Sequence[Task], *, seed: int, bandit_iterations: int) -> None:
        super().__init__(tasks, seed=seed)
        self._bandit_iterations = bandit_iterations
        self._bandit = bandit_iterations > 0

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """The next ``episodes`` tasks, as in ``uniform``, with what is learnt from them."""
        self._bandit = iteration < self._bandit_iterations
        learn_turns = 1 if self._bandit else None
        return [
            attrs.evolve(assignment, learn_turns=learn_turns)
            for assignment in super().assign(episodes, iteration=iteration)
        ]

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Tell whether only first turns counted: ``first_turn_only`` is 1 or 0."""
        return {"first_turn_only": float(self._bandit)}


# -- from easy to hard --------------------------------------------------------------------


@attrs.frozen
class Rung:
    """One step of a ladder from easy to hard.

    Args:
        tasks: What is drawn from.
        stage: The stage of the environment, None for the final one.
        figures: What the log says of it.
    """

    tasks: Sequence[Task]
    stage: str | None
    figures: Mapping[str, float]


def stage_ladder(tasks: Sequence[Task], stages: Sequence[str]) -> list[Rung]:
    """The stages of the environment in order, each with all tasks; the last is the real task.

    The log's ``curriculum_stage`` counts them from 1.

    Raises:
        ReflectError: There is one stage only.
    """
    if len(stages) < 2:
        raise ReflectError(
            "this environment has no stages to go through",
            why=f"it declares {' and '.join(map(repr, stages)) or 'none'} only",
            then="choose another curriculum: uniform, depth, adaptive or first-turn",
        )
    return [
        Rung(tasks, stage, {"curriculum_stage": float(number)})
        for number, stage in enumerate(stages, 1)
    ]


def level_ladder(tasks: Sequence[Task], *, first: int = 1) -> list[Rung]:
    """Limits of the tasks' level, each with all tasks up to it, on the final stage.

    The log's ``curriculum_level`` is the limit.

    Args:
        tasks: Of two levels at the least.
        first: The first limit; the shallowest level there is if that lies deeper, the deepest
            if all lie above.

    Raises:
        ReflectError: All tasks are of one level, or there are none.

    >>> tasks = [Task(str(level), "train", "", level=level) for level in (1, 2, 5)]
    >>> [(len(rung.tasks), rung.figures) for rung in level_ladder(tasks, first=2)]
    [(2, {'curriculum_level': 2.0}), (3, {'curriculum_level': 5.0})]
    """
    levels = sorted({task.level for task in tasks})
    if len(levels) < 2:
        raise ReflectError(
            "the train tasks have no levels to go through",
            why=f"all are of level {levels[0]}" if levels else "there are none",
            then="choose another curriculum: uniform, staged or first-turn",
        )
    limits = sorted({max(level, min(first, levels[-1])) for level in levels})
    return [
        Rung(
            [task for task in tasks if task.level <= limit],
            None,
            {"curriculum_level": float(limit)},
        )
        for limit in limits
    ]


def stage_shares(shares: Sequence[float], stages: Sequence[str]) -> Sequence[float]:
    """One share of the iterations per stage: those given, or equal ones where none are.

    Raises:
        ConfigError: There are not as many as stages, or they do not make shares.
    """
    if not shares:
        return [1.0] * len(stages)
    if len(shares) != len(stages) or min(shares) < 0 or not 0 < sum(shares) < math.inf:
        raise ConfigError(
            f"curriculum.shares cannot be {', '.join(f'{share:g}' for share in shares)}",
            why=f"the stages are {', '.join(stages)}: each needs a number of at least 0, "
            "not all of them 0",
            then=f"write curriculum.shares={','.join('1' * len(stages))} for equal shares",
        )
    return shares


class _Climber:
    """What climbs a ladder has in common: passes over the tasks of the rung it stands on."""

    def __init__(self, rungs: Sequence[Rung], *, seed: int) -> None:
        self._rungs = tuple(rungs)
        self._seed = seed
        self._go_to(0)

    def _go_to(self, place: int) -> None:
        self._place = place
        self._passes = Passes(self._rungs[place].tasks, seed=self._seed, name=(place,))

    def _assign(self, episodes: int) -> Sequence[Assignment]:
        stage = self._rungs[self._place].stage
        return [Assignment(task, stage) for task in self._passes.take(episodes)]

    def state_dict(self) -> Mapping[str, Any]:
        """The rung, counted from 0, and how many tasks were drawn on it."""
        return {"rung": self._place, "drawn": self._passes.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the rung and after the tasks that were drawn."""
        self._go_to(int(state["rung"]))
        self._passes.drawn = int(state["drawn"])


class ScheduledCurriculum(_Climber):
    """Climbs a ladder as iterations pass: ``staged`` and ``depth``.

    Args:
        rungs: From easy to hard.
        shares: Of the iterations, one per rung, in any unit. Rungs begin at whole iterations,
            rounded in favour of the harder one; the last has one iteration at the least.
        iterations: Of the run.
        seed: The run's seed.

    Raises:
        ReflectError: There are no tasks.
    """

    def __init__(
        self, rungs: Sequence[Rung], *, shares: Sequence[float], iterations: int, seed: int
    ) -> None:
        super().__init__(rungs, seed=seed)
        ends = itertools.accumulate(shares[:-1])
        # rounding to 9 places first: 0.1 + 0.2 of 10 iterations are 3, not 3.0000000000000004
        whole = (math.floor(round(end / sum(shares) * iterations, 9)) for end in ends)
        self._ends = [min(end, iterations - 1) for end in whole]

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """Tasks of the rung that this iteration belongs to, one episode each."""
        place = bisect.bisect_right(self._ends, iteration)
        if place != self._place:
            self._go_to(place)
        return self._assign(episodes)

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Outcomes change nothing here; tells the rung."""
        return self._rungs[self._place].figures


class AdaptiveCurriculum(_Climber):
    """Climbs a ladder when episodes go well.

    Args:
        rungs: From easy to hard.
        threshold: Success rate at which the next rung is taken, from 0 to 1.
        window: Newest episodes of the present rung over which the rate is taken; fewer than
            these are never enough.
        seed: The run's seed.

    Raises:
        ReflectError: There are no tasks.
    """

    def __init__(self, rungs: Sequence[Rung], *, threshold: float, window: int, seed: int) -> None:
        super().__init__(rungs, seed=seed)
        self._threshold = threshold
        self._outcomes: collections.deque[bool] = collections.deque(maxlen=window)

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """Tasks of the present rung, one episode each."""
        return self._assign(episodes)

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Count outcomes, and climb if they are good; tells the rung that was played.

        ``curriculum_success`` is the success rate over the window, 0 before any episode.
        """
        self._remember(trajectory.success for trajectory in trajectories)
        outcomes, played = self._outcomes, self._rungs[self._place]
        success = sum(outcomes) / max(1, len(outcomes))
        enough = len(outcomes) == outcomes.maxlen and success >= self._threshold
        if enough and played is not self._rungs[-1]:
            self._go_to(self._place + 1)
            outcomes.clear()  # what was easier says nothing about what is to come
        return {**played.figures, "curriculum_success": success}

    def state_dict(self) -> Mapping[str, Any]:
        """The rung, the tasks drawn on it, and the outcomes in the window, oldest first."""
        return {**super().state_dict(), "outcomes": list(self._outcomes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the same rung, tasks and window."""
        super().load_state_dict(state)
        self._outcomes.clear()
        self._remember(state["outcomes"])

    def _remember(self, outcomes: Iterable[bool]) -> None:
        self._outcomes.extend(bool(outcome) for outcome in outcomes)
