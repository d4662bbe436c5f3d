"""What the plugin offers and what its options refuse."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import pytest
from reflect_env_filesys.config import FilesysConfig, level_weights
from reflect_env_filesys.plugin import reflect_environments, reflect_policies

from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError


def test_it_offers_the_environment_and_its_baselines() -> None:
    (spec,) = reflect_environments()
    assert spec.name == "filesys"
    assert spec.stages == ("near", "part", "full")
    assert set(spec.baselines) == {policy.name for policy in reflect_policies()}
    environment = spec.factory(spec.config(corpus="synthetic"), EnvironmentContext(seed=1))
    assert len(environment.tasks("test")) > 0


def test_every_option_has_help_and_a_plain_type() -> None:
    for field in attrs.fields(FilesysConfig):
        assert field.metadata["help"].endswith(".")
        assert isinstance(field.default, bool | int | str | None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"corpus": "stdlip"}, "did you mean: stdlib"),
        ({"kind": "seek"}, "known: describe, find"),
        ({"expert": "oracel"}, "did you mean: oracle"),
        ({"entries": 1}, "at least 2"),
        ({"entries": 50}, "at most 49"),
        ({"horizon": 0}, "at least 2"),
        ({"folders": 8}, "folders=7 or horizon=16"),
        ({"levels": "one two"}, "not a list of weights"),
        ({"levels": ""}, "not a list of weights"),
        ({"levels": "0 0"}, "not a list of weights"),
        ({"levels": "nan 1"}, "not a list of weights"),
        ({"levels": "inf"}, "not a list of weights"),
        ({"levels": "-1 2"}, "not a list of weights"),
        ({"tasks": "x.json", "kind": "describe"}, "does not go with"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FilesysConfig(**options)
    assert told in str(caught.value)


def test_weights_may_be_written_with_commas() -> None:
    assert level_weights("1, 3") == (0.25, 0.75)


def test_the_hooks_import_nothing_heavy() -> None:
    code = (
        "import sys, reflect_env_filesys.plugin as plugin\n"
        "list(plugin.reflect_environments()), list(plugin.reflect_policies())\n"
        "heavy = {'torch', 'numpy', 'reflect_env_filesys.environment'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
