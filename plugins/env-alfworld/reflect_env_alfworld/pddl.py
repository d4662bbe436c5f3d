"""A furnished room and its goal as a problem in ALFWorld's PDDL domain."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from reflect_env_alfworld.alfred import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH, constants, gdict
from reflect_env_alfworld.rooms import HOLDS, LAMPS

# The domain's actions name these types: a problem that does not declare them gives a world
# in which nothing can be done, and no error.
_ALWAYS_PLACES = frozenset({"SinkBasin", "Microwave", "Fridge"})
_ALWAYS_OBJECTS = frozenset({"Knife", "ButterKnife"})

KEEP_NAMES = frozenset(LAMPS | _ALWAYS_OBJECTS)
"""Types of objects that the domain or a goal knows by name."""

_ABILITIES = ("Cleanable", "Heatable", "Coolable", "Sliceable")
_WIDTH = 6  # receptacles stand in rows of so many, one metre apart
_STEPS = 4  # locations are counted in quarters of a metre


@attrs.frozen
class Layout:
    """All that makes a game, but for the wording of its text.

    Args:
        family: The kind of goal.
        object: Type of the goal's object.
        target: Type of the receptacle it goes to, or of the lamp.
        plan: Number of the floor plan.
        places: Type of each receptacle.
        contents: For each object its type and the receptacle it is in or on, as an index.
        names: What types of movable objects are called in this game, where not as ever.
    """

    family: str
    object: str
    target: str
    plan: int
    places: tuple[str, ...]
    contents: tuple[tuple[str, int], ...]
    names: Mapping[str, str] = attrs.field(factory=dict)

    def called(self, kind: str) -> str:
        """The name of a type in this game."""
        return self.names.get(kind, kind)


def goal_words(layout: Layout) -> dict[str, str]:
    """What fills the templates of the goal library: types, or "" for what a goal lacks."""
    lit = layout.target in LAMPS
    return {
        "obj": layout.called(layout.object),
        "recep": "" if lit else layout.target,
        "toggle": layout.target if lit else "",
        "mrecep": "",
    }


def instruction(layout: Layout, number: int) -> str:
    """The goal in words, as the engine says it; ``number`` chooses among the wordings."""
    wordings: list[str] = gdict[layout.family]["templates"]
    words = {name: word.lower() for name, word in goal_words(layout).items()}
    return wordings[number % len(wordings)].format(**words)


def problem(layout: Layout) -> str:
    """The PDDL problem: a function of the layout alone.

    The agent starts where no receptacle is; whatever opens is closed.
    """
    places = [_place_name(kind, i) for i, kind in enumerate(layout.places)]
    objects = [_object_name(layout.called(kind), i) for i, (kind, _) in enumerate(layout.contents)]
    spots = [_location(i) for i in range(len(places))]
    start = _location(-_WIDTH)
    place_types = sorted(_ALWAYS_PLACES.union(layout.places))
    object_types = sorted(_ALWAYS_OBJECTS.union(kind for kind, _ in layout.contents))
    facts = [f"(atLocation agent1 {start})"]
    for name, kind, spot in zip(places, layout.places, spots, strict=True):
        facts += [f"(receptacleType {name} {kind}Type)", f"(receptacleAtLocation {name} {spot})"]
        if kind in constants.OPENABLE_CLASS_SET:
            facts.append(f"(openable {name})")
    for name, (kind, place) in zip(objects, layout.contents, strict=True):
        facts += [
            f"(objectType {name} {layout.called(kind)}Type)",
            f"(inReceptacle {name} {places[place]})",
            f"(objectAtLocation {name} {spots[place]})",
            *(f"({ability} {name})" for ability in _abilities(kind)),
        ]
    facts += [
        f"(canContain {place}Type {layout.called(kind)}Type)"
        for place in place_types
        for kind in object_types
        if kind in HOLDS[place]
    ]
    lines = [
        f"(define (problem {layout.family}_{layout.plan})",
        "(:domain alfred)",
        "(:objects",
        "agent1 - agent",
        *(f"{layout.called(kind)}Type - otype" for kind in object_types),
        *(f"{kind}Type - rtype" for kind in place_types),
        *(f"{name} - object" for name in objects),
        *(f"{name} - receptacle" for name in places),
        *(f"{name} - location" for name in (start, *spots)),
        ")",
        "(:init",
        *facts,
        ")",
    ]
    # the library writes '#' for '-', and its goals also close the problem
    goal: str = gdict[layout.family]["pddl"].format(**goal_words(layout))
    return "\n".join(lines) + goal.replace("#", "-")


@functools.cache
def _abilities(kind: str) -> tuple[str, ...]:
    def found() -> Iterator[str]:
        yield "toggleable" if kind in LAMPS else "pickupable"
        for ability in _ABILITIES:
            if kind in constants.VAL_ACTION_OBJECTS[ability]:
                yield ability.lower()
        if kind in constants.MOVABLE_RECEPTACLES_SET:
            yield "isReceptacleObject"

    return tuple(found())


def _place_name(kind: str, index: int) -> str:
    row, column = divmod(index, _WIDTH)
    where = f"|{column:+06.2f}|+00.90|{row:+06.2f}"
    # a basin is a part of its fixture, and the engine expects it to be named so
    if kind.endswith("Basin"):
        return mangled(kind.removesuffix("Basin") + where + f"|{kind}")
    return mangled(kind + where)


def _object_name(kind: str, index: int) -> str:
    return mangled(f"{kind}|+00.00|+01.00|{index:+06.2f}")


def _location(index: int) -> str:
    row, column = divmod(index, _WIDTH)
    return mangled(f"loc|{_STEPS * column}|{_STEPS * row}|0|30")


def mangled(name: str) -> str:
    """A simulator's name in letters that PDDL takes.

    >>> mangled("Egg|-00.50")
    'Egg_bar__minus_00_dot_50'
    """
    for sign, word in (("-", "_minus_"), ("|", "_bar_"), ("+", "_plus_"), (".", "_dot_")):
        name = name.replace(sign, word)
    return name


@functools.cache
def domain() -> str:
    """ALFWorld's PDDL domain."""
    return Path(ALFRED_PDDL_PATH).read_text(encoding="utf-8")


def grammar(text: str) -> str:
    """ALFWorld's text grammar, with an instruction as its task."""
    return _grammar().replace("UNKNOWN GOAL", text)


@functools.cache
def _grammar() -> str:
    return Path(ALFRED_TWL2_PATH).read_text(encoding="utf-8")
