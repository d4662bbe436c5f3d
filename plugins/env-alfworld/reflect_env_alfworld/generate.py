"""Games made up in ALFWorld's own domain, for where nothing was downloaded.

A generated game is a room of one of ALFWorld's floor plans, cut or padded to a size, with
objects put where they may be. It is never solved at the start and can always be solved: the
goal's object lies away from the goal's place, which holds it, and what heats, cools or cleans
is there. See ``rooms`` for what the splits do not share.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import attrs
import numpy as np

from reflect_core.errors import ConfigError, ReflectError
from reflect_core.records import SPLITS
from reflect_core.streams import stream
from reflect_env_alfworld.alfred import constants
from reflect_env_alfworld.games import FAMILIES, Game
from reflect_env_alfworld.invented import invented_name
from reflect_env_alfworld.pddl import KEEP_NAMES, Layout, goal_words, instruction, problem
from reflect_env_alfworld.rooms import HOLDS, Room, object_types, plans, read_room
from reflect_env_alfworld.text import ASKED

RECEPTACLES, OBJECTS = 18, 8
"""By default; so many give rather more than 20 legal actions on average."""
FEWEST_RECEPTACLES = 4
"""A goal's place, a station, a hiding place and one more."""
FEWEST_OBJECTS = 3
"""Two of the goal's and another."""

TRIES = 300
"""Draws for one game before its size is held to be exhausted."""

STATIONS = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
"""What a family asks of its object, and where it is done."""
LOOK = "look_at_obj_in_light"
PAIR = "pick_two_obj_and_place"

# rooms that have too few receptacles get more of these
_PADDING = ("Cabinet", "CounterTop", "Drawer", "Shelf", "SideTable")
_LAMP_STANDS = ("CoffeeTable", "Desk", "DiningTable", "Dresser", "Shelf", "SideTable", "TVStand")

T = TypeVar("T")

Goals = Mapping[str, Mapping[str, Mapping[str, tuple[int, ...]]]]
"""By kind of room, object and target: the floor plans where this goal can be set."""


def generate_games(
    split: str,
    count: int,
    *,
    seed: int = 0,
    receptacles: int = RECEPTACLES,
    objects: int = OBJECTS,
    families: Sequence[str] = FAMILIES,
    invented: float = 0.0,
) -> list[Game]:
    """Make distinct games, the families by turns.

    The same arguments give the same games, and a larger ``count`` the same ones and more. What
    belongs to a split does not depend on ``seed``.

    Args:
        split: train, valid or test.
        count: Number of games.
        seed: Another one draws other games.
        receptacles: Their number in each room.
        objects: Number of movable objects in each room; where a lamp is needed it comes extra.
        families: The kinds of goal.
        invented: Share of the games whose movable objects have made-up names.

    Raises:
        ConfigError: A split or family is not known, or a number is too small.
        ReflectError: There are not so many distinct games of this size.
    """
    _check(split, count, receptacles, objects, families)
    return list(_games(split, count, seed, receptacles, objects, tuple(families), invented))


@functools.lru_cache(maxsize=8)
def _games(
    split: str,
    count: int,
    seed: int,
    receptacles: int,
    objects: int,
    families: tuple[str, ...],
    invented: float,
) -> tuple[Game, ...]:
    """The games, made once for all environments of a process: a run has a hundred or more."""
    games: list[Game] = []
    taken: set[str] = set()
    for number, family in zip(range(count), itertools.cycle(families), strict=False):
        for attempt in range(TRIES):
            rng = stream(seed, "alfworld", split, receptacles, objects, family, number, attempt)
            layout = _draw(rng, split, family, receptacles, objects)
            if layout and rng.random() < invented:
                layout = attrs.evolve(layout, names=_names(rng, layout))
            game = layout and _game(layout, split, objects)
            if game and game.game_id not in taken:
                break
        else:
            raise ReflectError(
                f"no more than {number} distinct {split} games were found",
                why=f"{receptacles} receptacles and {objects} objects leave few ways to differ",
                then="fewer games, or larger ones",
            )
        taken.add(game.game_id)
        games.append(game)
    return tuple(games)


def _names(rng: np.random.Generator, layout: Layout) -> dict[str, str]:
    """A made-up name for each type of movable object; lamps and knives do what their names say."""
    taken = {kind.lower() for kind in constants.OBJECTS} | ASKED.keys()
    names: dict[str, str] = {}
    for kind in dict.fromkeys(kind for kind, _ in layout.contents):
        if kind not in KEEP_NAMES:
            names[kind] = invented_name(rng, taken)
            taken.add(names[kind].lower())
    return names


def _check(split: str, count: int, receptacles: int, objects: int, families: Sequence[str]) -> None:
    if split not in SPLITS:
        raise ConfigError.unknown("split", split, SPLITS)
    for family in families:
        if family not in FAMILIES:
            raise ConfigError.unknown("family of tasks", family, FAMILIES)
    if not families:
        raise ConfigError("no family of games is named", then=f"families={' '.join(FAMILIES)}")
    for name, number, fewest in (
        ("games", count, 0),
        ("receptacles", receptacles, FEWEST_RECEPTACLES),
        ("objects", objects, FEWEST_OBJECTS),
    ):
        if number < fewest:
            raise ConfigError(f"{number} {name} are too few", why=f"at least {fewest} are needed")


def _game(layout: Layout, split: str, objects: int) -> Game:
    text = problem(layout)
    # the content is the name: one name is one game, whatever the seed that found it
    digest = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
    words = goal_words(layout)
    goal = f"{layout.family}-{words['obj']}-{layout.target}-{layout.plan}"
    return Game(
        game_id=f"gen:{split}:{goal}-{digest}",
        split=split,
        family=layout.family,
        text=instruction(layout, int(digest, 16)),
        source="generated",
        problem=text,
        path=None,
        data={
            "object": words["obj"],
            "receptacle": words["recep"],
            "lamp": words["toggle"],
            "room": layout.plan,
            "receptacles": len(layout.places),
            "objects": objects,
        },
    )


def _draw(
    rng: np.random.Generator, split: str, family: str, receptacles: int, objects: int
) -> Layout | None:
    """A room of this size, or None where what was drawn does not go together."""
    goals = goals_of(split, family)
    room_kind = _one_of(rng, list(goals))
    kind = _one_of(rng, list(goals[room_kind]))
    target = _one_of(rng, list(goals[room_kind][kind]))
    room = read_room(room_kind, _one_of(rng, goals[room_kind][kind][target]))
    needed = [_one_of(rng, _hiding_places(room, kind, target))]
    needed.append(_one_of(rng, _stands(room)) if family == LOOK else target)
    if family in STATIONS:
        needed.append(STATIONS[family][1])
    places = tuple(sorted(_furnish(rng, room, dict.fromkeys(needed), receptacles)))
    held = frozenset[str]().union(*(HOLDS[place] for place in places))
    others = [name for name in object_types(split, room_kind) if name != kind and name in held]
    numbers = _numbers(rng, family, objects, len(others))
    if numbers is None:
        return None
    kinds = [kind, *_some_of(rng, others, len(numbers) - 1)]
    contents = []
    for name, number in zip(kinds, numbers, strict=True):
        avoided = target if name == kind else None
        spots = [i for i, place in enumerate(places) if name in HOLDS[place] and place != avoided]
        contents += [(name, _one_of(rng, spots)) for _ in range(number)]
    if family == LOOK:
        stands = _stands(room)
        contents.append((target, _one_of(rng, [i for i, p in enumerate(places) if p in stands])))
    return Layout(family, kind, target, room.plan, places, tuple(sorted(contents)))


@functools.cache
def goals_of(split: str, family: str) -> Goals:
    """Every goal of a family that a room of a split has all it takes for."""
    found: dict[str, dict[str, dict[str, tuple[int, ...]]]] = {}
    for room_kind in sorted(constants.GOALS_VALID[family]):
        for plan in plans(split, room_kind):
            room = read_room(room_kind, plan)
            for kind, target in _goals(split, family, room):
                targets = found.setdefault(room_kind, {}).setdefault(kind, {})
                targets[target] = (*targets.get(target, ()), plan)
    return found


def _goals(split: str, family: str, room: Room) -> Iterator[tuple[str, str]]:
    ability, station = STATIONS.get(family, (None, None))
    if station is not None and station not in room.places:
        return
    for kind in object_types(split, room.kind):
        if ability is not None and kind not in constants.VAL_ACTION_OBJECTS[ability]:
            continue
        if family == LOOK:
            targets = [lamp for lamp in room.lamps if _stands(room)]
        else:
            # what was just heated, cooled or cleaned would else be put where that was done
            targets = [p for p in room.places if kind in HOLDS[p] and p != station]
        for target in targets:
            if _hiding_places(room, kind, target):
                yield kind, target


def _hiding_places(room: Room, kind: str, target: str) -> list[str]:
    """Types of receptacles where an object can be that is not yet where it belongs."""
    return [place for place in room.places if kind in HOLDS[place] and place != target]


def _stands(room: Room) -> list[str]:
    """Types of receptacles that a lamp stands on."""
    return [place for place in room.places if place in _LAMP_STANDS]


def _furnish(
    rng: np.random.Generator, room: Room, needed: Mapping[str, object], number: int
) -> list[str]:
    """Receptacles: the needed ones, each other type of the room, further ones, then padding."""
    rest = [place for place in room.places if place not in needed]
    further = [place for place, there in room.places.items() for _ in range(there - 1)]
    padding = [place for place in _PADDING if place in room.places] or list(_PADDING)
    places = [*needed, *_some_of(rng, rest, len(rest)), *_some_of(rng, further, len(further))]
    missing = max(0, number - len(places))
    places += [padding[i] for i in rng.integers(len(padding), size=missing)]
    return places[:number]


def _numbers(rng: np.random.Generator, family: str, objects: int, others: int) -> list[int] | None:
    """How many objects of the goal's type and of each further one; None if ``others`` are few.

    A pair to find is not the only one in the room where there is space for a second, so that
    the goal does not show in the numbers.
    """
    pairs = min(2, objects // 2) if family == PAIR else 0
    fewest = max(2, min(objects - pairs, (objects + 1) // 2, 3))
    most = min(objects - pairs, others + 1)
    if most < fewest:
        return None
    lower = min(most, max(fewest, (objects + 1) // 2))
    numbers = [1] * int(rng.integers(lower, most + 1))
    for place in range(pairs):
        numbers[place] = 2
    for place in rng.integers(len(numbers), size=objects - sum(numbers)):
        numbers[place] += 1
    return numbers


def _one_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]


def _some_of(rng: np.random.Generator, items: Sequence[str], number: int) -> list[str]:
    """So many of the items, in random order."""
    return [items[i] for i in rng.permutation(len(items))[:number]]
