"""Intervals for success rates and for differences between players of the same tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import attrs
import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "paired_difference", "wilson"]

_CHUNK = 4_000_000  # numbers drawn at once, so that memory stays small


@attrs.frozen
class Interval:
    """An estimate and the interval around it."""

    estimate: float
    low: float
    high: float


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion.

    Unlike the usual one it stays within 0 and 1 and is honest for small samples and for
    proportions near the ends [Wilson 1927, eq. 2].

    Args:
        successes: Between 0 and ``trials``.
        trials: With none, nothing is known: the interval is all of [0, 1].
        confidence: Share of such intervals that hold the truth.

    >>> interval = wilson(9, 10)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.596, 0.982)
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # the ends are exact in mathematics and off by rounding in floats
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(share, low, high)


def paired_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    clusters: Sequence[int | str] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the mean of ``ours - theirs``, pair by pair.

    The pairs are what is drawn, so that what makes a task hard for both players cancels. With
    several clusters (the seeds of repeated runs) the clusters are drawn first and pairs within
    those drawn: runs differ from each other more than their episodes tell.

    Args:
        ours: One number per pair, for example 1.0 for a success.
        theirs: The same tasks in the same order.
        clusters: Of each pair; None when all come from one run.
        confidence: Share of the resampled means that the interval holds.
        resamples: How often the data is drawn anew.
        seed: The same seed and data give the same interval.

    Returns:
        The plain mean difference with a percentile interval. Without pairs all is NaN.

    Raises:
        ValueError: The lengths differ.
    """
    if len(ours) != len(theirs) or (clusters is not None and len(clusters) != len(ours)):
        raise ValueError("pairs must match one to one")
    gains = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if not gains.size:
        return Interval(math.nan, math.nan, math.nan)
    names = np.asarray([0] * gains.size if clusters is None else [str(name) for name in clusters])
    groups = [gains[names == name] for name in np.unique(names)]
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // gains.size)
    means = np.concatenate(
        [_draw(groups, min(size, resamples - at), rng) for at in range(0, resamples, size)]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(gains.mean()), float(low), float(high))


def _draw(
    groups: Sequence[npt.NDArray[np.float64]], resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Means of resampled data, shape (resamples,)."""
    totals = np.zeros(resamples)
    counts = np.zeros(resamples)
    for _ in groups:  # as many clusters are drawn as there are
        chosen = rng.integers(len(groups), size=resamples)
        for index, group in enumerate(groups):
            rows = np.flatnonzero(chosen == index)
            picks = rng.integers(group.size, size=(rows.size, group.size))
            totals[rows] += group[picks].sum(axis=1)
            counts[rows] += group.size
    means: npt.NDArray[np.float64] = totals / counts
    return means
