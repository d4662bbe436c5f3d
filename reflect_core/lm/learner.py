"""What policy-gradient trainers share: from episodes and a loss to optimizer steps.

A trainer is a :class:`Learner` with a name and an ``update``, which reads top to bottom: the
learnt turns as a :class:`Batch`, an advantage for each, a loss over a :class:`Forward` pass,
:meth:`Learner.learn`, the figures. What is here is the same for all of them: thinning,
minibatches and micro-batches, several processes, clipping of the gradient, the importance
ratio, the reference policy, checks for what is not finite, and what a checkpoint keeps.

Episodes that are learnt from once more (``Trajectory.replayed``) have the ratio
``pi_now / pi_that_played`` of each turn, from the log-probability stored with it. It corrects
the choice at that turn; which states were reached and what followed remain the doing of the
policy that played, as in all methods whose ratio is per turn (Degris et al. 2012, off-policy
actor-critic). In episodes of one turn that is the whole correction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import torch

from reflect_core.advantages import Floats
from reflect_core.context import Context
from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.batch import by_length
from reflect_core.lm.policy import LmPolicy, entropy
from reflect_core.records import Trajectory, Transition
from reflect_core.streams import stream
from reflect_core.thinning import thin

__all__ = ["MAX_REPLAY_RATIO", "Batch", "Forward", "Learner", "clipped_surrogate"]

MAX_REPLAY_RATIO = 2.0
"""Largest weight that the importance ratio gives a replayed turn.

Truncated importance sampling (Ionides 2008): above it the turn is learnt from with this weight
and not with none. A rare action that has since become usual would else weigh as the inverse of
its old probability, and one such turn would take the whole of a clipped gradient.
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


@attrs.frozen(eq=False)
class Batch:
    """One iteration's episodes, and the N of their turns that are learnt from.

    Args:
        episodes: Those with at least one turn.
        rewards: Of each episode, L: the task's and the stage's shaping.
        values: Of each episode, L: the critic's, as stored; of replayed episodes what the
            critic says now, where the trainer has one.
        turns: The turns learnt from, episode after episode; N.
        fresh: Whether the policy that is trained played the turn, shape (N,).
    """

    episodes: Sequence[Trajectory]
    rewards: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]
    turns: Sequence[Transition]
    fresh: npt.NDArray[np.bool_]

    @property
    def fresh_episodes(self) -> npt.NDArray[np.bool_]:
        """Whether the policy that is trained played each episode."""
        return np.array([not episode.replayed for episode in self.episodes], np.bool_)

    def rows(self, per_episode: Iterable[npt.ArrayLike]) -> Floats:
        """Join numbers of each episode, (L,) or one for all its turns, to those learnt from: (N,).

        What lies behind ``learn_turns`` is left out here and nowhere earlier, so that it counts
        in returns and in nothing else.
        """
        parts = [
            np.broadcast_to(np.asarray(numbers, np.float64), episode.turns)[: episode.learn_turns]
            for episode, numbers in zip(self.episodes, per_episode, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def bootstrap(self) -> Iterator[float]:
        """What each episode expects after its last turn: a value where it was truncated, or 0.

        Of a replayed episode it is the value as stored, since the prompt behind it is not.
        """
        for episode in self.episodes:
            yield episode.final_value if episode.truncated else 0.0


@attrs.frozen(eq=False)
class Forward:
    """What the present weights say of B turns.

    Args:
        rows: Which of the batch's N turns these are, shape (B,): ``target[now.rows]``.
        logits: Of the legal actions at the sampler's temperature, (B, K), -inf where padded.
        logprobs: Their log-softmax in nats, (B, K).
        log_ratio: Log-probability of the action taken, less that when it was played; (B,).
        ratio: ``exp(log_ratio)``; of a replayed turn it is at most ``MAX_REPLAY_RATIO``, and
            its gradient is then that bound times the gradient of the log-probability. (B,).
        values: The critic's, (B,).
        weight: Of each turn in a mean, which thinning asks for; (B,).
        fresh: Whether the policy that is trained played it; (B,).
        reference: Log-probabilities under the warm-up policy, one (K,) per turn; None where
            none is kept.
    """

    rows: torch.Tensor
    logits: torch.Tensor
    logprobs: torch.Tensor
    log_ratio: torch.Tensor
    ratio: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor
    fresh: torch.Tensor
    reference: Sequence[torch.Tensor] | None

    def mean(self, terms: torch.Tensor) -> torch.Tensor:
        """The weighted mean of a term of each turn; (B,) to a scalar."""
        return (self.weight * terms).mean()

    def entropy(self) -> torch.Tensor:
        """Mean entropy over the legal actions in nats."""
        return self.mean(entropy(self.logits))

    def kl_to_warmup(self) -> torch.Tensor:
        """Mean KL(policy || warm-up policy) over the legal actions, exact, in nats."""
        kl = self.logprobs.new_zeros(())
        if self.reference is None:
            return kl
        for place, reference in enumerate(self.reference):
            own = self.logprobs[place, : len(reference)]
            kl = kl + self.weight[place] * (own.exp() * (own - reference)).sum()
        return kl / len(self.reference)

    def clip_fraction(self, clip_coef: float) -> torch.Tensor:
        """Weighted share of turns whose ratio is farther from 1 than ``clip_coef``."""
        return self.mean(((self.ratio - 1).abs() > clip_coef).float())


Loss = Callable[[Forward], tuple[torch.Tensor, dict[str, torch.Tensor]]]
"""From a forward pass to the scalar that is minimised and the terms to log, each a mean."""


def clipped_surrogate(
    ratio: torch.Tensor, advantage: torch.Tensor, clip_coef: float
) -> torch.Tensor:
    """``-min(r A, clip(r, 1 - c, 1 + c) A)``; (B,) and (B,) to (B,), to be minimised.

    L^CLIP, equation 7 of Schulman et al. 2017, negated.
    """
    clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
    return torch.max(-advantage * ratio, -advantage * clipped)


@attrs.frozen(eq=False)
class _Known:
    """What does not change while a batch is learnt from; first axis N."""

    turns: Sequence[Transition]
    old: torch.Tensor
    fresh: torch.Tensor
    weight: torch.Tensor
    reference: Sequence[torch.Tensor] | None


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
            optimizer = torch.optim.Adam(self.policy.trainable(), lr=config.lr, eps=1e-5)
            self.module, self.optimizer = self.accelerator.prepare(module, optimizer)
        # the policy that the KL term holds on to: the one this trainer was given
        self.reference = self.policy.state_dict() if config.kl_coef else None

    @property
    def group_size(self) -> int:
        """Episodes of each task that the trainer wants; see :class:`reflect_core.Trainer`."""
        return 1

    def batch(self, trajectories: Sequence[Trajectory], *, critic: bool = False) -> Batch:
        """Sort out an iteration's episodes.

        Args:
            trajectories: Fresh and replayed ones.
            critic: Whether the trainer uses values, so that those of replayed episodes are
                worth a forward pass.
        """
        episodes = [trajectory for trajectory in trajectories if trajectory.turns]
        learnt = [episode.transitions[: episode.learn_turns] for episode in episodes]
        return Batch(
            episodes=episodes,
            rewards=[
                [turn.reward + turn.shaping for turn in episode.transitions] for episode in episodes
            ],
            values=[
                self._present_values(episode.transitions)
                if critic and episode.replayed
                else [turn.choice.value for turn in episode.transitions]
                for episode in episodes
            ],
            turns=[turn for turns in learnt for turn in turns],
            fresh=np.array(
                [
                    not episode.replayed
                    for episode, turns in zip(episodes, learnt, strict=True)
                    for _ in turns
                ],
                np.bool_,
            ),
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
    ) -> dict[str, float]:
        """Minimise a loss over a batch in shuffled minibatches.

        In a run of several processes each is given all episodes and takes its share of every
        minibatch, so that the update is the one a single process would make.

        Args:
            batch: At least one turn.
            loss: Of some of its turns.
            iteration: Names the random draws.
            epochs: Passes over the turns.
            target_kl: Stop after a pass in which the mean approximate KL of the fresh turns was
                above this, in nats.

        Returns:
            The loss's terms, ``approx_kl`` (nats, fresh turns) and ``grad_norm`` averaged over
            the steps, ``first_ratio_error`` (distance from 1 of the fresh turns' ratios, at
            its largest, before the first step), ``optimizer_steps``; and where there are
            replayed turns their mean ratio, ``replay_ratio``.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite; no step is taken.
        """
        device = self.accelerator.device
        chosen, weights = thin(
            np.exp([turn.choice.logprob for turn in batch.turns]),
            self.config.keep_certain,
            stream(self.seed, self.name, iteration, "thin"),
        )
        weight = torch.ones(len(batch.turns), device=device)
        weight[torch.from_numpy(chosen)] = self.tensor(weights)
        known = _Known(
            turns=batch.turns,
            old=self.tensor([turn.choice.logprob for turn in batch.turns]),
            fresh=torch.from_numpy(batch.fresh).to(device),
            weight=weight,
            reference=self._reference_logprobs(batch.turns),
        )
        size = self.config.minibatch_size or len(chosen)
        steps: list[dict[str, float]] = []
        with self.policy.training():
            for epoch in range(epochs):
                before = len(steps)
                order = stream(self.seed, self.name, iteration, epoch).permutation(chosen)
                for start in range(0, len(order), size):
                    rows = [int(i) for i in order[start : start + size]]
                    steps.append(self._step(known, loss, rows))
                if target_kl is not None and _mean(steps[before:], "approx_kl") > target_kl:
                    break
        self.updates += 1
        self.policy.weights_version = self.updates
        names = dict.fromkeys(name for step in steps for name in step)
        figures = {name: _mean(steps, name) for name in ["approx_kl", *names]}
        figures.pop("ratio_error", None)
        figures["first_ratio_error"] = steps[0].get("ratio_error", 0.0)
        figures["optimizer_steps"] = float(len(steps))
        return figures

    def _step(self, known: _Known, loss: Loss, rows: Sequence[int]) -> dict[str, float]:
        """One optimizer step on a minibatch, accumulated over micro-batches."""
        accelerator = self.accelerator
        fresh = int(known.fresh[list(rows)].sum())
        total: dict[str, float] = {}
        self.optimizer.zero_grad()
        lengths = [len(known.turns[i].choice.prompt_ids) for i in rows]
        for chunk in by_length(lengths, self.config.micro_batch_size * accelerator.num_processes):
            mine = chunk[accelerator.process_index :: accelerator.num_processes]
            # every process must take part in every backward pass, if only with weight 0
            own = [rows[i] for i in mine] or [rows[chunk[0]]]
            now = self._forward(known, own)
            objective, terms = loss(now)
            # and every parameter, the critic's too where the loss has no use for it
            objective = objective + 0.0 * now.values.sum()
            objective = objective * (len(mine) / len(rows) * accelerator.num_processes)
            if not torch.isfinite(objective):
                raise NonFiniteLoss(
                    f"the loss of {self.name} is {float(objective.detach())} "
                    f"in update {self.updates}",
                    why=", ".join(f"{k} {float(v.detach()):.3g}" for k, v in terms.items()),
                    then="resume from the last checkpoint with a lower trainer.lr",
                )
            accelerator.backward(objective)
            shares = [
                (terms, len(mine), len(rows)),
                *_ratio_terms(now, len(mine), fresh, len(rows)),
            ]
            for some, part, whole in shares:
                for name, term in some.items():
                    total[name] = total.get(name, 0.0) + float(term.detach()) * part / whole
        if accelerator.num_processes > 1:
            names = sorted(total)
            summed = accelerator.reduce(
                torch.tensor([total[n] for n in names], device=accelerator.device), "sum"
            )
            total = dict(zip(names, summed.tolist(), strict=True))
        norm = accelerator.clip_grad_norm_(self.policy.trainable(), self.config.max_grad_norm)
        total["grad_norm"] = float(norm)
        if not math.isfinite(total["grad_norm"]):
            raise NonFiniteLoss(
                f"the gradient norm of {self.name} is {total['grad_norm']} "
                f"in update {self.updates}",
                then="resume from the last checkpoint with a lower trainer.lr",
            )
        self.optimizer.step()
        return total

    def _forward(self, known: _Known, rows: Sequence[int]) -> Forward:
        turns = [known.turns[i] for i in rows]
        logits, values = self.module(self.policy.batch(turns))  # (B, K), (B,)
        logits = logits / self._temperature(turns)
        logprobs = torch.log_softmax(logits, dim=-1)
        taken = torch.tensor([turn.choice.index for turn in turns], device=logits.device)
        new = logprobs.gather(1, taken.unsqueeze(1)).squeeze(1)
        index = torch.tensor(rows, device=logits.device)
        fresh = known.fresh[index]
        log_ratio = new - known.old[index]
        # what is above the bound is taken off as a constant, so that the gradient stays
        excess = (log_ratio.detach() - math.log(MAX_REPLAY_RATIO)).clamp(min=0)
        return Forward(
            rows=index,
            logits=logits,
            logprobs=logprobs,
            log_ratio=log_ratio,
            ratio=(log_ratio - excess.masked_fill(fresh, 0.0)).exp(),
            values=values,
            weight=known.weight[index],
            fresh=fresh,
            reference=None if known.reference is None else [known.reference[i] for i in rows],
        )

    def _temperature(self, turns: Sequence[Transition]) -> torch.Tensor:
        sampled = [turn.choice.temperature or 1.0 for turn in turns]
        return torch.tensor(sampled, device=self.accelerator.device).unsqueeze(1)

    def _look(
        self, turns: Sequence[Transition]
    ) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """Places, logits (B, K) and values (B,) of all turns, without gradients."""
        lengths = [len(turn.choice.prompt_ids) for turn in turns]
        with self.policy.player.active(), torch.no_grad():
            for rows in by_length(lengths, self.config.micro_batch_size):
                yield rows, *self.policy.module(self.policy.batch([turns[i] for i in rows]))

    def _present_values(self, turns: Sequence[Transition]) -> list[float]:
        found = [0.0] * len(turns)
        for rows, _, values in self._look(turns):
            for place, row in enumerate(rows):
                found[row] = float(values[place])
        return found

    def _reference_logprobs(self, turns: Sequence[Transition]) -> list[torch.Tensor] | None:
        if self.reference is None:
            return None
        current = self.policy.state_dict()
        self.policy.load_state_dict(self.reference)
        found = [torch.empty(0)] * len(turns)
        for rows, logits, _ in self._look(turns):
            temperature = self._temperature([turns[i] for i in rows])
            logprobs = torch.log_softmax(logits / temperature, dim=-1)
            for place, row in enumerate(rows):
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


@torch.no_grad()
def _ratio_terms(
    now: Forward, mine: int, fresh: int, whole: int
) -> list[tuple[dict[str, torch.Tensor], int, int]]:
    """Figures on the ratios of fresh and of replayed turns, with their shares in the minibatch.

    Args:
        now: A pass over this process's turns of a micro-batch; one stands in if it has none.
        mine: How many those are.
        fresh, whole: Turns in the minibatch: fresh ones, and all.
    """

    def of(kind: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
        return terms[kind] if kind.any() else terms.new_zeros(1)

    replayed = ~now.fresh
    divergence = now.weight * ((now.ratio - 1) - now.log_ratio)
    distance = (now.ratio - 1).abs()
    shares = []
    if fresh:
        terms = {
            "approx_kl": of(now.fresh, divergence).mean(),
            "ratio_error": of(now.fresh, distance).max(),
        }
        shares.append((terms, int(now.fresh.sum()) if mine else 0, fresh))
    if fresh < whole:
        terms = {"replay_ratio": of(replayed, now.weight * now.ratio).mean()}
        shares.append((terms, int(replayed.sum()) if mine else 0, whole - fresh))
    return shares


def _mean(steps: Sequence[Mapping[str, float]], name: str) -> float:
    """Mean over the steps that have a figure; 0 where none has."""
    found = [step[name] for step in steps if name in step]
    return float(np.mean(found)) if found else 0.0
