"""Positions of the Tower of Hanoi, and the fewest moves between them."""

from __future__ import annotations

import functools
from collections.abc import Iterator

RODS = "ABC"

Position = str
"""The rod of each disk, the smallest first: ``"AAB"`` has the largest of three on B."""


def moves(position: Position) -> Iterator[tuple[int, str]]:
    """The disks that may be moved, counted from 0, and where to; smaller disks first.

    >>> list(moves("AAB"))
    [(0, 'B'), (0, 'C'), (2, 'C')]
    """
    for disk, rod in enumerate(position):
        smaller = position[:disk]
        if rod not in smaller:
            for other in RODS:
                if other != rod and other not in smaller:
                    yield disk, other


def moved(position: Position, disk: int, rod: str) -> Position:
    """The position after a move."""
    return position[:disk] + rod + position[disk + 1 :]


@functools.cache
def way(position: Position, goal: str) -> tuple[tuple[int, str], ...]:
    """The fewest moves that bring all disks to the rod ``goal``.

    From the largest disk down: one that is elsewhere can move when all smaller ones are on the
    third rod, so they are brought there first.

    >>> way("AA", "C")
    ((0, 'B'), (1, 'C'), (0, 'C'))
    """
    for disk in reversed(range(len(position))):
        if position[disk] != goal:
            third = next(rod for rod in RODS if rod not in (position[disk], goal))
            first = way(position[:disk], third)
            return (*first, (disk, goal), *way(third * disk, goal))
    return ()
