"""Past turns read once more, without gradients: what the present weights make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch

from reflect_core.advantages import Floats
from reflect_core.lm.batch import by_length
from reflect_core.lm.policy import LmPolicy
from reflect_core.records import Hidden, Transition

__all__ = ["Reader", "taken", "temperatures"]


@attrs.frozen
class Reader:
    """Reads the prompts of turns as they were when an action was chosen.

    Args:
        policy: Whose weights read.
        rows: Turns of one forward pass.
    """

    policy: LmPolicy
    rows: int

    def hidden(self, turns: Sequence[Transition]) -> Floats:
        """The last hidden states, which a critic reads: (N, D); N at least 1.

        Turns that kept it when these weights chose are not read again.
        """
        version = self.policy.weights_version
        found = [
            turn.choice.hidden if turn.choice.weights_version == version else None for turn in turns
        ]
        rest = [row for row, state in enumerate(found) if state is None]
        read = iter(self._read_hidden([turns[row] for row in rest]))
        return np.stack([next(read) if state is None else state for state in found]).astype(
            np.float64
        )

    def logprobs(self, turns: Sequence[Transition]) -> list[torch.Tensor]:
        """Of the legal actions of each turn at the sampler's temperature, (K,), in nats."""
        found = [torch.empty(0)] * len(turns)
        for rows, some in self._batches(turns):
            logits, _ = self.policy.module(self.policy.batch(some))
            logprobs = torch.log_softmax(logits / temperatures(some, logits.device), dim=-1)
            for place, row in enumerate(rows):
                found[row] = logprobs[place, : len(turns[row].choice.label_ids)]
        return found

    def taken_logprobs(self, turns: Sequence[Transition]) -> list[float]:
        """Of the action that was taken in each turn, in nats."""
        found = self.logprobs(turns)
        return [float(one[turn.choice.index]) for one, turn in zip(found, turns, strict=True)]

    def _read_hidden(self, turns: Sequence[Transition]) -> list[Hidden]:
        found: list[Hidden] = [np.empty(0, np.float32)] * len(turns)
        for rows, some in self._batches(turns):
            states = self.policy.module.state(self.policy.batch(some)).float().cpu().numpy()
            for row, state in zip(rows, states, strict=True):
                found[row] = state
        return found

    def _batches(
        self, turns: Sequence[Transition]
    ) -> Iterator[tuple[list[int], Sequence[Transition]]]:
        """Places, and turns of one forward pass."""
        lengths = [len(turn.choice.prompt_ids) for turn in turns]
        with self.policy.player.active(), torch.no_grad():
            for rows in by_length(lengths, self.rows):
                yield rows, [turns[i] for i in rows]


def taken(turns: Sequence[Transition], device: torch.device) -> torch.Tensor:
    """Column of each turn's action, (B, 1)."""
    return torch.tensor([[turn.choice.index] for turn in turns], device=device)


def temperatures(turns: Sequence[Transition], device: torch.device) -> torch.Tensor:
    """That each turn was sampled at, (B, 1); 1 where it was not sampled."""
    sampled = [turn.choice.temperature or 1.0 for turn in turns]
    return torch.tensor(sampled, device=device).unsqueeze(1)
