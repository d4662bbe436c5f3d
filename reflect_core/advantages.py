"""Returns and advantages: pure arithmetic over one episode's rewards and values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
) -> Floats:
    """Generalised advantage estimates of each turn; shape (L,).

    ``A_t = sum_k (gamma * lambda)^k delta_{t+k}`` with
    ``delta_t = r_t + gamma * V_{t+1} - V_t`` (Schulman et al. 2016, equation 16).
    ``final_value`` stands for ``V_L``: 0 after termination, the bootstrap after truncation.

    >>> gae([0.0, 1.0], [0.5, 0.5], gamma=1.0, gae_lambda=1.0).tolist()
    [0.5, 0.5]
    """
    advantages = np.zeros(len(rewards))
    following = [*values[1:], final_value]
    running = 0.0
    for turn in reversed(range(len(rewards))):
        delta = rewards[turn] + gamma * following[turn] - values[turn]
        running = delta + gamma * gae_lambda * running
        advantages[turn] = running
    return advantages
