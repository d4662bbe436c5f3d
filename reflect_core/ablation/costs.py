"""What an arm cost: wall time, optimizer steps and tokens."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import attrs

from reflect_core.files import read_rows

__all__ = ["Costs", "costs", "seconds"]


@attrs.frozen
class Costs:
    """Of a run's learning, its evaluation left out.

    Args:
        seconds: Wall time.
        updates: Optimizer steps of all players.
        tokens_learnt: Tokens with a backward pass.
        tokens_read: Tokens of rollouts and validations, prompts and reflections.
    """

    seconds: float = 0.0
    updates: int = 0
    tokens_learnt: int = 0
    tokens_read: int = 0

    def __add__(self, other: Costs) -> Costs:
        mine, theirs = attrs.astuple(self), attrs.astuple(other)
        return Costs(*(a + b for a, b in zip(mine, theirs, strict=True)))


def seconds(folder: Path, stages: Collection[str]) -> float:
    """Wall time that these stages of a run took; ``sft`` is both players' warm-up.

    Added up from the parts of a stage, so that a run that was stopped and resumed took what
    its parts took.
    """
    return sum(
        float(value)
        for row in read_rows(folder / "timings.jsonl")
        if str(row.get("stage")).partition(" ")[0] in stages
        for name, value in row.items()
        if name.endswith("seconds")
    )


def costs(folder: Path) -> Costs:
    """Add up what a run logged."""
    found = Costs(seconds=seconds(folder, ("teach", "sft", "train")))
    last: dict[str, Costs] = {}
    for row in read_rows(folder / "metrics.jsonl"):
        learnt, read = int(row.get("tokens_learnt", 0)), int(row.get("tokens_read", 0))
        if row.get("stage") == "sft":  # these rows count from the stage's beginning
            last[row["player"]] = Costs(0.0, int(row["update"]), learnt, read)
        elif row.get("stage") in ("train", "valid"):
            found += Costs(0.0, int(row.get("optimizer_steps", 0)), learnt, read)
    return sum(last.values(), found)
