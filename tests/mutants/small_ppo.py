"""A clipped PPO with a critic that stands on the policy alone: right, and in small pieces."""

from __future__ import annotations

import attrs
import torch

from reflect_core import TrainerSpec, option
from reflect_core.errors import NonFiniteLoss


@attrs.frozen
class SmallPpoConfig:
    lr: float = option(1e-3, "Learning rate.")
    clip_coef: float = option(0.2, "Clipping range of the ratio.")
    vf_coef: float = option(0.5, "Weight of the value loss.")
    ent_coef: float = option(0.01, "Weight of the entropy.")
    update_epochs: int = option(2, "Passes over the turns.")
    micro_batch_size: int = option(8, "Turns per forward pass.")
    warm_up: int = option(4, "Updates until the learning rate is full.")


class SmallPpo:
    def __init__(self, config, context):
        self.config, self.policy = config, context.policy
        self.optimizer = self.make_optimizer(self.policy.trainable())
        self.updates = 0

    def make_optimizer(self, parameters):
        return torch.optim.Adam(parameters, lr=self.config.lr)

    def update(self, trajectories, *, iteration):
        turns = [turn for one in trajectories for turn in one.transitions]
        if not turns:
            return {}
        returns = torch.tensor([g for one in trajectories for g in self.returns(one)])
        values = torch.tensor([turn.choice.value for turn in turns])
        advantages = self.advantages(returns, values)
        old = self.old_logprobs(turns)
        figures = {}
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * min(1.0, (self.updates + 1) / self.config.warm_up)
        for epoch in range(self.config.update_epochs):
            figures = self.pass_over(turns, old, advantages, returns)
            if epoch == 0:
                first = figures["ratio_error"]
        self.updates += 1
        self.policy.weights_version = self.updates
        figures["first_ratio_error"] = first
        return self.told(figures)

    def told(self, figures):
        return {name: float(number) for name, number in figures.items()}

    def returns(self, episode):
        rewards = [turn.reward + turn.shaping for turn in episode.transitions]
        return [sum(rewards[place:]) for place in range(len(rewards))]

    def advantages(self, returns, values):
        found = returns - values
        return (found - found.mean()) / (found.std(unbiased=False) + 1e-8)

    def old_logprobs(self, turns):
        return torch.tensor([turn.choice.logprob for turn in turns])

    def pass_over(self, turns, old, advantages, returns):
        """One step on all turns, in parts."""
        self.optimizer.zero_grad()
        total, error = 0.0, 0.0
        size = self.config.micro_batch_size
        with self.training() as module:
            for start in range(0, len(turns), size):
                rows = slice(start, start + size)
                part = turns[rows]
                logits, values = self.forward(module, part)
                logprobs = torch.log_softmax(logits, dim=-1)
                taken = torch.tensor([[turn.choice.index] for turn in part])
                ratio = (logprobs.gather(1, taken).squeeze(1) - old[rows]).exp()
                loss = self.loss(ratio, logprobs, values, advantages[rows], returns[rows])
                loss = loss * self.share(part, turns)
                self.check(loss)
                loss.backward()
                total += float(loss.detach())
                error = max(error, float((ratio.detach() - 1).abs().max()))
        self.optimizer.step()
        return {"loss": total, "ratio_error": error}

    def training(self):
        return self.policy.training()

    def share(self, part, turns):
        return len(part) / len(turns)

    def check(self, loss):
        if not torch.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {float(loss.detach())}")

    def forward(self, module, turns):
        logits, values = module(self.policy.batch(turns))
        temperature = torch.tensor([turn.choice.temperature or 1.0 for turn in turns])
        return logits / temperature[:, None], values

    def loss(self, ratio, logprobs, values, advantage, return_):
        policy_loss = -self.surrogate(ratio, advantage, values, return_).mean()
        value_loss = 0.5 * (values - return_).square().mean()
        probabilities = logprobs.exp()
        entropy = -(probabilities * logprobs.masked_fill(probabilities == 0, 0.0)).sum(-1).mean()
        return policy_loss + self.config.vf_coef * value_loss - self.config.ent_coef * entropy

    def surrogate(self, ratio, advantage, values, return_):
        coef = self.config.clip_coef
        return torch.min(ratio * advantage, ratio.clamp(1 - coef, 1 + coef) * advantage)

    def state_dict(self):
        return {"optimizer": self.optimizer.state_dict(), "updates": self.updates}

    def load_state_dict(self, state):
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]


def spec(trainer):
    """How a trainer of this kind is built."""
    return TrainerSpec(name="small", factory=trainer, config=SmallPpoConfig, needs_critic=True)
