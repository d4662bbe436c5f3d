"""How a state is worded, for readers with little room."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reflect_env_alfworld.memory import CLEAN, COLD, HOT, Memory, kind_of

ASKED = {"clean": CLEAN, "hot": HOT, "heat": HOT, "cool": COLD}
"""Words of a task, and what they ask its object to be."""


def observation(
    feedback: str,
    memory: Memory | None,
    turns_left: int,
    *,
    remembers: bool,
    named: Collection[str] = (),
    asked: str | None = None,
) -> str:
    """What was said, then where one is and what is known.

    What the task names comes before all else that was seen: one who looks for a plate need not
    read the whole room to see whether there is one.

    Args:
        feedback: The game's own words.
        memory: What was told so far; None for a game that is not read.
        turns_left: Of the horizon.
        remembers: Whether to list what was seen where.
        named: The types that the task names, see :func:`named_in`.
        asked: What the task asks its object to be, see :func:`asked_in`.
    """
    left = f"{turns_left} turn{'' if turns_left == 1 else 's'} left"
    said = " ".join(_short(feedback).split())
    if memory is None:
        return f"{said}\n{left}"
    lines = [said, f"{_situation(memory)}, {left}"]
    if remembers:
        lines += [_found(memory, kind, named, asked) for kind in named]
        lines += _known(memory, named)
    return "\n".join(lines)


def named_in(task: str, kinds: Iterable[str]) -> list[str]:
    """Those of the types that a task names, in its order.

    >>> named_in("put two mug in a desk.", ["Desk", "Mug", ""])
    ['mug', 'desk']
    """
    known = {kind.lower() for kind in kinds}
    words = (word.strip(".,") for word in task.lower().split())
    return list(dict.fromkeys(word for word in words if word in known))


def asked_in(task: str) -> str | None:
    """What a task asks its object to be, as the memory has it; None where it may be as it is.

    >>> asked_in("cool some mug and put it in shelf.")
    'cold'
    """
    return next((ASKED[word] for word in task.lower().split() if word in ASKED), None)


def first_words(intro: str, *, remembers: bool) -> str:
    """A game's first words without its title and its task, which stand elsewhere.

    Where the observation lists what is known, the list of receptacles is left out too.
    """
    parts = [part for part in intro.split("\n\n") if not part.startswith(("-=", "Your task is"))]
    said = "\n".join(parts)
    return said.partition(" Looking quickly around you")[0] if remembers else said


def _short(feedback: str) -> str:
    """Help without its explanations, which would fill a small prompt."""
    if "Available commands:" not in feedback:
        return feedback
    lines = [line.partition(":")[0].strip() for line in feedback.splitlines()]
    return f"Available commands: {', '.join(line for line in lines[2:] if line)}"


def _situation(memory: Memory) -> str:
    place = f"at {memory.place}" if memory.place else "in the room"
    if memory.place in memory.shut:
        place += " (closed)"
    return f"{place}, holding {_told(memory, memory.holding) if memory.holding else 'nothing'}"


def _found(memory: Memory, kind: str, named: Collection[str], asked: str | None) -> str:
    """Where things of a type are: ``plate: plate 1 at shelf 2, plate 2 at hand``.

    It is told what one is not yet, and that one lies already where the task wants it.
    """
    held = memory.holding

    def told(name: str) -> str:
        lacks = asked is not None and not memory.is_(name, asked)
        return f"not {asked} {_told(memory, name)}" if lacks else _told(memory, name)

    def lies(name: str, place: str) -> str:
        there = kind_of(place) in named and (asked is None or memory.is_(name, asked))
        return f"{told(name)}{' already' if there else ''} at {place}"

    found = [
        *memory.places(kind),
        *([f"{told(held)} at hand"] if held and kind_of(held) == kind else []),
        *(lies(name, place) for name, place in memory.where(kind)),
    ]
    return f"{kind}: {', '.join(found) or 'not seen'}"


def _known(memory: Memory, named: Collection[str]) -> list[str]:
    """Receptacles that were not gone to, those found shut, and what else is in the others.

    Args:
        memory: What was told.
        named: Types that are listed elsewhere.
    """
    new = [name for name in memory.unknown() if name not in memory.shut]
    shut = [name for name in memory.contents if name in memory.shut]
    seen = [
        f"{place}: {', '.join(_told(memory, name) for name in others)}"
        for place, contents in memory.contents.items()
        if (others := [name for name in contents or () if kind_of(name) not in named])
    ]
    parts = {"new": ", ".join(new), "shut": ", ".join(shut), "seen": "; ".join(seen)}
    return [f"{name}: {told}" for name, told in parts.items() if told]


def _told(memory: Memory, name: str) -> str:
    """An object with what was done to it: ``hot egg 1``."""
    return " ".join([*sorted(memory.traits.get(name, ())), name])
