from __future__ import annotations

import importlib.util
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


@pytest.mark.parametrize(("won", "within"), [(0, True), (1, True), (6, False)])
def test_an_untuned_model_above_chance_is_told(won: int, within: bool) -> None:
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
