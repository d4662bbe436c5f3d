"""Tasks in AutoExplore's published format: a JSON list of questions about repositories."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs

from reflect_core.errors import ConfigError
from reflect_core.files import whole
from reflect_core.records import SPLITS
from reflect_core.streams import stream_seed
from reflect_env_filesys.names import shown_name
from reflect_env_filesys.split import SHARES

_SALT = 2402_12621


@attrs.frozen
class FileTask:
    """One item of the file.

    Args:
        question: The task's text.
        path: Of the target below the root, as shown.
        root: Folder of the repository, as written in the file.
    """

    question: str
    path: tuple[str, ...]
    root: str


def read_tasks_file(place: str) -> list[FileTask]:
    """Read and check the file; items without a question are passed over, as in the original.

    Used are ``question``, ``filename`` (a path below ``root``, or a list whose first item is)
    and ``root``. ``n_level`` and ``optimal_path`` follow from the file name and are only
    checked for their types; ``trajectories`` and other fields are ignored.

    Raises:
        ConfigError: The file cannot be read or an item has not this form.
    """
    try:
        items = json.loads(whole(place).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise ConfigError(
            f"the task file '{shown_name(place)}' cannot be read",
            why=str(error) or type(error).__name__,
            then="tasks=FILE.json with a list of tasks in AutoExplore's format",
        ) from error
    if not isinstance(items, list):
        raise _wrong(place, None, f"it holds a {type(items).__name__}, not a list of tasks")
    return [task for place_, item in enumerate(items) if (task := _task(place, place_, item))]


def _task(place: str, number: int, item: Any) -> FileTask | None:
    if not isinstance(item, dict):
        raise _wrong(place, number, f"it is a {type(item).__name__}, not an object")
    filename = item.get("filename")
    if isinstance(filename, list) and filename:
        filename = filename[0]
    question, root = item.get("question"), item.get("root")
    for name, value in (("question", question), ("filename", filename), ("root", root)):
        if not isinstance(value, str):
            told = "is missing" if value is None else f"is a {type(value).__name__}, not a string"
            raise _wrong(place, number, f"{name} {told}")
    for name, kinds in (("n_level", int), ("optimal_path", (list, str)), ("trajectories", list)):
        if name in item and not isinstance(item[name], kinds):
            raise _wrong(place, number, f"{name} is a {type(item[name]).__name__}")
    if not str(question).strip():
        return None
    parts = [part for part in str(filename).replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise _wrong(place, number, f"filename {filename!r} is not a path below the root")
    told = " ".join(str(question).split())
    told = told.encode("utf-8", "replace").decode()  # half of a pair that JSON may hold
    return FileTask(told, tuple(map(shown_name, parts)), str(root))


def _wrong(place: str, number: int | None, why: str) -> ConfigError:
    what = f"the task file '{shown_name(place)}' is not in AutoExplore's format"
    return ConfigError(
        what,
        why=why if number is None else f"task {number}: {why}",
        then="a list of objects with question, filename and root",
    )


def root_folder(tasks_file: str, base: str | None, root: str) -> str:
    """Where a task's repository lies: below ``base``, or else beside the task file."""
    return str((Path(base) if base else Path(tasks_file).parent) / root)


def split_tasks(tasks: list[FileTask]) -> dict[str, list[FileTask]]:
    """Divide tasks by a hash of their files, so that a file is asked for in one split only.

    A file is the same whatever of its path stands in the root.

    Raises:
        ConfigError: The tasks ask for fewer than three files.
    """
    # how it is written, of several ways the first in order
    written: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        name, place = _target(task), (os.path.normpath(task.root), *task.path)
        written[name] = min(place, written.get(name, place))
    targets = sorted(written, key=lambda name: stream_seed(_SALT, *written[name]))
    if len(targets) < len(SPLITS):
        raise ConfigError(
            "the task file has too few tasks",
            why=f"it asks for {len(targets)} files; train, valid and test need one each",
        )
    valid = max(1, round(SHARES["valid"] * len(targets)))
    test = max(1, round(SHARES["test"] * len(targets)))
    split_of = {
        target: "valid" if rank < valid else "test" if rank < valid + test else "train"
        for rank, target in enumerate(targets)
    }
    divided: dict[str, list[FileTask]] = {split: [] for split in SPLITS}
    for task in tasks:
        divided[split_of[_target(task)]].append(task)
    return divided


def _target(task: FileTask) -> str:
    """A file's path, its root's included."""
    return os.path.normpath(Path(task.root, *task.path))
