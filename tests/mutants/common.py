"""What a mutant is, and how it is examined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

Register = Callable[[Any], Any]


@attrs.frozen
class Mutant:
    """A part that is wrong in one way.

    Args:
        make: What builds it.
        law: The only one that it breaks.
        tells: A word of what is told about it.
        method: In which the place to look at lies.
        fresh: Only a process of its own shows it.
        more: Fields of the subject.
    """

    make: Callable[..., Any]
    law: str
    tells: str
    method: str
    fresh: bool = False
    more: dict[str, Any] = attrs.field(factory=dict)


def register(mutants: dict[str, Mutant], **known: Any) -> Callable[..., Register]:
    """A decorator that adds a class to ``mutants`` by its name.

    Args:
        known: Fields of the subject that all have.
    """

    def breaks(law: str, tells: str, method: str, *, fresh: bool = False, **more: Any) -> Register:
        def note(cls: Any) -> Any:
            mutants[cls.__name__] = Mutant(cls, law, tells, method, fresh, {**known, **more})
            return cls

        return note

    return breaks
