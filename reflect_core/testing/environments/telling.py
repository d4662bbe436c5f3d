"""How a difference or a failure is told: what, where, and the calls that show it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from reflect_core.testing.explore import Episode
from reflect_core.testing.laws import Broken
from reflect_core.testing.places import Place, place_of, told

__all__ = ["differ", "faulty", "same", "until", "utf8", "when"]


def same(
    one: Episode, other: Episode, names: tuple[str, str], *, first: Sequence[str] = ()
) -> None:
    """Raise where two episodes differ."""
    differ(one.keys(), other.keys(), names, other, first=first)


def differ(
    one: Sequence[str],
    other: Sequence[str],
    names: tuple[str, str],
    episode: Episode,
    *,
    first: Sequence[str] = (),
) -> None:
    """Raise where what was seen of two episodes differs.

    Args:
        one, other: Their :meth:`Episode.keys`.
        names: What they are called.
        episode: The second, whose calls are told.
        first: Calls that came before.
    """
    if list(one) == list(other):
        return
    place = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    width = max(map(len, names))
    raise Broken(
        f"{when(place)} something else is shown or paid",
        shown=[
            f"{name:<{width}}: {keys[place] if place < len(keys) else 'nothing more'}"[:400]
            for name, keys in zip(names, (one, other), strict=True)
        ],
        story=[*first, *until(episode, place).story()],
    )


def when(place: int) -> str:
    """Words for the place-th observation."""
    return f"at step {place}" if place else "at reset"


def until(episode: Episode, place: int) -> Episode:
    """The episode up to its place-th step."""
    return attrs.evolve(
        episode, actions=episode.actions[:place], steps=episode.steps[:place], fault=None
    )


def faulty(episode: Episode) -> Broken:
    """What is wrong where an episode ended with an error."""
    fault = episode.fault
    assert fault is not None
    place = place_of(fault.error)
    what = told(fault.error)
    return Broken(
        f"{when(len(episode.actions))} {fault.during} raised {what}"
        if place
        else f"{when(len(episode.actions))}: {fault.error}",
        place=place,
        story=episode.story(),
    )


def utf8(text: object, what: str, story: Callable[[], Sequence[str]], place: Place | None) -> None:
    """Raise where a text is none, or holds what UTF-8 cannot."""
    if not isinstance(text, str):
        raise Broken(f"{what} is {text!r}, which is no text"[:300], story=story(), place=place)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Broken(f"{what} is not valid UTF-8: {error}", story=story(), place=place) from error
