"""Calls to two instances of an environment, in any order that a run may make them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs

from reflect_core.errors import EpisodeOver, NoAdvice
from reflect_core.protocols import Environment, Expert
from reflect_core.streams import stream
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import differ
from reflect_core.testing.explore import NUMBERS, SPLITS, Episode, Move
from reflect_core.testing.laws import Broken
from reflect_core.testing.places import place_of, told
from reflect_core.testing.randomness import seed_global_random

__all__ = ["KINDS", "Call", "Table", "broken_by", "drawn_calls", "simpler_calls"]

KINDS = ("begin", "step", "say", "tasks", "expert", "close")
NAMES = ("environment", "other")
WEIGHTS = (0.1, 0.6, 0.05, 0.1, 0.05, 0.1)
"""How often each kind of call is drawn."""


@attrs.frozen
class Call:
    """One call.

    Args:
        kind: One of ``KINDS``.
        seat: Which instance.
        number: Of the task, the item of the menu or the split, modulo what there is.
        seed, stage: Of an episode that begins.
        text: What is said.
    """

    kind: str
    seat: int = 0
    number: int = 0
    seed: int = 0
    stage: int = 0
    text: str = ""


@attrs.define
class Seat:
    """An instance, by the name that the story gives it, and what is played on it.

    Where it was closed, the next one is made when the next episode begins and no sooner: what a
    new one opens again would hide what the closed one has taken away.
    """

    name: str
    environment: Environment
    episode: Episode | None = None
    closed: bool = False


class Table:
    """Two instances of an environment, each called without regard to the other.

    Whatever else is called, an episode is the one that its task, seed and actions decide.

    Args:
        subject: The environment.
    """

    def __init__(self, subject: EnvironmentSubject) -> None:
        self.subject = subject
        self.seats = [Seat(name, subject.make()) for name in NAMES]
        self.played: list[Episode] = []
        self.calls: list[Call] = []
        self.story = ["environment, other = ..., ...  # two instances"]

    def call(self, call: Call) -> None:
        """Make a call.

        Raises:
            Broken: It raised, or was answered where it must raise.
        """
        self.calls.append(call)
        at = self.seats[call.seat]
        if call.kind == "begin":
            self._begin(at, call)
        elif at.closed:
            return
        elif call.kind == "step":
            self._take(at, Move(call.number))
        elif call.kind == "say":
            self._take(at, Move(text=call.text))
        elif call.kind == "tasks":
            split = SPLITS[call.number % len(SPLITS)]
            with self._told(f"{at.name}.tasks({split!r})"):
                at.environment.tasks(split)
        elif call.kind == "close":
            with self._told(f"{at.name}.close()"):
                at.environment.close()
            at.closed, at.episode = True, None
        elif isinstance(at.environment, Expert) and at.episode and at.episode.running:
            asked = self._told(f"{at.name}.expert_action()", f"{at.name}.expert_reflection()")
            with asked, contextlib.suppress(NoAdvice):
                at.environment.expert_action()
                at.environment.expert_reflection()

    def finish(self) -> None:
        """Play each episode once more, alone.

        Raises:
            Broken: One of them is another one then.
        """
        # one instance for all: that reset forgets is known when this law is examined
        with self.subject.fresh() as environment:
            for episode in self.played:
                again = Episode(episode.task, episode.seed, episode.stage)
                again.begin(environment)
                for action in episode.actions:
                    if again.running:
                        again.take(environment, action)
                try:
                    differ(again.keys(), episode.keys(), ("alone", "among other calls"), episode)
                except Broken as error:
                    raise Broken(error.what, shown=error.shown, story=self.story) from None

    def close(self) -> None:
        """Close both."""
        for at in self.seats:
            with contextlib.suppress(Exception):
                at.environment.close()

    def _begin(self, at: Seat, call: Call) -> None:
        world = self.subject.world
        if at.closed:
            with self._told(f"{at.name} = ...  # a new instance"):
                at.environment, at.closed = self.subject.make(), False
        task = world.tasks[call.number % len(world.tasks)]
        at.episode = Episode(task, call.seed, world.stage(call.stage))
        self.played.append(at.episode)
        self.story += at.episode.opening(at.name)
        at.episode.begin(at.environment)
        self._look_for_fault(at.episode)

    def _take(self, at: Seat, move: Move) -> None:
        episode = at.episode
        action = move.spell(episode.menu if episode else ())
        if episode is not None and episode.running and action is not None:
            episode.take(at.environment, action)
            self.story.append(episode.call(len(episode.actions) - 1, at.name))
            self._look_for_fault(episode)
            return
        with self._told(f"{at.name}.step('x')  # must raise EpisodeOver"):
            try:
                at.environment.step("x")
            except EpisodeOver:
                return
        raise Broken("step was answered where no episode runs", story=self.story)

    def _look_for_fault(self, episode: Episode) -> None:
        if episode.fault is not None:
            error = episode.fault.error
            what = f"{episode.fault.during} raised {told(error)}"
            raise Broken(what, place=place_of(error), story=self.story)

    @contextlib.contextmanager
    def _told(self, *lines: str) -> Iterator[None]:
        """Calls of which all that they raise breaks the law."""
        self.story += lines
        try:
            yield
        except Exception as error:
            what = f"the last call raised {told(error)}"
            raise Broken(what, place=place_of(error), story=self.story) from error


def broken_by(subject: EnvironmentSubject, calls: tuple[Call, ...]) -> Broken | None:
    """How these calls break the law, if they do."""
    table = Table(subject)
    try:
        seed_global_random(0)
        for call in calls:
            table.call(call)
        table.finish()
    except Broken as error:
        return error
    finally:
        table.close()
    return None


def drawn_calls(count: int, *, seed: int) -> tuple[Call, ...]:
    """So many calls, drawn without Hypothesis; both instances begin with an episode."""
    draws = stream(seed, "calls")
    kinds = draws.choice(KINDS, size=count, p=WEIGHTS).tolist()
    made = []
    for place, kind in enumerate(("begin", "begin", *kinds)):
        seat = place if place < len(NAMES) else int(draws.integers(len(NAMES)))
        number, stage = draws.integers(0, 9999, size=2).tolist()
        made.append(Call(kind, seat, number, int(draws.integers(NUMBERS)), stage, f"say {number}"))
    return tuple(made)


def simpler_calls(calls: tuple[Call, ...]) -> Iterator[tuple[Call, ...]]:
    """The same with some left out, or with smaller numbers."""
    size = len(calls)
    while size:
        for start in range(0, len(calls), size):
            yield calls[:start] + calls[start + size :]
        size //= 2
    for place, call in enumerate(calls):
        for simple in (Call(call.kind), Call(call.kind, call.seat, seed=call.seed)):
            if simple != call:
                yield (*calls[:place], simple, *calls[place + 1 :])
