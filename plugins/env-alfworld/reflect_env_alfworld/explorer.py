"""An expert that knows no more than what it was told: it searches, then does what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import attrs

from reflect_env_alfworld.goals import Goal
from reflect_env_alfworld.memory import Memory, kind_of


@attrs.frozen
class Advice:
    """A command and why.

    A reason has no names: a small model garbles what it copies now and then, and the command says
    which thing is meant.

    Args:
        action: The command.
        reason: Why, without a full stop.
        choices: The commands that the reflection names, where it leaves a choice.
    """

    action: str
    reason: str
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.reason}: {' or '.join(self.choices or (self.action,))}"


def advise(goal: Goal, memory: Memory, legal: Collection[str]) -> Advice | None:
    """What to do now; None where nothing comes to mind.

    It looks into receptacle after receptacle in the memory's order, opens what is closed, and
    goes straight to what it has seen.

    Args:
        goal: What the task asks for.
        memory: What was told so far.
        legal: What can be done now; where one is need not be gone to.
    """
    wishes = _holding(goal, memory, legal) if memory.holding else _empty_handed(goal, memory)
    return next((advice for advice in wishes if advice.action in legal), None)


# Each of these gives what it would like to do, the dearest wish first. What cannot be done now
# is passed over: a thing is taken where it is, else its receptacle is opened, else gone to.


def _holding(goal: Goal, memory: Memory, legal: Collection[str]) -> Iterator[Advice]:
    held = memory.holding
    assert held is not None
    treatment = goal.treatment
    if kind_of(held) != goal.kind:
        yield from _put_back(memory, held, legal)
    elif treatment is not None and not memory.is_(held, treatment.trait):
        for station in memory.places(treatment.station):
            yield Advice(f"{treatment.verb} {held} with {station}", f"Not {treatment.trait} yet")
            yield Advice(f"go to {station}", f"Not {treatment.trait} yet")
    elif goal.lamp:
        yield from _to_lamp(goal, memory)
    else:
        for target in _targets(goal, memory):
            yield Advice(f"move {held} to {target}", "I have it")
            yield Advice(f"open {target}", "It is closed")
            yield Advice(f"go to {target}", "I have it")


def _put_back(memory: Memory, held: str, legal: Collection[str]) -> Iterator[Advice]:
    """Get rid of an object that is not wanted; where it lay it can lie again."""
    for action in sorted(legal):
        if action.startswith(f"move {held} to "):
            yield Advice(action, "Not wanted")
    if memory.origin is not None:
        yield Advice(f"open {memory.origin}", "Not wanted")
        yield Advice(f"go to {memory.origin}", "Not wanted")


def _to_lamp(goal: Goal, memory: Memory) -> Iterator[Advice]:
    for lamp, place in memory.where(goal.lamp):
        yield Advice(f"use {lamp}", "It is here")
        yield Advice(f"go to {place}", "It is there")
    yield from _search(memory)


def _empty_handed(goal: Goal, memory: Memory) -> Iterator[Advice]:
    found = _wanted(goal, memory)
    for name, place in found:
        yield Advice(f"take {name} from {place}", "It is here")
    for _, place in found:
        yield Advice(f"open {place}", "It is here")
        yield Advice(f"go to {place}", "It is there")
    yield from _search(memory)


def _wanted(goal: Goal, memory: Memory) -> list[tuple[str, str]]:
    """Objects of the goal's type that are not yet as the goal wants them."""
    found = memory.where(goal.kind)
    if goal.count > 1:
        target = _targets(goal, memory)[:1]
        return [(name, place) for name, place in found if place not in target]
    treatment = goal.treatment
    return [
        (name, place)
        for name, place in found
        if kind_of(place) != goal.target
        or (treatment is not None and not memory.is_(name, treatment.trait))
    ]


def _targets(goal: Goal, memory: Memory) -> list[str]:
    """Receptacles to put things in: first that where one of them is already."""
    places = memory.places(goal.target)
    begun = {place for _, place in memory.where(goal.kind)} if goal.count > 1 else set()
    return sorted(places, key=lambda place: place not in begun)


def _search(memory: Memory) -> Iterator[Advice]:
    unknown = memory.unknown()
    # where several receptacles are in one place, going there shows one of them
    for place in unknown:
        yield Advice(f"open {place}", "It is closed")
    for place in unknown:
        yield Advice(f"examine {place}", "Not found yet")
    for place in unknown:
        yield Advice(f"go to {place}", "Not found yet")
    # what is left is here and can only be seen on arriving
    for place in memory.contents if unknown else ():
        yield Advice(f"go to {place}", "Not found yet")
