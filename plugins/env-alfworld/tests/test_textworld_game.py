"""Games of TextWorld that are not ALFWorld's, given as a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alfworld", reason="TextWorld comes with alfworld")

from reflect_env_alfworld.export import game_json, write_game
from reflect_env_alfworld.generate import generate_games
from reflect_env_alfworld.textworld_game import TextWorldEngine

from reflect_core.errors import NoAdvice, ReflectError


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small game, compiled by TextWorld."""
    path = tmp_path_factory.mktemp("game") / "box.z8"
    maker = Path(sys.executable).with_name("tw-make")
    size = ["--world-size", "1", "--nb-objects", "3", "--quest-length", "1", "--seed", "3"]
    done = subprocess.run(
        [maker, "custom", *size, "--output", path], capture_output=True, text=True, check=False
    )
    if not path.exists():
        pytest.skip(f"TextWorld cannot compile games here: {done.stderr.strip()[-200:]}")
    return path


def play(environment: Any) -> tuple[Any, list[str]]:
    (task,) = environment.tasks("test")
    environment.reset(task, seed=0)
    said = []
    while True:
        step = environment.step(environment.expert_action())
        said.append(step.observation.text)
        if step.over:
            return step, said


def test_a_compiled_game_is_played_twice(make: Callable[..., Any], compiled: Path) -> None:
    environment = make(game=str(compiled))
    (task,) = environment.tasks("test")
    assert task.task_id == "textworld:test:box.z8"
    assert "unlock the box" in task.text
    first = environment.reset(task, seed=0)
    assert first.state_key is None and "unlock box with keycard" in first.legal_actions
    (one, said), (other, again) = play(environment), play(environment)
    assert one.success and other.success and said == again
    assert one.info["source"] == "textworld"
    assert not any("-=" in text for text in said)
    environment.close()
    environment.close()


def test_an_expert_whose_plan_is_lost_gives_up_and_does_not_end_the_run(
    make: Callable[..., Any], compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(engine: TextWorldEngine, command: str) -> Any:
        shown = step(engine, command)
        engine.plan = ()  # as after a quest's apple was eaten: nothing wins from here
        return shown

    step = TextWorldEngine.step
    monkeypatch.setattr(TextWorldEngine, "step", spoilt)
    environment = make(game=str(compiled))
    first = environment.reset(environment.tasks("train")[0], seed=0)
    wrong = next(each for each in first.legal_actions if each != environment.expert_action())
    environment.step(wrong)
    for ask in (environment.expert_action, environment.expert_reflection):
        with pytest.raises(NoAdvice):
            ask()
    assert "gave up 1 games" in environment.notes[-1]
    environment.close()


def test_a_game_that_never_tells_how_to_win_has_no_expert(
    make: Callable[..., Any], compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(engine: TextWorldEngine) -> Any:
        shown = reset(engine)
        engine.plan = ()
        return shown

    reset = TextWorldEngine.reset
    monkeypatch.setattr(TextWorldEngine, "reset", silent)
    environment = make(game=str(compiled))
    environment.reset(environment.tasks("train")[0], seed=0)
    with pytest.raises(ReflectError, match="has no expert") as caught:
        environment.expert_action()
    assert not isinstance(caught.value, NoAdvice)
    environment.close()


def test_a_compiled_game_answers_what_is_not_on_the_menu(
    make: Callable[..., Any], compiled: Path
) -> None:
    environment = make(game=str(compiled))
    first = environment.reset(environment.tasks("train")[0], seed=0)
    step = environment.step("open the sky")
    assert step.reward == pytest.approx(-0.05)
    assert step.observation.legal_actions == first.legal_actions


def test_a_game_without_commands_is_told(
    make: Callable[..., Any], compiled: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.z8"
    alone.write_bytes(compiled.read_bytes())
    environment = make(game=str(alone))
    with pytest.raises(ReflectError, match="does not tell what can be done"):
        environment.reset(environment.tasks("train")[0], seed=0)


def test_what_is_no_game_is_told(make: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ReflectError, match="there is no game"):
        make(game=str(tmp_path / "none.z8")).tasks("train")
    for name in ("text.z8", "text.tw-pddl", "text.txt"):
        (tmp_path / name).write_text("not a game")
        environment = make(game=str(tmp_path / name))
        with pytest.raises(ReflectError):
            environment.reset(environment.tasks("train")[0], seed=0)


def test_a_pddl_game_is_played_and_planned(make: Callable[..., Any], tmp_path: Path) -> None:
    (game,) = generate_games("train", 1, receptacles=5, objects=3)
    path = tmp_path / "game.tw-pddl"
    path.write_text(game_json(game))
    environment = make(game=str(path), expert="planner")
    assert environment.tasks("valid")[0].text == game.text
    step, _ = play(environment)
    assert step.success
    searching = make(game=str(path))
    searching.reset(searching.tasks("test")[0], seed=0)
    with pytest.raises(ReflectError, match="expert=planner"):
        searching.expert_action()


def test_a_game_that_does_not_tell_its_task_has_one_all_the_same(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "quiet.z8"
    path.write_bytes(b"x")
    for beside in (None, "nonsense", json.dumps([1]), json.dumps({"objective": ""})):
        if beside is not None:
            path.with_suffix(".json").write_text(beside)
        assert make(game=str(path)).tasks("train")[0].text == "Win the game"


@pytest.mark.parametrize(
    "change",
    [
        {"pddl_domain": "(define (domain x))"},
        {"pddl_problem": ""},
        {"pddl_problem": "(define (problem"},
        {"pddl_problem": 5},
        {"grammar": "{"},
    ],
)
def test_a_game_that_cannot_be_read_is_told_and_ends_no_program(
    make: Callable[..., Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    (game,) = generate_games("train", 1, receptacles=5, objects=3)
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps({**json.loads(game_json(game)), **change}))
    environment = make(game=str(path))
    with pytest.raises(ReflectError):
        environment.reset(environment.tasks("train")[0], seed=0)


@pytest.mark.parametrize("damage", [{"pddl_problem": "(define"}, {"pddl_domain": None}])
def test_of_many_games_one_that_cannot_be_read_is_its_episode_s_failure(
    make: Callable[..., Any], tmp_path: Path, damage: dict[str, str | None]
) -> None:
    for game in generate_games("train", 2, receptacles=5, objects=3):
        write_game(game, tmp_path)
    path = next(tmp_path.rglob("game.tw-pddl"))
    written = {**json.loads(path.read_text()), **damage}
    path.write_text(json.dumps({key: text for key, text in written.items() if text is not None}))
    environment = make(source="folder", data=str(tmp_path))
    failed = 0
    for task in environment.tasks("train"):
        try:
            environment.reset(task, seed=0)
        except Exception as error:  # noqa: BLE001, of any kind
            assert not isinstance(error, ReflectError)  # which would end the run
            failed += 1
    assert failed == 1
