"""The examples in docstrings run."""

import doctest
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT / "reflect_core", *sorted(ROOT.glob("plugins/*/reflect_*"))]


def shows_examples(path: Path) -> bool:
    """Whether there is any that is not marked as one to skip."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(">>> " in line and "+SKIP" not in line for line in lines)


MODULES = [
    ".".join(path.relative_to(package.parent).with_suffix("").parts)
    for package in PACKAGES
    for path in sorted(package.rglob("*.py"))
    if shows_examples(path)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    if name.startswith("reflect_env_alfworld."):
        if importlib.util.find_spec("alfworld") is None:
            pytest.skip("ALFWorld's engine is not installed")
        # importing it makes folders and sets variables, which this hinders
        importlib.import_module("reflect_env_alfworld.library").load()
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
