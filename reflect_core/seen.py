"""Whether an evaluation with other options plays what its run has learnt from."""

from __future__ import annotations

from typing import cast

from reflect_core.context import EnvironmentContext
from reflect_core.hookspecs import EnvironmentSpec
from reflect_core.plugins import Registry
from reflect_core.records import Task
from reflect_core.settings import Settings

__all__ = ["seen_before"]


def seen_before(own: Settings, made: Settings, registry: Registry) -> tuple[int, int]:
    """How many tasks of an evaluation are train's or valid's of the run, and how many there are.

    They are the same where their ids and texts are: other options may divide them otherwise.

    Args:
        own: The run's settings.
        made: Those of the evaluation.
        registry: Has the environment.
    """
    learnt = {*_tasks(own, "train", registry), *_tasks(own, "valid", registry)}
    played = _tasks(made, made.eval.split, registry)
    return sum(task in learnt for task in played), len(played)


def _tasks(settings: Settings, split: str, registry: Registry) -> list[tuple[str, str]]:
    spec = cast(EnvironmentSpec, registry.find("environment", settings.env.name).spec)
    environment = spec.factory(settings.env.options, EnvironmentContext(settings.seed))
    try:
        return [_name(task) for task in environment.tasks(split)]
    finally:
        environment.close()


def _name(task: Task) -> tuple[str, str]:
    return task.task_id, task.text
