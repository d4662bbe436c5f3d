"""The turns that a trainer learns from, and what the weights say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch

from reflect_core.advantages import Floats
from reflect_core.lm.policy import entropy
from reflect_core.records import Trajectory, Transition

__all__ = ["Batch", "Forward", "Loss", "Part", "clipped_surrogate"]


@attrs.frozen(eq=False)
class Batch:
    """One iteration's episodes, and the N of their turns that are learnt from.

    All but ``replayed`` is of the fresh episodes.

    Args:
        episodes: Those with at least one turn.
        rewards: Of each episode, L: the task's and the stage's shaping.
        values: Of each episode, L: the critic's, as stored.
        turns: The turns learnt from, episode after episode; N.
        replayed: Solved episodes of earlier iterations, with at least one turn.
    """

    episodes: Sequence[Trajectory]
    rewards: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]
    turns: Sequence[Transition]
    replayed: Sequence[Trajectory]

    def rows(self, per_episode: Iterable[npt.ArrayLike]) -> Floats:
        """Join numbers of each episode, (L,) or one for all its turns, to those learnt from: (N,).

        What lies behind ``learn_turns`` is left out here and nowhere earlier, so that it counts
        in returns and in nothing else.
        """
        parts = [
            np.broadcast_to(np.asarray(numbers, np.float64), episode.turns)[: episode.learn_turns]
            for episode, numbers in zip(self.episodes, per_episode, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def bootstrap(self) -> Iterator[float]:
        """What each episode expects after its last turn: a value where it was truncated, or 0."""
        for episode in self.episodes:
            yield episode.final_value if episode.truncated else 0.0


@attrs.frozen(eq=False)
class Forward:
    """What the present weights say of B turns.

    Args:
        rows: Which of the batch's N turns these are, shape (B,): ``target[now.rows]``.
        logits: Of the legal actions at the sampler's temperature, (B, K), -inf where padded.
        logprobs: Their log-softmax in nats, (B, K).
        log_ratio: Log-probability of the action taken, less that before the update; (B,).
        ratio: ``exp(log_ratio)``, (B,).
        values: The critic's, (B,).
        weight: Of each turn in a mean, which thinning asks for; (B,).
        reference: Log-probabilities under the warm-up policy, one (K,) per turn; None where
            none is kept.
    """

    rows: torch.Tensor
    logits: torch.Tensor
    logprobs: torch.Tensor
    log_ratio: torch.Tensor
    ratio: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor
    reference: Sequence[torch.Tensor] | None

    def mean(self, terms: torch.Tensor) -> torch.Tensor:
        """The weighted mean of a term of each turn; (B,) to a scalar."""
        return (self.weight * terms).mean()

    def entropy(self) -> torch.Tensor:
        """Mean entropy over the legal actions in nats."""
        return self.mean(entropy(self.logits))

    def kl_to_warmup(self) -> torch.Tensor:
        """Mean KL(policy || warm-up policy) over the legal actions, exact, in nats."""
        kl = self.logprobs.new_zeros(())
        if self.reference is None:
            return kl
        for place, reference in enumerate(self.reference):
            own = self.logprobs[place, : len(reference)]
            kl = kl + self.weight[place] * (own.exp() * (own - reference)).sum()
        return kl / len(self.reference)

    def approx_kl(self) -> torch.Tensor:
        """Mean of ``(r - 1) - log r``, in nats: KL(policy before the update || policy)."""
        return self.mean((self.ratio - 1) - self.log_ratio)

    def clip_fraction(self, clip_coef: float) -> torch.Tensor:
        """Weighted share of turns whose ratio is farther from 1 than ``clip_coef``."""
        return self.mean(((self.ratio - 1).abs() > clip_coef).float())


Loss = Callable[[Forward], tuple[torch.Tensor, dict[str, torch.Tensor]]]
"""From a forward pass to the scalar that is minimised and the terms to log, each a mean."""


@attrs.frozen(eq=False)
class Part:
    """Turns that share a loss, and what does not change while they are learnt from.

    First axis N, but for ``chosen``: the rows that are learnt from at all.
    """

    turns: Sequence[Transition]
    old: torch.Tensor
    weight: torch.Tensor
    reference: Mapping[int, torch.Tensor] | None
    chosen: npt.NDArray[np.int64]
    loss: Loss


def clipped_surrogate(
    ratio: torch.Tensor, advantage: torch.Tensor, clip_coef: float
) -> torch.Tensor:
    """``-min(r A, clip(r, 1 - c, 1 + c) A)``; (B,) and (B,) to (B,), to be minimised.

    L^CLIP, equation 7 of Schulman et al. 2017, negated.
    """
    clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
    return torch.max(-advantage * ratio, -advantage * clipped)
