"""The tasks of DangerousTaxi: where the passenger stands and wants to go, where the taxi starts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations, product

import attrs

from reflect_core.records import SPLITS, Task
from reflect_core.streams import stream
from reflect_env_taxi.compass import Cell, level
from reflect_env_taxi.config import (
    DROPOFF,
    FULL,
    NOTHING,
    PICKUP,
    TaxiConfig,
)

SIDE = 5
STOPS: tuple[Cell, ...] = ((0, 0), (0, 4), (4, 0), (4, 3))
"""Where passengers stand and want to go, in the order of Taxi's numbers."""
LETTERS = "RGYB"
"""Taxi's own names of the stops."""
TEST = ("RB", "BG", "GY")
"""Pairs that are in test alone. With Y to R they go round all stops, and the mean length of the
ways is that of all."""
SPARE = "YR"
"""The pair that is valid where each has one start."""
VALID_STARTS = 3
"""Starts of every pair but those of test that are valid. One pair by itself says little of a
policy: whether its reflections go right is a matter of that pair."""
PICKUP_STARTS = {"test": 6, "valid": 3}
"""Cells from which each passenger is fetched in these splits, where that is all of the task: the
goal plays no part in it, and pairs would hold nothing out."""
TEXTS = {
    FULL: "Drive the passenger to the goal.",
    PICKUP: "Pick up the passenger.",
    DROPOFF: "Drive the passenger to the goal.",
}


@attrs.frozen
class Ride:
    """How an episode starts.

    Args:
        taxi: Where the taxi stands.
        passenger: Number of the stop where the passenger stands.
        goal: Number of the stop where he wants to go.
    """

    taxi: Cell
    passenger: int
    goal: int

    @property
    def pair(self) -> str:
        """Taxi's letters of the passenger's place and the goal."""
        return LETTERS[self.passenger] + LETTERS[self.goal]

    @property
    def task_id(self) -> str:
        """Names it everywhere."""
        row, column = self.taxi
        return f"taxi:{self.pair}@{row},{column}"


def rides(config: TaxiConfig) -> list[Ride]:
    """All starts of the task, pair by pair.

    Every cell for every pair, 300 in all. With ``task=dropoff`` only the passenger's place, 12 in
    all: with him aboard a start elsewhere would not tell which pair it is of.
    """
    found = []
    for passenger, goal in permutations(range(len(STOPS)), 2):
        every = product(range(SIDE), range(SIDE))
        cells = [STOPS[passenger]] if config.task == DROPOFF else every
        found += [Ride(cell, passenger, goal) for cell in cells]
    return found


def _split(ride: Ride, config: TaxiConfig) -> str:
    if config.task == PICKUP:
        place = _place(ride, PICKUP, LETTERS[ride.passenger])
        for split, count in PICKUP_STARTS.items():
            if place < count:
                return split
            place -= count
        return "train"
    if ride.pair in TEST:
        return "test"
    if config.task == DROPOFF:
        held = ride.pair == SPARE
    else:
        held = _place(ride, "valid", ride.pair) < VALID_STARTS
    return "valid" if held else "train"


def _place(ride: Ride, *name: str) -> int:
    """The place of a ride's first cell in an order of all cells that is drawn by name."""
    row, column = ride.taxi
    order = stream(0, "taxi", *name).permutation(SIDE * SIDE)
    return int(order.tolist().index(SIDE * row + column))


def tasks_by_split(
    config: TaxiConfig, moves: Mapping[str, int]
) -> dict[str, dict[str, tuple[Task, Ride]]]:
    """The tasks of each split by their names.

    Args:
        config: Says what is held out.
        moves: Length of the shortest way by task, from which its level follows.
    """
    found: dict[str, dict[str, tuple[Task, Ride]]] = {split: {} for split in SPLITS}
    for ride in rides(config):
        own = _split(ride, config)
        for split in SPLITS if config.held_out == NOTHING else (own,):
            task = Task(
                task_id=ride.task_id,
                split=split,
                text=TEXTS[config.task],
                level=level(moves[ride.task_id]),
                data={
                    "taxi": list(ride.taxi),
                    "passenger": list(STOPS[ride.passenger]),
                    "goal": list(STOPS[ride.goal]),
                },
            )
            found[split][task.task_id] = task, ride
    return found
