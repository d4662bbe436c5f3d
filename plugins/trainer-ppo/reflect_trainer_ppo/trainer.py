"""PPO over turns, top to bottom: advantages, minibatches, loss, step, figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from reflect_core import Context, Trajectory
from reflect_core.advantages import gae
from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.batch import by_length
from reflect_core.lm.policy import LmPolicy, entropy
from reflect_core.streams import stream
from reflect_core.thinning import thin
from reflect_trainer_ppo.plugin import PpoConfig


class PpoTrainer:
    """Clipped PPO (Schulman et al. 2017) with GAE; one action is one token, one turn.

    Args:
        config: The options.
        context: Holds the policy to train and the Accelerator.
    """

    def __init__(self, config: PpoConfig, context: Context) -> None:
        assert isinstance(context.policy, LmPolicy) and context.accelerator is not None
        self.config = config
        self.policy = context.policy
        self.accelerator = context.accelerator
        self.seed = context.seed
        self.updates = 0
        with self.policy.training() as module:
            optimizer = torch.optim.Adam(self.policy.trainable(), lr=config.lr, eps=1e-5)
            self.module, self.optimizer = self.accelerator.prepare(module, optimizer)
        # the policy that the KL term holds on to: the one this trainer was given
        self.reference = self.policy.state_dict() if config.kl_coef else None

    def update(self, trajectories: Sequence[Trajectory], *, iteration: int) -> dict[str, float]:
        """One iteration: ``update_epochs`` passes over its turns in shuffled minibatches.

        In a run of several processes each is given all trajectories and takes its share of
        every minibatch, so that the update is the one a single process would make.

        Returns:
            Losses, entropy (nats), approximate KL, clip fraction, explained variance and
            gradient norm, averaged over the steps taken.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """
        config = self.config
        turns = [turn for trajectory in trajectories for turn in trajectory.transitions]
        if not turns:
            return {}
        advantages = np.concatenate([self._advantages(t) for t in trajectories])
        values = np.array([turn.choice.value for turn in turns])
        returns = advantages + values
        figures = {"explained_variance": explained_variance(values, returns)}
        if config.norm_adv:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        device = self.accelerator.device
        self._advantage = torch.tensor(advantages, dtype=torch.float32, device=device)
        self._return = torch.tensor(returns, dtype=torch.float32, device=device)
        self._old = self._old_logprobs(turns)
        self._reference = self._reference_logprobs(turns)
        chosen, weights = thin(
            np.exp([turn.choice.logprob for turn in turns]),
            config.keep_certain,
            stream(self.seed, "ppo", iteration, "thin"),
        )
        self._weight = torch.ones(len(turns), device=device)
        self._weight[torch.from_numpy(chosen)] = torch.tensor(
            weights, dtype=torch.float32, device=device
        )

        steps: list[dict[str, float]] = []
        with self.policy.training():
            for epoch in range(config.update_epochs):
                before = len(steps)
                order = stream(self.seed, "ppo", iteration, epoch).permutation(chosen)
                for start in range(0, len(order), config.minibatch_size):
                    rows = [int(i) for i in order[start : start + config.minibatch_size]]
                    steps.append(self._step(turns, rows))
                approx_kl = np.mean([step["approx_kl"] for step in steps[before:]])
                if config.target_kl is not None and approx_kl > config.target_kl:
                    break
        self.updates += 1
        self.policy.weights_version = self.updates
        for name in steps[0]:
            figures[name] = float(np.mean([step[name] for step in steps]))
        figures["first_ratio_error"] = steps[0]["ratio_error"]
        del figures["ratio_error"]
        figures["optimizer_steps"] = float(len(steps))
        return figures

    def _advantages(self, trajectory: Trajectory) -> np.ndarray:
        return gae(
            [turn.reward + turn.shaping for turn in trajectory.transitions],
            [turn.choice.value for turn in trajectory.transitions],
            gamma=self.config.gamma,
            gae_lambda=self.config.gae_lambda,
            final_value=trajectory.final_value if trajectory.truncated else 0.0,
        )

    def _step(self, turns: Sequence[Any], rows: Sequence[int]) -> dict[str, float]:
        """One optimizer step on a minibatch, accumulated over micro-batches."""
        config, accelerator = self.config, self.accelerator
        total = {
            "policy_loss": 0.0,
            "value_loss": 0.0,
            "entropy": 0.0,
            "approx_kl": 0.0,
            "clip_fraction": 0.0,
            "kl_to_warmup": 0.0,
            "ratio_error": 0.0,
        }
        self.optimizer.zero_grad()
        lengths = [len(turns[i].choice.prompt_ids) for i in rows]
        for chunk in by_length(lengths, config.micro_batch_size * accelerator.num_processes):
            mine = chunk[accelerator.process_index :: accelerator.num_processes]
            # every process must take part in every backward pass, if only with weight 0
            own = [rows[i] for i in mine] or [rows[chunk[0]]]
            weight = len(mine) / len(rows) * accelerator.num_processes
            terms = self._losses(turns, own)
            loss = (
                terms["policy_loss"]
                + config.vf_coef * terms["value_loss"]
                - config.ent_coef * terms["entropy"]
                + config.kl_coef * terms["kl_to_warmup"]
            ) * weight
            if not torch.isfinite(loss):
                raise NonFiniteLoss(
                    f"the PPO loss is {float(loss.detach())} in update {self.updates}",
                    why=", ".join(f"{k} {float(v.detach()):.3g}" for k, v in terms.items()),
                    then="resume from the last checkpoint with a lower trainer.lr",
                )
            accelerator.backward(loss)
            for name, term in terms.items():
                total[name] += float(term.detach()) * len(mine) / len(rows)
        if accelerator.num_processes > 1:
            names = sorted(total)
            summed = accelerator.reduce(
                torch.tensor([total[n] for n in names], device=accelerator.device), "sum"
            )
            total = dict(zip(names, summed.tolist(), strict=True))
        norm = accelerator.clip_grad_norm_(self.policy.trainable(), config.max_grad_norm)
        total["grad_norm"] = float(norm)
        if not math.isfinite(total["grad_norm"]):
            raise NonFiniteLoss(
                f"the gradient norm is {total['grad_norm']} in update {self.updates}",
                then="resume from the last checkpoint with a lower trainer.lr",
            )
        self.optimizer.step()
        return total

    def _losses(self, turns: Sequence[Any], rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """The terms of the loss, each the weighted mean over ``rows``."""
        clip = self.config.clip_coef
        logits, values = self.module(self.policy.batch([turns[i] for i in rows]))  # (B, K), (B,)
        logits = logits / self._temperature(turns, rows)
        logprobs = torch.log_softmax(logits, dim=-1)
        taken = torch.tensor([turns[i].choice.index for i in rows], device=logits.device)
        new = logprobs.gather(1, taken.unsqueeze(1)).squeeze(1)
        index = torch.tensor(rows, device=logits.device)
        log_ratio = new - self._old[index]
        ratio = log_ratio.exp()
        advantage, weight = self._advantage[index], self._weight[index]
        # L^CLIP, equation 7 of the PPO paper
        surrogate = torch.max(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip))
        policy_loss = (weight * surrogate).mean()
        value_loss = 0.5 * (weight * (values - self._return[index]).square()).mean()
        with torch.no_grad():
            approx_kl = (weight * ((ratio - 1) - log_ratio)).mean()
            clipped = (weight * ((ratio - 1).abs() > clip)).mean()
            ratio_error = (ratio - 1).abs().max()
        return {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": (weight * entropy(logits)).mean(),
            "approx_kl": approx_kl,
            "clip_fraction": clipped,
            "kl_to_warmup": self._kl_to_reference(logprobs, rows),
            "ratio_error": ratio_error,
        }

    def _temperature(self, turns: Sequence[Any], rows: Sequence[int]) -> torch.Tensor:
        sampled = [turns[i].choice.temperature or 1.0 for i in rows]
        return torch.tensor(sampled, device=self.accelerator.device).unsqueeze(1)

    def _old_logprobs(self, turns: Sequence[Any]) -> torch.Tensor:
        old = [turn.choice.logprob for turn in turns]
        return torch.tensor(old, dtype=torch.float32, device=self.accelerator.device)

    def _reference_logprobs(self, turns: Sequence[Any]) -> list[torch.Tensor] | None:
        if self.reference is None:
            return None
        current = self.policy.state_dict()
        self.policy.load_state_dict(self.reference)
        found: list[torch.Tensor] = [torch.empty(0)] * len(turns)
        with self.policy.player.active(), torch.no_grad():
            lengths = [len(turn.choice.prompt_ids) for turn in turns]
            for rows in by_length(lengths, self.config.micro_batch_size):
                logits, _ = self.policy.module(self.policy.batch([turns[i] for i in rows]))
                logprobs = torch.log_softmax(logits / self._temperature(turns, rows), dim=-1)
                for place, row in enumerate(rows):
                    found[row] = logprobs[place, : len(turns[row].choice.label_ids)]
        self.policy.load_state_dict(current)
        return found

    def _kl_to_reference(self, logprobs: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """KL(policy || warm-up policy) over the legal actions, exact, in nats."""
        if self._reference is None:
            return logprobs.new_zeros(())
        kl = logprobs.new_zeros(())
        for place, row in enumerate(rows):
            reference = self._reference[row]
            own = logprobs[place, : len(reference)]
            kl = kl + self._weight[row] * (own.exp() * (own - reference)).sum()
        return kl / len(rows)

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, counters and the reference policy."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
            "reference": self.reference,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = int(state["updates"])
        self.policy.weights_version = self.updates
        self.reference = state["reference"]


def explained_variance(values: np.ndarray, returns: np.ndarray) -> float:
    """``1 - Var(returns - values) / Var(returns)``; 0 where the returns do not vary."""
    spread = float(np.var(returns))
    return 0.0 if spread == 0 else 1.0 - float(np.var(returns - values)) / spread
