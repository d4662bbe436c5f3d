from __future__ import annotations

import pytest
from reflect_env_taxi.config import FrozenLakeConfig, TaxiConfig
from reflect_env_taxi.lake import FrozenLakeEnvironment
from reflect_env_taxi.taxi import TaxiEnvironment


@pytest.fixture(scope="session")
def taxi() -> TaxiEnvironment:
    """DangerousTaxi, taught by the expert that knows all ways."""
    return TaxiEnvironment(TaxiConfig(expert="planner"))


@pytest.fixture(scope="session")
def lake() -> FrozenLakeEnvironment:
    """FrozenLake with all options at their defaults."""
    return FrozenLakeEnvironment()


@pytest.fixture(scope="session")
def slippery() -> FrozenLakeEnvironment:
    """The same map, slippery."""
    return FrozenLakeEnvironment(FrozenLakeConfig(slippery=True))
