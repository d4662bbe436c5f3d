"""Intervals for success rates and for differences between players of the same tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import attrs
import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "constant_difference", "paired_difference", "wilson"]

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


def constant_difference(difference: float, tasks: int, *, confidence: float = 0.95) -> Interval:
    """An interval for a difference of successes that is the same in every pair.

    Resampled it has no width, which three tasks do not prove. In some share of all tasks it may be
    another, anything from -1 to 1; that share is at most the upper end of Wilson's interval for
    none seen in so many tasks. So the interval is on the wide side.

    Args:
        difference: -1, 0 or 1.
        tasks: How many different ones were played, at least 1.
        confidence: As for :func:`wilson`.

    >>> interval = constant_difference(1.0, 3)
    >>> round(interval.low, 3), interval.high
    (-0.123, 1.0)
    """
    unseen = wilson(0, tasks, confidence=confidence).high
    low, high = difference - unseen * (difference + 1), difference + unseen * (1 - difference)
    return Interval(difference, low, high)


def paired_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    runs: Sequence[int | str] | None = None,
    tasks: Sequence[int | str] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the mean of ``ours - theirs``, pair by pair.

    Pairs are kept together, so that what makes a task hard for both players cancels. What is drawn
    are the tasks, and independently of them the runs, where there are several; a pair counts as
    often as its task times as often as its run [Owen 2007, "The pigeonhole bootstrap"]. So a task
    that several runs play, or one run several times, does not count as several tasks, and runs
    may differ by more than their episodes tell. Such intervals err on the wide side where a task's
    outcome is mostly chance, and on the narrow side where three to five runs differ a lot.

    Args:
        ours: One number per pair, for example 1.0 for a success.
        theirs: The same tasks in the same order.
        runs: Of each pair; None when all come from one run.
        tasks: Of each pair; None when each is of a task of its own.
        confidence: Share of the resampled means that the interval holds.
        resamples: How often the data is drawn anew.
        seed: The same seed and data give the same interval.

    Returns:
        The plain mean difference with a percentile interval. Without pairs all is NaN.

    Raises:
        ValueError: The lengths differ.
    """
    count = len(ours)
    if any(each is not None and len(each) != count for each in (theirs, runs, tasks)):
        raise ValueError("pairs must match one to one")
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    gains = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    factors = [_places(range(count) if tasks is None else tasks)]
    if runs is not None and len(set(runs)) > 1:
        factors.append(_places(runs))
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // count)
    means = np.concatenate(
        [_draw(gains, factors, min(size, resamples - at), rng) for at in range(0, resamples, size)]
    )
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Interval(float(gains.mean()), float(low), float(high))


def _places(names: Iterable[int | str]) -> npt.NDArray[np.intp]:
    """Of each name its number among the different ones, in the order of their first use."""
    numbers: dict[int | str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])


def _draw(
    gains: npt.NDArray[np.float64],
    factors: Sequence[npt.NDArray[np.intp]],
    resamples: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Means of resampled data, shape (resamples,); NaN where no pair was drawn."""
    weights = np.ones((resamples, gains.size))
    for places in factors:
        levels = int(places.max()) + 1
        drawn = rng.multinomial(levels, np.full(levels, 1 / levels), size=resamples)
        weights *= drawn[:, places]
    totals = weights.sum(axis=1)
    means: npt.NDArray[np.float64] = np.full(resamples, np.nan)
    np.divide(weights @ gains, totals, out=means, where=totals > 0)
    return means
