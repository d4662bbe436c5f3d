"""What the tests share; all of them are skipped where the engine cannot be built."""

from __future__ import annotations

import functools
import importlib.util
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflect_env_alfworld.config import AlfworldConfig

if importlib.util.find_spec("alfworld"):
    # before any test imports the package, which makes folders and sets a variable
    from reflect_env_alfworld import library

    library.load()

COMPACT = Path(__file__).resolve().parents[4] / "shared" / "alfworld" / "compact"
SMALL: dict[str, Any] = {
    "receptacles": 7,
    "objects": 4,
    "train_tasks": 12,
    "valid_tasks": 6,
    "test_tasks": 6,
}
"""Games that are quickly made and played."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for translations that the tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make(cache: Path) -> Iterator[Callable[..., Any]]:
    """``make(option=value)`` gives an environment of small generated games."""
    from reflect_env_alfworld.environment import AlfworldEnvironment

    made: list[AlfworldEnvironment] = []

    def build(**options: Any) -> AlfworldEnvironment:
        made.append(
            AlfworldEnvironment(AlfworldConfig(**{**SMALL, "cache": str(cache), **options}))
        )
        return made[-1]

    yield build
    for environment in made:
        environment.close()


@pytest.fixture(scope="session")
def small(make: Callable[..., Any]) -> Any:
    """An environment of small generated games; every test resets it first."""
    return make()


@pytest.fixture(scope="session")
def compact() -> Callable[[str], list[dict[str, Any]]]:
    """``compact(split)``: real games as rows; the test is skipped where they are not at hand."""
    return functools.cache(_rows)


@pytest.fixture(scope="session")
def write_real() -> Callable[..., Path]:
    """``write_real(row, folder, split)`` writes a real game as ALFWorld lays it out."""
    return _write_real


def _rows(split: str) -> list[dict[str, Any]]:
    path = COMPACT / f"{split}.jsonl.xz"
    if not path.exists():
        pytest.skip("no real games lie in ../shared/alfworld")
    with lzma.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def _write_real(row: dict[str, Any], folder: Path, split: str, **changes: Any) -> Path:
    from reflect_env_alfworld.pddl import domain, grammar

    place = folder / "json_2.1.1" / split / row["id"]
    place.mkdir(parents=True)
    content = {
        "pddl_domain": domain(),
        "grammar": grammar(row["task"]),
        "pddl_problem": row["pddl_problem"],
        "solvable": True,
        **changes,
    }
    path = place / "game.tw-pddl"
    path.write_text(json.dumps(content))
    return path
