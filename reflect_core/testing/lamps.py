"""A toy environment for tests: push the button of the lamp that is lit."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.errors import EpisodeOver
from reflect_core.records import Observation, Step, Task
from reflect_core.streams import stream

COLOURS = ("red", "blue", "green", "white")


class Lamps:
    """Two turns; each shows which lamp is lit, the right button is worth 1/2.

    Args:
        horizon: Turns of an episode.
        tasks: Tasks in each split.
        fail_on: Task ids whose second turn raises, to try out what a run does then.
        truncate: End by truncation instead of termination.
    """

    def __init__(
        self,
        *,
        horizon: int = 2,
        tasks: int = 8,
        fail_on: Sequence[str] = (),
        truncate: bool = False,
    ) -> None:
        self.horizon = horizon
        self.count = tasks
        self.fail_on = frozenset(fail_on)
        self.truncate = truncate
        self.over = True

    def tasks(self, split: str) -> Sequence[Task]:
        """Tasks that differ in nothing but their names."""
        return [Task(f"{split}-{i}", split, "push the lit lamp") for i in range(self.count)]

    def summary(self) -> str:
        """How large this one is."""
        return f"{len(COLOURS)} lamps, {self.horizon} turns"

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Light the lamps of an episode."""
        draws = stream(seed, "lamps", task.task_id).integers(len(COLOURS), size=self.horizon + 1)
        self.task, self.turn, self.right, self.over = task, 0, 0, False
        self.lit = [COLOURS[int(i)] for i in draws]
        return self._observe()

    def step(self, action: str) -> Step:
        """Push a button."""
        if self.over:
            raise EpisodeOver("reset first")
        if self.turn == 1 and self.task.task_id in self.fail_on:
            raise RuntimeError("a fuse blew")
        right = action == f"push {self.lit[self.turn]}"
        self.right += right
        self.turn += 1
        self.over = self.turn == self.horizon
        return Step(
            self._observe(),
            reward=right / self.horizon,
            terminated=self.over and not self.truncate,
            truncated=self.over and self.truncate,
            success=self.over and self.right == self.horizon,
        )

    def close(self) -> None:
        """Nothing is held."""

    def expert_action(self) -> str:
        """The right button."""
        return f"push {self.lit[self.turn]}"

    def expert_reflection(self) -> str:
        """Which lamp is lit, and what to push."""
        return f"{self.lit[self.turn]} is lit. push {self.lit[self.turn]}"

    def _observe(self) -> Observation:
        left = self.horizon - self.turn
        menu = tuple(f"push {colour}" for colour in COLOURS)
        text = f"The {self.lit[self.turn]} lamp is lit. {left} turns left."
        return Observation(text, menu, state_key=f"{self.task.task_id}:{self.turn}")
