"""PPO over turns, top to bottom: advantages, loss, figures."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reflect_core import Trajectory
from reflect_core.advantages import discounted_returns, explained_variance, gae, standardise
from reflect_core.context import Context
from reflect_core.lm.learner import Forward, Learner, clipped_surrogate
from reflect_trainer_ppo.critic import refitted
from reflect_trainer_ppo.plugin import LEAST_SQUARES, PpoConfig


class PpoTrainer(Learner[PpoConfig]):
    """Clipped PPO (Schulman et al. 2017) with GAE; one action is one token, one turn."""

    name = "ppo"

    def __init__(self, config: PpoConfig, context: Context) -> None:
        super().__init__(config, context)
        self.policy.keeps_hidden = config.critic == LEAST_SQUARES

    def update(self, trajectories: Sequence[Trajectory], *, iteration: int) -> dict[str, float]:
        """One iteration: ``update_epochs`` passes over its turns in shuffled minibatches.

        Returns:
            Losses, entropy and KL to the warm-up policy (nats), clip fraction, explained
            variance, and what :meth:`Learner.learn` returns.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """
        config = self.config
        batch = self.batch(trajectories)
        if not batch.turns:
            return {}
        if config.critic == LEAST_SQUARES:
            batch = refitted(self, batch, gamma=config.gamma)
        values = batch.rows(batch.values)
        advantages = batch.rows(
            gae(
                rewards,
                estimates,
                gamma=config.gamma,
                gae_lambda=config.gae_lambda,
                final_value=final_value,
                turns=episode.learn_turns,
            )
            for episode, rewards, estimates, final_value in zip(
                batch.episodes, batch.rewards, batch.values, batch.bootstrap(), strict=True
            )
        )
        returns = advantages + values
        if config.norm_adv:
            advantages = standardise(advantages)
        advantage, return_ = self.tensor(advantages), self.tensor(returns)

        # one that was fitted is not to be pulled at, nor the trunk for its sake
        vf_coef = 0.0 if config.critic == LEAST_SQUARES else config.vf_coef

        def loss(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            surrogate = clipped_surrogate(now.ratio, advantage[now.rows], config.clip_coef)
            policy_loss = now.mean(surrogate)
            value_loss = 0.5 * now.mean((now.values - return_[now.rows]).square())
            entropy, kl_to_warmup = now.entropy(), now.kl_to_warmup()
            total = (
                policy_loss
                + vf_coef * value_loss
                - config.ent_coef * entropy
                + config.kl_coef * kl_to_warmup
            )
            return total, {
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "entropy": entropy,
                "clip_fraction": now.clip_fraction(config.clip_coef),
                "kl_to_warmup": kl_to_warmup,
            }

        figures = self.learn(
            batch,
            loss,
            iteration=iteration,
            epochs=config.update_epochs,
            target_kl=config.target_kl,
            clip_coef=config.clip_coef,
        )
        # of what came, and not of GAE's target, in which the critic's own later values are
        came = batch.rows(
            discounted_returns(rewards, gamma=config.gamma, final_value=final_value)
            for rewards, final_value in zip(batch.rewards, batch.bootstrap(), strict=True)
        )
        figures["explained_variance"] = explained_variance(values, came)
        return figures
