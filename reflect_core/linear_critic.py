"""A critic that is fitted anew to each iteration's returns, by least squares."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from reflect_core.advantages import Floats

__all__ = ["FOLDS", "RIDGE", "LinearCritic", "cross_fitted", "powers_of_turn"]

RIDGE = 0.5
"""Penalty on the squared weights, in units of the variance of a feature."""

FOLDS = 4
"""Parts of the episodes, each of which is valued by what was fitted to the others."""


@attrs.frozen(eq=False)
class LinearCritic:
    """Values that are linear in features.

    Args:
        weight: Shape (D,).
        bias: What a state of mean features is worth, less the weights' share of it.
    """

    weight: Floats
    bias: float

    @classmethod
    def fit(cls, features: Floats, targets: Floats) -> LinearCritic:
        """Ridge regression on standardised features (Duan et al. 2016 fit such a baseline).

        Args:
            features: Of N turns, shape (N, D), N at least 1.
            targets: Their returns, shape (N,).
        """
        middle, spread = features.mean(axis=0), features.std(axis=0)
        # what does not vary has nothing to say
        scale = np.where(spread > 1e-6 * (1 + np.abs(middle)), spread, np.inf)
        standard = (features - middle) / scale
        mean = float(targets.mean())
        gram = standard.T @ standard / len(targets) + RIDGE * np.eye(features.shape[1])
        weight = np.linalg.solve(gram, standard.T @ (targets - mean) / len(targets)) / scale
        return cls(weight, mean - float(weight @ middle))

    def values(self, features: Floats) -> Floats:
        """Of each turn, shape (N,)."""
        found: Floats = features @ self.weight + self.bias
        return found


def cross_fitted(features: Floats, targets: Floats, episodes: Sequence[int]) -> Floats:
    """Values of turns that know nothing of what came of their own episodes; shape (N,).

    Each fold of the episodes is valued by a critic that was fitted to the others (cross-fitting,
    Chernozhukov et al. 2018). A baseline that had seen the return which it is compared with would
    take a part of the policy gradient away. 0 where there are no other episodes.

    Args:
        features: Of N turns, shape (N, D).
        targets: Their returns, shape (N,).
        episodes: Number of each turn's episode, shape (N,).
    """
    fold = np.asarray(episodes) % FOLDS
    values = np.zeros(len(targets))
    for number in np.unique(fold):
        own = fold == number
        if not own.all():
            critic = LinearCritic.fit(features[~own], targets[~own])
            values[own] = critic.values(features[own])
    return values


def powers_of_turn(lengths: Sequence[int]) -> Floats:
    """How far each turn's episode has come: its number, squared and cubed.

    Duan et al. 2016 give them to a linear baseline: what is left to win falls as turns run out,
    and that is not linear in much else.

    Args:
        lengths: Turns of each episode.

    Returns:
        Shape (N, 3), N the sum of ``lengths``.
    """
    number = np.concatenate([np.arange(length, dtype=np.float64) for length in lengths])
    return np.stack([number, number**2, number**3], axis=1)
