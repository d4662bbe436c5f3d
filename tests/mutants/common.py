"""What a mutant is, and how it is examined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from reflect_core.testing.laws import Outcome

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

    def missed(self, found: Mapping[str, Outcome]) -> str | None:
        """In what the outcomes of the laws are not what they should be; None where they are."""
        failed = {name: each.explain() for name, each in found.items() if each.status == "failed"}
        if set(failed) != {self.law}:
            return "\n\n".join([f"{set(failed)} in place of {self.law}", *failed.values()])
        text, place = failed[self.law], found[self.law].place
        if "likely cause: " not in text or self.tells not in text:
            return f"{self.tells!r} is not in\n{text}"
        if place is None:
            return f"no line to look at in\n{text}"
        line = Path(place.file).read_text(encoding="utf-8").splitlines()[place.line - 1]
        if self.method not in place.name and self.method not in line:
            return f"{place} is not in {self.method}"
        return None


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
