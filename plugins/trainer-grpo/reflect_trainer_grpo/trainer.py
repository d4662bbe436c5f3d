"""GRPO over turns, top to bottom: advantages in groups, loss, figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from reflect_core import ReflectError, Trajectory
from reflect_core.advantages import (
    EPSILON,
    Floats,
    discounted_returns,
    group_relative,
)
from reflect_core.lm.learner import Batch, Forward, Learner, clipped_surrogate
from reflect_trainer_grpo.plugin import GrpoConfig


class GrpoTrainer(Learner[GrpoConfig]):
    """GRPO (Shao et al. 2024): each episode against the others of its task, without a critic.

    The loss is a mean over all turns, not over the turns of each episode first: that mean would
    favour short episodes where they succeed and long ones where they fail (Liu et al. 2025).
    """

    name = "grpo"

    @property
    def group_size(self) -> int:
        """Episodes of each task in an iteration."""
        return self.config.group_size

    def update(self, trajectories: Sequence[Trajectory], *, iteration: int) -> dict[str, float]:
        """One iteration: ``update_epochs`` passes over its turns in shuffled minibatches.

        Returns:
            Policy loss, entropy and KL to the warm-up policy (nats), clip fraction,
            ``flat_groups`` (share of groups whose returns are all equal: nothing is learnt from
            them), what :meth:`Learner.learn` returns, and with ``step_coef``
            ``shared_states`` (share of turns whose state another turn of the group shares).

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
            ReflectError: ``step_coef`` is set and the environment does not name its states.
        """
        config = self.config
        batch = self.batch(trajectories)
        if not batch.turns:
            return {}
        returns = np.array([sum(rewards) for rewards in batch.rewards])
        groups = [episode.group for episode in batch.episodes]
        # the same for all turns of an episode
        advantages = batch.rows(group_relative(returns, groups, scale=config.norm_std))
        figures = {"flat_groups": _flat(returns, groups)}
        if config.step_coef:
            of_step, figures["shared_states"] = self._step_advantages(batch)
            advantages = advantages + config.step_coef * of_step
        advantage = self.tensor(advantages)

        def loss(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            surrogate = clipped_surrogate(now.ratio, advantage[now.rows], config.clip_coef)
            policy_loss, entropy = now.mean(surrogate), now.entropy()
            kl_to_warmup = now.kl_to_warmup()
            total = policy_loss - config.ent_coef * entropy + config.kl_coef * kl_to_warmup
            return total, {
                "policy_loss": policy_loss,
                "entropy": entropy,
                "clip_fraction": now.clip_fraction(config.clip_coef),
                "kl_to_warmup": kl_to_warmup,
            }

        return figures | self.learn(
            batch,
            loss,
            iteration=iteration,
            epochs=config.update_epochs,
            target_kl=config.target_kl,
            clip_coef=config.clip_coef,
        )

    def _step_advantages(self, batch: Batch) -> tuple[Floats, float]:
        """Each turn's return-to-go against the other turns of its group in the same state.

        This is GiGPO's step-level advantage (Feng et al. 2025). Turns that come back to a state
        within an episode count too.

        Returns:
            Shape (N,), and the share of turns that have another to be compared with.
        """
        states = [
            (episode.group, turn.observation.state_key)
            for episode in batch.episodes
            for turn in episode.transitions[: episode.learn_turns]
        ]
        if any(key is None for _, key in states):
            raise ReflectError(
                f"trainer.step_coef = {self.config.step_coef} needs states that can be told apart",
                why="the environment's observations have no state_key",
                then="set trainer.step_coef=0, or use an environment that names its states",
            )
        to_go = batch.rows(
            discounted_returns(rewards, gamma=self.config.gamma) for rewards in batch.rewards
        )
        advantages = group_relative(to_go, states, scale=self.config.norm_std)
        visits = Counter(states)
        shared = sum(visits[state] > 1 for state in states)
        return advantages, shared / max(1, len(states))


def _flat(returns: Floats, groups: Sequence[int]) -> float:
    """Share of the groups in which all returns are equal; 0 where there are none."""
    names = np.array(groups)
    flat = [np.ptp(returns[names == name]) < EPSILON for name in set(groups)]
    return float(sum(flat)) / max(1, len(flat))
