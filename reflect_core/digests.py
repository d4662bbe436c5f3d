"""Short hashes by which plain values, and an environment's tasks, are known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import attrs

from reflect_core.records import Task

__all__ = ["digest", "tasks_digest"]


def digest(value: object) -> str:
    """Of plain values; whatever else is among them counts as its text. 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tasks_digest(tasks: Iterable[Task]) -> str:
    """Of an environment's tasks: whether two processes see the same ones."""
    return digest([attrs.astuple(task, recurse=False) for task in tasks])
