"""Returns, baselines and advantages: pure arithmetic over rewards, returns and values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EPSILON = 1e-8
"""Added to a standard deviation before it divides: equal numbers become 0 and not NaN."""


def discounted_returns(
    rewards: Sequence[float], *, gamma: float, final_value: float = 0.0
) -> Floats:
    """Return-to-go of each turn; shape (L,).

    ``G_t = r_t + gamma * G_{t+1}`` with ``G_L = final_value``, which is 0 where the episode
    terminated and the value of the last observation where it was truncated.

    >>> discounted_returns([1.0, 0.0, 2.0], gamma=0.5).tolist()
    [1.5, 1.0, 2.0]
    """
    returns = np.zeros(len(rewards))
    running = final_value
    for turn in reversed(range(len(rewards))):
        running = rewards[turn] + gamma * running
        returns[turn] = running
    return returns


def gae(
    rewards: Sequence[float],
    values: Sequence[float],
    *,
    gamma: float,
    gae_lambda: float,
    final_value: float = 0.0,
    turns: int | None = None,
) -> Floats:
    """Generalised advantage estimates of each turn; shape (L,).

    ``A_t = sum_k (gamma * lambda)^k delta_{t+k}`` with
    ``delta_t = r_t + gamma * V_{t+1} - V_t`` (Schulman et al. 2016, equation 16).
    ``final_value`` stands for ``V_L``: 0 after termination, the bootstrap after truncation.

    Args:
        rewards: Of L turns.
        values: The critic's, before each turn.
        gamma: Discount per turn.
        gae_lambda: Between the critic's word (0) and what came of it (1).
        final_value: Of what follows the last turn.
        turns: Only so many, from the first, are learnt from, and the critic has learnt of no
            other. What came after them then counts as it came, as if it were the reward of the
            last of them, and the other turns' advantages are 0.

    >>> gae([0.0, 1.0], [0.5, 0.5], gamma=1.0, gae_lambda=1.0).tolist()
    [0.5, 0.5]
    >>> gae([0.0, 1.0], [0.5, 0.2], gamma=1.0, gae_lambda=0.0, turns=1).tolist()
    [0.5, 0.0]
    """
    if turns is not None and turns < len(rewards):
        to_go = discounted_returns(rewards[turns:], gamma=gamma, final_value=final_value)
        learnt = gae(
            rewards[:turns],
            values[:turns],
            gamma=gamma,
            gae_lambda=gae_lambda,
            final_value=to_go[0],
        )
        return np.concatenate([learnt, np.zeros(len(rewards) - turns)])
    advantages = np.zeros(len(rewards))
    following = [*values[1:], final_value]
    running = 0.0
    for turn in reversed(range(len(rewards))):
        delta = rewards[turn] + gamma * following[turn] - values[turn]
        running = delta + gamma * gae_lambda * running
        advantages[turn] = running
    return advantages


def leave_one_out(returns: npt.ArrayLike, groups: Sequence[Hashable] | None = None) -> Floats:
    """Baseline of each episode: the mean return of the others of its group; shape (N,).

    ``b_i = 1 / (n - 1) * sum_{j != i} R_j`` (Kool et al. 2019; RLOO, Ahmadian et al. 2024).
    It does not depend on the episode that it is for, so that it takes no part of the gradient
    away. ``R_i - b_i`` is ``n / (n - 1)`` times the distance from the mean.

    Args:
        returns: Of N episodes, shape (N,).
        groups: Name of each episode's group; by default all are one group. An episode that is
            alone in its group is compared with all others, and with 0 where there are none.

    >>> leave_one_out([3.0, 0.0, 6.0]).tolist()
    [3.0, 4.5, 1.5]
    >>> leave_one_out([3.0, 0.0, 6.0], ["a", "a", "b"]).tolist()
    [0.0, 3.0, 1.5]
    """
    given = np.asarray(returns, np.float64)
    baselines = np.zeros(len(given))
    names = [None] * len(given) if groups is None else groups
    for rows in _places(names):
        for row in rows:
            # the others are added up anew: taken from a total, the rest would hold a trace of
            # the episode itself in its last bits
            others = rows[rows != row]
            if not len(others):
                others = np.delete(np.arange(len(given)), row)
            baselines[row] = given[others].mean() if len(others) else 0.0
    return baselines


def group_relative(
    returns: npt.ArrayLike, groups: Sequence[Hashable], *, scale: bool = True
) -> Floats:
    """Advantage of each return over its group; shape (N,).

    ``A_i = (R_i - mean(R)) / (std(R) + eps)`` over the group of ``i``, with the population's
    standard deviation (GRPO, Shao et al. 2024, section 4.1.2). Without the division this is
    the advantage of Dr. GRPO (Liu et al. 2025). With an episode's return for each episode and
    its task as the group, it is GRPO's; with the return-to-go of each turn and the state within
    the task as the group, it is the step advantage of GiGPO (Feng et al. 2025). What is alone in
    its group gets 0.

    Args:
        returns: Shape (N,).
        groups: Name of the group of each, shape (N,).
        scale: Divide by the standard deviation.

    >>> group_relative([1.0, 3.0, 5.0], ["a", "a", "b"], scale=False).tolist()
    [-1.0, 1.0, 0.0]
    """
    given = np.asarray(returns, np.float64)
    advantages = np.zeros(len(given))
    for rows in _places(groups):
        advantages[rows] = standardise(given[rows], scale=scale)
    return advantages


def standardise(values: npt.ArrayLike, *, scale: bool = True) -> Floats:
    """Values less their mean, divided by their standard deviation; shape (N,).

    Args:
        values: Shape (N,), not empty.
        scale: Divide, and not only subtract.

    >>> standardise([1.0, 3.0, 5.0], scale=False).tolist()
    [-2.0, 0.0, 2.0]
    """
    given = np.asarray(values, np.float64)
    centred: Floats = given - given.mean()
    return centred / (given.std() + EPSILON) if scale else centred


def explained_variance(values: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Share of the returns' variance that the values account for; both of shape (N,).

    ``1 - Var(returns - values) / Var(returns)``: 1 is perfect, 0 no better than a constant; 0
    too where the returns do not vary.

    >>> explained_variance([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    1.0
    """
    known = np.asarray(returns, np.float64)
    spread = float(np.var(known)) if len(known) else 0.0
    return 0.0 if spread == 0 else 1.0 - float(np.var(known - np.asarray(values))) / spread


def _places(groups: Sequence[Hashable]) -> list[npt.NDArray[np.intp]]:
    """The rows of each group, groups in the order in which they first appear."""
    found: dict[Hashable, list[int]] = {}
    for row, name in enumerate(groups):
        found.setdefault(name, []).append(row)
    return [np.array(rows, np.intp) for rows in found.values()]
