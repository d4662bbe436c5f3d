"""What policy-gradient trainers share: from episodes and a loss to optimizer steps.

A trainer is a :class:`Learner` with a name and an ``update``, which reads top to bottom: the
learnt turns as a :class:`Batch`, an advantage for each, a loss over a :class:`Forward` pass,
:meth:`Learner.learn`, the figures. What is here is the same for all of them: thinning,
minibatches and micro-batches, several processes, clipping of the gradient, the importance
ratio, the reference policy, checks for what is not finite, and what a checkpoint keeps.
What is added for episodes that are learnt from once more is in :mod:`reflect_core.lm.replayed`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from reflect_core.context import Context
from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.batch import by_length
from reflect_core.lm.learnt import Batch, Forward, Loss, Part, clipped_surrogate
from reflect_core.lm.policy import lm_policy
from reflect_core.lm.reader import Reader, taken, temperatures
from reflect_core.lm.replayed import replayed_part
from reflect_core.records import Trajectory, Transition
from reflect_core.streams import stream
from reflect_core.thinning import thin

__all__ = ["Batch", "Forward", "Learner", "clipped_surrogate"]


class LearnerOptions(Protocol):
    """The options that every trainer's config has."""

    @property
    def lr(self) -> float:
        """Learning rate of Adam."""

    @property
    def kl_coef(self) -> float:
        """Weight of the KL divergence to the warm-up policy; 0 keeps no such policy."""

    @property
    def keep_certain(self) -> float:
        """Chance to learn from a turn whose action was certain."""

    @property
    def minibatch_size(self) -> int:
        """Turns per optimizer step; 0 for all in one."""

    @property
    def micro_batch_size(self) -> int:
        """Turns per forward pass."""

    @property
    def max_grad_norm(self) -> float:
        """Length to which the gradient is clipped; 0 for no clipping."""


Options = TypeVar("Options", bound=LearnerOptions)

ADAM_EPS = 1e-5
"""What is added to the root of Adam's second moment, where a config has no ``adam_eps``."""


LOWER = (
    "begin another run from this one's settings with a lower trainer.lr, as a resume would come "
    "here again: reflect run --config RUN/run.toml trainer.lr=..."
)
OF_STEPS = ("grad_norm", "replay_loss")
"""Figures that are not means over a step's fresh turns."""

_Share = tuple[Part, Sequence[int], float]
"""A part, those of its rows that a step learns from, and a factor of their mean loss."""


class Learner(Generic[Options]):
    """Base of trainers that follow a policy gradient; one action is one token, one turn.

    Args:
        config: The trainer's options.
        context: Holds the policy to train and the Accelerator.

    Attributes:
        name: The trainer's, which names its random streams.
        updates: Updates made; the policy's ``weights_version``.
        reader: Reads turns once more, without gradients.
    """

    name: ClassVar[str]

    def __init__(self, config: Options, context: Context) -> None:
        assert context.accelerator is not None
        self.config = config
        self.policy = lm_policy(context.policy, context.settings)
        self.accelerator = context.accelerator
        self.seed = context.seed
        self.iterations = context.settings.train.iterations
        self.updates = 0
        self.reader = Reader(self.policy, config.micro_batch_size)
        with self.policy.training() as module:
            eps = getattr(config, "adam_eps", ADAM_EPS)
            optimizer = torch.optim.Adam(self.policy.trainable(), lr=config.lr, eps=eps)
            self.module, self.optimizer = self.accelerator.prepare(module, optimizer)
        # the policy that the KL term holds on to: the one this trainer was given
        self.reference = self.policy.state_dict() if config.kl_coef else None

    @property
    def group_size(self) -> int:
        """Episodes of each task that the trainer wants; see :class:`reflect_core.Trainer`."""
        return 1

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0.

        With ``anneal_lr`` it falls linearly, from ``lr`` in the first of n iterations to ``lr`` / n
        in the last. It hangs on nothing but the number: a run that is resumed goes on with it.
        """
        if not getattr(self.config, "anneal_lr", False):
            return self.config.lr
        # an iteration past the last learns nothing
        return self.config.lr * max(0.0, 1 - iteration / self.iterations)

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        """Sort out an iteration's episodes, fresh and replayed ones."""
        fresh, replayed = (
            [one for one in trajectories if one.turns and one.replayed == kind]
            for kind in (False, True)
        )
        return Batch(
            episodes=fresh,
            rewards=[[turn.reward + turn.shaping for turn in one.transitions] for one in fresh],
            values=[[turn.choice.value for turn in one.transitions] for one in fresh],
            turns=[turn for one in fresh for turn in one.transitions[: one.learn_turns]],
            replayed=replayed,
        )

    def tensor(self, numbers: npt.ArrayLike) -> torch.Tensor:
        """Numbers as a float32 tensor on the device."""
        return torch.as_tensor(
            np.asarray(numbers), dtype=torch.float32, device=self.accelerator.device
        )

    def learn(
        self,
        batch: Batch,
        loss: Loss,
        *,
        iteration: int,
        epochs: int = 1,
        target_kl: float | None = None,
        clip_coef: float = math.inf,
    ) -> dict[str, float]:
        """Minimise a loss over a batch in shuffled minibatches, and the replayed term with it.

        The steps and their fresh turns are those that there would be without replay; each step
        takes its share of the replayed turns in addition.

        In a run of several processes each is given all episodes and takes its share of every
        minibatch, so that the update is the one a single process would make.

        Args:
            batch: At least one fresh turn.
            loss: Of some of its fresh turns.
            iteration: Names the random draws.
            epochs: Passes over the turns.
            target_kl: Stop after a pass in which the mean of its steps' approximate KL of the
                fresh turns was above this, in nats.
            clip_coef: Clipping range of the replayed turns' ratio to the policy before the update.

        Returns:
            The loss's terms and ``approx_kl`` (nats) averaged over the fresh turns of all steps,
            ``grad_norm`` over the steps,
            ``first_ratio_error`` (distance from 1 of a turn's ratio, at its largest, before the
            first step), ``optimizer_steps``; and where there are replayed turns
            ``replay_loss`` and ``replay_ratio``, the mean bounded ratio of their episodes.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """

        def with_kl(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            total, terms = loss(now)
            return total, {"approx_kl": now.approx_kl(), **terms}

        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(iteration)
        chosen, weight = self.thin(batch.turns, iteration, "thin")
        fresh = Part(
            turns=batch.turns,
            old=self.tensor([turn.choice.logprob for turn in batch.turns]),
            weight=weight,
            reference=self._reference_logprobs(batch.turns, chosen.tolist()),
            chosen=chosen,
            loss=with_kl,
        )
        again, figures = replayed_part(self, batch, iteration=iteration, clip_coef=clip_coef)
        size = self.config.minibatch_size or len(chosen)
        steps: list[dict[str, float]] = []
        turns: list[int] = []  # fresh ones, of each step
        with self.policy.training():
            for epoch in range(epochs):
                before = len(steps)
                order = stream(self.seed, self.name, iteration, epoch).permutation(chosen)
                plan: list[list[_Share]] = [
                    [(fresh, order[start : start + size].tolist(), 1.0)]
                    for start in range(0, len(order), size)
                ]
                if again is not None:
                    draws = stream(self.seed, self.name, iteration, epoch, "replayed")
                    pieces = np.array_split(draws.permutation(again.chosen), len(plan))
                    for shares, piece in zip(plan, pieces, strict=True):
                        # the steps of a pass add up to so many times the mean over all rows
                        factor = len(piece) * len(plan) / len(again.chosen)
                        shares.append((again, piece.tolist(), factor))
                turns += [len(shares[0][1]) for shares in plan]
                steps += [self._step(shares) for shares in plan]
                # by steps: that of a short last minibatch moves the policy as far as another
                if target_kl is not None and _mean(steps[before:], "approx_kl") > target_kl:
                    break
        self.updates += 1
        self.policy.weights_version = self.updates
        names = dict.fromkeys(name for step in steps for name in step)
        del names["ratio_error"]
        return {
            **{name: _mean(steps, name, None if name in OF_STEPS else turns) for name in names},
            **figures,
            "first_ratio_error": steps[0]["ratio_error"],
            "optimizer_steps": float(len(steps)),
        }

    def thin(
        self, turns: Sequence[Transition], iteration: int, *name: str
    ) -> tuple[npt.NDArray[np.int64], torch.Tensor]:
        """Rows (M,) that are learnt from, and the weight of each turn (N,) in a mean over them."""
        chosen, weights = thin(
            np.exp([turn.choice.logprob for turn in turns]),
            self.config.keep_certain,
            stream(self.seed, self.name, iteration, *name),
        )
        weight = torch.ones(len(turns), device=self.accelerator.device)
        weight[torch.from_numpy(chosen)] = self.tensor(weights)
        return chosen, weight

    def _step(self, shares: Sequence[_Share]) -> dict[str, float]:
        """One optimizer step on a minibatch, accumulated over micro-batches."""
        accelerator = self.accelerator
        total: dict[str, float] = {}
        ratio_error = 0.0
        self.optimizer.zero_grad()
        for part, rows, factor in shares:
            lengths = [len(part.turns[i].choice.prompt_ids) for i in rows]
            size = self.config.micro_batch_size * accelerator.num_processes
            for chunk in by_length(lengths, size):
                mine = chunk[accelerator.process_index :: accelerator.num_processes]
                # every process must take part in every backward pass, if only with weight 0
                now = self._forward(part, [rows[i] for i in mine] or [rows[chunk[0]]])
                objective, terms = part.loss(now)
                # and every parameter, the critic's too where the loss has no use for it
                objective = objective + 0.0 * now.values.sum()
                objective = objective * (len(mine) / len(rows) * accelerator.num_processes * factor)
                if not torch.isfinite(objective):
                    raise NonFiniteLoss(
                        f"the loss of {self.name} is {float(objective.detach())} "
                        f"in update {self.updates}",
                        why=", ".join(f"{k} {float(v.detach()):.3g}" for k, v in terms.items()),
                        then=LOWER,
                    )
                accelerator.backward(objective)
                for name, term in terms.items():
                    found = float(term.detach()) * len(mine) / len(rows) * factor
                    total[name] = total.get(name, 0.0) + found
                ratio_error = max(ratio_error, float((now.ratio.detach() - 1).abs().max()))
        if accelerator.num_processes > 1:
            names = sorted(total)
            summed = accelerator.reduce(
                torch.tensor([total[n] for n in names], device=accelerator.device), "sum"
            )
            total = dict(zip(names, summed.tolist(), strict=True))
            errors = accelerator.gather(torch.tensor([ratio_error], device=accelerator.device))
            ratio_error = float(errors.max())
        norm = accelerator.clip_grad_norm_(
            self.policy.trainable(), self.config.max_grad_norm or math.inf
        )
        total |= {"grad_norm": float(norm), "ratio_error": ratio_error}
        if not math.isfinite(total["grad_norm"]):
            raise NonFiniteLoss(
                f"the gradient norm of {self.name} is {total['grad_norm']} "
                f"in update {self.updates}",
                then=LOWER,
            )
        self.optimizer.step()
        return total

    def _forward(self, part: Part, rows: Sequence[int]) -> Forward:
        turns = [part.turns[i] for i in rows]
        logits, values = self.module(self.policy.batch(turns))  # (B, K), (B,)
        logits = logits / temperatures(turns, logits.device)
        logprobs = torch.log_softmax(logits, dim=-1)
        new = logprobs.gather(1, taken(turns, logits.device)).squeeze(1)
        index = torch.tensor(rows, device=logits.device)
        log_ratio = new - part.old[index]
        return Forward(
            rows=index,
            logits=logits,
            logprobs=logprobs,
            log_ratio=log_ratio,
            ratio=log_ratio.exp(),
            values=values,
            weight=part.weight[index],
            reference=None if part.reference is None else [part.reference[i] for i in rows],
        )

    def _reference_logprobs(
        self, turns: Sequence[Transition], chosen: Sequence[int]
    ) -> Mapping[int, torch.Tensor] | None:
        """Of all actions of the chosen turns, by row."""
        if self.reference is None:
            return None
        current = self.policy.state_dict()
        self.policy.load_state_dict(self.reference)
        found = self.reader.logprobs([turns[row] for row in chosen])
        self.policy.load_state_dict(current)
        return dict(zip(chosen, found, strict=True))

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


def _mean(
    steps: Sequence[Mapping[str, float]], name: str, weights: Sequence[int] | None = None
) -> float:
    """Mean of a figure over the steps, weighted; those that have none count as 0."""
    return float(np.average([step.get(name, 0.0) for step in steps], weights=weights))
