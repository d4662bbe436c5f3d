"""Players without a model: the rows that a trained policy is compared with."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from reflect_core.errors import ReflectError
from reflect_core.records import Choice, Draws, Hint, State

__all__ = [
    "ExpertPolicy",
    "ExpertReflector",
    "FollowPolicy",
    "RandomPolicy",
    "SilentReflector",
    "named_action",
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


def named_action(reflection: str, legal_actions: Sequence[str]) -> int | None:
    """Index of the legal action that a reflection names, None if it names none.

    Of the actions that occur in it word for word, the one that ends last counts, since a
    reflection closes with what to do next; of several that end there, the longest.

    >>> named_action("cd src was wrong. Now cd src/lib.", ["cd src", "cd src/lib", "cd .."])
    1
    >>> named_action("Read setup.pyc", ["Read setup.py"]) is None
    True
    """
    best: tuple[int, int] | None = None
    chosen = None
    for index, action in enumerate(legal_actions):
        for match in re.finditer(_whole(action), reflection):
            place = (match.end(), len(action))
            if best is None or place > best:
                best, chosen = place, index
    return chosen


def _whole(action: str) -> str:
    """A pattern for ``action`` that does not match inside a longer word."""
    before = r"(?<!\w)" if re.match(r"\w", action) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", action) else ""
    return before + re.escape(action) + after


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
    action, legal = _hint(state).action, state.observation.legal_actions
    if action not in legal:
        raise ReflectError(
            f"the environment's expert names an action that is not legal: {action!r}",
            why=f"legal are {', '.join(map(repr, legal))} (task {state.task.task_id})",
            then="report it to the environment's author",
        )
    return legal.index(action)
