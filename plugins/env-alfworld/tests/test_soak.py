"""The soak finds what fails and what grows; scaled down, it finds neither in real games."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("alfworld", reason="alfworld plays the games")

from reflect_env_alfworld.export import write_game
from reflect_env_alfworld.games import DATA, MARK
from reflect_env_alfworld.generate import generate_games

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "alfworld"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    path = ROOT / "benchmarks" / "alfworld_soak.py"
    spec = importlib.util.spec_from_file_location("alfworld_soak", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks its classes' module up there
    spec.loader.exec_module(module)
    return module


def words(folder: Path, work: Path, **options: object) -> list[str]:
    """A small soak's command line."""
    chosen = {"games": 3, "episodes": 8, "mark": 4, "horizon": 4, "environments": 2, **options}
    pairs = ([f"--{name}", str(value)] for name, value in chosen.items())
    return [str(folder), "--work", str(work), *(word for pair in pairs for word in pair)]


def played(soak: ModuleType, samples: list[tuple[int, float, int]], **more: Any) -> Any:
    """A soak of which only this is known: episodes, memory and files at each sample."""
    taken = [soak.Sample(episodes, memory, files, 2) for episodes, memory, files in samples]
    facts = {"turns": 0, "menu": 0.0, "won": 0, "restarts": 0, "failures": (), "left": 0, "mark": 4}
    return soak.Played(samples=taken, **{**facts, **more})


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"there are no real games in {SHARED.name}")
def test_real_games_are_played_and_nothing_grows(
    soak: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "HERE", tmp_path)
    before, work = tempfile.gettempdir(), tmp_path / "work"
    given = words(SHARED, work, split="valid_seen", workers=2)
    assert soak.main([*given, "--write"]) == 0
    result = json.loads((tmp_path / "alfworld_soak.json").read_text())
    assert result["misses"] == []
    menus = result["begun"]["games_by_legal_actions"]
    assert sum(menus.values()) == result["begun"]["games"] == 3
    assert min(map(int, menus)) >= 5
    samples = result["played"]["samples"]
    assert samples[-1]["episodes"] == 8
    assert {sample["files"] for sample in samples} == {2}, "a folder of each worker, and empty"
    # a random player hardly wins within four turns, but it may
    assert 8 <= result["played"]["turns"] <= 32
    assert result["played"]["restarts"] == 0
    assert soak.ALL_WELL in (tmp_path / "alfworld_soak.md").read_text()
    assert tempfile.gettempdir() == before
    assert {path.name for path in work.iterdir()} == {DATA, "cache"}, "and its games are kept"


def test_a_game_that_cannot_be_played_is_told_and_the_others_are_played(
    soak: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "games"
    games = [
        write_game(game, source)
        for game in generate_games(
            "train", 3, receptacles=5, objects=3, families=["pick_and_place_simple"]
        )
    ]
    # as real ones, which lie in the same way
    (source / DATA / MARK).unlink()
    for number, game in enumerate(games):
        content = {**json.loads(game.read_text()), "synthetic": False}
        if number == 0:
            content["pddl_problem"] = "(define"
        game.write_text(json.dumps(content))
    assert soak.main(words(source, tmp_path / "work", workers=1)) == 1
    told = capsys.readouterr().out
    assert "2 of 3 games can be played" in told
    assert told.count(f"\nreal:train/{games[0].parent.parent.name}") == 1
    assert "| episodes | 8 |" in told
    assert soak.ALL_WELL not in told


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([(4, 100.0, 3), (9, 109.0, 3)], []),
        (
            [(4, 100.0, 3), *[(number, 150.0, 3) for number in range(5, 10)]],
            ["memory after episode 9 is 1.50 times that after episode 4, not 1.1"],
        ),
        (
            [(5, 100.0, 3), *[(number, 100.0, 3) for number in range(6, 12)], (12, 100.0, 5)],
            ["there are 2 more temporary files than at the mark"],
        ),
    ],
)
def test_what_grows_after_the_mark_is_told(
    soak: ModuleType, samples: list[tuple[int, float, int]], told: list[str]
) -> None:
    assert soak.misses(soak.Begun([5], []), played(soak, samples)) == told


def test_one_large_sample_is_not_growth_but_five_are(soak: ModuleType) -> None:
    level = [(number, 100.0, 1) for number in range(1, 20)]
    assert played(soak, [*level, (20, 900.0, 1)]).memory_ratio == 1
    risen = [*level, *[(number, 900.0, 1) for number in range(20, 25)]]
    assert played(soak, risen).memory_ratio == 9


def test_failures_and_what_is_left_are_told(soak: ModuleType) -> None:
    result = played(soak, [(4, 1.0, 0), (5, 1.0, 0)], failures=["episode 3"], left=2)
    assert soak.misses(soak.Begun([5], ["a game"]), result) == [
        "a game",
        "episode 3",
        "2 processes or files are left at the end",
    ]


def test_memory_counts_what_a_process_below_has_to_itself(soak: ModuleType) -> None:
    before = soak.tree_memory()
    code = "filled = bytes([1]) * 2**26; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert soak.tree_memory() > before + 60
        process.stdin.write(b"\n")


def test_a_part_of_the_games_is_spread_over_all(soak: ModuleType) -> None:
    assert soak.spread(range(10), 4) == [0, 2, 5, 7]
    assert soak.spread(range(3), 9) == soak.spread(range(3), None) == [0, 1, 2]


@pytest.mark.parametrize("compact", [True, False])
def test_a_folder_without_games_is_an_error(
    soak: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], compact: bool
) -> None:
    if compact:
        (tmp_path / "compact").mkdir()
        (tmp_path / "compact" / "train.jsonl.xz").touch()
    assert soak.main(words(tmp_path, tmp_path / "work", split="valid")) == 2
    told = capsys.readouterr().err
    assert ("it has: train" if compact else "has no games") in told


def test_a_mark_without_an_episode_after_it_is_an_error(
    soak: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        soak.main(words(tmp_path, tmp_path, episodes=4, mark=4))
    assert "no episode is left after the mark" in capsys.readouterr().err
