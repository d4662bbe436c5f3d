"""Environments whose calls can be begun now and answered later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from reflect_core.records import Observation, Step, Task


# no protocol: a rollout asks at every turn, and whether a class fits one takes long to find out
class Pipelined(ABC):
    """What an environment that works elsewhere offers besides.

    Attributes:
        foresee: Ask the expert together with every ``reset`` and ``step``, so that asking it
            afterwards costs nothing.
    """

    foresee: bool = False

    @abstractmethod
    def begin_reset(
        self, task: Task, *, seed: int, stage: str | None = None
    ) -> Callable[[], Observation]:
        """As ``reset``, which the result finishes."""

    @abstractmethod
    def begin_step(self, action: str) -> Callable[[], Step]:
        """As ``step``, which the result finishes; at most one is under way."""

    @abstractmethod
    def renew(self) -> None:
        """Throw the instance away that is at work there; the next call builds another."""
