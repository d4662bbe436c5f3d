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


def test_seeds_are_put_together(demo: ModuleType, tmp_path: Path) -> None:
    pairs = [
        (
            seed,
            evaluated(tmp_path / f"{seed}", random=False, warmup=False, trained=True),
            evaluated(tmp_path / f"{seed}-longer", random=False, warmup=bool(seed)),
        )
        for seed in (0, 1)
    ]
    made = report.compare(demo.merge(pairs))
    assert [row.name for row in made.rows] == ["random", "warmup", "warmup-equal", "trained"]
    assert [row.episodes for row in made.rows] == [2, 2, 2, 2]
    assert [row.success.estimate for row in made.rows] == [0.0, 0.0, 0.5, 1.0]


def test_the_longer_warm_up_gets_the_time_of_the_whole(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = evaluated(tmp_path / "run", warmup=False, trained=True)
    (run / "run.toml").write_text(
        "[teach]\nepisodes = 100\n[sft]\nreflector_updates = 10\npolicy_updates = 20\n"
    )
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(demo, "reflect", lambda *words: calls.append(words))
    demo.longer_warmup(tmp_path / "longer", run, 0, ["model=tiny"])
    teach, sft, evaluation = calls
    # 10 s + 20 s become 10 s + 20 s + 60 s
    assert teach[-3:] == ("teach.episodes=300", "sft.reflector_updates=30", "sft.policy_updates=60")
    assert "model=tiny" in teach
    assert "teach.share=1" in teach  # a warm-up alone may learn from all train tasks
    assert (sft[0], evaluation[0]) == ("sft", "eval")
    assert demo.seconds(run, ["train"]) == 60.0


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
