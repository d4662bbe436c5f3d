"""Episodes that are dropped because an environment or its expert raised: told, and counted."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.errors import EnvironmentFailure, EnvironmentLost, ReflectError
from reflect_core.records import Task
from reflect_core.workers.wire import EnvironmentRaised

__all__ = ["check_failures", "concerns_all", "told_failure"]


def told_failure(task: Task, error: Exception) -> str:
    """What was raised in an episode, in a line."""
    # what was raised in a worker tells its own kind
    kind = "" if isinstance(error, EnvironmentRaised) else f"{type(error).__name__}: "
    return f"{task.task_id}: {kind}{error}"


def concerns_all(error: Exception) -> bool:
    """Whether no episode will go better: what a person can mend, and is told."""
    return isinstance(error, ReflectError) and not isinstance(error, EnvironmentLost)


def check_failures(failures: Sequence[str], total: int, limit: float) -> None:
    """Stop when too large a share of ``total`` episodes failed.

    Raises:
        EnvironmentFailure: More than ``limit`` of the episodes were dropped.
    """
    if failures and len(failures) > limit * total:
        raise EnvironmentFailure(
            f"{len(failures)} of {total} episodes failed in the environment",
            why=failures[0],
            then="mend the environment, or raise rollout.failed_episodes in the run's run.toml, "
            "and resume",
        )
