"""How many tokens a model reads: the honest unit of what an arm or a stage costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import nn

__all__ = ["Meter", "Reading"]


@attrs.frozen
class Reading:
    """Tokens that went through a model's trunk, padding left out.

    Args:
        read: In forward passes alone: rollouts, evaluations, generated tokens.
        learnt: In forward passes that a backward pass follows.
    """

    read: int = 0
    learnt: int = 0

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(self.read - earlier.read, self.learnt - earlier.learnt)

    def figures(self) -> Mapping[str, int]:
        """For a row of ``metrics.jsonl``."""
        return {"tokens_read": self.read, "tokens_learnt": self.learnt}


class Meter:
    """Counts the tokens of every module it watches; of this process alone."""

    def __init__(self) -> None:
        # on the model's device, so that counting never waits for it
        self._counts: dict[bool, torch.Tensor] = {}
        self._watched: set[int] = set()

    def watch(self, trunk: nn.Module) -> None:
        """Count the tokens of a causal LM's trunk, once however often it is asked to."""
        if id(trunk) not in self._watched:
            self._watched.add(id(trunk))
            trunk.register_forward_pre_hook(self._count, with_kwargs=True)

    def reading(self) -> Reading:
        """The counts since the meter was made."""
        counts = {learnt: int(count) for learnt, count in self._counts.items()}
        return Reading(counts.get(False, 0), counts.get(True, 0))

    def _count(self, trunk: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            return
        mask = kwargs.get("attention_mask")
        # with a cache the mask covers what was read before, too
        new = (
            ids.shape[1] * ids.new_ones(ids.shape[0]) if mask is None else mask[:, -ids.shape[1] :]
        )
        learnt = torch.is_grad_enabled()
        before = self._counts.get(learnt)
        now = new.sum().long()
        self._counts[learnt] = now if before is None else before + now
