"""Turns per second of the installed environments on one core, reset and step apart.

    python benchmarks/environment_speed.py [--write] [--env NAME ...] [--floor taxi=5000]

An environment with default options plays some of its test tasks once, with its expert's actions
where it has one and random ones elsewhere. The same episodes are then replayed, round after
round, by the environment and by the bare engine that it stands on, if any; only ``reset`` and
``step`` are timed, and a figure is the median over the rounds. Exits with code 1 when an
environment misses a floor. With ``--write`` the table goes to ``environment_speed.md`` and all
figures to ``environment_speed.json``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from reflect_core import files, plugins
from reflect_core.context import EnvironmentContext
from reflect_core.errors import NoAdvice, ReflectError
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Task
from reflect_core.streams import stream

HERE = Path(__file__).parent
ROUNDS = 5
FLOORS = {"filesys": 5000.0, "taxi": 5000.0}
"""Turns per second, with the resets that they need, that an environment must reach."""
FACTORS = {"alfworld": 10.0}
"""How many times as fast as its bare engine's a step and a repeated reset must be."""
ALL_WELL = "No environment misses a floor."
HEAD = (
    "| | turns/s | first reset, us | reset, us | step, us | turns an episode | times ours |",
    "|---|---|---|---|---|---|---|",
)


@attrs.frozen
class Script:
    """An episode as it was played: the task, the seed and the actions, in order."""

    task: Task
    seed: int
    actions: Sequence[str]


class Player(Protocol):
    """What replays scripts: an environment, or the engine below it."""

    def codes(self, script: Script) -> Sequence[Any]:
        """What ``step`` takes for the script's actions; not timed."""

    def reset(self, script: Script) -> object:
        """Begin the script's episode."""

    def step(self, code: Any) -> object:
        """Take its next turn."""


@attrs.frozen
class Whole:
    """An environment as it is used."""

    environment: Environment

    def codes(self, script: Script) -> Sequence[str]:
        """The actions themselves."""
        return script.actions

    def reset(self, script: Script) -> object:
        """Begin the episode."""
        return self.environment.reset(script.task, seed=script.seed)

    def step(self, action: str) -> object:
        """Take a turn."""
        return self.environment.step(action)


@attrs.frozen
class BareTable:
    """One of Gymnasium's engines whose state is a number; it shows that number in place of text.

    Args:
        engine: Gymnasium's.
        menu: The actions by its numbers.
        start: Its number of the state where a task begins.
    """

    engine: Any
    menu: Sequence[str]
    start: Callable[[Mapping[str, Any]], int]

    def codes(self, script: Script) -> Sequence[int]:
        """The engine's numbers of the actions."""
        return [self.menu.index(action) for action in script.actions]

    def reset(self, script: Script) -> object:
        """Draw a start as the engine does, and put the task's in its place."""
        self.engine.reset()
        self.engine.s = self.start(script.task.data)
        return self.engine.s

    def step(self, code: int) -> object:
        """Take a turn."""
        return self.engine.step(code)


@attrs.frozen
class BareTextWorld:
    """ALFWorld's own engine, which takes up the game anew at every reset, as ALFWorld does.

    Args:
        engine: The plugin's ``StockEngine``.
        text: The files of a task's game.
    """

    engine: Any
    text: Callable[[Task], Any]

    def codes(self, script: Script) -> Sequence[str]:
        """The commands themselves."""
        return script.actions

    def reset(self, script: Script) -> object:
        """Load and begin the game."""
        self.engine.load(self.text(script.task))
        return self.engine.reset()

    def step(self, command: str) -> object:
        """Do what a command says."""
        return self.engine.step(command)


def bare_taxi(environment: Environment) -> Player:
    """Gymnasium's Taxi."""
    import gymnasium

    engine: Any = gymnasium.make("Taxi-v4").unwrapped
    stops = [list(stop) for stop in engine.locs]

    def start(data: Mapping[str, Any]) -> int:
        ends = stops.index(data["passenger"]), stops.index(data["goal"])
        return int(engine.encode(*data["taxi"], *ends))

    moves = [f"move {side}" for side in ("south", "north", "east", "west")]
    return BareTable(engine, [*moves, "pick up", "drop off"], start)


def bare_lake(environment: Environment) -> Player:
    """Gymnasium's FrozenLake on the map that the default options have."""
    import gymnasium

    engine: Any = gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=False).unwrapped
    moves = [f"move {side}" for side in ("left", "down", "right", "up")]
    return BareTable(engine, moves, lambda data: int(4 * data["start"][0] + data["start"][1]))


def bare_alfworld(environment: Environment) -> Player:
    """TextWorld's PDDL environment as ALFWorld drives it, on the environment's own games."""
    from reflect_env_alfworld.stock import StockEngine

    owner: Any = environment
    return BareTextWorld(StockEngine(), owner.game_text)


BARE: Mapping[str, Callable[[Environment], Player]] = {
    "alfworld": bare_alfworld,
    "frozenlake": bare_lake,
    "taxi": bare_taxi,
}
"""The engine below an environment, by the environment's name."""


@attrs.frozen
class Round:
    """What was timed: episodes, turns, and the seconds that each verb took."""

    episodes: int
    turns: int
    reset_seconds: float
    step_seconds: float


@attrs.frozen
class Speed:
    """A line of the table.

    Args:
        name: Of the environment.
        bare: Whether it is the engine below it.
        first_resets: Seconds of the first reset of each task.
        rounds: What was timed after that.
    """

    name: str
    bare: bool
    first_resets: Sequence[float]
    rounds: Sequence[Round]

    @property
    def rate(self) -> float:
        """Turns per second, with the resets that they need."""
        return statistics.median(
            each.turns / (each.reset_seconds + each.step_seconds) for each in self.rounds
        )

    @property
    def first_reset(self) -> float:
        """Seconds of a task's first reset in this process."""
        return statistics.median(self.first_resets)

    @property
    def reset(self) -> float:
        """Seconds of a reset of a task that was played before."""
        return statistics.median(each.reset_seconds / each.episodes for each in self.rounds)

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return statistics.median(each.step_seconds / each.turns for each in self.rounds)

    @property
    def length(self) -> float:
        """Turns of an episode."""
        return sum(each.turns for each in self.rounds) / sum(each.episodes for each in self.rounds)

    def row(self, whole: Speed) -> str:
        """The line, beside the environment that this is the engine of."""
        name = f"engine of {self.name}" if self.bare else self.name
        times = (
            f"reset {self.reset / whole.reset:.1f}, step {self.step / whole.step:.1f}"
            if self.bare
            else ""
        )
        micro = (f"{1e6 * each:,.1f}" for each in (self.first_reset, self.reset, self.step))
        cells = (name, f"{self.rate:,.0f}", *micro, f"{self.length:.1f}", times)
        return f"| {' | '.join(cells)} |"

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON; seconds."""
        medians = ("rate", "first_reset", "reset", "step", "length")
        return {
            "environment": self.name,
            "bare_engine": self.bare,
            **{name: getattr(self, name) for name in medians},
            "rounds": [attrs.asdict(each) for each in self.rounds],
        }


def record(environment: Environment, *, episodes: int) -> tuple[list[Script], list[float]]:
    """Play test tasks, spread over all of them, once each.

    Returns:
        The episodes, and the seconds that each reset took.
    """
    tasks = environment.tasks("test")
    count = min(episodes, len(tasks))
    scripts, seconds = [], []
    for seed in range(count):
        task = tasks[seed * len(tasks) // count]
        generator = stream(0, "speed", seed)
        began = time.perf_counter()
        observation = environment.reset(task, seed=seed)
        seconds.append(time.perf_counter() - began)
        actions, over = [], False
        while not over:
            action = advised(environment)
            if action is None:
                legal = observation.legal_actions
                action = legal[int(generator.integers(len(legal)))]
            actions.append(action)
            step = environment.step(action)
            observation, over = step.observation, step.over
        scripts.append(Script(task, seed, actions))
    return scripts, seconds


def advised(environment: Environment) -> str | None:
    """What its expert would do; None where it has none, or has given up."""
    if not isinstance(environment, Expert):
        return None
    try:
        return environment.expert_action()
    except NoAdvice:
        return None


def replay(player: Player, scripts: Iterator[Script], *, seconds: float) -> Round:
    """Play whole episodes until the timed calls have taken so long, at least one."""
    resets = steps = 0.0
    episodes = turns = 0
    while not episodes or resets + steps < seconds:
        script = next(scripts)
        codes = player.codes(script)
        began = time.perf_counter()
        player.reset(script)
        resets += time.perf_counter() - began
        for code in codes:
            began = time.perf_counter()
            player.step(code)
            steps += time.perf_counter() - began
        episodes += 1
        turns += len(codes)
    return Round(episodes, turns, resets, steps)


def measure(name: str, environment: Environment, *, episodes: int, seconds: float) -> list[Speed]:
    """The lines of an environment: its own, then its engine's if it has one."""
    scripts, first = record(environment, episodes=episodes)
    players: list[Player] = [Whole(environment)]
    firsts = [first]
    if name in BARE:
        players.append(BARE[name](environment))
        passed = (replay(players[-1], iter([script]), seconds=0) for script in scripts)
        firsts.append([each.reset_seconds for each in passed])
    endless = [itertools.cycle(scripts) for _ in players]
    rounds: list[list[Round]] = [[] for _ in players]
    for _ in range(ROUNDS):  # by turns, so that a slow spell of the machine hits both
        for player, scripts_of, found in zip(players, endless, rounds, strict=True):
            found.append(replay(player, scripts_of, seconds=seconds))
    return [
        Speed(name, bare, resets, found)
        for bare, resets, found in zip((False, True), firsts, rounds, strict=False)
    ]


def misses(whole: Speed, bare: Speed | None = None, *, floors: Mapping[str, float]) -> list[str]:
    """What an environment falls short of."""
    name, found = whole.name, []
    if whole.rate < floors.get(name, 0):
        found.append(f"{name} is below its floor of {floors[name]:,.0f} turns/s")
    if name in FACTORS and bare is not None:
        for verb in ("reset", "step"):
            times = getattr(bare, verb) / getattr(whole, verb)
            if times < FACTORS[name]:
                found.append(
                    f"{verb} of {name} is {times:.1f} times as fast as its engine's, "
                    f"not {FACTORS[name]:.0f} times"
                )
    return found


def report(
    names: Sequence[str], *, episodes: int, seconds: float, floors: Mapping[str, float], write: bool
) -> int:
    """Measure the environments, all that can be made if none is named, and print the table.

    Returns:
        1 if one of them fell short of something, else 0.

    Raises:
        PluginError: No environment has one of these names.
    """
    registry = plugins.load()
    rows, speeds, short = list(HEAD), [], []
    print(*HEAD, sep="\n")
    for name in names or sorted(registry.offers("environment")):
        spec = registry.find("environment", name).spec
        try:
            environment = spec.factory(spec.config(), EnvironmentContext())
        except ReflectError as error:
            if names:
                raise
            lines = [f"| {name} | not measured: {error.what} | | | | | |"]
        else:
            found = measure(name, environment, episodes=episodes, seconds=seconds)
            environment.close()
            lines = [speed.row(found[0]) for speed in found]
            short += misses(*found, floors=floors)
            speeds += found
        print(*lines, sep="\n", flush=True)
        rows += lines
    print("", *(short or [ALL_WELL]), sep="\n")
    if write:
        _write(rows, speeds, short)
    return int(bool(short))


def _write(rows: Sequence[str], speeds: Sequence[Speed], short: Sequence[str]) -> None:
    machine = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    text = [
        "# Speed of the environments",
        "",
        f"One process on {machine['machine']}, Python {machine['python']}, default options. "
        f"Medians of {ROUNDS} rounds; what an engine takes, as a multiple of ours, is in the "
        "last column. An engine of Gymnasium's shows a number where the environment writes text.",
        "",
        *rows,
        "",
        *(short or [ALL_WELL]),
    ]
    files.write_atomic(HERE / "environment_speed.md", "\n".join(text) + "\n")
    figures = [speed.figures() for speed in speeds]
    result = {"machine": machine, "speeds": figures, "misses": list(short)}
    files.write_json(HERE / "environment_speed.json", result)


def _floor(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    return name, float(number)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether all are fast enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", action="append", default=[], help="all, if none is named")
    parser.add_argument("--episodes", type=int, default=50, help="tasks that are played")
    parser.add_argument("--seconds", type=float, default=1.0, help="timed in a round, at least")
    parser.add_argument(
        "--floor", action="append", default=[], type=_floor, help="NAME=turns per second"
    )
    parser.add_argument("--write", action="store_true", help="to environment_speed.md and .json")
    options = parser.parse_args(words)
    try:
        return report(
            options.env,
            episodes=options.episodes,
            seconds=options.seconds,
            floors={**FLOORS, **dict(options.floor)},
            write=options.write,
        )
    except ReflectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
