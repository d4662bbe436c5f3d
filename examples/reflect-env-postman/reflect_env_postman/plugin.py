"""What this distribution offers to reflect; what is heavy is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from reflect_core import EnvironmentContext, EnvironmentSpec, hookimpl, option

if TYPE_CHECKING:
    from reflect_env_postman.environment import PostmanEnvironment

REFLECT_API = 1


@attrs.frozen
class PostmanConfig:
    """The options: reflect run --env postman horizon=6."""

    horizon: int = option(8, "Turns of an episode.", minimum=1)


def make_environment(config: PostmanConfig, context: EnvironmentContext) -> PostmanEnvironment:
    """Build the environment."""
    from reflect_env_postman.environment import PostmanEnvironment

    return PostmanEnvironment(config.horizon)


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """Offer the environment."""
    yield EnvironmentSpec(
        name="postman",
        factory=make_environment,
        config=PostmanConfig,
        summary="a postman's round: follow the signs from stop to stop",
        # an observation holds all that matters, and a reflection is a few words
        defaults={"rollout.history": 0, "rollout.max_reflection_tokens": 32},
    )
