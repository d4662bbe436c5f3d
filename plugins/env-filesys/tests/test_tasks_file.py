"""Tasks in AutoExplore's published format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment
from reflect_env_filesys.tasks_file import FileTask, read_tasks_file, split_tasks

from reflect_core.errors import ConfigError


def item(number: int, folder: str = "docs") -> dict[str, Any]:
    name = f"{folder}/page {number}.md"
    return {
        "question": f"Where is thing {number}\nexplained?",
        "answer": "There.",
        "optimal_path": ["ls", f"cd {folder}", "ls", f"cat 'page {number}.md'"],
        "filename": name,
        "root": "owner/project",
        "n_level": 1,
        "model": "gpt-4",
        "trajectories": [
            {
                "info": "positive",
                "filename": name,
                "trajectory": [{"cmd": f"cd {folder}", "reflection": "It is in there."}],
            }
        ],
    }


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A task file with its repository beside it."""
    for folder in ("docs", "src", "tests"):
        place = tmp_path / "owner" / "project" / folder
        place.mkdir(parents=True)
        for number in range(12):
            (place / f"page {number}.md").write_text(f"Thing {number} is explained here.")
    file = tmp_path / "data.json"
    file.write_text(json.dumps([item(number) for number in range(12)]))
    return file


def test_the_tasks_ask_the_questions_and_are_solved(published: Path) -> None:
    environment = FilesysEnvironment(FilesysConfig(tasks=str(published), expert="oracle"))
    counts = {split: len(environment.tasks(split)) for split in ("train", "valid", "test")}
    assert counts == {"train": 7, "valid": 2, "test": 3}
    for split in counts:
        for number, task in enumerate(environment.tasks(split)):
            assert task.text.startswith("Where is thing ") and "\n" not in task.text
            assert task.level == 2
            environment.reset(task, seed=number)
            assert environment.expert_action() == "cd docs"
            environment.step("cd docs")
            assert environment.expert_reflection().startswith("Here: id page\\ ")
            assert environment.step(environment.expert_action()).success


def test_a_file_is_asked_for_in_one_split_only(published: Path) -> None:
    items = [item(number) for number in range(12)]
    items += [item(number) | {"question": f"Another about {number}?"} for number in range(12)]
    published.write_text(json.dumps(items))
    environment = FilesysEnvironment(FilesysConfig(tasks=str(published)))
    splits: dict[str, set[str]] = {}
    ids = set()
    for split in ("train", "valid", "test"):
        for task in environment.tasks(split):
            splits.setdefault("/".join(task.data["path"]), set()).add(split)
            ids.add(task.task_id)
    assert len(splits) == 12 and len(ids) == 24
    assert all(len(found) == 1 for found in splits.values())


def test_roots_may_lie_elsewhere(published: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "tasks.json"
    moved.parent.mkdir()
    moved.write_text(published.read_text())
    with pytest.raises(ConfigError, match="cannot be explored"):
        FilesysEnvironment(FilesysConfig(tasks=str(moved)))
    environment = FilesysEnvironment(FilesysConfig(tasks=str(moved), root=str(tmp_path)))
    assert len(environment.tasks("train")) == 7


def test_missing_files_are_left_out_and_said(published: Path) -> None:
    items = [item(number) for number in range(20)]
    published.write_text(json.dumps(items))
    environment = FilesysEnvironment(FilesysConfig(tasks=str(published)))
    assert sum(len(environment.tasks(split)) for split in ("train", "valid", "test")) == 12
    assert environment.notes == ("left out, tasks whose file is missing or left out: 8",)


def test_questions_without_text_are_passed_over(published: Path) -> None:
    published.write_text(json.dumps([item(0) | {"question": " "}, item(1)]))
    assert [task.path for task in read_tasks_file(str(published))] == [("docs", "page\\ 1.md")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        ("{}", "it holds a dict, not a list of tasks"),
        ("[1]", "task 0: it is a int, not an object"),
        ('[{"question": "?", "root": "r"}]', "task 0: filename is missing"),
        ('[{"question": 1, "filename": "f", "root": "r"}]', "task 0: question is a int"),
        ('[{"question": "?", "filename": "../f", "root": "r"}]', "is not a path below the root"),
        ('[{"question": "?", "filename": [], "root": "r"}]', "filename is a list"),
        (
            '[{"question": "?", "filename": "f", "root": "r", "n_level": "2"}]',
            "task 0: n_level is a str",
        ),
    ],
)
def test_another_format_is_told(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        FilesysEnvironment(FilesysConfig(tasks=str(file)))
    assert why in str(caught.value)


def test_too_few_tasks_or_no_file_is_told(tmp_path: Path, published: Path) -> None:
    published.write_text(json.dumps([item(1), item(2)]))
    with pytest.raises(ConfigError, match="too few tasks"):
        FilesysEnvironment(FilesysConfig(tasks=str(published)))
    with pytest.raises(ConfigError, match="cannot be read"):
        FilesysEnvironment(FilesysConfig(tasks=str(tmp_path / "none.json")))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["owner/project", "owner/project/", "./owner//project", "owner"]),
            st.integers(0, 11),
        ),
        min_size=40,
        max_size=60,
    )
)
def test_a_file_is_one_file_whatever_of_its_path_stands_in_the_root(asked) -> None:
    tasks = []
    for root, number in [*asked, *(("owner/project", n) for n in range(12))]:
        path = ("docs", f"page {number}.md")
        tasks.append(FileTask("Where?", path if root != "owner" else ("project", *path), root))
    divided = split_tasks(tasks)
    files = {split: {task.path[-1] for task in some} for split, some in divided.items()}
    assert sum(map(len, files.values())) == 12 == len(set().union(*files.values()))


def test_other_ways_to_write_a_root_do_not_change_how_files_are_divided() -> None:
    plain = [FileTask("Where?", (f"page {n}.md",), "owner/project") for n in range(30)]
    twice = [*plain, *(attrs.evolve(task, root="owner/project/") for task in plain)]
    for split, tasks in split_tasks(twice).items():
        assert {task.path for task in tasks} == {task.path for task in split_tasks(plain)[split]}


def test_half_of_a_surrogate_pair_in_a_question_can_be_printed(published: Path) -> None:
    made = [{**item(number), "question": f"Which \ud83d {number}?"} for number in range(12)]
    published.write_text(json.dumps(made))
    for task in read_tasks_file(str(published)):
        assert task.question.encode()


def test_a_root_that_is_no_text_is_written_as_text(published: Path) -> None:
    root = os.fsdecode(b"r\xff")
    (published.parent / "owner").rename(published.parent / root)
    made = [{**item(number), "root": f"{root}/project"} for number in range(12)]
    published.write_text(json.dumps(made))
    environment = FilesysEnvironment(FilesysConfig(tasks=str(published), expert="oracle"))
    assert environment.summary().encode()
    for task in environment.tasks("test"):
        assert task.task_id.encode()
        assert environment.reset(task, seed=0).text.encode()
