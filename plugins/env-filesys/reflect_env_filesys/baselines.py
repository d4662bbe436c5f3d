"""Cheap policies that a learner should beat; they show that the task has no short cut."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from reflect_core.records import Choice, Draws, State


class UnseenName:
    """Identifies a file whose name is no target of train, and else acts at random.

    It succeeds where the names asked for can be told from the others by their novelty.
    """

    def __init__(self, seen: frozenset[str]) -> None:
        """Remember the names of the train targets."""
        self._seen = seen

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> list[Choice]:
        """One choice per state; ``greedy`` makes no difference."""
        return [self._choose(state, draw) for state, draw in zip(states, draws, strict=True)]

    def _choose(self, state: State, draw: Draws) -> Choice:
        legal = state.observation.legal_actions
        unseen = [
            place
            for place, action in enumerate(legal)
            if action.startswith("id ") and action.removeprefix("id ") not in self._seen
        ]
        return _one_of(unseen or range(len(legal)), len(legal), draw)


class SharedCharacters:
    """Takes the action whose argument shares most characters with the task's text.

    Characters are counted as often as they occur; of equals, ``id`` goes first, then a draw.
    """

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> list[Choice]:
        """One choice per state; ``greedy`` makes no difference."""
        return [self._choose(state, draw) for state, draw in zip(states, draws, strict=True)]

    def _choose(self, state: State, draw: Draws) -> Choice:
        legal = state.observation.legal_actions
        task = Counter(state.task.text)
        scores = []
        for action in legal:
            verb, _, argument = action.partition(" ")
            scores.append(((task & Counter(argument)).total(), verb == "id"))
        best = max(scores)
        return _one_of([i for i, score in enumerate(scores) if score == best], len(legal), draw)


def _one_of(places: Sequence[int], number: int, draw: Draws) -> Choice:
    """A uniform draw from some of ``number`` actions."""
    index = places[int(draw.stream("action").integers(len(places)))]
    chance = 1 / len(places)
    among = set(places)
    probabilities = tuple(chance if place in among else 0.0 for place in range(number))
    return Choice(index=index, logprob=math.log(chance), probabilities=probabilities)
