"""A state of FrozenLake as text: facts in words, and the drawing."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_env_taxi.compass import Cell, told, turns

UP, DOWN, RIGHT, LEFT = WORDS = ("up", "down", "right", "left")
STEPS: dict[str, Cell] = {LEFT: (0, -1), DOWN: (1, 0), RIGHT: (0, 1), UP: (-1, 0)}
"""What the moves do, in the order of FrozenLake's numbers."""
HOLE = "hole"
_NAMES = {"H": HOLE, "G": "goal", "S": "ice", "F": "ice"}
_SIGNS = {"H": "H", "G": "G", "S": ".", "F": "."}


def side(rows: Sequence[str], cell: Cell, direction: str) -> str:
    """What is there: ``ice``, ``hole``, ``goal``, or ``edge`` where the lake ends."""
    row, column = cell[0] + STEPS[direction][0], cell[1] + STEPS[direction][1]
    inside = 0 <= row < len(rows) and 0 <= column < len(rows)
    return _NAMES[rows[row][column]] if inside else "edge"


def beside(rows: Sequence[str], cell: Cell, direction: str) -> Cell:
    """The cell there; the same one at the edge."""
    row, column = cell[0] + STEPS[direction][0], cell[1] + STEPS[direction][1]
    return min(max(row, 0), len(rows) - 1), min(max(column, 0), len(rows) - 1)


def text(rows: Sequence[str], cell: Cell, goal: Cell, *, turns_left: int, facts: bool) -> str:
    """What stands below the last action's result: facts if wanted, and the map.

    ``Y`` is where you stand, ``H`` a hole, ``G`` the goal and ``.`` ice.
    """
    lines = [turns(turns_left)]
    if facts:
        lines = [
            f"At {told(cell)}, goal {told(goal)}, {turns(turns_left)}",
            ", ".join(f"{direction} {side(rows, cell, direction)}" for direction in STEPS),
        ]
    for number, row in enumerate(rows):
        signs = [_SIGNS[letter] for letter in row]
        if number == cell[0]:
            signs[cell[1]] = "Y"
        lines.append(" ".join(signs))
    return "\n".join(lines)
