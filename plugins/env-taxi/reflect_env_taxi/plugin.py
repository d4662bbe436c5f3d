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
        version=2,
        stages=STAGES,
        defaults={
            # an observation holds the whole state
            "rollout.history": 0,
            # two positions, directions and an action
            "rollout.max_reflection_tokens": 48,
            # each of the 75 test starts twice
            "eval.episodes": 150,
            "curriculum.name": "staged",
            "curriculum.shares": (8, 8, 20),
            "teach.stages": "all",
            # at a wall the expert names no action; the policy has to find one
            "reflector.tries": 1,
            # who has only copied named actions cannot choose one himself, and RL would have to
            # teach him to read the menu first: he begins as the reflector, which reads states,
            # and half of his examples come without a reflection
            "sft.policy_from": "reflector",
            "sft.policy_reflected": 0.5,
            "sft.policy_updates": 600,
            # a crash ends an episode early: with a long sight it is cheaper than driving on
            "trainer.gamma": 0.9,
            "trainer.gae_lambda": 0.9,
            "trainer.lr": 2e-4,
            # with a light critic the shared trunk keeps what it knows
            "trainer.vf_coef": 0.1,
            "trainer.ent_coef": 0.005,
            "trainer.update_epochs": 3,
            "train.iterations": 36,
            "train.valid_every": 8,
        },
    )
    yield EnvironmentSpec(
        name="frozenlake",
        factory=make_frozen_lake,
        config=FrozenLakeConfig,
        summary="cross a frozen lake without falling into a hole",
        defaults={"rollout.history": 0, "rollout.max_reflection_tokens": 48},
    )
