"""The small PPO, wrong in one way each."""

from __future__ import annotations

import contextlib

import torch

from mutants.common import Mutant, register
from mutants.small_ppo import SmallPpo
from reflect_core import TrainerSpec
from reflect_core.testing.bench import Bench
from reflect_core.testing.laws import Effort, Examiner, Outcome
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.trainers import TRAINER_LAWS

MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS)


def examine(made: TrainerSpec, bench: Bench, effort: Effort | None = None) -> dict[str, Outcome]:
    """What came of each law, by its name."""
    subject = PartSubject.of("trainer", made, made.config(), bench.settings)
    subject.bench = bench  # which holds the model
    examiner = Examiner(subject, TRAINER_LAWS, effort or Effort())
    return {outcome.law.name: outcome for outcome in examiner.outcomes()}


@breaks("builds", "no method load_state_dict", "__init__")
class NeverLoads(SmallPpo):
    load_state_dict = None


@breaks("figures", "float(tensor.detach())", "update")
class TensorsAmongTheFigures(SmallPpo):
    def told(self, figures):
        return {name: torch.tensor(number) for name, number in figures.items()}


@breaks("figures", "", "update")
class NeedsATurn(SmallPpo):
    def update(self, trajectories, *, iteration):
        first = trajectories[0]
        return super().update([first, *trajectories[1:]], iteration=iteration)


@breaks("first-ratio", "the temperature is missing", "update")
class ForgetsTheTemperature(SmallPpo):
    def forward(self, module, turns):
        return module(self.policy.batch(turns))


@breaks("first-ratio", "dropout is on", "update")
class DropoutOn(SmallPpo):
    @contextlib.contextmanager
    def training(self):
        with super().training() as module:
            module.train()
            try:
                yield module
            finally:
                module.eval()


@breaks("first-ratio", "of update 1", "update")
class StaleLogprobs(SmallPpo):
    """Kept by the place of the turn, so that a second update finds those of the first."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.kept = {}

    def old_logprobs(self, turns):
        return torch.tensor(
            [self.kept.setdefault(place, t.choice.logprob) for place, t in enumerate(turns)]
        )


@breaks("first-ratio", "the probabilities of an update", "update")
class UnmaskedLabels(SmallPpo):
    """Menus that are shorter than the longest of the batch are filled up with logits of 0."""

    def forward(self, module, turns):
        logits, values = super().forward(module, turns)
        return logits.masked_fill(logits == -float("inf"), 0.0), values


@breaks("follows", "labels that are not legal", "update")
class UnmaskedGradient(SmallPpo):
    """The same, where nobody logs the ratio."""

    def forward(self, module, turns):
        logits, values = super().forward(module, turns)
        return logits.masked_fill(logits == -float("inf"), 0.0), values

    def told(self, figures):
        return {"loss": figures["loss"]}


@breaks("improves", "the wrong sign", "update")
class WrongSign(SmallPpo):
    def surrogate(self, ratio, advantage, values, return_):
        return -super().surrogate(ratio, advantage, values, return_)


@breaks("improves", "not those of their turns", "update")
class AdvantagesInAnotherOrder(SmallPpo):
    def advantages(self, returns, values):
        return super().advantages(returns, values).flip(0)


@breaks("still", "decays weights", "update")
class DecaysWeights(SmallPpo):
    def make_optimizer(self, parameters):
        return torch.optim.AdamW(parameters, lr=self.config.lr)  # decays by 0.01 unless told


@breaks("still", "a term of the loss", "update")
class EntropyWithoutCoefficient(SmallPpo):
    def loss(self, ratio, logprobs, values, advantage, return_):
        found = super().loss(ratio, logprobs, values, advantage, return_)
        probabilities = logprobs.exp()
        finite = logprobs.masked_fill(probabilities == 0, 0.0)
        return found + 0.001 * (probabilities * finite).sum(-1).mean()


@breaks("follows", "the value in an advantage", "update")
class CriticLeaks(SmallPpo):
    """Advantages of the present values, which are not detached."""

    def surrogate(self, ratio, advantage, values, return_):
        return super().surrogate(ratio, return_ - values, values, return_)


@breaks("follows", "what must be a constant is not", "update")
class ValueLossWithoutCoefficient(SmallPpo):
    def loss(self, ratio, logprobs, values, advantage, return_):
        found = super().loss(ratio, logprobs, values, advantage, return_)
        return found + 0.5 * (values - return_).square().mean()


@breaks("clips", "ratio is not clipped", "update")
class NeverClips(SmallPpo):
    def surrogate(self, ratio, advantage, values, return_):
        return ratio * advantage


@breaks("clips", "does not come back", "update")
class ClipsBothWays(SmallPpo):
    def surrogate(self, ratio, advantage, values, return_):
        coef = self.config.clip_coef
        return ratio.clamp(1 - coef, 1 + coef) * advantage


@breaks("nan", "nothing was raised", "update")
class SwallowsNan(SmallPpo):
    def advantages(self, returns, values):
        return torch.nan_to_num(super().advantages(returns, values))

    def loss(self, ratio, logprobs, values, advantage, return_):
        return super().loss(ratio, logprobs, values, advantage, torch.nan_to_num(return_))


@breaks("nan", "before it raised", "update")
class LooksAfterTheStep(SmallPpo):
    def check(self, loss):
        self.last = loss

    def pass_over(self, turns, old, advantages, returns):
        found = super().pass_over(turns, old, advantages, returns)
        super().check(self.last)
        return found


@breaks("resumes", "the optimizer's moments", "state_dict")
class ForgetsTheOptimizer(SmallPpo):
    def state_dict(self):
        return {"updates": self.updates}

    def load_state_dict(self, state):
        self.updates = state["updates"]


@breaks("resumes", "a counter", "state_dict")
class ForgetsTheCounter(SmallPpo):
    """So that the learning rate warms up anew."""

    def load_state_dict(self, state):
        super().load_state_dict({**state, "updates": 0})


@breaks("resumes", "tensors and plain values only", "state_dict")
class SavesItself(SmallPpo):
    def state_dict(self):
        return {**super().state_dict(), "config": self.config}


@breaks("order", "weigh a part's loss", "update")
class AveragesParts(SmallPpo):
    def share(self, part, turns):
        return 1 / -(-len(turns) // self.config.micro_batch_size)
