"""Leave out turns from which nothing is learnt, without bias.

After a warm-up most turns are foregone: the policy takes the named action with a probability
near 1. Their share in a policy gradient is proportional to ``1 - p``, next to nothing, but
each costs as much time as a turn that was in doubt. Keeping a random part of them, and
weighing that part accordingly, leaves every sum over turns what it was in the mean
(Horvitz and Thompson 1952, the estimator of a total under unequal probabilities).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["CERTAIN", "thin"]

CERTAIN = 0.99
"""A turn whose action had at least this probability was foregone."""


def thin(
    probabilities: npt.ArrayLike, keep: float, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Choose turns, and their weights in a mean over the chosen ones.

    Args:
        probabilities: Of the actions that were taken, shape (N,).
        keep: Chance of a foregone turn to be kept, above 0; all others are kept.
        generator: Draws.

    Returns:
        Rows (M,), ascending, and weights (M,): for any x, the mean over the rows of
        ``weights * x[rows]`` has the expectation ``x.mean()``. With ``keep`` 1 these are
        all rows and ones. Where no turn was drawn, all are kept.
    """
    taken = np.asarray(probabilities, np.float64)
    chance = np.where(taken >= CERTAIN, keep, 1.0)
    rows = np.flatnonzero(generator.random(len(taken)) < chance)
    if not len(rows):
        return np.arange(len(taken)), np.ones(len(taken))
    return rows, len(rows) / len(taken) / chance[rows]
