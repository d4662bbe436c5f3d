from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from small_runs import SMALL

from reflect_core import config, plugins, report
from reflect_core.errors import ReflectError
from reflect_core.records import Choice, Draws, Observation, Task, Trajectory, Transition

ROOT = Path(__file__).parents[1]


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("chance", "won", "where"),
    [(0, 0, "within"), (0, 1, "within"), (0, 6, "above"), (50, 45, "within"), (50, 20, "below")],
)
@pytest.mark.parametrize("tasks", [100, 4])
def test_an_untuned_model_above_or_below_chance_is_told(
    chance: int, won: int, where: str, tasks: int
) -> None:
    def played(name: str, count: int) -> dict[str, Any]:
        return {
            "name": name, "title": name, "decoding": "sampled",
            "episodes": [
                {"task_id": f"t{i * tasks // 100}", "level": 1, "success": i < count,
                 "return": 0.0, "turns": 1}
                for i in range(100)
            ],
        }  # fmt: skip

    evaluation = {
        "environment": {"name": "filesys", "version": 1},
        "split": "test",
        "rows": [played("random", chance), played("untuned", won)],
    }
    answer, lines = benchmark("untuned").verdict(report.compare(evaluation))
    assert answer is (where == "within")
    assert len(lines) == 1 and f" lies {where} random's [" in lines[0]


def test_a_model_from_a_configuration_is_timed_in_every_part() -> None:
    small = ["--layers", "1", "--width", "64", "env.corpus=synthetic"]
    done = subprocess.run(
        [sys.executable, "gpu.py", *small, "rollout.max_reflection_tokens=1"],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [(row[0], row[1]) for row in rows] == [
        ("| reflections", "32"), ("| choices", "32"), ("| reflections", "128"),
        ("| choices", "128"), ("| update", "4"), ("| update", "16"),
    ]  # fmt: skip
    assert all(float(row[2].replace(",", "")) > 0 for row in rows)
    assert "bfloat16; LoRA of rank 16" in done.stdout


def test_what_is_named_is_looked_up_by_both_policies_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = [*SMALL, "env.corpus=synthetic", "teach.episodes=20", "env.invented_lessons=50"]
    subprocess.run(
        [sys.executable, "-m", "reflect_core", "run", "--env", "filesys", "--out", run, *words],
        check=True,
        capture_output=True,
    )
    module = benchmark("filesys_lookup")
    monkeypatch.setattr(module, "EXPLORERS", 12)
    monkeypatch.setattr(module, "OTHERS", 24)
    module.look_up(run)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0].removeprefix(f"{run}, ") for line in lines] == [
        f"{expert}'s way, {policy}"
        for expert in ("explorer", "impatient")
        for policy in ("warmup", "policy")
    ]
    for line in lines:
        told = dict(re.findall(r"([a-z, ]+) ([\d.]+) \(\d+\)", line.split(": ")[1]))
        kinds = {kind.removeprefix(", ") for kind in told}
        assert {"file", "folder"} <= kinds
        assert ("two ways, back" in kinds) is ("impatient" in line)
        assert all(0 <= float(value) <= 1 for value in told.values())
    assert re.search(r"\bfile [\d.]+ \(12\)", lines[0])  # the explorer ends each way so


def test_a_run_that_has_no_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["teach.episodes=0", "train.iterations=0", "eval.episodes=1", "policy=random"]
    subprocess.run(
        [sys.executable, "-m", "reflect_core", "run", "--env", "taxi", "--out", run, *words,
         "reflector=none"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    main = benchmark("filesys_lookup").main
    for named, told in ((run, "name a run of filesys"), (tmp_path / "none", "no folder")):
        monkeypatch.setattr(sys, "argv", ["filesys_lookup.py", str(named)])
        assert main() == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["filesys_lookup.py"])
    assert main() == 2
    assert "RUN" in capsys.readouterr().err


@pytest.mark.parametrize("environment", sorted(plugins.load().offers("environment")))
def test_an_untuned_model_is_asked_in_both_ways_whatever_is_the_default(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, asked = benchmark("untuned"), []

    def call(command: list[str]) -> int:
        asked.extend(word for word in command if "=" in word)
        return 2

    monkeypatch.setattr(module.subprocess, "call", call)
    monkeypatch.setattr(sys, "argv", ["untuned.py", "--env", environment, "eval.episodes=7"])
    assert module.main() == 2
    made = config.resolve(plugins.load(), flags={"env": environment}, overrides=asked).eval
    assert (made.decoding, made.episodes) == ("both", 7)


def untaught(tmp_path: Path, env: str) -> Path:
    run = tmp_path / env
    words = ["teach.episodes=0", "train.iterations=0", "eval.episodes=30", "reflector=none"]
    subprocess.run(
        [sys.executable, "-m", "reflect_core", "run", "--env", env, "--out", run, *words],
        check=True,
        capture_output=True,
    )
    return run


def test_what_an_untaught_model_prefers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = benchmark("untuned_habits")
    monkeypatch.setattr(module, "ROUNDS", 1)
    run = untaught(tmp_path, "frozenlake")
    rows = {row.decoding: row for row in report.load(run).rows if row.name == "untuned"}
    module.tell(run)
    told = capsys.readouterr().out
    # the same episodes as in the report, played again
    for decoding, row in rows.items():
        (line,) = re.findall(f"untuned, {decoding}: (.+)", told)
        assert line.startswith(f"{row.success.estimate:.1%} [")
        assert line.endswith(f" {row.mean_turns:.2f} turns each")
    for shares in re.findall(r"actions taken: (.+)", told):
        assert sum(map(float, shares.split())) == pytest.approx(1, abs=0.003)
        assert len(shares.split()) == 4
    assert len(re.findall(r"(?:without a look|evenly): [\d.]+% .* of 30, ", told)) == 3


def test_habits_are_drawn_as_often_as_they_were_seen() -> None:
    module = benchmark("untuned_habits")

    def turn(index: int, *menu: str) -> Transition:
        return Transition(Observation("at a door", menu or ("a", "b", "c")), "", Choice(index), 0.0)

    def played(*turns: Transition) -> Trajectory:
        task = Task("t", "find the door", "test")
        return Trajectory(0, task, None, turns, terminated=True, truncated=False, success=False)

    seen = [played(turn(0), turn(2)), played(turn(2), turn(0))]
    assert module.frequencies(seen) == [0.5, 0.0, 0.5]
    with pytest.raises(ReflectError, match="2 different sets"):
        module.frequencies([played(turn(0), turn(0, "a", "b"))])

    draws = [Draws(0, ("turn", number)) for number in range(400)]
    choices = module.HabitPolicy([0.75, 0.0, 0.25]).act([], [], draws, greedy=True)
    taken = [choice.index for choice in choices]
    assert 260 < taken.count(0) < 340
    assert taken.count(0) + taken.count(2) == 400


def test_actions_that_change_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = untaught(tmp_path, "filesys")
    module = benchmark("untuned_habits")
    for words, told in (
        ([run], "different sets"),
        ([tmp_path / "none"], "no folder"),
        ([], "RUN"),
    ):
        monkeypatch.setattr(sys, "argv", ["untuned_habits.py", *map(str, words)])
        assert module.main() == 2
        assert told in capsys.readouterr().err


def test_of_the_tasks_only_those_are_counted_that_no_run_had_played(tmp_path: Path) -> None:
    def rows(won: dict[str, dict[str, bool]]) -> dict[str, Any]:
        return {
            "rows": [
                {
                    "name": name,
                    "decoding": "-" if name == "random" else "sampled",
                    "episodes": [{"task_id": task, "success": each} for task, each in by.items()],
                }
                for name, by in won.items()
            ]
        }

    seen = {name: {"a": True} for name in ("random", "warmup", "trained")}
    for seed in (0, 3):
        for arm in ("reflect-rl", "warmup-equal"):
            folder = tmp_path / f"seed-{seed}" / arm
            folder.mkdir(parents=True)
            (folder / "evaluation.json").write_text(json.dumps(rows(seen)))
            lost = {"a": True, "b": False, "c": False}
            won = {"random": lost, "warmup": {**lost, "b": True}, "trained": {**lost, "c": True}}
            (folder / "evaluation-unseen.json").write_text(json.dumps(rows(won)))
    module = benchmark("filesys_unseen")
    found = module.players(tmp_path, [0, 3])
    names = ["reflect-rl random", "reflect-rl warmup", "reflect-rl trained", "warmup-equal warmup"]
    assert [row.name for row in found] == names
    assert {frozenset(row.won) for row in found} == {
        frozenset({(0, "b"), (0, "c"), (3, "b"), (3, "c")})
    }
    lines = module.table(found)
    assert "| reflect-rl random | - | 4 | 0.0%" in lines[2]
    assert "| reflect-rl trained | sampled | 4 | 50.0%" in lines[4]
    assert lines[4].endswith("|  |") and "| +50.0 " in lines[2] and "| +0.0 " in lines[3]
