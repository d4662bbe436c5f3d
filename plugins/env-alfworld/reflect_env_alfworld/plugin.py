"""What this distribution offers to reflect; everything heavier is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflect_core.hookspecs import EnvironmentSpec, hookimpl
from reflect_env_alfworld.config import AlfworldConfig

if TYPE_CHECKING:
    from reflect_core.context import EnvironmentContext
    from reflect_env_alfworld.environment import AlfworldEnvironment


def make_environment(config: AlfworldConfig, context: EnvironmentContext) -> AlfworldEnvironment:
    """Build the environment; its games do not depend on the run's seed."""
    from reflect_env_alfworld import library

    library.load()
    from reflect_env_alfworld.environment import AlfworldEnvironment

    return AlfworldEnvironment(config)


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """The environment ``alfworld``."""
    yield EnvironmentSpec(
        name="alfworld",
        factory=make_environment,
        config=AlfworldConfig,
        version=3,
        summary="do a household task in a room told as text (ALFWorld), generated or real",
        defaults={
            # an observation lists what was seen; the past would only make prompts longer
            "rollout.history": 0,
            # a reason and a command
            "rollout.max_reflection_tokens": 48,
            # the engine is slow, leaks, and may crash or hang on a game
            "rollout.workers": 2,
        },
    )
