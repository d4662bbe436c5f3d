"""Which files are asked for, and in which words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reflect_core.records import Task
from reflect_core.streams import stream_seed
from reflect_env_filesys.names import printable
from reflect_env_filesys.split import Path

DESCRIBE = "Which file is this? "
"""What stands before the description in the text of a task."""

FEW = 50
"""A split of so few files asks for them all, whatever their levels."""

_SALT = 2402_12621


def own_names(split_of: Mapping[Path, str]) -> frozenset[Path]:
    """Files that may be asked for by name.

    Those whose name occurs once in the corpus: nobody can tell which ``__init__.py`` is meant.
    All files where most names repeat, as in a folder of pages called ``index.html``, or a split
    would have none; the shown tree then has one file of the name.
    """
    seen = Counter(path[-1] for path in split_of)
    single = frozenset(path for path in split_of if seen[path[-1]] == 1)
    splits = {split_of[path] for path in single}
    enough = 2 * len(single) >= len(split_of) and splits == set(split_of.values())
    return single if enough else frozenset(split_of)


def choose_targets(
    paths: Iterable[Path], *, weights: Sequence[float], most: int, deepest: int
) -> list[Path]:
    """Choose at most ``most`` targets whose levels are distributed by ``weights``.

    A level that has too few passes what it lacks on to the levels from 2 on that have more, so
    that a task is rarely solved by what the first turn shows; level 1 exceeds its share only
    where nothing lies deeper or where there are few files at all. Within a level the folders
    of the root take turns, so that no large folder owns most tasks.

    Args:
        paths: The files that may be asked for.
        weights: Of levels 1, 2, ...; the last one is of all deeper levels together.
        deepest: Deeper targets are left out: the tree that is shown cannot hold them.
    """
    levels: dict[int, list[Path]] = {level: [] for level in range(1, len(weights) + 1)}
    for path in paths:
        if len(path) <= deepest:
            levels[min(len(path), len(weights))].append(path)
    number = _numbers({level: len(found) for level, found in levels.items()}, weights, most)
    return sorted(
        path for level, found in levels.items() for path in _in_turns(found)[: number.get(level, 0)]
    )


def _numbers(available: Mapping[int, int], weights: Sequence[float], most: int) -> dict[int, int]:
    """How many of each level: by weight, what one lacks goes to the deeper ones."""
    usable = {level: count if weights[level - 1] else 0 for level, count in available.items()}
    if not any(usable.values()):
        usable = dict(available)
    if sum(usable.values()) <= min(FEW, most):
        return usable
    number = dict.fromkeys(usable, 0)
    shallow = min(usable[1], round(weights[0] * most))
    left = most - shallow
    while left and (wanting := [n for n in usable if n > 1 and number[n] < usable[n]]):
        total = sum(weights[level - 1] for level in wanting) or 1
        more = {
            level: min(int(left * weights[level - 1] / total), usable[level] - number[level])
            for level in wanting
        }
        if not any(more.values()):  # less than one for each: the deepest gets it
            more = {wanting[-1]: 1}
        for level, count in more.items():
            number[level] += count
        left -= sum(more.values())
    deeper = sum(number.values())
    if not deeper:
        return {1: min(usable[1], most)}
    share = weights[0] / (1 - weights[0]) * deeper if weights[0] < 1 else most
    return number | {1: min(shallow, max(1, round(share)))}


def _in_turns(paths: Sequence[Path]) -> list[Path]:
    """A fixed order in which the folders of the root alternate."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda path: stream_seed(_SALT, "task", *path)):
        groups.setdefault(path[0] if len(path) > 1 else "", []).append(path)
    ranked = [
        (rank, place, path)
        for place, group in enumerate(groups.values())
        for rank, path in enumerate(group)
    ]
    return [path for _, _, path in sorted(ranked)]


def find_task(path: Path, split: str) -> Task:
    """The task of identifying the file at ``path`` by its name."""
    return make_task(path, split, f"Find {path[-1]}", prefix="find")


def make_task(
    path: Path, split: str, text: str, *, prefix: str, root: str = "", practice: bool = False
) -> Task:
    """A task about the file at ``path``; ``level`` is its depth, 1 in the root."""
    place = "/".join(path)
    return Task(
        task_id=f"{prefix}:{printable(root)}/{place}" if root else f"{prefix}:{place}",
        split=split,
        text=text,
        level=len(path),
        practice=practice,
        data={"path": list(path), "root": root},
    )
