"""Games in a folder: which are found, which are left out, and what is said when there are none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alfworld", reason="alfworld plays the games")

from reflect_env_alfworld.export import write_game
from reflect_env_alfworld.games import FAMILIES
from reflect_env_alfworld.generate import generate_games
from reflect_env_alfworld.goals import treatment_of
from reflect_env_alfworld.text import asked_in

from reflect_core.errors import ConfigError, ReflectError
from reflect_core.records import Task

TOMATO = "pick_and_place_simple-Tomato-None-Microwave"


@pytest.fixture(scope="module")
def rows(compact: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One real game of each family."""
    found = {row["task_type"]: row for row in compact("valid_seen")}
    return [found[family] for family in FAMILIES]


@pytest.fixture(scope="module")
def data(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    write_real: Callable[..., Path],
) -> Path:
    """A folder in the official layout with six train games and one valid game."""
    folder = tmp_path_factory.mktemp("data")
    for row in rows:
        write_real(row, folder, "train")
    write_real(rows[0], folder, "valid_seen")
    return folder


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Generated games as files."""
    for split in ("train", "valid", "test"):
        for game in generate_games(split, 2, receptacles=6, objects=4):
            write_game(game, tmp_path)
    return tmp_path


def finish(environment: Any, task: Task) -> Any:
    environment.reset(task, seed=0)
    while True:
        step = environment.step(environment.expert_action())
        if step.over:
            return step


def test_real_games_are_read_and_won(
    make: Callable[..., Any], data: Path, rows: list[dict[str, Any]]
) -> None:
    environment = make(
        source="real", data=str(data), valid="train", test="valid_seen", train_tasks=None
    )
    tasks = environment.tasks("train")
    assert {task.task_id for task in tasks} == {f"real:train/{row['id']}" for row in rows}
    assert {task.text for task in tasks} == {row["task"] for row in rows}
    for task in tasks:
        assert task.data["source"] == "real"
        row = next(row for row in rows if task.task_id.endswith(row["id"]))
        assert task.data["family"] == row["task_type"]
        assert task.data["object"] == row["pddl_params"]["object_target"]
    for task in (tasks[0], environment.tasks("test")[0]):
        step = finish(environment, task)
        assert step.success
        assert step.info["source"] == "real"


@pytest.mark.parametrize("other", ["train", "valid"])
def test_no_test_game_is_learnt_from_or_chosen_by(
    make: Callable[..., Any], data: Path, other: str
) -> None:
    folders = {"train": "a", "valid": "b", "test": "c d", other: "x d"}
    with pytest.raises(ConfigError, match="names a folder that train or valid has: d"):
        make(source="real", data=str(data), **folders)


def test_the_variable_tells_where_the_games_are(
    make: Callable[..., Any], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALFWORLD_DATA", str(data))
    named = make(source="real", data=str(data / "json_2.1.1")).tasks("train")
    assert make(source="real").tasks("train") == named
    assert make().tasks("train")[0].data["source"] == "generated", "never by accident"


def test_without_games_it_says_how_to_get_them(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(ReflectError) as caught:
        make(source="real").tasks("train")
    assert "alfworld-download" in str(caught.value) and "source=generated" in str(caught.value)
    with pytest.raises(ReflectError, match="there is no folder"):
        make(source="real", data=str(tmp_path / "none")).tasks("train")


def test_a_missing_split_is_told_with_what_there_is(make: Callable[..., Any], data: Path) -> None:
    with pytest.raises(ReflectError) as caught:
        make(source="real", data=str(data)).tasks("test")
    assert "it has: train, valid_seen" in str(caught.value)
    assert "test=FOLDER" in str(caught.value)


@pytest.mark.parametrize("split", ["train", "valid_seen", "valid_train"])
def test_a_real_task_says_in_its_words_what_is_asked_of_its_object(
    compact: Callable[[str], list[dict[str, Any]]], split: str
) -> None:
    for row in compact(split):
        treatment = treatment_of(row["task_type"])
        assert asked_in(row["task"]) == (treatment and treatment.trait), row["task"]


def test_the_papers_tasks_can_be_chosen(
    make: Callable[..., Any],
    compact: Callable[[str], list[dict[str, Any]]],
    write_real: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Four test games: one in valid_seen and three in valid_train."""
    for split in ("valid_seen", "valid_train"):
        for row in compact(split):
            if row["task_type"] == FAMILIES[0] and "Tomato" in row["id"]:
                write_real(row, tmp_path, split)
    environment = make(
        source="real",
        data=str(tmp_path),
        filter=TOMATO,
        valid="train",
        test="valid_seen valid_train",
        test_tasks=None,
    )
    tasks = environment.tasks("test")
    assert [task.task_id.split("/")[0] for task in tasks] == [
        "real:valid_seen",
        *["real:valid_train"] * 3,
    ]
    with pytest.raises(ReflectError, match="no valid games of this kind"):
        make(source="real", data=str(tmp_path), filter=f"{TOMATO}s").tasks("valid")


def test_games_that_alfworld_leaves_out_are_left_out_and_counted(
    make: Callable[..., Any],
    rows: list[dict[str, Any]],
    write_real: Callable[..., Path],
    tmp_path: Path,
) -> None:
    good, other, *_ = rows
    write_real(good, tmp_path, "train")
    write_real(other, tmp_path, "train", solvable=False)
    sliced = {**good, "id": "pick_and_place_simple-AppleSliced-None-Fridge-1/trial_1"}
    write_real(sliced, tmp_path, "train")
    write_real({**good, "id": "somewhere_else/trial_1"}, tmp_path, "train")
    broken = {**good, "id": "pick_and_place_simple-Apple-None-Fridge-2/trial_1"}
    write_real(broken, tmp_path, "train").write_bytes(b"{")
    environment = make(source="real", data=str(tmp_path))
    assert [task.task_id for task in environment.tasks("train")] == [f"real:train/{good['id']}"]
    notes = environment.notes
    assert len(notes) == 4 and all(note.startswith("1 games left out: ") for note in notes)


def test_where_the_folder_lies_leaves_no_game_out(
    make: Callable[..., Any],
    rows: list[dict[str, Any]],
    write_real: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "movable disk" / "Sliced"
    write_real(rows[0], folder, "train")
    environment = make(source="real", data=str(folder))
    assert len(environment.tasks("train")) == 1
    assert environment.notes == ()


def test_generated_games_never_pass_for_real_ones(make: Callable[..., Any], exported: Path) -> None:
    with pytest.raises(ReflectError, match="were generated"):
        make(source="real", data=str(exported)).tasks("train")
    part = exported / "part"  # of which the mark was not copied
    shutil.copytree(exported / "json_2.1.1" / "train", part / "train")
    with pytest.raises(ReflectError, match="were generated"):
        make(source="real", data=str(part)).tasks("train")
    shutil.rmtree(part)
    environment = make(source="folder", data=str(exported))
    for split in ("train", "valid", "test"):
        tasks = environment.tasks(split)
        assert len(tasks) == 2
        assert all(task.task_id.startswith("folder:") for task in tasks)
        assert finish(environment, tasks[0]).success


def test_what_is_in_the_files_makes_the_hash(make: Callable[..., Any], exported: Path) -> None:
    def hash_() -> str:
        tasks = make(source="folder", data=str(exported)).tasks("train")
        return str(tasks[0].data["games"])

    before = hash_()
    assert hash_() == before
    game = next(exported.rglob("train/**/game.tw-pddl"))
    game.write_text(game.read_text() + " ")
    assert hash_() != before


@pytest.mark.parametrize("place", ["../outside", "train/../../outside", "train/none/trial"])
def test_a_task_names_no_file_outside_the_folder(
    make: Callable[..., Any], exported: Path, place: str
) -> None:
    (exported / "outside").mkdir()
    (exported / "outside" / "game.tw-pddl").write_text("{}")
    environment = make(source="folder", data=str(exported))
    for source in ("folder", "real"):
        task = Task(f"{source}:{place}", "train", "x", data={"family": FAMILIES[0]})
        with pytest.raises(ReflectError, match="there is no game"):
            environment.reset(task, seed=0)


def test_a_task_is_found_in_the_folders_of_its_split_alone(
    make: Callable[..., Any], data: Path, rows: list[dict[str, Any]]
) -> None:
    environment = make(source="real", data=str(data), valid="train", test="valid_seen")
    place = rows[0]["id"]
    inside = data / "json_2.1.1" / "train" / place
    assert (inside / "game.tw-pddl").is_file()
    environment.reset(Task(f"real:train/{place}", "train", "x"), seed=0)
    for task_id, split in (
        (f"real:{inside}", "train"),
        (f"real:valid_seen/{place}", "train"),
        (f"real:train/{place}", "test"),
        (f"real:train/../train/{place}", "train"),
        (f"real:train/{place}", "nowhere"),
    ):
        with pytest.raises(ReflectError):
            environment.reset(Task(task_id, split, "x"), seed=0)


def test_fewer_games_than_there_are_are_of_all_families(
    make: Callable[..., Any], exported: Path
) -> None:
    for game in generate_games("train", 120, receptacles=6, objects=4):
        write_game(game, exported)
    options = {"source": "folder", "data": str(exported), "test": "test", "valid": "valid"}
    whole = make(**options, train_tasks=None).tasks("train")
    some = make(**options, train_tasks=60).tasks("train")
    ids = [task.task_id for task in whole]
    assert [each for each in ids if each in {task.task_id for task in some}] == [
        task.task_id for task in some
    ]
    assert len(some) == 60
    assert {task.data["family"] for task in some} == set(FAMILIES)
