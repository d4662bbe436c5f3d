"""How a state is worded, for readers with little room."""

from __future__ import annotations

from reflect_env_alfworld.memory import Memory


def observation(feedback: str, memory: Memory | None, turns_left: int, *, remembers: bool) -> str:
    """What was said, then where one is and what is known.

    Args:
        feedback: The game's own words.
        memory: What was told so far; None for a game that is not read.
        turns_left: Of the horizon.
        remembers: Whether to list what was seen where.
    """
    left = f"{turns_left} turn{'' if turns_left == 1 else 's'} left"
    said = " ".join(_short(feedback).split())
    if memory is None:
        return f"{said}\n{left}"
    lines = [said, f"{_situation(memory)}, {left}"]
    if remembers:
        lines += _known(memory)
    return "\n".join(lines)


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


def _known(memory: Memory) -> list[str]:
    """Receptacles that were not looked into, and what is in the others; empty ones go unsaid."""
    unknown = memory.unknown()
    seen = [
        f"{place}: {', '.join(_told(memory, name) for name in contents)}"
        for place, contents in memory.contents.items()
        if contents
    ]
    lines = [f"new: {', '.join(unknown)}"] if unknown else []
    return [*lines, f"seen: {'; '.join(seen)}"] if seen else lines


def _told(memory: Memory, name: str) -> str:
    """An object with what was done to it: ``hot egg 1``."""
    return " ".join([*sorted(memory.traits.get(name, ())), name])
