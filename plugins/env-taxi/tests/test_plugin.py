"""What the plugin offers and what its options refuse."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import pytest
from reflect_env_taxi.config import FrozenLakeConfig, TaxiConfig
from reflect_env_taxi.plugin import reflect_environments

from reflect_core import config, plugins
from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError
from reflect_core.protocols import Environment, Expert


def test_it_offers_two_environments() -> None:
    specs = {spec.name: spec for spec in reflect_environments()}
    assert set(specs) == {"taxi", "frozenlake"}
    assert specs["taxi"].stages == ("pickup", "dropoff", "full")
    for spec in specs.values():
        environment = spec.factory(spec.config(), EnvironmentContext(seed=1))
        assert isinstance(environment, Environment)
        assert isinstance(environment, Expert)
        assert all(environment.tasks(split) for split in ("train", "valid", "test"))


@pytest.mark.parametrize("name", ["taxi", "frozenlake"])
def test_its_defaults_are_settings_that_exist(name: str) -> None:
    flags = {"env": name, "trainer": "ppo"}
    settings = config.resolve(plugins.load(), file=None, overrides=(), flags=flags)
    assert settings.rollout.history == 0
    assert settings.rollout.max_reflection_tokens == 48


@pytest.mark.parametrize("options", [TaxiConfig, FrozenLakeConfig])
def test_every_option_has_help_and_a_plain_type(options: type) -> None:
    for field in attrs.fields(options):
        assert field.metadata["help"].endswith(".")
        assert isinstance(field.default, bool | int | str | None)


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (TaxiConfig, {"task": "drop-off"}, "did you mean: dropoff"),
        (TaxiConfig, {"horizon": 0}, "at least 1"),
        (TaxiConfig, {"drawing": "papers"}, "did you mean: paper"),
        (TaxiConfig, {"drawing": "none", "facts": False}, "nothing to see"),
        (TaxiConfig, {"task": "dropoff", "boarding": "anywhere"}, "does not go with task=dropoff"),
        (TaxiConfig, {"held_out": "pears"}, "did you mean: pairs"),
        (TaxiConfig, {"boarding": "anywhere"}, "needs held_out=none"),
        (TaxiConfig, {"boarding": "nowhere"}, "must be 'passenger' or 'anywhere'"),
        (FrozenLakeConfig, {"map": "4x5"}, "did you mean: 4x4"),
        (FrozenLakeConfig, {"size": 2}, "at least 3"),
        (FrozenLakeConfig, {"maps": 2}, "at least 3"),
        (FrozenLakeConfig, {"horizon": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_told(make: type, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options"), [("taxi", {}), ("frozenlake", {}), ("frozenlake", {"map": "random"})]
)
def test_splits_do_not_depend_on_the_process(name: str, options: dict[str, Any]) -> None:
    """Neither on Python's salted hashes nor on the run's seed."""
    code = (
        "import sys; from reflect_env_taxi import plugin; "
        "from reflect_core.context import EnvironmentContext; "
        "spec = next(s for s in plugin.reflect_environments() if s.name == sys.argv[1]); "
        "env = spec.factory(spec.config(**eval(sys.argv[2])), EnvironmentContext(seed=7)); "
        "print([task for split in ('train', 'valid', 'test') for task in env.tasks(split)])"
    )
    words = [sys.executable, "-c", code, name, repr(options)]
    environment = {"PYTHONHASHSEED": "17"}
    shown = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    spec = next(spec for spec in reflect_environments() if spec.name == name)
    here = spec.factory(spec.config(**options), EnvironmentContext(seed=1))
    tasks = [task for split in ("train", "valid", "test") for task in here.tasks(split)]
    assert shown.stdout.strip() == str(tasks)


def test_the_hooks_import_nothing_heavy() -> None:
    code = (
        "import sys, reflect_env_taxi.plugin as plugin\n"
        "list(plugin.reflect_environments())\n"
        "heavy = {'torch', 'numpy', 'gymnasium', 'reflect_env_taxi.taxi'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
