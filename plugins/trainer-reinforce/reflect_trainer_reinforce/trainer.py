"""REINFORCE over turns, top to bottom: returns, baseline, loss, figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from reflect_core import Trajectory
from reflect_core.advantages import Floats, discounted_returns, explained_variance, leave_one_out
from reflect_core.lm.learner import Batch, Forward, Learner
from reflect_trainer_reinforce.plugin import ReinforceConfig


class ReinforceTrainer(Learner[ReinforceConfig]):
    """REINFORCE (Williams 1992) on the return-to-go, less a baseline.

    One pass over an iteration's turns. In its first step the ratio is 1 and the gradient that of
    ``A log pi``; in the steps after it, where there are any, the ratio makes up for what the
    policy has moved since it played.
    """

    name = "reinforce"

    @property
    def group_size(self) -> int:
        """Episodes of each task in an iteration."""
        return self.config.group_size

    @property
    def compared(self) -> int:
        """Of a group those that are compared with one another; 1 where all of an iteration are."""
        return self.config.group_size if self.config.baseline == "loo" else 1

    def update(self, trajectories: Sequence[Trajectory], *, iteration: int) -> dict[str, float]:
        """One iteration: one pass over its turns, by default in one step.

        Returns:
            Policy loss, entropy and KL to the warm-up policy (nats), mean and variance of the
            advantages, what :meth:`Learner.learn` returns, and with a critic
            its loss and explained variance.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """
        config = self.config
        critic = config.baseline == "critic"
        batch = self.batch(trajectories)
        if not batch.turns:
            return {}
        # without a critic nobody knows what follows a truncated episode: its return ends there
        to_go = [
            discounted_returns(rewards, gamma=config.gamma, final_value=final if critic else 0.0)
            for rewards, final in zip(batch.rewards, batch.bootstrap(), strict=True)
        ]
        returns = batch.rows(to_go)
        baselines: Sequence[npt.ArrayLike] | Floats = (
            batch.values if critic else self._baselines(batch, np.array([g[0] for g in to_go]))
        )
        advantages = returns - batch.rows(baselines)
        advantage, return_ = self.tensor(advantages), self.tensor(returns)

        def loss(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            policy_loss = -now.mean(advantage[now.rows] * now.ratio)
            entropy, kl_to_warmup = now.entropy(), now.kl_to_warmup()
            total = policy_loss - config.ent_coef * entropy + config.kl_coef * kl_to_warmup
            terms = {
                "policy_loss": policy_loss,
                "entropy": entropy,
                "kl_to_warmup": kl_to_warmup,
            }
            if critic:
                value_loss = 0.5 * now.mean((now.values - return_[now.rows]).square())
                total = total + config.vf_coef * value_loss
                terms["value_loss"] = value_loss
            return total, terms

        figures = self.learn(batch, loss, iteration=iteration)
        figures["advantage_mean"] = float(advantages.mean())
        figures["advantage_variance"] = float(advantages.var())
        if critic:
            figures["explained_variance"] = explained_variance(batch.rows(batch.values), returns)
        return figures

    def _baselines(self, batch: Batch, returns: Floats) -> Floats:
        """Of each episode, from the returns of all."""
        if self.config.baseline == "none":
            return np.zeros(len(returns))
        if self.config.baseline == "mean":
            return np.full(len(returns), returns.mean())
        return leave_one_out(returns, [episode.group for episode in batch.episodes])
