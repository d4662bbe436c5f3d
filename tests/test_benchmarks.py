from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reflect_core import report

ROOT = Path(__file__).parents[1]


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return benchmark("demo")


def evaluated(folder: Path, **won: bool) -> Path:
    """A run folder in which each of these players played one episode."""
    folder.mkdir()
    rows = [
        {
            "name": name,
            "title": name,
            "decoding": "sampled",
            "episodes": [
                {"task_id": "t", "level": 1, "success": success, "return": 0.0, "turns": 1}
            ],
        }
        for name, success in won.items()
    ]
    evaluation: dict[str, Any] = {"environment": {"name": "filesys", "version": 1}}
    evaluation |= {"split": "test", "rows": rows}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    timings = [
        {"stage": "teach", "seconds": 10.0},
        {"stage": "sft policy", "seconds": 19.0},
        {"stage": "sft", "seconds": 20.0},
        {"stage": "train", "iteration": 1, "collect_seconds": 1.0},
        {"stage": "train", "seconds": 60.0},
    ]
    (folder / "timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timings))
    return folder


@pytest.mark.parametrize(("won", "within"), [(0, True), (1, True), (6, False)])
def test_an_untuned_model_above_chance_is_told(tmp_path: Path, won: int, within: bool) -> None:
    def played(name: str, count: int) -> dict[str, Any]:
        return {
            "name": name, "title": name, "decoding": "sampled",
            "episodes": [
                {"task_id": f"t{i}", "level": 1, "success": i < count, "return": 0.0, "turns": 1}
                for i in range(100)
            ],
        }  # fmt: skip

    evaluation = {
        "environment": {"name": "filesys", "version": 1},
        "split": "test",
        "rows": [played("random", 0), played("untuned", won)],
    }
    answer, lines = benchmark("untuned").verdict(report.compare(evaluation))
    assert answer is within
    assert len(lines) == 1
