"""The shortest ways to a goal, by breadth-first search backwards through an engine's table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs

from reflect_env_taxi.engine import Table

NEVER = -1
"""Stands for the distance of a state from which no way leads to the goal."""


@attrs.frozen
class Ways:
    """What to do in each state of a deterministic engine.

    Args:
        distance: Turns that the shortest way takes, :data:`NEVER` where there is none.
        best: The numbers of all first actions of shortest ways, rising; none where there is
            no way.
    """

    distance: Sequence[int]
    best: Sequence[tuple[int, ...]]


def shortest_ways(table: Table, arrives: Callable[[int, int, bool], bool]) -> Ways:
    """Search from the goal backwards.

    Args:
        table: Of an engine whose actions have one outcome each.
        arrives: Whether a transition (from state, to state, whether it ends) reaches the goal.
            Other transitions that end the episode lead nowhere.
    """
    into: dict[int, list[int]] = {state: [] for state in table}
    arriving: set[tuple[int, int]] = set()
    for state, actions in table.items():
        for action, ((_, after, _, ended),) in actions.items():
            if arrives(state, after, ended):
                arriving.add((state, action))
            elif not ended:
                into[after].append(state)
    distance = [NEVER] * len(table)
    waiting: deque[int] = deque()
    for state, _ in sorted(arriving):
        if distance[state] == NEVER:
            distance[state] = 1
            waiting.append(state)
    while waiting:
        state = waiting.popleft()
        for before in into[state]:
            if distance[before] == NEVER:
                distance[before] = distance[state] + 1
                waiting.append(before)

    def is_best(state: int, action: int) -> bool:
        ((_, after, _, ended),) = table[state][action]
        nearer = not ended and distance[after] == distance[state] - 1
        return nearer or (state, action) in arriving

    best = [tuple(action for action in table[state] if is_best(state, action)) for state in table]
    return Ways(distance, best)
