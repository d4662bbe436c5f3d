"""What episodes that are learnt from once more add to an update.

They (``Trajectory.replayed``) are the solved ones alone, and what is selected by its outcome says
nothing of how it compares with the rest. They have no part in advantages, values, entropy, KL or
any of the loss that a trainer writes down. They add a term of their own, with a gradient that
estimates that of the probability of success (derived in :mod:`reflect_core.replay`): for each of
their turns ``weight * ratio * log pi``, which is REINFORCE with the reward 1 for success and no
baseline. It is imitation of oneself as in Oh et al. 2018, but with the importance ratio and without
a critic.

The ratio has two factors. What the policy has moved between playing the episode and this update
is the ratio of the whole episode, the product over all its turns: it corrects which states were
reached and what followed as much as the choice itself (Precup et al. 2000). What the policy moves
within the update is the ratio of each turn, as it is for fresh ones. In the first step of an
update the estimate is unbiased, but for two things: the first factor is at most
``MAX_REPLAY_RATIO``, and the policy has learnt from the same episodes before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reflect_core.lm.learnt import Batch, Forward, Part, clipped_surrogate
from reflect_core.records import Transition

if TYPE_CHECKING:
    from reflect_core.lm.learner import Learner

__all__ = ["MAX_REPLAY_RATIO", "replayed_part"]

MAX_REPLAY_RATIO = 2.0
"""Largest importance ratio of a replayed episode.

Truncated importance sampling (Ionides 2008): above it the episode is learnt from with this ratio
and not with none. One that was rare and has since become usual would else weigh as the inverse of
its old probability, and take the whole of a clipped gradient.
"""


def replayed_part(
    learner: Learner[Any], batch: Batch, *, iteration: int, clip_coef: float
) -> tuple[Part | None, dict[str, float]]:
    """The replayed turns that are learnt from, None where there are none; and figures.

    The term is ``-sum_i weight_i ratio_i sum_t r_it`` over episodes i and their turns t, with
    the ratio of the whole episode as a constant and that of the turn, ``r``, clipped. It is
    divided by the mean number of turns of the fresh episodes, as the mean over turns divides
    what those add to the loss.

    Args:
        learner: Thins the turns, and reads them under the present weights.
        batch: With at least one fresh turn.
        iteration: Names the random draws.
        clip_coef: Clipping range of a turn's ratio to the policy before the update.
    """
    turns: list[Transition] = []
    old: list[float] = []
    weights: list[float] = []
    ratios: list[float] = []
    present = iter(
        learner.reader.taken_logprobs([turn for one in batch.replayed for turn in one.transitions])
    )
    for episode in batch.replayed:
        now = [next(present) for _ in episode.transitions]
        log_ratio = sum(now) - sum(turn.choice.logprob for turn in episode.transitions)
        ratios.append(math.exp(min(log_ratio, math.log(MAX_REPLAY_RATIO))))
        learnt = episode.transitions[: episode.learn_turns]
        turns += learnt
        old += now[: len(learnt)]
        weights += [episode.weight * ratios[-1]] * len(learnt)
    if not turns:
        return None, {}
    chosen, weight = learner.thin(turns, iteration, "thin", "replayed")
    episodes_per_turn = len(batch.episodes) / len(batch.turns)

    def loss(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        advantage = torch.ones_like(now.ratio)
        found = now.mean(clipped_surrogate(now.ratio, advantage, clip_coef))
        return found, {"replay_loss": found}

    part = Part(
        turns=turns,
        old=learner.tensor(old),
        # a sum, written as a mean of so many
        weight=weight * learner.tensor(weights) * (episodes_per_turn * len(turns)),
        reference=None,
        chosen=chosen,
        loss=loss,
    )
    return part, {"replay_ratio": float(np.mean(ratios))}
