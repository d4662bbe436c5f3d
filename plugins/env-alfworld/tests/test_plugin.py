"""What the plugin offers and what its options refuse; none of it needs the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from reflect_env_alfworld.config import AlfworldConfig
from reflect_env_alfworld.plugin import reflect_environments

from reflect_core.errors import ConfigError


def run(code: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("module", ["export", "environment", "generate", "stock", "memory"])
def test_importing_a_module_leaves_no_folder_and_no_variable(module: str, tmp_path: Path) -> None:
    pytest.importorskip("alfworld", reason="alfworld plays the games")
    code = f"import os, reflect_env_alfworld.{module}; assert 'ALFWORLD_DATA' not in os.environ"
    kept = {name: value for name, value in os.environ.items() if name != "ALFWORLD_DATA"}
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, env={**kept, "HOME": str(tmp_path)}
    )
    assert not list(tmp_path.iterdir())


def test_it_offers_the_environment() -> None:
    (spec,) = reflect_environments()
    assert (spec.name, spec.stages, spec.config) == ("alfworld", ("full",), AlfworldConfig)


def test_every_option_has_help_and_a_plain_type() -> None:
    for field in attrs.fields(AlfworldConfig):
        assert field.metadata["help"].endswith(".")
        assert isinstance(field.default, bool | int | float | str | None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": "reel"}, "reel"),
        ({"expert": "oracle"}, "oracle"),
        ({"horizon": 0}, "horizon"),
        ({"receptacles": 3}, "receptacles"),
        ({"objects": 2}, "objects"),
        ({"most_actions": 2}, "most_actions"),
        ({"train_tasks": 0}, "train_tasks"),
        ({"planner_seconds": 0.0}, "planner_seconds"),
        ({"source": "folder"}, "data=DIRECTORY"),
        ({"source": "real", "valid": "train", "test": "train/"}, "that train or valid has: train"),
        ({"source": "real", "test": "./train"}, "test=./train is no name"),
        ({"source": "real", "test": "."}, "test=. is no name"),
        ({"source": "real", "test": "../json_2.1.1/train"}, "is no name of a folder"),
        ({"source": "real", "valid": "train/pick_two"}, "valid=train/pick_two is no name"),
        ({"game": "a.z8", "filter": "pick"}, "does not go with"),
        ({"expert": "handcoded", "looking": False}, "looking=true"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AlfworldConfig(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ({}, 30),
        ({"source": "real"}, 50),
        ({"source": "folder", "data": "games"}, 50),
        ({"game": "a.z8"}, 50),
        ({"source": "real", "horizon": 7}, 7),
        ({"horizon": 7}, 7),
    ],
)
def test_the_horizon_goes_with_the_games_where_none_is_chosen(
    options: dict[str, Any], turns: int
) -> None:
    assert AlfworldConfig(**options).turns == turns


def test_translations_go_to_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert AlfworldConfig().cache_folder() == Path("/somewhere/reflect/alfworld")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert AlfworldConfig().cache_folder() == Path("~/.cache/reflect/alfworld").expanduser()
    assert AlfworldConfig(cache="/x").cache_folder() == Path("/x")
    assert AlfworldConfig(cache=None).cache_folder() is None


def test_the_hooks_import_nothing_heavy() -> None:
    run(
        "import sys, reflect_env_alfworld.plugin as plugin\n"
        "list(plugin.reflect_environments())\n"
        "heavy = {'torch', 'numpy', 'alfworld', 'textworld', 'fast_downward'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_without_the_engine_it_says_how_to_get_it() -> None:
    run(
        "import sys; sys.modules['alfworld'] = None\n"
        "from reflect_core.context import EnvironmentContext\n"
        "from reflect_core.errors import ReflectError\n"
        "from reflect_env_alfworld.config import AlfworldConfig\n"
        "from reflect_env_alfworld.plugin import make_environment\n"
        "try: make_environment(AlfworldConfig(), EnvironmentContext())\n"
        "except ReflectError as error: assert 'pip install' in str(error), error\n"
        "else: raise AssertionError('no error')"
    )


@pytest.mark.parametrize("told", [None, "/nowhere/at/all"])
def test_importing_the_engine_leaves_no_folder_and_no_variable(
    tmp_path: Path, told: str | None
) -> None:
    pytest.importorskip("alfworld", reason="alfworld is what is imported")
    set_ = "" if told is None else f"os.environ['ALFWORLD_DATA'] = {told!r}"
    run(
        "import os; os.environ.pop('ALFWORLD_DATA', None)\n"
        f"{set_}\n"
        "from reflect_env_alfworld import library\n"
        "library.load()\n"
        f"assert os.environ.get('ALFWORLD_DATA') == {told!r}",
        HOME=str(tmp_path),
    )
    assert not (tmp_path / ".cache" / "alfworld").exists()
