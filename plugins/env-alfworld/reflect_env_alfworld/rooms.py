"""Rooms as ALFWorld's floor plans describe them, and which split each room and object is of.

No floor plan and no type of movable object is in two splits: train, valid and test share the
types of receptacles, the two types of lamps and nothing else. Distractors keep to this too:
if they did not, a goal could be told from the other objects by its novelty.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs

from reflect_env_alfworld.alfred import constants

VALID_PLANS = range(27, 31)
"""Within each kind of room; test has the package's own test scenes, 1 to 6."""

OBJECTS_OF: Mapping[str, frozenset[str]] = {
    "valid": frozenset(
        [
            "BaseballBat",
            "Bread",
            "CD",
            "DishSponge",
            "Pan",
            "Pen",
            "PepperShaker",
            "Plate",
            "RemoteControl",
            "Spoon",
            "SprayBottle",
            "Towel",
            "Vase",
            "WateringCan",
            "WineBottle",
        ]
    ),
    "test": frozenset(
        [
            "Candle",
            "CreditCard",
            "Cup",
            "Egg",
            "Fork",
            "Glassbottle",
            "Kettle",
            "Lettuce",
            "Newspaper",
            "Pencil",
            "Pot",
            "SaltShaker",
            "SoapBar",
            "Statue",
            "TennisRacket",
            "TissueBox",
        ]
    ),
}
"""Movable objects of valid and test; all others are train's. Chosen by hand so that every
family has goals, and every kind of room distractors, in each split."""

LAMPS = frozenset(constants.VAL_ACTION_OBJECTS["Toggleable"])

HOLDS: Mapping[str, frozenset[str]] = {
    place: frozenset(
        kind for kind in constants.VAL_RECEPTACLE_OBJECTS[place] if not kind.endswith("Sliced")
    )
    for place in sorted(set(constants.RECEPTACLES) - constants.MOVABLE_RECEPTACLES_SET)
    if place in constants.VAL_RECEPTACLE_OBJECTS
}
"""What fits in or on each type of receptacle that stays where it is."""

_LAYOUTS = Path(constants.__file__).with_name("layouts")
_BASINS = {"Sink": "SinkBasin", "Bathtub": "BathtubBasin"}
_BURNERS = 4  # on every stove; the layouts do not count them


@attrs.frozen
class Room:
    """What one floor plan has.

    Args:
        plan: Number of the floor plan.
        kind: Kitchen, LivingRoom, Bedroom or Bathroom.
        places: Number of receptacles of each type.
        objects: Types of movable objects.
        lamps: Types of lamps.
    """

    plan: int
    kind: str
    places: Mapping[str, int]
    objects: tuple[str, ...]
    lamps: tuple[str, ...]


@functools.cache
def read_room(kind: str, plan: int) -> Room:
    """The room of a floor plan, from the layouts that come with ALFWorld."""
    listed = sorted(json.loads((_LAYOUTS / f"FloorPlan{plan}-objects.json").read_text()))
    posed = json.loads((_LAYOUTS / f"FloorPlan{plan}-openable.json").read_text())
    types = (name.partition("|")[0] for name in posed)
    number = Counter(_BASINS.get(name, name) for name in types)
    number["StoveBurner"] = _BURNERS
    return Room(
        plan,
        kind,
        {place: max(1, number[place]) for place in listed if place in HOLDS},
        tuple(name for name in listed if any(name in held for held in HOLDS.values())),
        tuple(name for name in listed if name in LAMPS),
    )


def plans(split: str, kind: str) -> tuple[int, ...]:
    """The floor plans of a kind of room that belong to a split, ascending."""
    return tuple(plan for plan in constants.SCENE_TYPE[kind] if _split_of_plan(plan) == split)


def _split_of_plan(plan: int) -> str:
    if plan in constants.TEST_SCENE_NUMBERS:
        return "test"
    return "valid" if plan % 100 in VALID_PLANS else "train"


@functools.cache
def object_types(split: str, kind: str) -> tuple[str, ...]:
    """Types of movable objects of a split that some room of this kind has, by name."""
    rooms = (read_room(kind, plan) for plan in constants.SCENE_TYPE[kind])
    known = {name for room in rooms for name in room.objects}
    return tuple(sorted(name for name in known if split_of(name) == split))


def split_of(name: str) -> str:
    """The one split in which there are objects of this type."""
    return next((split for split, names in OBJECTS_OF.items() if name in names), "train")
