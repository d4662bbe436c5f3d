"""What an update does, and what it needs to be made again."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from numbers import Real

import attrs

from reflect_core.errors import NonFiniteLoss
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.places import place_of, told
from reflect_core.testing.trainers.rig import BARE, ONE_STEP, Rig, actor_of, differing

__all__ = ["builds", "figures", "first_ratio", "improves", "nan", "resumes", "still"]

RATIO = 1e-5
"""Largest distance of the first ratio from 1."""
STALE = (
    "the log-probabilities of the first update, or of the policy that the trainer was given, are "
    "compared with: take those of the rollout, choice.logprob, anew in each update"
)


@law(cause="a method is missing or misspelt, or the factory fails", look="__init__")
def builds(subject: PartSubject, effort: Effort) -> None:
    """It can be built, and has the methods update, state_dict and load_state_dict."""
    one = Rig.of(subject)
    names = ("update", "state_dict", "load_state_dict")
    missing = [name for name in names if not callable(getattr(one.trainer, name, None))]
    if missing:
        raise Broken(f"it has no method {', '.join(missing)}")
    if one.group_size < 1:
        raise Broken(f"group_size is {one.group_size}")


@law(
    cause="a tensor or a string among the figures: float(tensor.detach())",
    look="update",
    needs=["builds"],
)
def figures(subject: PartSubject, effort: Effort) -> None:
    """Update returns finite numbers by name; without episodes it changes nothing."""
    one = Rig.of(subject)
    before = actor_of(one.policy)
    empty = one.update([])
    if moved := differing(before, actor_of(one.policy)):
        raise Broken(f"update([]) changed {len(moved)} tensors of the policy, first {moved[0]}")
    episodes = subject.bench.play(one.policy, 8, group_size=one.group_size)
    for found in (empty, one.update(episodes)):
        for name, number in found.items():
            if not isinstance(name, str) or not isinstance(number, Real):
                raise Broken(f"figure {name!r} is {number!r}"[:200])
            if not math.isfinite(number):
                raise Broken(f"figure {name!r} is {number!r}", cause="a mean of nothing")


@law(
    cause="the probabilities of an update are not those of the rollout: dropout is on, the "
    "temperature is missing, or the prompt was built anew in place of choice.prompt_ids",
    look="update",
    needs=["builds"],
)
def first_ratio(subject: PartSubject, effort: Effort) -> str:
    """Before the first step of an update the ratio to the rollout's probability is 1."""
    one = Rig.of(subject)
    worst = 0.0
    for iteration in range(2):  # what is kept of the first is old in the second
        episodes = subject.bench.play(one.policy, 8, iteration=iteration, group_size=one.group_size)
        error = one.update(episodes, iteration).get("first_ratio_error")
        if error is None:
            raise Skipped("it does not log first_ratio_error")
        if not error <= RATIO:
            raise Broken(
                f"first_ratio_error of update {iteration} is {error:g}, and the limit is {RATIO:g}",
                cause=None if iteration == 0 else STALE,
            )
        worst = max(worst, error)
    return f"off by {worst:.0e}"


@law(
    cause="the loss has the wrong sign, or the advantages are not those of their turns",
    look="update",
    needs=["first-ratio"],
)
def improves(subject: PartSubject, effort: Effort) -> None:
    """One update raises the log-probability of the action with the advantage."""
    for target in range(4):
        one = Rig.of(subject, silent=True, **BARE, **ONE_STEP)
        before = subject.bench.bandit_logprobs(one.policy)
        one.update(
            subject.bench.bandit(
                one.policy,
                _only(target),
                group_size=one.group_size,
            )
        )
        after = subject.bench.bandit_logprobs(one.policy)
        if not after[target] > before[target]:
            raise Broken(
                f"action {target} alone was rewarded, and its log-probability went from "
                f"{before[target]:.6f} to {after[target]:.6f}"
            )


def _only(target: int) -> Callable[[int, int], float]:
    return lambda _, action: float(action == target)


def _always(reward: float) -> Callable[[int, int], float]:
    return lambda *_: reward


@law(
    cause="the optimizer decays weights or keeps momentum, or a term of the loss (entropy, "
    "value, KL) has no coefficient of its own that turns it off",
    look="update",
    needs=["builds"],
)
def still(subject: PartSubject, effort: Effort) -> str:
    """With equal rewards, a bare loss and a fresh optimizer the actor stays as it is."""
    moved = {}
    for reward in (0.0, 0.5):
        one = Rig.of(subject, silent=True, **BARE, **ONE_STEP)
        before = actor_of(one.policy)
        one.update(subject.bench.bandit(one.policy, _always(reward), group_size=one.group_size))
        moved[reward] = differing(before, actor_of(one.policy))
    if moved[0.0]:
        raise Broken(
            f"all rewards were 0, and {len(moved[0.0])} tensors of the policy have changed, "
            f"first {moved[0.0][0]}",
            shown=[f"options: {subject.changed(**BARE, **ONE_STEP)!r}"[:400]],
        )
    return "not where all are 0.5: it subtracts no baseline" if moved[0.5] else ""


@law(
    cause="NaN was replaced, or compared in a way that lets it through: "
    "if not torch.isfinite(loss): raise NonFiniteLoss",
    look="update",
    needs=["builds"],
)
def nan(subject: PartSubject, effort: Effort) -> None:
    """A NaN reward raises NonFiniteLoss before any weight has changed."""
    one = Rig.of(subject, **BARE)
    first, *rest = subject.bench.play(one.policy, 8, group_size=one.group_size)
    turn = attrs.evolve(first.transitions[0], reward=math.nan)
    spoilt = attrs.evolve(first, transitions=(turn, *first.transitions[1:]))
    before = actor_of(one.policy)
    try:
        one.update([spoilt, *rest])
    except NonFiniteLoss:
        if moved := differing(before, actor_of(one.policy)):
            raise Broken(f"{len(moved)} tensors changed before it raised") from None
        return
    except Exception as error:
        raise Broken(f"it raised {told(error)}", place=place_of(error)) from error
    raise Broken("nothing was raised")


@law(
    cause="something that decides the next update is not in state_dict: the optimizer's moments, "
    "a counter, a running mean, a random generator",
    look="state_dict",
    needs=["first-ratio"],
)
def resumes(subject: PartSubject, effort: Effort) -> None:
    """Save, load, update is the same as update."""
    import torch

    one, other = Rig.of(subject), Rig.of(subject)
    bench = subject.bench
    played = [bench.play(one.policy, 8, iteration=i, group_size=one.group_size) for i in range(2)]
    one.update(played[0])
    kept = io.BytesIO()
    try:
        torch.save(dict(one.trainer.state_dict()), kept)
        kept.seek(0)
        state = torch.load(kept, weights_only=True)
    except Exception as error:
        raise Broken(
            f"its state cannot be saved and read: {told(error)}",
            cause="a checkpoint holds tensors and plain values only",
        ) from error
    other.policy.load_state_dict(one.policy.state_dict())
    other.trainer.load_state_dict(state)
    figures = [dict(each.update(played[1], 1)) for each in (one, other)]
    changed = differing(one.policy.state_dict(), other.policy.state_dict())
    if changed:
        raise Broken(
            f"after the next update {len(changed)} tensors differ, first {changed[0]}",
            shown=[f"state_dict has: {', '.join(sorted(state))}"],
        )
    names = [name for name in figures[0] if repr(figures[0][name]) != repr(figures[1].get(name))]
    if names:
        first = names[0]
        raise Broken(
            f"figure {first!r} is {figures[0][first]!r}, and {figures[1].get(first)!r} after "
            "loading"
        )
