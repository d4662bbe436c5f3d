"""The expert of FrozenLake: what it does and what it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reflect_env_taxi.compass import Cell, heading, told
from reflect_env_taxi.engine import Table
from reflect_env_taxi.ice import HOLE, STEPS, WORDS, side

GAMMA = 0.99
"""Discount of the value iteration: without one, waiting would be as good as going on."""
PRECISE = 1e-10
MARGIN = 1e-8
"""Actions whose values differ by less are equally good."""
NO_COMMAND = "No command. "
WRONG_WAY = "Wrong way. "
SLIPPED = "Slipped. "


def best_actions(table: Table) -> Sequence[tuple[int, ...]]:
    """All best actions in each state of a slippery lake, by value iteration.

    The value is the discounted probability to reach the goal. It does not depend on the turns
    left, so that one place has one answer.
    """
    states, moves = len(table), len(STEPS)
    onward = np.zeros((states, moves, states))
    reward = np.zeros((states, moves))
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for chance, after, worth, ended in outcomes:
                reward[state, action] += chance * worth
                onward[state, action, after] += 0.0 if ended else chance
    value = np.zeros(states)
    while True:
        quality = reward + GAMMA * onward @ value
        better = quality.max(axis=1)
        if np.abs(better - value).max() < PRECISE:
            # with a margin, or noise in the last digits would choose among equals
            good = quality > better[:, None] - MARGIN
            return [tuple(np.flatnonzero(row).tolist()) for row in good]
        value = better


def reflection(rows: Sequence[str], cell: Cell, goal: Cell, action: str, complaint: str) -> str:
    """What a teacher says in this state: where the goal lies, holes that way, and the action.

    Args:
        rows: The map.
        cell: Where one stands.
        goal: Where the goal is.
        action: The right one.
        complaint: What was wrong with the last action, "" where nothing was.
    """
    where = heading(cell, goal, WORDS)
    holes = "".join(f", hole {each}" for each in where if side(rows, cell, each) == HOLE)
    return f"{complaint}At {told(cell)}, goal {told(goal)} is {' '.join(where)}{holes}: {action}"
