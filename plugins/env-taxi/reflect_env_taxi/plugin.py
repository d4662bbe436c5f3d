"""What this distribution offers to reflect; everything heavier is imported by the factories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflect_core.hookspecs import EnvironmentSpec, hookimpl
from reflect_env_taxi.config import STAGES, FrozenLakeConfig, TaxiConfig

if TYPE_CHECKING:
    from reflect_core.context import EnvironmentContext
    from reflect_env_taxi.lake import FrozenLakeEnvironment
    from reflect_env_taxi.taxi import TaxiEnvironment


def make_taxi(config: TaxiConfig, context: EnvironmentContext) -> TaxiEnvironment:
    """Build DangerousTaxi; the run's seed changes nothing in it."""
    from reflect_env_taxi.taxi import TaxiEnvironment

    return TaxiEnvironment(config)


def make_frozen_lake(
    config: FrozenLakeConfig, context: EnvironmentContext
) -> FrozenLakeEnvironment:
    """Build FrozenLake; its maps do not depend on the run's seed."""
    from reflect_env_taxi.lake import FrozenLakeEnvironment

    return FrozenLakeEnvironment(config)


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """The environments ``taxi`` and ``frozenlake``."""
    yield EnvironmentSpec(
        name="taxi",
        factory=make_taxi,
        config=TaxiConfig,
        summary="drive a passenger to the goal; whatever changes nothing is fatal (DangerousTaxi)",
        stages=STAGES,
        defaults={
            # an observation holds the whole state
            "rollout.history": 0,
            # two positions, directions and an action
            "rollout.max_reflection_tokens": 48,
            # each of the 75 test starts as often as any other
            "eval.episodes": 225,
        },
    )
    yield EnvironmentSpec(
        name="frozenlake",
        factory=make_frozen_lake,
        config=FrozenLakeConfig,
        summary="cross a frozen lake without falling into a hole",
        defaults={"rollout.history": 0, "rollout.max_reflection_tokens": 48},
    )
