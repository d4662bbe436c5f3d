"""The laws of environments, held against what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

pytest.importorskip("alfworld", reason="alfworld plays the games")

from reflect_core.testing import EnvironmentContract

SMALL = {"receptacles": 6, "objects": 4, "train_tasks": 6, "valid_tasks": 6, "test_tasks": 6}


class TestGenerated(EnvironmentContract):
    spec = "alfworld"
    options: ClassVar[Mapping[str, Any]] = {**SMALL, "horizon": 25, "cache": None}
    max_examples = 4


class TestVisitor(EnvironmentContract):
    spec = "alfworld"
    options: ClassVar[Mapping[str, Any]] = {
        **SMALL,
        "horizon": 25,
        "cache": None,
        "expert": "visitor",
    }
    expert_solves = 0.4
    max_examples = 3


class TestPages(EnvironmentContract):
    spec = "alfworld"
    options: ClassVar[Mapping[str, Any]] = {
        **SMALL,
        "horizon": 60,
        "cache": None,
        "most_actions": 6,
        "looking": False,
        "memory": False,
    }
    max_examples = 2
