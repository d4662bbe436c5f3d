"""The episodes of FrozenLake: what is shown, what may be done, what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from reflect_core.errors import EpisodeOver, ReflectError
from reflect_core.records import Observation, Step, Task
from reflect_core.streams import stream
from reflect_env_taxi import engine, ice, skater
from reflect_env_taxi.compass import Cell
from reflect_env_taxi.config import FULL, FrozenLakeConfig
from reflect_env_taxi.lakes import goal_of, tasks_by_split, ways_on

ERROR = -0.1
"""For a turn whose action was not on the menu."""
ACTIONS = tuple(f"move {direction}" for direction in ice.STEPS)
"""The menu, by FrozenLake's numbers."""
NUMBERS = {action: number for number, action in enumerate(ACTIONS)}


@attrs.define
class _Episode:
    """Where an episode stands.

    Args:
        key: Begins the keys of its states.
        seed: Decides where the ice lets one slip.
        rows: The map.
        goal: Where the goal is.
        turns_left: Of the horizon.
        last: The last action, None before any, "" if it was not on the menu.
        before: Gymnasium's number of the cell where it was taken.
        slipped: Whether it led elsewhere than it should have.
        over: Whether it has ended.
    """

    key: str
    seed: int
    rows: tuple[str, ...]
    goal: Cell
    turns_left: int
    last: str | None = None
    before: int = 0
    slipped: bool = False
    over: bool = False


class FrozenLakeEnvironment:
    """Cross the ice to the goal; a hole ends the episode.

    Rewards are Gymnasium's: 1 at the goal, 0 for all else. A text that is not on the menu gives
    -0.1 and uses up a turn. The end of the horizon ends the episode.

    >>> env = FrozenLakeEnvironment()
    >>> observation = env.reset(env.tasks("train")[0], seed=0)
    >>> step = env.step(env.expert_action())
    """

    def __init__(self, config: FrozenLakeConfig | None = None) -> None:
        """List the tasks.

        Raises:
            ConfigError: There are fewer than one for each split.
        """
        self.config = config or FrozenLakeConfig()
        self._info = engine.origin(engine.FROZEN_LAKE)
        self._tasks = tasks_by_split(self.config)
        self._engine: Any = None
        self._rows: tuple[str, ...] = ()  # the map of the engine
        self._best: dict[tuple[str, ...], Sequence[tuple[int, ...]]] = {}
        self._episode: _Episode | None = None
        self._closed = False

    def summary(self) -> str:
        """A few lines for people: the engine and how many tasks there are."""
        counts = ", ".join(f"{len(tasks)} {split}" for split, tasks in self._tasks.items())
        name, version = self._info.values()
        ice_is = "slippery" if self.config.slippery else "not slippery"
        return f"{name} of Gymnasium {version}, {self.config.map}, {ice_is}: {counts} tasks"

    def tasks(self, split: str) -> Sequence[Task]:
        """Every start of a split, in a fixed order.

        Raises:
            ReflectError: There is no such split.
        """
        self._check_open()
        if split not in self._tasks:
            raise ReflectError.unknown("split", split, self._tasks)
        return [task for task, _ in self._tasks[split].values()]

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode.

        Args:
            task: Of :meth:`tasks`.
            seed: Decides where one slips.
            stage: ``full``, the only one and the default.

        Raises:
            ReflectError: The task is not known under these options, or the stage is unknown.
        """
        self._check_open()
        if stage not in (None, FULL):
            raise ReflectError.unknown("stage", stage, (FULL,))
        known = self._tasks.get(task.split, {}).get(task.task_id)
        if known is None:
            raise ReflectError(
                f"task {task.task_id!r} is not one of these lakes'",
                why=f"split {task.split!r} has no such start with map={self.config.map}",
                then="take tasks from an environment with the same options",
            )
        _, start = known
        if self._rows != start.rows:
            self._engine = engine.frozen_lake(start.rows, slippery=self.config.slippery)
            self._rows = start.rows
        self._engine.s = start.cell[0] * self.config.side + start.cell[1]
        lake = task.task_id.partition("@")[0]
        key = f"{lake}#{seed}" if self.config.slippery else lake  # the slips to come are the seed's
        self._episode = _Episode(key, seed, start.rows, goal_of(start.rows), self.config.turns)
        return self._observe("")

    def step(self, action: str) -> Step:
        """Take a turn.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        episode = self._playing()
        episode.turns_left -= 1
        number = NUMBERS.get(action)
        if number is None:
            return self._refuse(episode, action)
        episode.last, episode.before = action, self._state
        aim = ice.beside(episode.rows, self._cell, action.removeprefix("move "))
        if self.config.slippery:  # a stream a turn, so that a state and its key hold all to come
            self._engine.np_random = stream(episode.seed, "frozenlake", episode.turns_left)
        _, reward, ended, _, _ = self._engine.step(number)
        episode.slipped = self._cell != aim
        success = self._cell == episode.goal
        episode.over = ended or episode.turns_left == 0
        return Step(
            observation=self._observe(f"{action}: {self._result(episode)}"),
            reward=float(reward),
            terminated=episode.over,
            success=success,
            info=self._info,
        )

    def close(self) -> None:
        """Let go of the engine; nothing in it is open."""
        self._closed = True
        self._engine = None
        self._episode = None

    def expert_action(self) -> str:
        """The next action of a shortest way, or of value iteration on slippery ice.

        Of several the first on the menu.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        best = self._plan(self._playing())[self._state]
        return ACTIONS[best[0]]

    def expert_reflection(self) -> str:
        """What the expert says: what was wrong, where the goal lies, and the next action.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        episode, action = self._playing(), self.expert_action()
        complaint = self._complaint(episode)
        return skater.reflection(episode.rows, self._cell, episode.goal, action, complaint)

    @property
    def _state(self) -> int:
        """FrozenLake's number of the present cell."""
        return int(self._engine.s)

    @property
    def _cell(self) -> Cell:
        row, column = divmod(self._state, self.config.side)
        return row, column

    def _plan(self, episode: _Episode) -> Sequence[tuple[int, ...]]:
        """The best actions in each state of the map."""
        if episode.rows not in self._best:
            self._best[episode.rows] = (
                skater.best_actions(self._engine.P)
                if self.config.slippery
                else ways_on(episode.rows).best
            )
        return self._best[episode.rows]

    def _complaint(self, episode: _Episode) -> str:
        if episode.last is None:
            return ""
        if episode.last == "":
            return skater.NO_COMMAND
        if episode.slipped:
            return skater.SLIPPED
        right = NUMBERS[episode.last] in self._plan(episode)[episode.before]
        return "" if right else skater.WRONG_WAY

    def _refuse(self, episode: _Episode, action: str) -> Step:
        """A turn is used up by something that is not on the menu."""
        episode.last = ""
        episode.over = episode.turns_left == 0
        return Step(
            observation=self._observe(f"error: no command {action[:20]!a}"),
            reward=ERROR,
            terminated=episode.over,
            info=self._info | {"error": "not on the menu"},
        )

    def _result(self, episode: _Episode) -> str:
        """What to say of a legal action, after the fact."""
        row, column = self._cell
        if episode.rows[row][column] in "GH":
            return "goal" if self._cell == episode.goal else ice.HOLE
        if episode.slipped:
            return "slipped"
        return "edge" if self._state == episode.before else "ok"

    def _observe(self, result: str) -> Observation:
        episode = self._playing(ended=True)
        key = f"{episode.key}:{self._state}:{episode.turns_left}:{'over' * episode.over}"
        if episode.over:
            end = "" if episode.turns_left else ". No turns left"
            return Observation(result + end, (), key)
        shows = ice.text(
            episode.rows,
            self._cell,
            episode.goal,
            turns_left=episode.turns_left,
            facts=self.config.facts,
        )
        return Observation(f"{result}\n{shows}" if result else shows, ACTIONS, key)

    def _check_open(self) -> None:
        if self._closed:
            raise EpisodeOver("the environment is closed")

    def _playing(self, *, ended: bool = False) -> _Episode:
        if self._episode is None:
            raise EpisodeOver("reset was not called")
        if self._episode.over and not ended:
            raise EpisodeOver("the episode has ended; call reset")
        return self._episode
