"""The command line answers at once: it imports nothing heavy before there is work to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "rich")


@pytest.fixture(scope="session")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which each heavy package is a module that cannot be imported."""
    folder = tmp_path_factory.mktemp("poisoned")
    for name in HEAVY:
        (folder / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')\n")
    return folder


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["run", "--help"], ["plugins"], ["plugins", "lm"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(poisoned: Path, words: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{poisoned}{os.pathsep}{ROOT}"}
    answer = subprocess.run(
        [sys.executable, "-m", "reflect_core", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "was imported" not in answer.stdout + answer.stderr


def test_the_poison_works(poisoned: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(poisoned)}
    command = [sys.executable, "-c", "import torch"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "torch was imported" in answer.stderr


def test_importing_the_plugin_api_is_light(poisoned: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{poisoned}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", "import reflect_core"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
