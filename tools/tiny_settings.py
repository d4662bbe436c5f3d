"""What determines the weights of `tiny`, besides the text and the libraries' versions."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What determines the weights, besides the versions of the libraries.

    After ``steps`` there may be ``alike_steps`` more, in which seven examples of ten are look-ups
    or copies in lists most of whose items end alike, as ``read_helper.py`` and
    ``write_helper.py`` do.
    """

    seed: int = 0
    steps: int = 10_000
    warmup: int = 150
    decay: int = 2000
    hold: int = 800
    ramp: int = 4200
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.995
    tokens_per_batch: int = 2048
    longest: int = 512
    compiled: bool = True
    alike_steps: int = 0
    alike_rate: float = 1e-3

    @property
    def whole(self) -> int:
        """All steps."""
        return self.steps + self.alike_steps

    def rate(self, step: int) -> float:
        """The learning rate: warm-up, then constant, then a cosine down to a fiftieth.

        On lists of items that end alike it rises anew, and falls by a cosine from the start.
        """
        if step >= self.steps:
            done = step - self.steps
            fall = 0.5 * (1 + math.cos(math.pi * done / self.alike_steps))
            return self.alike_rate * min(1.0, (done + 1) / 100) * (0.02 + 0.98 * fall)
        rise = min(1.0, (step + 1) / self.warmup)
        gone = max(0.0, (step - (self.steps - self.decay)) / max(1, self.decay))
        return self.learning_rate * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * gone)))

    def level(self, step: int) -> float:
        """How far the curriculum has got, from 0 to 1."""
        return min(1.0, max(0.0, (step - self.hold) / self.ramp)) ** 1.5
