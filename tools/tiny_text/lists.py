"""How lists are written, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .draft import Draft
from .world import World

NOTHING = " none"
"""The answer to a question for something that is not listed."""


@dataclass
class Format:
    """How the entries of one labelled list are written."""

    bullet: str
    gap: str
    separator: str
    label_first: bool

    @classmethod
    def draw(cls, world: World, plain: float = 0.5) -> Format:
        """A format: with probability ``plain`` the label follows its item directly."""
        rng = world.rng
        if world.plain() or world.chance(plain):
            return cls("", "", "\n", False)
        return cls(
            rng.choice(("", "", "", "- ", "* ", "  ", "> ")),
            rng.choice(("", "", "", "", " ", ": ", " -> ", " = ", "=", ":")),
            rng.choice(("\n", "\n", "\n", ", ", "; ", " | ", " ", "\n\n")),
            world.chance(0.15),
        )

    def write(self, draft: Draft, items: Sequence[str], labels: Sequence[str]) -> None:
        """Add the list to ``draft``."""
        for item, label in zip(items, labels, strict=True):
            if self.label_first:
                draft.give(f"{self.bullet}{label}{self.gap}{item}")
            else:
                draft.give(f"{self.bullet}{item}{self.gap}{label}")
            draft.tell(self.separator)


def end_list(draft: Draft, world: World) -> None:
    """End a list: make sure that a line break or some sign parts it from what follows."""
    if not draft.text.endswith("\n"):
        draft.tell(world.rng.choice(("\n", "\n", ".\n", " ")))


def unique_part(item: str, items: Sequence[str], world: World) -> str | None:
    """A part of ``item`` (some of its words) that no other item contains, if there is one."""
    words = item.split(" ")
    spans = [
        " ".join(words[i:j])
        for i in range(len(words))
        for j in range(i + 1, len(words) + 1)
        if j - i < len(words)
    ]
    spans = [s for s in spans if sum(f" {s} " in f" {other} " for other in items) == 1]
    return world.rng.choice(spans) if spans else None


def with_absent(world: World, count: int, family: str | None = None) -> tuple[list[str], list[str]]:
    """Items to list, and some of their kind that are not listed; none in the plainest format."""
    more = 0 if world.plain() else 2
    items = world.items(count + more, family)
    return items[: len(items) - more], items[len(items) - more :]
