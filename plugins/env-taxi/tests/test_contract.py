"""The laws of environments, held against what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reflect_core.testing import EnvironmentContract


class TestTaxi(EnvironmentContract):
    spec = "taxi"
    max_examples = 8


class TestPlannedTaxi(EnvironmentContract):
    spec = "taxi"
    options: ClassVar[Mapping[str, Any]] = {"expert": "planner"}
    max_examples = 4


class TestFrozenLake(EnvironmentContract):
    spec = "frozenlake"
    max_examples = 5


class TestSlipperyMaps(EnvironmentContract):
    spec = "frozenlake"
    options: ClassVar[Mapping[str, Any]] = {"slippery": True, "map": "random", "maps": 8}
    max_examples = 5
    horizon = 100
    expert_solves = 0.5
