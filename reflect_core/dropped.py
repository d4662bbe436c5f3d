"""Episodes dropped because an environment or its expert raised: told, counted, gone on from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from reflect_core.alarms import Alarms
from reflect_core.errors import EnvironmentFailure, EnvironmentLost, ReflectError
from reflect_core.protocols import Environment
from reflect_core.records import Task
from reflect_core.workers.pipelined import Pipelined
from reflect_core.workers.wire import EnvironmentRaised

__all__ = [
    "check_failures",
    "close_all",
    "concerns_all",
    "renewed",
    "sound_failures",
    "told_failure",
]


def told_failure(task: Task, error: Exception) -> str:
    """What was raised in an episode, in a line."""
    # what was raised in a worker tells its own kind
    kind = "" if isinstance(error, EnvironmentRaised) else f"{type(error).__name__}: "
    return f"{task.task_id}: {kind}{error}"


def concerns_all(error: Exception) -> bool:
    """Whether no episode will go better: what a person can mend, and is told."""
    return isinstance(error, ReflectError) and not isinstance(error, EnvironmentLost)


def renewed(environment: Environment, make: Callable[[], Environment]) -> Environment:
    """What to go on with in place of an environment that raised; that one is closed.

    Args:
        environment: Its state is not to be trusted any more.
        make: Builds another one.
    """
    if isinstance(environment, Pipelined):
        environment.renew()
        return environment
    close_all([environment])
    return make()


def close_all(environments: Sequence[Environment]) -> None:
    """Close them; one that raises keeps none from closing, and costs nothing that was played."""
    for environment in environments:
        try:
            environment.close()
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            said = f"an environment could not be closed: {type(error).__name__}: {error}"
            warnings.warn(said, RuntimeWarning, stacklevel=2)


def sound_failures(failures: Sequence[str], alarms: Alarms) -> None:
    """Sound that episodes were dropped, with what was raised in the first of them."""
    if failures:
        alarms.sound(
            "failed_episodes",
            f"episodes that fail in the environment are dropped and counted: {failures[0]}",
            count=len(failures),
        )


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
