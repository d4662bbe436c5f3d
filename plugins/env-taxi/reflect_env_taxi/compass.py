"""Cells and the directions between them, in words."""

from __future__ import annotations

Cell = tuple[int, int]
"""Row and column, 0,0 in the upper left."""

FOUR = 4
"""Moves of one level: level 1 is a way of up to 4 moves, level 2 of up to 8."""


def told(cell: Cell) -> str:
    """A cell as it is written everywhere."""
    return f"{cell[0]},{cell[1]}"


def heading(start: Cell, goal: Cell, words: tuple[str, str, str, str]) -> tuple[str, ...]:
    """The one or two directions in which ``goal`` lies; none where it is here.

    Args:
        start: From here.
        goal: To there.
        words: For up, down, right and left.

    >>> heading((3, 2), (0, 4), ("north", "south", "east", "west"))
    ('north', 'east')
    """
    up, down, right, left = words
    vertical = (up,) if goal[0] < start[0] else (down,) if goal[0] > start[0] else ()
    sideways = (right,) if goal[1] > start[1] else (left,) if goal[1] < start[1] else ()
    return vertical + sideways


def blocks(start: Cell, goal: Cell) -> int:
    """Moves from one cell to another where no wall is in the way.

    >>> blocks((3, 2), (0, 4))
    5
    """
    return abs(start[0] - goal[0]) + abs(start[1] - goal[1])


def turns(number: int) -> str:
    """How many turns are left."""
    return "1 turn left" if number == 1 else f"{number} turns left"


def level(moves: int) -> int:
    """Difficulty of a task whose shortest way has so many moves."""
    return max(1, -(-moves // FOUR))
