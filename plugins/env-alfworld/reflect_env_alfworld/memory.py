"""What somebody knows who only reads what the game tells."""

from __future__ import annotations

import re

import attrs

from reflect_env_alfworld.alfred import constants

_SEEN = re.compile(r"(?:On|In) (?:the (?P<on>[^,.]+)|it), you see (?P<list>[^.]*)\.")
_LOOK_AROUND = re.compile(r"Looking quickly around you, you see ([^.]*)\.")
_ARRIVED = re.compile(r"You arrive at ([^.]+)\.")
_SHUT = re.compile(r"The ([^.]+) is closed\.")
_OPEN = re.compile(r"The ([^.]+) is open\.")
_CLOSED = re.compile(r"^You close the ([^.]+)\.")
_TAKEN = re.compile(r"^You pick up the (.+) from the ([^.]+)\.")
_PUT = re.compile(r"^You move the (.+) to the ([^.]+)\.")
_CHANGED = re.compile(r"^You (heat|clean|cool) the (.+) using the ([^.]+)\.")
_SLICED = re.compile(r"^You sliced the (.+) with the ([^.]+)\.")
_SWITCHED = re.compile(r"^You turn (on|off) the ([^.]+)\.")

OPENABLE = frozenset(name.lower() for name in constants.OPENABLE_CLASS_SET)
"""Types of receptacles that open, and mostly are closed."""

HOT, CLEAN, COLD = "hot", "clean", "cold"
_BECOMES = {"heat": HOT, "clean": CLEAN, "cool": COLD}
_OPPOSITE = {HOT: COLD, COLD: HOT}


@attrs.define
class Memory:
    """The room as it was told, turn by turn.

    Args:
        contents: What is in or on each receptacle, None where that was not seen yet; in the
            order in which the game names them, but those that open last: they take longer.
        shut: Receptacles that were found or left closed.
        place: Where the agent is, None at the start.
        holding: What it carries.
        traits: What was done to an object: hot, cold, clean, sliced, on.
        moved: Where each object is that was put somewhere, seen or not.
        origin: Where what is carried was taken from.
    """

    contents: dict[str, tuple[str, ...] | None] = attrs.field(factory=dict)
    shut: set[str] = attrs.field(factory=set)
    place: str | None = None
    holding: str | None = None
    traits: dict[str, set[str]] = attrs.field(factory=dict)
    moved: dict[str, str] = attrs.field(factory=dict)
    origin: str | None = None

    @classmethod
    def of(cls, intro: str) -> Memory:
        """What the first words of a game tell."""
        found = _LOOK_AROUND.search(intro)
        places = _items(found[1]) if found else ()
        return cls(dict.fromkeys(sorted(places, key=lambda name: kind_of(name) in OPENABLE)))

    def note(self, feedback: str) -> None:
        """Take in what was told after a turn."""
        if found := _ARRIVED.search(feedback):
            self.place = found[1]
        if found := _SHUT.search(feedback):
            self.shut.add(found[1])
        opened = _OPEN.search(feedback)
        if opened:
            self.shut.discard(opened[1])
        if found := _CLOSED.search(feedback):
            self.shut.add(found[1])
        if found := _SEEN.search(feedback):
            place = found["on"] or (opened and opened[1])
            if place in self.contents:
                self.contents[place] = _items(found["list"])
        if found := _TAKEN.search(feedback):
            self._take(found[1], found[2])
        if found := _PUT.search(feedback):
            self._put(found[1], found[2])
        self._change(feedback)

    def unknown(self) -> list[str]:
        """Receptacles whose contents were not seen, those last that were found shut."""
        found = [name for name, contents in self.contents.items() if contents is None]
        return sorted(found, key=lambda name: name in self.shut)

    def where(self, kind: str) -> list[tuple[str, str]]:
        """Each object of a type that was seen, and the receptacle that it is in or on."""
        return [
            (name, place)
            for place, contents in self.contents.items()
            for name in contents or ()
            if kind_of(name) == kind
        ]

    def places(self, kind: str) -> list[str]:
        """Receptacles of a type."""
        return [name for name in self.contents if kind_of(name) == kind]

    def is_(self, name: str, trait: str) -> bool:
        """Whether something was done to an object."""
        return trait in self.traits.get(name, ())

    def key(self) -> tuple[object, ...]:
        """Two games that began alike are alike where this is."""
        traits = sorted((name, tuple(sorted(told))) for name, told in self.traits.items() if told)
        contents = tuple(
            (place, None if known is None else tuple(sorted(known)))
            for place, known in self.contents.items()
        )
        moved = tuple(sorted(self.moved.items()))
        return (self.place, self.holding, contents, tuple(sorted(self.shut)), tuple(traits), moved)

    def _take(self, name: str, place: str) -> None:
        self.holding, self.origin = name, place
        self.moved[name] = ""
        contents = self.contents.get(place)
        if contents is not None:
            self.contents[place] = tuple(other for other in contents if other != name)

    def _put(self, name: str, place: str) -> None:
        self.holding = self.origin = None
        self.moved[name] = place
        contents = self.contents.get(place)
        if contents is not None:
            self.contents[place] = (*contents, name)

    def _change(self, feedback: str) -> None:
        if found := _CHANGED.search(feedback):
            trait = _BECOMES[found[1]]
            traits = self.traits.setdefault(found[2], set())
            traits.discard(_OPPOSITE.get(trait, ""))
            traits.add(trait)
        elif found := _SLICED.search(feedback):
            self.traits.setdefault(found[1], set()).add("sliced")
        elif found := _SWITCHED.search(feedback):
            traits = self.traits.setdefault(found[2], set())
            (traits.add if found[1] == "on" else traits.discard)("on")


def kind_of(name: str) -> str:
    """The type of a thing: its name without its number.

    >>> kind_of("butterknife 2")
    'butterknife'
    """
    return name.rstrip("0123456789").rstrip()


def _items(text: str) -> tuple[str, ...]:
    """The things of a list: ``a mug 1, a cup 2, and a pan 1``; none of ``nothing``."""
    if text == "nothing":
        return ()
    parts = re.split(r", (?:and )?", text)
    return tuple(part.removeprefix("a ") for part in parts)
