"""An example as a list of pieces, each with its weight for the loss."""

from __future__ import annotations

from dataclasses import dataclass, field

TELL_WEIGHT = 0.05
COPY_WEIGHT = 0.5


@dataclass
class Draft:
    """An example under construction."""

    skill: str
    pieces: list[tuple[str, float]] = field(default_factory=list)

    def give(self, text: str) -> None:
        """Add text that nothing before it determines."""
        self._add(text, 0.0)

    def tell(self, text: str) -> None:
        """Add framing or ordinary grammar, learnt with a light weight."""
        self._add(text, TELL_WEIGHT)

    def ask(self, text: str, weight: float = 1.0) -> None:
        """Add text that follows from what stands before it."""
        self._add(text, weight)

    def _add(self, text: str, weight: float) -> None:
        if text:
            self.pieces.append((text, weight))

    @property
    def text(self) -> str:
        """The whole example."""
        return "".join(text for text, _ in self.pieces)
