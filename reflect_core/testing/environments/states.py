"""What an environment says of its states: their keys, and which stage is the real task."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from reflect_core.protocols import Environment
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import same, until, when
from reflect_core.testing.explore import Episode, Move, Plan, World, play
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.search import search
from reflect_core.testing.strategies import plans
from reflect_core.testing.walks import drawn_plans

__all__ = ["last_stage", "state_keys"]

SEEDS = range(101, 109)
"""Under which an outcome must differ always, to differ by the state and not by chance."""
IDLE = 60
"""Turns of an episode in which nothing is done, at most."""
SWAPPED = 4
"""Pairs of neighbouring moves that are taken the other way round, one at a time."""
KEYED = 20
"""Episodes whose keys are looked at."""


@law(
    cause="reset takes None for a training stage: None is the real task, as the last stage is",
    look="reset",
    needs=["resets", "repeats", "forgets"],
)
def last_stage(subject: EnvironmentSubject, effort: Effort) -> None:
    """No stage is the last stage, the real task."""
    world = subject.world
    if not world.stages:
        return
    last = len(world.stages)  # 0 is none

    def check(plan: Plan) -> None:
        plan = attrs.evolve(plan, stage=0)
        named = subject.alone(attrs.evolve(plan, stage=last))
        same(subject.alone(plan), named, ("stage=None", f"stage={world.stages[-1]!r}"))

    search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))


@attrs.frozen
class _Visit:
    """A state as it was met: the episode, and the number of the observation in it."""

    episode: Episode
    place: int

    @property
    def menu(self) -> frozenset[str]:
        return frozenset(self.episode.shown[self.place].legal_actions)

    @property
    def key(self) -> str | None:
        return self.episode.shown[self.place].state_key

    def outcome(self) -> object:
        """What came of the action that was taken there."""
        step = self.episode.steps[self.place]
        ends = (step.terminated, step.truncated, step.success)
        return (step.reward, ends, None if step.over else step.observation.state_key)


@law(
    cause="state_key leaves out something that the state depends on, such as the turns left: "
    "put in all that decides what can be done and what comes of it, or give no key",
    look="reset",
    needs=["menu", "finite", "ends", "repeats", "forgets"],
)
def state_keys(subject: EnvironmentSubject, effort: Effort) -> None:
    """Equal state keys of a task are equal states: the same menu, the same outcomes."""
    world = subject.world
    keyed = False
    with subject.fresh() as environment:
        for plan in drawn_plans(min(effort.max_examples, KEYED), seed=effort.seed):
            seen = _Seen(environment)
            for episode in _episodes(environment, plan, world):
                # what is said of a state in which nothing can be done any more is of no use
                for place in range(len(episode.shown) - episode.over):
                    seen.visit(_Visit(episode, place))
            keyed |= bool(seen.menus)
    if not keyed:
        raise Skipped("it gives no state keys")


class _Seen:
    """What was seen under each key in the episodes of one task and seed.

    Args:
        environment: On which episodes are played again, to tell chance from states.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.menus: dict[str, frozenset[str]] = {}
        self.outcomes: dict[tuple[str, str], _Visit] = {}

    def visit(self, visit: _Visit) -> None:
        """Compare a state with what was seen under its key before.

        Raises:
            Broken: It has another menu, or something else came of the same action.
        """
        key, episode, place = visit.key, visit.episode, visit.place
        if key is None:
            return
        before = self.menus.setdefault(key, visit.menu)
        if before != visit.menu:
            raise Broken(
                f"{when(place)} the key is one that was seen with another menu",
                shown=_both(key, sorted(before), sorted(visit.menu)),
                story=until(episode, place).story(),
            )
        if place == len(episode.steps):
            return
        first = self.outcomes.setdefault((key, episode.actions[place]), visit)
        if first.outcome() != visit.outcome() and _always(self.environment, first, visit):
            raise Broken(
                f"{when(place + 1)} something else came of an action than when the key was the "
                "same before",
                shown=_both(key, first.outcome(), visit.outcome()),
                story=until(episode, place + 1).story(),
            )


def _both(key: str, before: object, now: object) -> list[str]:
    return [f"key:    {key!r}"[:300], f"before: {before}"[:300], f"now:    {now}"[:300]]


def _episodes(environment: Environment, plan: Plan, world: World) -> Iterator[Episode]:
    """Of one task and seed: by the menu, some moves the other way round, or nothing done."""
    idle = (Move(text="say nothing"),) * min(world.horizon, IDLE)
    by_turns = tuple(move for each in plan.moves for move in (each, idle[0]))
    swapped = [
        (*plan.moves[:n], *plan.moves[n : n + 2][::-1], *plan.moves[n + 2 :])
        for n in range(min(SWAPPED, len(plan.moves) - 1))
    ]
    for moves in (plan.moves, *swapped, by_turns, idle):
        yield play(environment, attrs.evolve(plan, moves=moves), world)


def _always(environment: Environment, one: _Visit, other: _Visit) -> bool:
    """Whether the two differ under every seed, so that chance is not the reason."""
    for seed in SEEDS:
        again = []
        for visit in (one, other):
            episode = attrs.evolve(visit.episode, seed=seed, actions=[], steps=[], first=None)
            episode.begin(environment)
            for action in visit.episode.actions[: visit.place + 1]:
                if episode.running:
                    episode.take(environment, action)
            if len(episode.steps) != visit.place + 1:
                return False
            again.append(_Visit(episode, visit.place))
        if again[0].key != again[1].key or again[0].outcome() == again[1].outcome():
            return False
    return True
