"""Players without a model: the rows that a trained policy is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reflect_core.errors import ReflectError
from reflect_core.grounding import named_action
from reflect_core.hints import index_of
from reflect_core.records import Choice, Draws, Hint, State

__all__ = [
    "ExpertPolicy",
    "ExpertReflector",
    "FollowPolicy",
    "RandomPolicy",
    "SilentReflector",
]


class RandomPolicy:
    """Draws uniformly from the legal actions; ``greedy`` changes nothing."""

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        """One choice per state, each from the stream ``action`` of its own draws."""
        return [_uniform(state, draw) for state, draw in zip(states, draws, strict=True)]


class ExpertPolicy:
    """Takes the action that the environment's expert names."""

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        """One choice per state.

        Raises:
            ReflectError: The environment has no expert, or it names an illegal action.
        """
        return [_certain(state, _expert_index(state)) for state in states]


class FollowPolicy:
    """Takes the legal action that the reflection names; any, if it names none.

    It shows what the reflections alone are worth, without a policy that reads the state.
    """

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        """One choice per state."""
        choices = []
        for state, reflection, draw in zip(states, reflections, draws, strict=True):
            index = named_action(reflection, state.observation.legal_actions)
            choices.append(_uniform(state, draw) if index is None else _certain(state, index))
        return choices


class SilentReflector:
    """Says nothing, at no cost."""

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> Sequence[str]:
        """An empty reflection per state."""
        return [""] * len(states)


class ExpertReflector:
    """Says what the environment's expert would say."""

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> Sequence[str]:
        """The expert's reflection per state.

        Raises:
            ReflectError: The environment has no expert.
        """
        return [_hint(state).reflection for state in states]


def _uniform(state: State, draws: Draws) -> Choice:
    count = len(state.observation.legal_actions)
    return Choice(
        index=int(draws.stream("action").integers(count)),
        logprob=-math.log(count),
        probabilities=(1 / count,) * count,
    )


def _certain(state: State, index: int) -> Choice:
    count = len(state.observation.legal_actions)
    return Choice(
        index=index,
        probabilities=tuple(float(other == index) for other in range(count)),
        temperature=0.0,
    )


def _hint(state: State) -> Hint:
    if state.hint is None:
        raise ReflectError(
            "there is no expert to ask",
            why="this environment does not offer one",
            then="choose another policy and reflector (reflect plugins)",
        )
    return state.hint


def _expert_index(state: State) -> int:
    return index_of(_hint(state).action, state.observation.legal_actions, state.task.task_id)
