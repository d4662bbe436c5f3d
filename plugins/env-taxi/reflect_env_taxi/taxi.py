"""The episodes of DangerousTaxi: what is shown, what may be done, what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from reflect_core.errors import EpisodeOver, NoAdvice, ReflectError
from reflect_core.records import Observation, Step, Task
from reflect_core.streams import stream
from reflect_env_taxi import driver, engine
from reflect_env_taxi.advice import Advice, by_compass, fewest_turns
from reflect_env_taxi.compass import turns
from reflect_env_taxi.config import (
    AT_PASSENGER,
    COMPASS,
    DROPOFF,
    FULL,
    PICKUP,
    STAGES,
    TaxiConfig,
)
from reflect_env_taxi.engine import Table
from reflect_env_taxi.pairs import STOPS, Ride, rides, tasks_by_split
from reflect_env_taxi.search import Ways, shortest_ways
from reflect_env_taxi.view import ABOARD, MOVES, Scene, View

UNIT = 1 / 20
"""Taxi's points are divided by 20."""
DANGER = -10 * UNIT
"""For whatever changes nothing, where that ends the episode."""
ERROR = -2 * UNIT
"""For a turn whose action was not on the menu."""
PICKED_UP = 20 * UNIT
"""Shaping of the first pick-up."""

PICK_UP, DROP_OFF = "pick up", "drop off"
ACTIONS = (*(f"move {side}" for side in MOVES), PICK_UP, DROP_OFF)
"""The menu, by Taxi's numbers."""
NUMBERS = {action: number for number, action in enumerate(ACTIONS)}


@attrs.define
class _Episode:
    """Where an episode stands.

    Args:
        part: What is played, one of the stages.
        seed: Decides what the compass tries; nothing else is random.
        turns_left: Of the horizon.
        boarded: Whether the passenger was aboard before.
        last: The last action, None before any, "" if it was not on the menu.
        right: Whether the last action was a right one, as far as the expert knows.
        over: Whether it has ended.
    """

    part: str
    seed: int
    turns_left: int
    boarded: bool
    last: str | None = None
    right: bool = True
    over: bool = False


class TaxiEnvironment:
    """Drive to the passenger, pick him up, drive to the goal, drop him off; nothing else.

    Rewards are Taxi's, divided by 20: -1 for a turn, +20 for the drop-off at the goal. An
    action that changes nothing (a move into a wall, a pick-up or drop-off that is not possible)
    gives -10 and ends the episode; with ``dangerous=False`` it is answered as Taxi does. A text
    that is not on the menu gives -2 and uses up a turn. The end of the horizon ends the episode
    and costs nothing more.

    >>> env = TaxiEnvironment()
    >>> observation = env.reset(env.tasks("train")[0], seed=0)
    >>> step = env.step(env.expert_action())
    """

    def __init__(self, config: TaxiConfig | None = None) -> None:
        """Make the engine and find the ways through its town."""
        self.config = config or TaxiConfig()
        self._engine: Any = engine.taxi()
        self._info = engine.origin(engine.TAXI)
        table: Table = self._engine.P
        self._scenes = [self._scene(state) for state in table]
        delivered = shortest_ways(table, lambda _, after, ended: ended)
        picked_up = shortest_ways(
            table, lambda before, after, _: not self._aboard(before) and self._aboard(after)
        )
        self._ways: dict[str, Ways] = {FULL: delivered, DROPOFF: delivered, PICKUP: picked_up}
        self._advice: dict[str, Advice] = {part: ways.best for part, ways in self._ways.items()}
        if self.config.expert == COMPASS:
            pick_up, drop_off = NUMBERS[PICK_UP], NUMBERS[DROP_OFF]
            compass = by_compass(self._scenes, pick_up=pick_up, drop_off=drop_off)
            self._advice = dict.fromkeys(STAGES, compass)
        self._tasks = tasks_by_split(self.config, self._moves())
        town = [b"".join(line).decode() for line in self._engine.desc]
        self._view = View(town, drawing=self.config.drawing, facts=self.config.facts)
        self._episode: _Episode | None = None
        self._closed = False

    def summary(self) -> str:
        """A few lines for people: the engine and how many tasks there are."""
        counts = ", ".join(f"{len(tasks)} {split}" for split, tasks in self._tasks.items())
        name, version = self._info.values()
        return f"{name} of Gymnasium {version}, {self.config.task}: {counts} tasks"

    def tasks(self, split: str) -> Sequence[Task]:
        """Every start of the split's pairs, in a fixed order.

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
            seed: Decides what the expert ``compass`` tries at a wall; nothing else is random.
            stage: ``pickup``, ``dropoff`` or ``full``; the last and the default are what option
                ``task`` says.

        Raises:
            ReflectError: The task is not known under these options, or the stage is unknown.
        """
        self._check_open()
        stage = FULL if stage is None else stage
        if stage not in STAGES:
            raise ReflectError.unknown("stage", stage, STAGES)
        known = self._tasks.get(task.split, {}).get(task.task_id)
        if known is None:
            raise ReflectError(
                f"task {task.task_id!r} is not one of this taxi's",
                why=f"split {task.split!r} has no such start with task={self.config.task} "
                f"and held_out={self.config.held_out}",
                then="take tasks from an environment with the same options",
            )
        part = self.config.task if stage == FULL else stage
        self._engine.s = self._start(known[1], part)
        self._episode = _Episode(part, seed, self.config.horizon, boarded=part == DROPOFF)
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
        before = self._state
        after, points, delivered, _, _ = self._engine.step(number)
        vain = after == before
        fatal = vain and self.config.dangerous
        pick_up = action == PICK_UP and not vain
        shaped = pick_up and not episode.boarded and self.config.shape_pickup
        episode.boarded |= pick_up
        advice = self._advice[episode.part][before]
        # who knows nothing better finds fault with no move
        episode.last, episode.right = action, number in (advice or MOVES.values())
        success = delivered or (pick_up and episode.part == PICKUP)
        episode.over = success or fatal or episode.turns_left == 0
        return Step(
            observation=self._observe(f"{action}: {self._result(action, vain, success)}"),
            reward=DANGER if fatal else points * UNIT,
            shaping=PICKED_UP if shaped else 0.0,
            terminated=episode.over,
            success=success,
            info=self._info,
        )

    def close(self) -> None:
        """Let go of the engine."""
        if not self._closed:
            self._engine.close()
        self._closed = True
        self._episode = None

    def expert_action(self) -> str:
        """The planner's is the next of a shortest way; of several, the first on the menu.

        Where the compass points at a wall, any side that is free, drawn by the episode's seed
        and the turn.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: The compass has given up: the turns left would not do even without walls.
        """
        episode = self._advised()
        advice = self._advice[episode.part][self._state]
        if advice:
            return ACTIONS[advice[0]]
        free = driver.free_sides(self._scenes[self._state])
        draw = stream(episode.seed, "compass", episode.turns_left)
        return ACTIONS[MOVES[free[int(draw.integers(len(free)))]]]

    def expert_reflection(self) -> str:
        """What the expert says: what was wrong, where the target lies, and the next action.

        Where the compass points at a wall, it says so, and what is free; it names no action.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: As for :meth:`expert_action`.
        """
        episode = self._advised()
        advice = self._advice[episode.part][self._state]
        action = ACTIONS[advice[0]] if advice else None
        complaint = ""
        if episode.last == "":
            complaint = driver.NO_COMMAND
        elif not episode.right:
            drove = episode.last not in (PICK_UP, DROP_OFF)
            complaint = driver.WRONG_WAY if drove else driver.WRONG_STOP
        return driver.reflection(self._scenes[self._state], action, complaint)

    @property
    def _state(self) -> int:
        """Taxi's number of the present state."""
        return int(self._engine.s)

    def _refuse(self, episode: _Episode, action: str) -> Step:
        """A turn is used up by something that is not on the menu."""
        episode.last, episode.right = "", True
        episode.over = episode.turns_left == 0
        return Step(
            observation=self._observe(f"error: no command {action[:20]!a}"),
            reward=ERROR,
            terminated=episode.over,
            info=self._info | {"error": "not on the menu"},
        )

    def _result(self, action: str, vain: bool, success: bool) -> str:
        """What to say of a legal action, after the fact."""
        if success:
            return "right"
        if vain:
            return "crash" if action in ACTIONS[: len(MOVES)] else "not possible"
        return "not the goal" if action == DROP_OFF else "ok"

    def _observe(self, result: str) -> Observation:
        episode = self._playing(ended=True)
        state = self._state
        over = "over" if episode.over else ""
        key = f"{episode.part}:{state}:{episode.turns_left}:{int(episode.boarded)}:{over}"
        if episode.over:
            end = "" if episode.turns_left else ". No turns left"
            return Observation(result + end, (), key)
        shows = self._view.text(
            self._scenes[state],
            again=episode.boarded and not self._aboard(state),
            turns_left=episode.turns_left,
        )
        return Observation(f"{result}\n{shows}" if result else shows, ACTIONS, key)

    def _start(self, ride: Ride, part: str) -> int:
        """Taxi's number of the state where a part of the task begins."""
        passenger, taxi = ride.passenger, ride.taxi
        if part == DROPOFF:
            passenger = ABOARD
            if self.config.boarding == AT_PASSENGER:
                taxi = STOPS[ride.passenger]
        return int(self._engine.encode(*taxi, passenger, ride.goal))

    def _moves(self) -> dict[str, int]:
        """How many moves the shortest way of each task has, pick-up and drop-off not counted."""
        part = self.config.task
        distance, others = self._ways[part].distance, 2 if part == FULL else 1
        return {
            ride.task_id: distance[self._start(ride, part)] - others for ride in rides(self.config)
        }

    def _scene(self, state: int) -> Scene:
        row, column, passenger, goal = (int(part) for part in self._engine.decode(state))
        outcomes = self._engine.P[state]
        walls = frozenset(side for side, move in MOVES.items() if outcomes[move][0][1] == state)
        return Scene((row, column), passenger, goal, walls)

    def _aboard(self, state: int) -> bool:
        return self._scenes[state].aboard

    def _check_open(self) -> None:
        if self._closed:
            raise EpisodeOver("the environment is closed")

    def _advised(self) -> _Episode:
        """The episode, where the expert has not given it up."""
        episode = self._playing()
        if self.config.expert == COMPASS:
            scene = self._scenes[self._state]
            needed = fewest_turns(scene, deliver=episode.part != PICKUP)
            if needed > episode.turns_left:
                raise NoAdvice(
                    "the compass has given up this ride",
                    why=f"it takes {needed} turns or more, and {turns(episode.turns_left)}",
                )
        return episode

    def _playing(self, *, ended: bool = False) -> _Episode:
        if self._episode is None:
            raise EpisodeOver("reset was not called")
        if self._episode.over and not ended:
            raise EpisodeOver("the episode has ended; call reset")
        return self._episode
