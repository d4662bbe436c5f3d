"""What policy-gradient trainers share: from episodes and a loss to optimizer steps.

A trainer is a :class:`Learner` with a name and an ``update``, which reads top to bottom: the
learnt turns as a :class:`Batch`, an advantage for each, a loss over a :class:`Forward` pass,
:meth:`Learner.learn`, the figures. What is here is the same for all of them: thinning,
minibatches and micro-batches, several processes, clipping of the gradient, the importance
ratio, the reference policy, checks for what is not finite, and what a checkpoint keeps.

Episodes that are learnt from once more (``Trajectory.replayed``) are the solved ones alone, and
what is selected by its outcome says nothing of how it compares with the rest. They have no part
in advantages, values, entropy, KL or any of the loss that a trainer writes down. The learner adds
a term of its own, with a gradient that estimates that of the probability of success (derived in
:mod:`reflect_core.replay`): for each of their turns ``weight * ratio * log pi``, which is
REINFORCE with the reward 1 for success and no baseline. It is imitation of oneself as in Oh et
al. 2018, but with the importance ratio and without a critic.

The ratio has two factors. What the policy has moved between playing the episode and this update
is the ratio of the whole episode, the product over all its turns: it corrects which states were
reached and what followed as much as the choice itself (Precup et al. 2000). What the policy moves
within the update is the ratio of each turn, as it is for fresh ones. In the first step of an
update the estimate is unbiased, but for two things: the first factor is at most
``MAX_REPLAY_RATIO``, and the policy has learnt from the same episodes before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import torch

from reflect_core.advantages import Floats
from reflect_core.context import Context
from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.batch import by_length
from reflect_core.lm.learnt import Batch, Forward, Loss, clipped_surrogate
from reflect_core.lm.policy import LmPolicy
from reflect_core.records import Trajectory, Transition
from reflect_core.streams import stream
from reflect_core.thinning import thin

__all__ = ["MAX_REPLAY_RATIO", "Batch", "Forward", "Learner", "clipped_surrogate"]

MAX_REPLAY_RATIO = 2.0
"""Largest importance ratio of a replayed episode.

Truncated importance sampling (Ionides 2008): above it the episode is learnt from with this ratio
and not with none. One that was rare and has since become usual would else weigh as the inverse of
its old probability, and take the whole of a clipped gradient.
"""


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
        """Length to which the gradient is clipped."""


Options = TypeVar("Options", bound=LearnerOptions)

ADAM_EPS = 1e-5
"""What is added to the root of Adam's second moment, where a config has no ``adam_eps``."""


@attrs.frozen(eq=False)
class _Part:
    """Turns that share a loss, and what does not change while they are learnt from.

    First axis N, but for ``chosen``: the rows that are learnt from at all.
    """

    turns: Sequence[Transition]
    old: torch.Tensor
    weight: torch.Tensor
    reference: Mapping[int, torch.Tensor] | None
    chosen: npt.NDArray[np.int64]
    loss: Loss


_Share = tuple[_Part, Sequence[int], float]
"""A part, those of its rows that a step learns from, and a factor of their mean loss."""


class Learner(Generic[Options]):
    """Base of trainers that follow a policy gradient; one action is one token, one turn.

    Args:
        config: The trainer's options.
        context: Holds the policy to train and the Accelerator.

    Attributes:
        name: The trainer's, which names its random streams.
        updates: Updates made; the policy's ``weights_version``.
    """

    name: ClassVar[str]

    def __init__(self, config: Options, context: Context) -> None:
        assert isinstance(context.policy, LmPolicy) and context.accelerator is not None
        self.config = config
        self.policy = context.policy
        self.accelerator = context.accelerator
        self.seed = context.seed
        self.updates = 0
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

    def features(self, turns: Sequence[Transition]) -> Floats:
        """What a critic reads of each turn under the present weights, (N, D); N at least 1.

        Turns that kept it when these weights chose are not read again.
        """
        version = self.policy.weights_version
        found = [
            turn.choice.hidden if turn.choice.weights_version == version else None for turn in turns
        ]
        rest = [row for row, state in enumerate(found) if state is None]
        for rows, some in self._batches([turns[row] for row in rest]):
            states = self.policy.module.state(self.policy.batch(some)).float().cpu().numpy()
            for row, state in zip(rows, states, strict=True):
                found[rest[row]] = state
        return np.stack([state for state in found if state is not None]).astype(np.float64)

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
            target_kl: Stop after a pass in which the mean approximate KL of the fresh turns was
                above this, in nats.
            clip_coef: Clipping range of the replayed turns' ratio to the policy before the update.

        Returns:
            The loss's terms, ``approx_kl`` (nats) and ``grad_norm`` averaged over the steps,
            ``first_ratio_error`` (distance from 1 of a turn's ratio, at its largest, before the
            first step), ``optimizer_steps``; and where there are replayed turns
            ``replay_loss`` and ``replay_ratio``, the mean bounded ratio of their episodes.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """

        def with_kl(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            total, terms = loss(now)
            return total, {"approx_kl": now.approx_kl(), **terms}

        chosen, weight = self._thin(batch.turns, iteration, "thin")
        fresh = _Part(
            turns=batch.turns,
            old=self.tensor([turn.choice.logprob for turn in batch.turns]),
            weight=weight,
            reference=self._reference_logprobs(batch.turns, chosen.tolist()),
            chosen=chosen,
            loss=with_kl,
        )
        again, figures = self._replayed(batch, iteration, clip_coef)
        size = self.config.minibatch_size or len(chosen)
        steps: list[dict[str, float]] = []
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
                steps += [self._step(shares) for shares in plan]
                if target_kl is not None and _mean(steps[before:], "approx_kl") > target_kl:
                    break
        self.updates += 1
        self.policy.weights_version = self.updates
        names = dict.fromkeys(name for step in steps for name in step)
        del names["ratio_error"]
        return {
            **{name: _mean(steps, name) for name in names},
            **figures,
            "first_ratio_error": steps[0]["ratio_error"],
            "optimizer_steps": float(len(steps)),
        }

    def _thin(
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

    def _replayed(
        self, batch: Batch, iteration: int, clip_coef: float
    ) -> tuple[_Part | None, dict[str, float]]:
        """The replayed turns that are learnt from, None where there are none; and figures.

        The term is ``-sum_i weight_i ratio_i sum_t r_it`` over episodes i and their turns t, with
        the ratio of the whole episode as a constant and that of the turn, ``r``, clipped. It is
        divided by the mean number of turns of the fresh episodes, as the mean over turns divides
        what those add to the loss.
        """
        turns: list[Transition] = []
        old: list[float] = []
        weights: list[float] = []
        ratios: list[float] = []
        present = iter(
            self._present_logprobs([turn for one in batch.replayed for turn in one.transitions])
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
        chosen, weight = self._thin(turns, iteration, "thin", "replayed")
        episodes_per_turn = len(batch.episodes) / len(batch.turns)

        def loss(now: Forward) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            advantage = torch.ones_like(now.ratio)
            found = now.mean(clipped_surrogate(now.ratio, advantage, clip_coef))
            return found, {"replay_loss": found}

        part = _Part(
            turns=turns,
            old=self.tensor(old),
            # a sum, written as a mean of so many
            weight=weight * self.tensor(weights) * (episodes_per_turn * len(turns)),
            reference=None,
            chosen=chosen,
            loss=loss,
        )
        return part, {"replay_ratio": float(np.mean(ratios))}

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
                        then="resume from the last checkpoint with a lower trainer.lr",
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
        norm = accelerator.clip_grad_norm_(self.policy.trainable(), self.config.max_grad_norm)
        total |= {"grad_norm": float(norm), "ratio_error": ratio_error}
        if not math.isfinite(total["grad_norm"]):
            raise NonFiniteLoss(
                f"the gradient norm of {self.name} is {total['grad_norm']} "
                f"in update {self.updates}",
                then="resume from the last checkpoint with a lower trainer.lr",
            )
        self.optimizer.step()
        return total

    def _forward(self, part: _Part, rows: Sequence[int]) -> Forward:
        turns = [part.turns[i] for i in rows]
        logits, values = self.module(self.policy.batch(turns))  # (B, K), (B,)
        logits = logits / self._temperature(turns)
        logprobs = torch.log_softmax(logits, dim=-1)
        new = logprobs.gather(1, self._taken(turns)).squeeze(1)
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

    def _taken(self, turns: Sequence[Transition]) -> torch.Tensor:
        """Column of each turn's action, (B, 1)."""
        columns = [[turn.choice.index] for turn in turns]
        return torch.tensor(columns, device=self.accelerator.device)

    def _temperature(self, turns: Sequence[Transition]) -> torch.Tensor:
        sampled = [turn.choice.temperature or 1.0 for turn in turns]
        return torch.tensor(sampled, device=self.accelerator.device).unsqueeze(1)

    def _look(self, turns: Sequence[Transition]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Places, and log-probabilities (B, K) at the sampler's temperature, of all turns.

        Without gradients.
        """
        for rows, some in self._batches(turns):
            logits, _ = self.policy.module(self.policy.batch(some))
            yield rows, torch.log_softmax(logits / self._temperature(some), dim=-1)

    def _batches(
        self, turns: Sequence[Transition]
    ) -> Iterator[tuple[list[int], Sequence[Transition]]]:
        """Places, and turns of one forward pass without gradients."""
        lengths = [len(turn.choice.prompt_ids) for turn in turns]
        with self.policy.player.active(), torch.no_grad():
            for rows in by_length(lengths, self.config.micro_batch_size):
                yield rows, [turns[i] for i in rows]

    def _present_logprobs(self, turns: Sequence[Transition]) -> list[float]:
        """Of the actions taken, under the present weights."""
        found = [0.0] * len(turns)
        for rows, logprobs in self._look(turns):
            taken = logprobs.gather(1, self._taken([turns[i] for i in rows])).squeeze(1)
            for row, logprob in zip(rows, taken.tolist(), strict=True):
                found[row] = logprob
        return found

    def _reference_logprobs(
        self, turns: Sequence[Transition], chosen: Sequence[int]
    ) -> Mapping[int, torch.Tensor] | None:
        """Of all actions of the chosen turns, by row."""
        if self.reference is None:
            return None
        current = self.policy.state_dict()
        self.policy.load_state_dict(self.reference)
        found = {}
        for rows, logprobs in self._look([turns[row] for row in chosen]):
            for place, row in enumerate(chosen[i] for i in rows):
                found[row] = logprobs[place, : len(turns[row].choice.label_ids)]
        self.policy.load_state_dict(current)
        return found

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


def _mean(steps: Sequence[Mapping[str, float]], name: str) -> float:
    """Mean of a figure over the steps; those that have none count as 0."""
    return float(np.mean([step.get(name, 0.0) for step in steps]))
