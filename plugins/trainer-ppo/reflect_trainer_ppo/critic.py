"""The critic that is fitted to an iteration's returns before they are learnt from."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from reflect_core.advantages import discounted_returns
from reflect_core.linear_critic import LinearCritic, cross_fitted, powers_of_turn
from reflect_core.lm.learner import Batch, Learner


def refitted(learner: Learner[Any], batch: Batch, *, gamma: float) -> Batch:
    """The batch with values that were fitted to its returns, each by other episodes.

    They are linear in the last hidden states and in powers of the turn's number. The value head,
    which reads no numbers, is left as what was fitted to all episodes without these: it values
    what an episode expects after its last turn in the next iteration.

    Args:
        learner: Has the policy whose last hidden states are read.
        batch: With at least one turn.
        gamma: Discount per turn.
    """
    features = learner.reader.hidden([turn for one in batch.episodes for turn in one.transitions])
    returns = np.concatenate(
        [
            discounted_returns(rewards, gamma=gamma, final_value=final_value)
            for rewards, final_value in zip(batch.rewards, batch.bootstrap(), strict=True)
        ]
    )
    lengths = [one.turns for one in batch.episodes]
    episodes = np.repeat(np.arange(len(lengths)), lengths)
    timed = np.hstack([features, powers_of_turn(lengths)])
    values = cross_fitted(timed, returns, episodes.tolist())
    critic = LinearCritic.fit(features, returns)
    learner.policy.module.set_critic(critic.weight, critic.bias)
    parts = np.split(values, np.cumsum(lengths)[:-1])
    return attrs.evolve(batch, values=[part.tolist() for part in parts])
