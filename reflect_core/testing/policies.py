"""The laws of policies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs
from hypothesis import strategies as st

from reflect_core.hookspecs import PolicySpec
from reflect_core.promises import missing_methods
from reflect_core.records import Choice, Draws, State
from reflect_core.streams import stream
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.search import search
from reflect_core.testing.weights import unchanged_by

if TYPE_CHECKING:
    from reflect_core.lm.policy import LmPolicy

__all__ = ["POLICY_LAWS"]

TURNS = 12
ROWS = st.lists(st.integers(0, TURNS - 1), min_size=1, max_size=TURNS, unique=True)
CLOSE = 1e-4
"""Largest difference of a probability that the batch around a state may make."""


def _act(
    policy: Any, states: Sequence[State], texts: Sequence[str], draws: Sequence[Draws],
    *, greedy: bool = False,
) -> list[Choice]:  # fmt: skip
    return list(policy.act(states, texts, draws, greedy=greedy))


@law(
    cause="a method is missing or misspelt, the spec says trainable of what is not, or the "
    "factory fails",
    look="__init__",
)
def builds(subject: PartSubject, effort: Effort) -> None:
    """It can be built, and has the method act, and those that go with trainable."""
    if missing := missing_methods(subject.spec, subject.build()):
        raise Broken(f"it has no method {', '.join(missing)}")


@law(
    cause="one of the states is passed over, or the answers are not put back in order",
    look="act",
    needs=["builds"],
)
def one_each(subject: PartSubject, effort: Effort) -> None:
    """There is one choice for each state, of an action on its menu; none for none."""
    policy = subject.build()
    states, texts, draws = subject.bench.states(TURNS)
    for count in (0, 1, TURNS):
        found = _act(policy, states[:count], texts[:count], draws[:count])
        if len(found) != count:
            raise Broken(f"{count} states were asked and {len(found)} choices came")
        for place, (choice, state) in enumerate(zip(found, states, strict=False)):
            actions = len(state.observation.legal_actions)
            if not isinstance(choice, Choice) or not 0 <= choice.index < actions:
                raise Broken(
                    f"choice {place} is {choice!r}, of {actions} legal actions"[:300],
                    cause="an index into something else than observation.legal_actions",
                )


@law(
    cause="the softmax is taken over more than the legal labels, or logprob is that of another "
    "action or before the temperature",
    look="act",
    needs=["one-each"],
)
def sums(subject: PartSubject, effort: Effort) -> None:
    """Probabilities are one for each legal action and sum to 1; logprob is the chosen one's."""
    policy = subject.build()
    states, texts, draws = subject.bench.states(TURNS)
    for greedy in (False, True):
        found = _act(policy, states, texts, draws, greedy=greedy)
        if all(not choice.probabilities for choice in found):
            raise Skipped("it tells no probabilities")
        for place, (choice, state) in enumerate(zip(found, states, strict=True)):
            p, actions = choice.probabilities, len(state.observation.legal_actions)
            if len(p) != actions:
                raise Broken(f"choice {place} has {len(p)} probabilities of {actions} actions")
            if min(p) < 0 or not math.isclose(sum(p), 1, abs_tol=CLOSE):
                raise Broken(f"choice {place}: probabilities sum to {sum(p):.6f}, least {min(p)}")
            if not math.isclose(math.exp(choice.logprob), p[choice.index], abs_tol=CLOSE):
                raise Broken(
                    f"choice {place}: exp(logprob) is {math.exp(choice.logprob):.6f}, and its "
                    f"probability {p[choice.index]:.6f}"
                )


@law(
    cause="draws are taken from a generator that goes on from call to call, or padding is not "
    "masked: draw from draws.stream('action')",
    look="act",
    needs=["one-each"],
)
def alone(subject: PartSubject, effort: Effort) -> None:
    """A choice depends on its state, reflection and draws, not on what is asked beside it."""
    policy = subject.build()
    states, texts, draws = subject.bench.states(TURNS)
    together = _act(policy, states, texts, draws)

    def check(rows: list[int]) -> None:
        some = _act(
            policy, [states[i] for i in rows], [texts[i] for i in rows], [draws[i] for i in rows]
        )
        for row, choice in zip(rows, some, strict=True):
            same = choice.index == together[row].index
            pairs = zip(choice.probabilities, together[row].probabilities, strict=True)
            if not same or any(abs(a - b) > CLOSE for a, b in pairs):
                raise Broken(
                    f"state {row} is answered otherwise in the batch {rows} than among all",
                    shown=[f"here: {choice!r}"[:200], f"there: {together[row]!r}"[:200]],
                )

    search(attrs.evolve(effort, max_examples=min(effort.max_examples, 20)), ROWS, check)


@law(cause="acting trains, or counts in buffers: act under torch.no_grad and in eval mode",
     look="act", needs=["one-each"])  # fmt: skip
def unmoved(subject: PartSubject, effort: Effort) -> None:
    """Acting changes no weights."""
    policy = subject.build()
    states, texts, draws = subject.bench.states(TURNS)
    unchanged_by(policy, lambda: _act(policy, states, texts, draws))


@law(
    cause="an update reads something else than the rollout did: other prompts or labels, dropout, "
    "another temperature",
    look="batch",
    needs=["sums"],
)
def recomputed(subject: PartSubject, effort: Effort) -> str:
    """The log-probability that an update computes is that of the rollout."""
    if not cast(PolicySpec, subject.spec).trainable:
        raise Skipped("it is not trained")
    import torch

    policy: LmPolicy = subject.build()
    if not all(callable(getattr(policy, name, None)) for name in ("training", "batch")):
        raise Skipped("it is updated in a way of its own: it has no methods training and batch")
    episodes = subject.bench.play(policy, 8)
    turns = [turn for episode in episodes for turn in episode.transitions]
    with policy.training() as module, torch.no_grad():
        logits, _ = module(policy.batch(turns))
    worst = 0.0
    for place, turn in enumerate(turns):
        choice = turn.choice
        actions = len(turn.observation.legal_actions)
        scaled = logits[place, :actions] / (choice.temperature or 1.0)
        again = float(torch.log_softmax(scaled, dim=-1)[choice.index])
        worst = max(worst, abs(again - choice.logprob))
        if not worst <= CLOSE:
            raise Broken(
                f"turn {place}: {choice.logprob:.6f} in the rollout, {again:.6f} in the update"
            )
    return f"off by {worst:.0e}"


@law(cause="", look="act", needs=["sums"])
def permuted(subject: PartSubject, effort: Effort) -> str:
    """How far the order of the actions moves their probabilities: told, no law."""
    policy = subject.build()
    states, texts, draws = subject.bench.states(TURNS)
    turned = []
    for number, state in enumerate(states):
        actions = state.observation.legal_actions
        order = stream(effort.seed, "permuted", number).permutation(len(actions))
        menu = tuple(actions[int(i)] for i in order)
        shown = attrs.evolve(state.observation, legal_actions=menu)
        turned.append(attrs.evolve(state, observation=shown))
    moved = []
    for first, second, one, two in zip(
        states, turned, _act(policy, states, texts, draws), _act(policy, turned, texts, draws),
        strict=True,
    ):  # fmt: skip
        then = dict(zip(first.observation.legal_actions, one.probabilities, strict=True))
        now = dict(zip(second.observation.legal_actions, two.probabilities, strict=True))
        moved.append(sum(abs(then[action] - now[action]) for action in then) / 2)
    return f"by {sum(moved) / len(moved):.3f} on average, by {max(moved):.3f} at most"


POLICY_LAWS = (builds, one_each, sums, alone, unmoved, recomputed, permuted)
