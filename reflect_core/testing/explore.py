"""Episodes to try out, played step by step.

A :class:`Plan` names a task, a seed, a stage and moves. A move is a number, taken modulo the
length of the menu, so that any list of numbers is an episode of any environment; or it is text
that is on no menu.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from reflect_core.protocols import Environment
from reflect_core.records import SPLITS, Observation, Step, Task

__all__ = [
    "NUMBERS",
    "SPLITS",
    "SPOILINGS",
    "Episode",
    "Move",
    "Plan",
    "World",
    "before_end",
    "play",
    "spoilings",
    "turns",
]

NUMBERS = 2**63 - 1
LONGEST_STORY = 24
"""Lines."""

_SPOILT = (
    lambda action: f"{action} ",
    lambda action: action.upper(),
    lambda action: action[:-1],
    lambda action: f"{action}\n{action}",
)
"""Ways to make something that is nearly an action."""
SPOILINGS = len(_SPOILT)


def spoilings(action: str) -> list[str]:
    """What is nearly an action: one text for each way to make such."""
    return [spoil(action) for spoil in _SPOILT]


@attrs.frozen
class Move:
    """One move.

    Args:
        number: Which item of the menu, modulo its length.
        text: Said in place of an item.
        spoilt: The item is changed in one of so many ways, counted from 1; 0 leaves it.
    """

    number: int = 0
    text: str | None = None
    spoilt: int = 0

    def spell(self, menu: Sequence[str]) -> str | None:
        """The action; None where it would be an item of an empty menu."""
        if self.text is not None:
            return self.text
        if not menu:
            return None
        item = menu[self.number % len(menu)]
        return _SPOILT[self.spoilt - 1](item) if self.spoilt else item


@attrs.frozen
class Plan:
    """An episode to play; its numbers are taken modulo what there is."""

    task: int = 0
    seed: int = 0
    stage: int = 0
    moves: tuple[Move, ...] = ()


@attrs.frozen
class World:
    """What there is to play.

    Args:
        tasks: Of all splits, those of ``train`` first.
        stages: That ``reset`` may be given, None for the last.
        horizon: Turns after which an episode is taken to be endless.
    """

    tasks: tuple[Task, ...]
    stages: tuple[str, ...]
    horizon: int

    def stage(self, number: int) -> str | None:
        """The number-th stage; 0 is the real task."""
        return (None, *self.stages)[number % (1 + len(self.stages))]


@attrs.frozen
class Fault:
    """What an environment raised, or handed out that is not what it should be."""

    during: str
    error: BaseException


@attrs.define
class Episode:
    """An episode as it was played.

    Args:
        task, stage, seed: What ``reset`` was given.
        first: What ``reset`` returned; None where it failed.
        actions: Taken, in order; the last may have failed.
        steps: What came back.
        fault: What ended it, where that was an error.
        given_up: Whether the expert who played it knew no way on.
    """

    task: Task
    seed: int
    stage: str | None
    first: Observation | None = None
    actions: list[str] = attrs.field(factory=list)
    steps: list[Step] = attrs.field(factory=list)
    fault: Fault | None = None
    given_up: bool = False

    @property
    def shown(self) -> list[Observation]:
        """All observations, in order."""
        first = [] if self.first is None else [self.first]
        return [*first, *(step.observation for step in self.steps)]

    @property
    def over(self) -> bool:
        """Whether the environment said that it has ended."""
        return bool(self.steps) and self.steps[-1].over

    @property
    def running(self) -> bool:
        """Whether another step may be taken."""
        return self.fault is None and self.first is not None and not self.over

    @property
    def menu(self) -> tuple[str, ...]:
        """The present legal actions."""
        last = self.steps[-1].observation if self.steps else self.first
        return last.legal_actions if last is not None else ()

    def keys(self) -> list[str]:
        """All that must repeat of each turn, as text: NaN, which equals nothing, repeats too."""
        first = [] if self.first is None else [_key(self.first)]
        return [*first, *(_key(step) for step in self.steps)]

    def opening(self, name: str = "environment") -> list[str]:
        """The calls that begin it on the instance ``name``."""
        split = self.task.split
        stage = "" if self.stage is None else f", stage={self.stage!r}"
        return [
            f"task = {{t.task_id: t for t in {name}.tasks({split!r})}}[{self.task.task_id!r}]",
            f"{name}.reset(task, seed={self.seed}{stage})",
        ]

    def call(self, number: int, name: str = "environment") -> str:
        """The number-th step, from 0, and what came of it."""
        end = _outcome(self.steps[number]) if number < len(self.steps) else "raised"
        return f"{name}.step({_short(self.actions[number], 200)})  # {end}"

    def story(self) -> list[str]:
        """The calls that play it again, and what came of them."""
        lines = [*self.opening(), *(self.call(number) for number in range(len(self.actions)))]
        if len(lines) > LONGEST_STORY:
            lines[12:-10] = [f"...  # {len(lines) - 22} more"]
        return lines

    def begin(self, environment: Environment) -> None:
        """Call ``reset``."""
        shown = self._ask(
            "reset",
            lambda: environment.reset(self.task, seed=self.seed, stage=self.stage),
            Observation,
        )
        self.first = shown

    def take(self, environment: Environment, action: str) -> None:
        """Call ``step``."""
        self.actions.append(action)
        step = self._ask("step", lambda: environment.step(action), Step)
        if step is not None:
            self.steps.append(step)

    def _ask(self, method: str, call: Any, kind: type) -> Any:
        try:
            answer = call()
        except Exception as error:  # noqa: BLE001, an environment may raise anything: kept
            self.fault = Fault(method, error)
            return None
        if not isinstance(answer, kind):
            wrong = f"{method} returned {_short(answer)}, which is no {kind.__name__}"
            self.fault = Fault(method, TypeError(wrong))
            return None
        return answer


def turns(
    environment: Environment, plan: Plan, world: World, *, to_end: bool = False
) -> Iterator[Episode]:
    """Play a plan; yields the episode after ``reset`` and after every step.

    Args:
        to_end: Repeat the moves until the episode ends or the horizon has passed.
    """
    task = world.tasks[plan.task % len(world.tasks)]
    episode = Episode(task, plan.seed, world.stage(plan.stage))
    episode.begin(environment)
    yield episode
    steps = plan.moves
    if to_end:
        steps = steps or (Move(),)
        steps = (steps * (world.horizon // len(steps) + 1))[: world.horizon]
    for move in steps:
        action = move.spell(episode.menu)
        if not episode.running or action is None:
            return
        episode.take(environment, action)
        yield episode


def play(environment: Environment, plan: Plan, world: World, *, to_end: bool = False) -> Episode:
    """Play a plan; see :func:`turns`."""
    *_, episode = turns(environment, plan, world, to_end=to_end)
    return episode


def before_end(environment: Environment, plan: Plan, world: World) -> tuple[Plan, Episode]:
    """The plan without what ends its episode, and the episode, whose environment goes on."""
    episode = play(environment, plan, world)
    if episode.over:
        plan = attrs.evolve(plan, moves=plan.moves[: len(episode.actions) - 1])
        episode = play(environment, plan, world)
    return plan, episode


def _key(shown: Observation | Step) -> str:
    if isinstance(shown, Observation):
        return repr((shown.text, shown.legal_actions, shown.state_key))
    ends = (shown.terminated, shown.truncated, shown.success)
    return f"{_key(shown.observation)} reward {shown.reward!r} + {shown.shaping!r}, {ends}"


def _outcome(step: Step) -> str:
    words = [f"reward {step.reward}"]
    if step.shaping:
        words.append(f"shaping {step.shaping}")
    names = ("terminated", "truncated", "success")
    return ", ".join([*words, *(name for name in names if getattr(step, name))])


def _short(value: object, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 20]}...{text[-10:]}"
