"""What a game asks for, in the words of its texts."""

from __future__ import annotations

import attrs

from reflect_env_alfworld.games import FAMILIES, Game
from reflect_env_alfworld.memory import CLEAN, COLD, HOT

_, LOOK, _CLEAN, _HEAT, _COOL, PAIR = FAMILIES


@attrs.frozen
class Treatment:
    """What is to be done to the object on the way.

    Args:
        verb: The command.
        trait: What the object then is.
        station: Type of the receptacle where it is done.
    """

    verb: str
    trait: str
    station: str


_TREATMENTS = {
    _CLEAN: Treatment("clean", CLEAN, "sinkbasin"),
    _HEAT: Treatment("heat", HOT, "microwave"),
    _COOL: Treatment("cool", COLD, "fridge"),
}


def treatment_of(family: str) -> Treatment | None:
    """What a family of tasks has done to the object on the way."""
    return _TREATMENTS.get(family)


@attrs.frozen
class Goal:
    """Which object is to be where, and in what state.

    Args:
        kind: The object's type.
        target: Type of the receptacle that it goes to; "" where a lamp is to be used.
        lamp: Type of the lamp, else "".
        treatment: What is done on the way, if anything.
        count: How many objects.
    """

    kind: str
    target: str
    lamp: str
    treatment: Treatment | None
    count: int

    @classmethod
    def of(cls, game: Game) -> Goal:
        """The goal of a game of one of ALFWorld's families."""
        return cls(
            kind=game.data["object"].lower(),
            target=game.data["receptacle"].lower(),
            lamp=game.data["lamp"].lower(),
            treatment=treatment_of(game.family),
            count=2 if game.family == PAIR else 1,
        )
