"""The benchmark counts what was played and holds environments to their floors."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from reflect_env_taxi.config import TaxiConfig
from reflect_env_taxi.lake import FrozenLakeEnvironment
from reflect_env_taxi.taxi import TaxiEnvironment


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "environment_speed.py"
    spec = importlib.util.spec_from_file_location("environment_speed", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks its classes' module up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["taxi", "frozenlake"])
def test_the_bare_engine_goes_through_the_same_states(
    benchmark: ModuleType, taxi: TaxiEnvironment, lake: FrozenLakeEnvironment, name: str
) -> None:
    environment: Any = {"taxi": taxi, "frozenlake": lake}[name]
    scripts, seconds = benchmark.record(environment, episodes=20)
    assert len(scripts) == len(seconds) == min(20, len(environment.tasks("test")))
    bare = benchmark.BARE[name](environment)
    for script in scripts:
        bare.reset(script)
        environment.reset(script.task, seed=script.seed)
        for action, code in zip(script.actions, bare.codes(script), strict=True):
            assert bare.engine.s == environment._engine.s
            bare.step(code)
            success = environment.step(action).success
        assert success
        assert bare.engine.s == environment._engine.s


def test_where_the_expert_gives_up_the_rest_is_random(benchmark: ModuleType) -> None:
    hurried = TaxiEnvironment(TaxiConfig(expert="compass", horizon=3))
    scripts, _ = benchmark.record(hurried, episodes=40)
    assert all(script.actions for script in scripts)
    assert len({script.actions[0] for script in scripts}) > 2


def test_whole_episodes_are_played_and_counted(
    benchmark: ModuleType, taxi: TaxiEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts, _ = benchmark.record(taxi, episodes=4)
    lengths = [len(script.actions) for script in scripts]
    endless = itertools.cycle(scripts)
    player = benchmark.Whole(taxi)
    one = benchmark.replay(player, endless, seconds=0)
    assert (one.episodes, one.turns) == (1, lengths[0])
    next_one = benchmark.replay(player, endless, seconds=0)
    assert (next_one.episodes, next_one.turns) == (1, lengths[1])
    clock = itertools.count(step=0.25)
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    # a reset and every step take a quarter of a second
    enough = (2 + lengths[2] + lengths[3]) / 4
    more = benchmark.replay(player, endless, seconds=enough)
    assert (more.episodes, more.turns) == (2, lengths[2] + lengths[3])
    assert (more.reset_seconds, more.step_seconds) == (0.5, enough - 0.5)


def test_medians_and_factors_by_hand(benchmark: ModuleType) -> None:
    def speed(bare: bool, *seconds: float) -> Any:
        rounds = [benchmark.Round(2, 10, 2 * each, 10 * each) for each in seconds]
        return benchmark.Speed("alfworld", bare, [0.5, 3.0, 1.0], rounds)

    whole, slow, fast = speed(False, 1e-3, 9.0, 2e-3), speed(True, 0.03), speed(True, 0.01)
    assert whole.step == whole.reset == pytest.approx(2e-3)
    assert whole.rate == pytest.approx(10 / 24e-3)
    assert (whole.first_reset, whole.length) == (1.0, 5.0)
    assert slow.row(whole).endswith("| reset 15.0, step 15.0 |")
    assert benchmark.misses(whole, slow, floors={}) == []
    assert benchmark.misses(whole, fast, floors={"alfworld": 1000.0}) == [
        "alfworld is below its floor of 1,000 turns/s",
        "reset of alfworld is 5.0 times as fast as its engine's, not 10 times",
        "step of alfworld is 5.0 times as fast as its engine's, not 10 times",
    ]


@pytest.mark.parametrize(("floor", "code"), [("0", 0), ("1e12", 1)])
def test_a_floor_decides_the_exit_code_and_all_is_written(
    benchmark: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    floor: str,
    code: int,
) -> None:
    monkeypatch.setattr(benchmark, "HERE", tmp_path)
    words = ["--env", "taxi", "--seconds", "0.01", "--episodes", "3", "--floor", f"taxi={floor}"]
    assert benchmark.main(words) == code
    assert not list(tmp_path.iterdir())
    told = capsys.readouterr().out
    assert "| taxi | " in told and "| engine of taxi | " in told
    assert ("taxi is below its floor" in told) is bool(code)
    benchmark.main([*words, "--write"])
    result = json.loads((tmp_path / "environment_speed.json").read_text())
    assert [speed["bare_engine"] for speed in result["speeds"]] == [False, True]
    assert all(len(speed["rounds"]) == benchmark.ROUNDS for speed in result["speeds"])
    assert bool(result["misses"]) is bool(code)
    text = (tmp_path / "environment_speed.md").read_text()
    assert all(line in text for line in benchmark.HEAD) and "| engine of taxi | " in text


def test_an_unknown_environment_is_told(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["--env", "tax"]) == 2
    assert "did you mean: taxi" in capsys.readouterr().err
