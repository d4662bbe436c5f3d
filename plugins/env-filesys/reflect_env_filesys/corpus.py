"""From the options to tasks and the pools their trees are drawn from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Set

import attrs

from reflect_core.errors import ConfigError
from reflect_core.files import whole
from reflect_core.records import SPLITS, Task
from reflect_env_filesys import describe
from reflect_env_filesys.config import FilesysConfig, level_weights
from reflect_env_filesys.names import printable, shown_name
from reflect_env_filesys.snapshot import HEAD_BYTES, Folder, Snapshot, read_folder
from reflect_env_filesys.split import Path, Pool, divide, make_pool
from reflect_env_filesys.stdlib import MODULES, not_library, stdlib_folder
from reflect_env_filesys.synthetic import invented_library, synthetic_snapshot, words_of
from reflect_env_filesys.tasks import DESCRIBE, choose_targets, find_task, make_task, own_names
from reflect_env_filesys.tasks_file import (
    FileTask,
    read_tasks_file,
    root_folder,
    split_tasks,
)

INVENTED, LESSONS = "invented", "lessons"
"""Roots of train tasks whose names are made up: for RL alone, and for the teacher too."""


@attrs.frozen(eq=False)
class Corpus:
    """All that is fixed before the first episode; never changes.

    Args:
        name: What is explored, for people.
        tasks: Of each split.
        pools: What shown trees are made of, by (split, root); root is "" without a task file.
        divided: Folders divided among the splits by their children.
        notes: What was left out, one line each.
    """

    name: str
    tasks: Mapping[str, tuple[Task, ...]]
    pools: Mapping[tuple[str, str], Pool]
    divided: frozenset[Path] = frozenset()
    notes: tuple[str, ...] = ()


# Environments that live side by side share one snapshot: reading costs a tenth of a second
# and they must agree. Once the last is gone the snapshot goes too and the next one reads anew.
_alive: weakref.WeakValueDictionary[tuple[FilesysConfig, int], Corpus] = (
    weakref.WeakValueDictionary()
)


def load_corpus(config: FilesysConfig, seed: int) -> Corpus:
    """The corpus of these options, read or generated unless a living environment has it.

    Args:
        config: The options.
        seed: Used by the synthetic corpus alone.

    Raises:
        ConfigError: The folder or the task file cannot be used.
    """
    key = (config, seed)
    corpus = _alive.get(key)
    if corpus is None:
        corpus = _alive[key] = _from_file(config) if config.tasks else _from_tree(config, seed)
    return corpus


def _read(
    config: FilesysConfig,
    root: str,
    skip: Callable[[str], bool] = lambda name: False,
    pattern: str = "*",
) -> Snapshot:
    return read_folder(
        str(whole(root)),
        max_files=config.max_files,
        longest_name=config.longest_name,
        deepest=config.folders,
        hidden=config.hidden,
        pattern=config.pattern or pattern,
        head_bytes=describe.HEAD_BYTES if config.kind == "describe" else HEAD_BYTES,
        skip=skip,
    )


def _snapshot(config: FilesysConfig, seed: int) -> tuple[str, Snapshot]:
    if config.root is not None:
        return f"the folder '{shown_name(config.root)}'", _read(config, config.root)
    if config.corpus == "synthetic":
        return "the synthetic corpus", synthetic_snapshot(seed)
    return "the standard library", _read(config, stdlib_folder(), not_library, MODULES)


def _from_tree(config: FilesysConfig, seed: int) -> Corpus:
    name, snapshot = _snapshot(config, seed)
    division = divide(snapshot.root, name, snapshot.notes)
    paths = sorted(division.split_of)
    sentences: dict[Path, str] = {}
    if config.kind == "describe":
        sentences = _sentences(snapshot.root)
        askable = frozenset(sentences)
    else:
        askable = own_names(division.split_of)
    tasks: dict[str, tuple[Task, ...]] = {}
    pools: dict[tuple[str, str], Pool] = {}
    for split in SPLITS:
        targets = choose_targets(
            (path for path in paths if division.split_of[path] == split and path in askable),
            weights=level_weights(config.levels),
            most=config.most_tasks(split),
            deepest=config.folders + 1,
        )
        if not targets:
            raise _no_target(config, name, split)
        tasks[split] = tuple(
            make_task(path, split, DESCRIBE + sentences[path], prefix="describe")
            if config.kind == "describe"
            else find_task(path, split)
            for path in targets
        )

        def belongs(path: Path, split: str = split) -> bool:
            return division.split_of[path] == split

        pool = make_pool(snapshot.root, belongs, lambda path, _: path in askable)
        pool.count_tasks(targets)
        pools[split, ""] = pool
    # made-up names are those of modules: they go with no other choice of files
    library = config.corpus == "stdlib" and config.root is None and config.pattern is None
    made_up = config.invented or config.invented_lessons
    if library and config.kind == "find" and made_up:
        _add_invented(config, tasks, pools, {path[-1] for path in paths})
    return Corpus(name, tasks, pools, division.divided, snapshot.notes)


def _add_invented(
    config: FilesysConfig,
    tasks: dict[str, tuple[Task, ...]],
    pools: dict[tuple[str, str], Pool],
    taken: Set[str],
) -> None:
    """Train tasks on made-up names, beside the real ones: for RL to practise on, and for lessons.

    A library has a thousand names or so, few enough to be learnt by heart: a reflector that was
    taught them makes fewer mistakes on them than on the names of valid and test. On names that
    it never saw it makes more, and RL learns what to do about them. Lessons on made-up names,
    which are others, show deeper trees than train has of its own, and files that are told apart
    by a part of their names. What is named as in ``taken``, the real ones, is left out.
    """
    words = words_of(sorted(task.data["path"][-1] for task in tasks["train"]))
    for number, (root, most) in enumerate(
        ((INVENTED, config.invented), (LESSONS, config.invented_lessons))
    ):
        folder = invented_library(words, number).root
        files = {(*path, file.name) for path, place in folder.walk() for file in place.files}
        new = {path for path in files if path[-1] not in taken}
        taken = taken | {path[-1] for path in new}
        if not most:
            continue
        targets = choose_targets(
            sorted(new),
            weights=level_weights(config.levels),
            most=most,
            deepest=config.folders + 1,
        )
        pool = make_pool(folder, new.__contains__, lambda path, name: True)
        pool.count_tasks(targets)
        pools["train", root] = pool
        made = (
            make_task(
                path,
                "train",
                f"Find {path[-1]}",
                prefix="find",
                root=root,
                practice=root == INVENTED,
            )
            for path in targets
        )
        tasks["train"] = (*tasks["train"], *made)


def _sentences(root: Folder) -> dict[Path, str]:
    """The description of each module that has one of its own."""
    found: dict[str, list[Path]] = {}
    for path, folder in root.walk():
        for file in folder.files:
            if sentence := describe.description(file):
                found.setdefault(sentence, []).append((*path, file.name))
    return {paths[0]: sentence for sentence, paths in found.items() if len(paths) == 1}


def _no_target(config: FilesysConfig, name: str, split: str) -> ConfigError:
    if config.kind == "describe":
        why = "too few of its files are Python modules with a docstring"
        then: str | None = "kind=find"
    else:
        why = f"the files of its {split} split lie more than {config.folders} folders deep"
        then = f"folders={config.folders + 2} horizon={2 * config.folders + 5}"
    return ConfigError(f"{name} gives no {split} task", why=why, then=then)


def _from_file(config: FilesysConfig) -> Corpus:
    assert config.tasks is not None
    items = read_tasks_file(config.tasks)
    divided = split_tasks(items)
    snapshots: dict[str, Snapshot] = {
        root: _read(config, root_folder(config.tasks, config.root, root))
        for root in sorted({item.root for item in items})
    }
    files = {
        root: {(*path, file.name) for path, folder in snapshot.root.walk() for file in folder.files}
        for root, snapshot in snapshots.items()
    }
    tasks: dict[str, tuple[Task, ...]] = {}
    pools: dict[tuple[str, str], Pool] = {}
    missing = 0
    for split, wanted in divided.items():
        made: list[Task] = []
        for number, item in enumerate(wanted):
            if item.path not in files[item.root]:
                missing += 1
            elif len(made) < config.most_tasks(split):
                made.append(_file_task(item, split, number))
        if not made:
            raise ConfigError(
                f"the task file '{shown_name(config.tasks)}' gives no {split} task",
                why=f"{missing} of its files are not below their roots, or were left out",
                then="root=DIRECTORY with the folder that the tasks' roots are relative to",
            )
        tasks[split] = tuple(made)
        for root in {item.root for item in wanted}:
            pool = make_pool(snapshots[root].root, lambda _: True, lambda _path, _file: True)
            pool.count_tasks([tuple(t.data["path"]) for t in made if t.data["root"] == root])
            pools[split, root] = pool
    notes = [
        f"{printable(root)}: {note}" for root, snap in snapshots.items() for note in snap.notes
    ]
    if missing:
        notes.append(f"left out, tasks whose file is missing or left out: {missing}")
    return Corpus(f"the tasks of '{shown_name(config.tasks)}'", tasks, pools, notes=tuple(notes))


def _file_task(item: FileTask, split: str, number: int) -> Task:
    task = make_task(item.path, split, item.question, prefix="ask", root=item.root)
    # several questions may be about one file
    return attrs.evolve(task, task_id=f"{task.task_id}#{number}")
