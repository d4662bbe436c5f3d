"""What this distribution offers to reflect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from reflect_core import EnvironmentSpec, hookimpl, option

if TYPE_CHECKING:
    from reflect_core import EnvironmentContext
    from reflect_env_hanoi.environment import Hanoi

REFLECT_API = 1


@attrs.frozen
class HanoiConfig:
    """Options of the environment."""

    disks: int = option(4, "Disks; three to the power of it are the positions.", minimum=2)
    slack: int = option(5, "Moves that are allowed beyond the fewest.", minimum=0)


def make_environment(config: HanoiConfig, context: EnvironmentContext) -> Hanoi:
    """Build the environment."""
    from reflect_env_hanoi.environment import Hanoi

    return Hanoi(config)


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """The environment ``hanoi``."""
    yield EnvironmentSpec(
        name="hanoi",
        factory=make_environment,
        config=HanoiConfig,
        summary="move a tower of disks to a rod, one disk at a time",
        # an observation shows every disk: nothing else is needed from the past
        defaults={"rollout.history": 0},
    )
