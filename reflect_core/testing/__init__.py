"""Contracts, strategies and doubles for the tests of plugins: ``reflect-core[testing]``.

Contracts are test classes to subclass, one for each kind of part; :mod:`reflect_core.testing.laws`
says what a law is, and ``reflect check NAME`` examines the same ones. Strategies make episodes,
moves and texts for tests of one's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflect_core.testing.contracts import (
        CurriculumContract,
        EnvironmentContract,
        PolicyContract,
        ReflectorContract,
        TrainerContract,
    )
    from reflect_core.testing.explore import Episode, Plan, World, play
    from reflect_core.testing.lamps import Lamps
    from reflect_core.testing.strategies import moves, other_texts, plans

__all__ = [
    "CurriculumContract",
    "EnvironmentContract",
    "Episode",
    "Lamps",
    "Plan",
    "PolicyContract",
    "ReflectorContract",
    "TrainerContract",
    "World",
    "moves",
    "other_texts",
    "plans",
    "play",
]

HOMES = {
    **dict.fromkeys(("Episode", "Plan", "World", "play"), "explore"),
    **dict.fromkeys(("moves", "other_texts", "plans"), "strategies"),
    "Lamps": "lamps",
}
"""Modules of the public names; all others are contracts."""
TOOLS = ("hypothesis", "pytest")


def __getattr__(name: str) -> object:
    """Load the module of a public name, so that the lamps alone need neither pytest nor more."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{HOMES.get(name, 'contracts')}")
    except ModuleNotFoundError as error:
        if error.name not in TOOLS:
            raise
        raise ModuleNotFoundError(
            f"{__name__}.{name} needs the package {error.name}: "
            "pip install 'reflect-core[testing]'",
            name=error.name,
        ) from error
    return getattr(module, name)
