"""What an update follows: the gradient of its one step on a batch that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from reflect_core.records import Trajectory
from reflect_core.streams import stream
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.trainers.rig import BARE, ONE_STEP, Rig, flat

__all__ = ["clips", "follows", "order"]

ROUNDING = 1e-3
"""Largest difference of two gradients, of the largest entry of either."""
OTHER = 0.01
"""Largest length of what a gradient holds besides, of its own length."""
NOTHING = 1e-6
"""Length of a gradient that is none, of that of one which is."""
PART = 3
"""Turns of a part of a batch, whose last part is a shorter one."""
CLIP = 0.2
FAR = 1.0
"""Distance of a log-probability from that of the rollout, in nats: far beyond the clipping."""


@law(
    cause="labels that are not legal have a part in the softmax, the temperature is missing, an "
    "advantage is another turn's, or what must be a constant is not: the value in an advantage, "
    "the probability before the update (detach it)",
    look="update",
    needs=["improves", "still"],
)
def follows(subject: PartSubject, effort: Effort) -> str:
    """Without other terms an update follows the log-probabilities of the actions taken."""
    one = Rig.of(subject, **BARE, **ONE_STEP)
    size = one.group_size if one.group_size > 1 else 2
    episodes = subject.bench.bandit(
        one.policy,
        # alike in each group, so that advantages are one linear function of reward and value
        lambda number, _: float(number % size % 2 == 0),
        group_size=one.group_size,
        states=3,
    )
    parts = np.stack(_parts(one, episodes), axis=1)
    step = -one.gradient(episodes)
    length = float(np.linalg.norm(step))
    if length == 0:
        raise Broken("there is no gradient, and half of the episodes were rewarded")
    weights, *_ = np.linalg.lstsq(parts, step, rcond=None)
    other = float(np.linalg.norm(step - parts @ weights)) / length
    if not other <= OTHER:
        raise Broken(
            f"{other:.1%} of the gradient is none of the log-probabilities of the actions taken, "
            "however reward and value weigh them"
        )
    return f"but for {other:.0e}"


def _parts(one: Rig, episodes: Sequence[Trajectory]) -> list[Any]:
    """Gradients of the summed log-probabilities: weighed by rewards, by values, and by 1."""
    import torch

    turns = [episode.transitions[0] for episode in episodes]
    actor = one.actor()
    with one.policy.training() as module:
        logits, _ = module(one.policy.batch(turns))
        warmth = torch.tensor([turn.choice.temperature or 1.0 for turn in turns])
        logprobs = torch.log_softmax(logits / warmth[:, None].to(logits.device), dim=-1)
        columns = torch.tensor([[turn.choice.index] for turn in turns], device=logits.device)
        taken = logprobs.gather(1, columns).squeeze(1)
        found = []
        for weights in (
            [turn.reward for turn in turns],
            [turn.choice.value for turn in turns],
            [1.0] * len(turns),
        ):
            total = (taken * torch.tensor(weights, device=taken.device)).sum()
            gradients = torch.autograd.grad(total, actor, retain_graph=True, allow_unused=True)
            found.append(flat(gradients, actor))
    return found


@law(
    cause="the ratio is not clipped, or on both sides: -min(r A, clip(r, 1 - c, 1 + c) A)",
    look="update",
    needs=["improves", "still"],
)
def clips(subject: PartSubject, effort: Effort) -> str | None:
    """With clip_coef, turns whose ratio is beyond it have no gradient, those that fell back do."""
    if not hasattr(subject.config, "clip_coef"):
        raise Skipped("it has no option clip_coef")
    lengths, gradients = {}, {}
    for shift in (0.0, FAR, -FAR):
        one = Rig.of(subject, silent=True, **BARE, **ONE_STEP, clip_coef=CLIP)
        episodes = subject.bench.bandit(
            one.policy, lambda number, _: 1.0 - 2.0 * (number % 2), group_size=one.group_size
        )
        gradients[shift] = one.gradient([_moved(each, shift) for each in episodes])
        lengths[shift] = float(np.linalg.norm(gradients[shift]))
    if np.allclose(gradients[FAR], gradients[0.0], rtol=ROUNDING, atol=0.0):
        raise Skipped("it does not compare with choice.logprob")
    far = f"{math.exp(FAR):.1f} where the advantage is positive, {math.exp(-FAR):.1f} where not"
    if lengths[FAR] > NOTHING * lengths[0.0]:
        raise Broken(
            f"with clip_coef={CLIP} and ratios of {far}, the gradient is "
            f"{lengths[FAR] / lengths[0.0]:.0%} as long as with ratios of 1, and should be 0"
        )
    if not lengths[-FAR] > NOTHING * lengths[0.0]:
        raise Broken(
            f"with clip_coef={CLIP} there is no gradient where the ratio has gone the wrong way: "
            "what got less probable and is good does not come back"
        )
    return None


def _moved(episode: Trajectory, shift: float) -> Trajectory:
    """An episode whose ratio went so far in the direction of its reward, in nats."""
    (turn,) = episode.transitions
    logprob = turn.choice.logprob - math.copysign(shift, turn.reward * shift)
    choice = attrs.evolve(turn.choice, logprob=logprob)
    return attrs.evolve(episode, transitions=(attrs.evolve(turn, choice=choice),))


@law(
    cause="each part of a batch is averaged by itself, so that turns in a short part weigh more: "
    "weigh a part's loss by its share of the turns",
    look="update",
    needs=["follows"],
)
def order(subject: PartSubject, effort: Effort) -> str:
    """Accumulated gradients depend on neither the order of the batch nor its parts."""
    base, _ = _gradients(subject, None)
    size = max(float(np.abs(base).max()), 1e-12)
    worst = 0.0
    for seed in (None, effort.seed):
        found, parted = _gradients(subject, seed, micro_batch_size=PART)
        error = float(np.abs(found - base).max()) / size
        worst = max(worst, error)
        if not error <= ROUNDING:
            what = f"in parts of {PART} turns" if parted else "as it comes"
            shuffled = "" if seed is None else ", episodes shuffled"
            raise Broken(
                f"the gradient of the same batch {what}{shuffled} differs by {error:.1%} "
                "of its largest entry"
            )
    return f"up to {worst:.0e}"


def _gradients(subject: PartSubject, shuffled: int | None, **options: Any) -> tuple[Any, bool]:
    """The gradient of one step on a fixed batch, flat, and whether its parts could be chosen."""
    one = Rig.of(subject, **{**BARE, **ONE_STEP, **options})
    episodes = subject.bench.play(one.policy, 9, group_size=one.group_size)
    # lengths differ, so that parts do
    episodes = [
        attrs.evolve(e, transitions=e.transitions[: 1 + i % 2]) if i % 3 else e
        for i, e in enumerate(episodes)
    ]
    if sum(e.turns for e in episodes) % PART == 0:
        episodes[0] = attrs.evolve(episodes[0], transitions=episodes[0].transitions[:1])
    if shuffled is not None:
        turn = stream(shuffled, "order").permutation(len(episodes))
        episodes = [episodes[int(i)] for i in turn]
    return one.gradient(episodes), hasattr(subject.config, "micro_batch_size")
