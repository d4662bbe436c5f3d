"""A whole run on an environment of Gymnasium's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy

from reflect_core import Hint
from reflect_core.gym import from_gymnasium
from reflect_core.progress import QuietProgress
from reflect_core.run import execute


def expert(cell: int, env: object) -> Hint:
    action = "down" if cell == 1 else "right"
    return Hint(action, f"The goal is near. {action}")


def lake(**how: Any) -> Any:
    """Two cells by two, with a hole."""
    return from_gymnasium(
        "FrozenLake-v1",
        describe=lambda cell, env: f"You stand on cell {cell}.",
        actions=("left", "down", "right", "up"),
        horizon=3,
        options={"desc": ["SF", "HG"], "is_slippery": False},
        **how,
    )


@pytest.mark.parametrize(
    ("given", "teach", "examples"), [({"expert": expert}, 4, True), ({}, 0, False)]
)
def test_it_plays_in_a_run(
    given: dict[str, Any],
    teach: int,
    examples: bool,
    model_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    made = toy.settings(
        model_folder("gpt2"),
        teach={"episodes": teach},
        train={"iterations": 1, "episodes": 4},
        eval={"episodes": 4},
    )
    registry = toy.lamps_registry(make=lambda: lake(**given))
    folder = tmp_path / "run"
    execute(folder, made, ["teach", "sft", "train", "eval"], registry, QuietProgress())
    assert any(path.stat().st_size for path in (folder / "data").glob("*.jsonl")) == examples
    rows = json.loads((folder / "evaluation.json").read_text("utf-8"))["rows"]
    assert {len(row["episodes"]) for row in rows} == {4}
    tasks = {episode["task_id"] for row in rows for episode in row["episodes"]}
    assert tasks <= {f"FrozenLake-v1:{seed}" for seed in range(2_000_000, 2_000_200)}
