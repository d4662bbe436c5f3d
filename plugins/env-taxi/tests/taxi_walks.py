"""Ways through the town that several tests take."""

from __future__ import annotations

from reflect_env_taxi.taxi import ACTIONS, TaxiEnvironment

from reflect_core.records import Task


def all_tasks(environment: TaxiEnvironment) -> list[Task]:
    """Those of all splits."""
    return [task for split in ("train", "valid", "test") for task in environment.tasks(split)]


def harmless(environment: TaxiEnvironment, pick: int) -> str:
    """One of the actions that change something now, chosen by a number."""
    mask = environment._engine.action_mask(environment._state)
    actions = [action for action, good in zip(ACTIONS, mask, strict=True) if good]
    return actions[pick % len(actions)]
