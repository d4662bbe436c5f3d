"""The maps of FrozenLake, and which starts on them belong to train, valid and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from gymnasium.envs.toy_text.frozen_lake import MAPS, generate_random_map

from reflect_core.errors import ConfigError
from reflect_core.records import SPLITS, Task
from reflect_core.streams import stream_seed
from reflect_env_taxi import engine
from reflect_env_taxi.compass import Cell, level, told
from reflect_env_taxi.config import RANDOM, FrozenLakeConfig
from reflect_env_taxi.search import NEVER, Ways, shortest_ways

VALID, TEST = 0.1, 0.25
"""Shares of the tasks; the others are of train."""
TRIES = 20
"""Random maps that are drawn for each that is wanted: small ones repeat."""

# The division must not depend on the run's seed, else two seeds have different test tasks.
_SALT = 2402_12621


@attrs.frozen
class Start:
    """Where an episode begins.

    Args:
        rows: The map in Gymnasium's letters.
        cell: Where one stands.
    """

    rows: tuple[str, ...]
    cell: Cell


def goal_of(rows: Sequence[str]) -> Cell:
    """The cell with the goal."""
    return next((row, line.index("G")) for row, line in enumerate(rows) if "G" in line)


def ways_on(rows: Sequence[str]) -> Ways:
    """The shortest ways to the goal on ice that is not slippery."""
    goal = goal_of(rows)
    state = goal[0] * len(rows) + goal[1]
    dry = engine.frozen_lake(rows, slippery=False)
    return shortest_ways(dry.P, lambda before, after, _: after == state != before)


def tasks_by_split(config: FrozenLakeConfig) -> dict[str, dict[str, tuple[Task, Start]]]:
    """The tasks of each split by their names.

    Raises:
        ConfigError: There are fewer than one for each split.
    """
    starts = list(_random(config) if config.map == RANDOM else _fixed(config))
    if len(starts) < len(SPLITS):
        raise ConfigError(
            f"map={config.map} gives {len(starts)} tasks, and each split needs one",
            why=f"only starts count from where {config.turns} turns can suffice",
            then="raise horizon, size or maps",
        )
    tests, valids = (max(1, round(share * len(starts))) for share in (TEST, VALID))
    found: dict[str, dict[str, tuple[Task, Start]]] = {split: {} for split in SPLITS}
    for place, (task_id, start, moves) in enumerate(starts):
        split = "test" if place < tests else "valid" if place < tests + valids else "train"
        task = Task(
            task_id=task_id,
            split=split,
            text="Reach the goal. The ice is slippery." if config.slippery else "Reach the goal.",
            level=level(moves),
            data={"map": list(start.rows), "start": list(start.cell)},
        )
        found[split][task_id] = task, start
    return found


def _fixed(config: FrozenLakeConfig) -> Iterator[tuple[str, Start, int]]:
    """Every cell of one map as a start, Gymnasium's own first, the others in a fixed disorder."""
    rows = tuple(MAPS[config.map])
    distance = ways_on(rows).distance
    cells = [(row, column) for row in range(len(rows)) for column in range(len(rows))]

    def place(cell: Cell) -> tuple[bool, int]:
        return rows[cell[0]][cell[1]] != "S", stream_seed(_SALT, config.map, *cell)

    for row, column in sorted(cells, key=place):
        moves = distance[row * len(rows) + column]
        if rows[row][column] in "SF" and _is_near(moves, config):
            cell = (row, column)
            yield f"frozenlake:{config.map}@{told(cell)}", Start(rows, cell), moves


def _random(config: FrozenLakeConfig) -> Iterator[tuple[str, Start, int]]:
    """Random maps, each once, by the seed of Gymnasium's generator."""
    seen: set[tuple[str, ...]] = set()
    for seed in range(TRIES * config.maps):
        rows = tuple(generate_random_map(config.size, seed=seed))
        if rows in seen:
            continue
        moves = ways_on(rows).distance[0]
        if _is_near(moves, config):
            seen.add(rows)
            yield f"frozenlake:{config.size}:{seed}", Start(rows, (0, 0)), moves
        if len(seen) == config.maps:
            return


def _is_near(moves: int, config: FrozenLakeConfig) -> bool:
    return moves != NEVER and moves <= config.turns
