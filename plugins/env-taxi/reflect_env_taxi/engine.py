"""Gymnasium's own environments, of which these are views in text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

TAXI = "Taxi-v4"
FROZEN_LAKE = "FrozenLake-v1"

Table = Mapping[int, Mapping[int, Sequence[tuple[float, int, float, bool]]]]
"""Probability, next state, reward and end of every outcome, by state and action."""


def taxi() -> Any:
    """Taxi without rain and with passengers who know where they want to go."""
    engine: Any = gymnasium.make(TAXI, is_rainy=False, fickle_passenger=False).unwrapped
    engine.reset(seed=0)  # nothing in it is random but the start, which is set
    return engine


def frozen_lake(rows: Sequence[str], *, slippery: bool) -> Any:
    """FrozenLake on this map."""
    lake = gymnasium.make(FROZEN_LAKE, desc=list(rows), is_slippery=slippery)
    engine: Any = lake.unwrapped
    engine.reset(seed=0)
    return engine


def origin(name: str) -> dict[str, str]:
    """The engine and its version, for logs."""
    return {"engine": name, "gymnasium": gymnasium.__version__}
