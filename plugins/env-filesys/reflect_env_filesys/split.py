"""Which files belong to train, valid and test, and the pool that each split draws from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from reflect_core.errors import ConfigError
from reflect_core.records import SPLITS
from reflect_core.streams import stream_seed
from reflect_env_filesys.snapshot import File, Folder

SHARES = {"train": 0.6, "valid": 0.15, "test": 0.25}
"""Of the files of every kind, as nearly as whole subtrees allow."""
LARGE = 0.1
"""A folder with a larger share of all files is divided among the splits by its children."""
DEEP = 4
"""Levels from here on are of one kind."""
TOP = 0
"""Stands among the levels for the whole folders of the root, balanced too: a split with few of
them would show the same ones in every episode."""

# The division must not depend on the run's seed, else two seeds have different test tasks.
_SALT = 2402_12621

Path = tuple[str, ...]
Kind = tuple[int, str]
"""What is balanced: a level, and the large folder of the root that a file lies in or ""."""


@attrs.frozen
class Division:
    """A corpus divided by subtree.

    Args:
        split_of: The split of each file, by path.
        divided: Folders too large for one split; every other folder is whole in one split.
    """

    split_of: Mapping[Path, str]
    divided: frozenset[Path]


def divide(root: Folder, where: str, notes: Iterable[str] = ()) -> Division:
    """Divide the files below ``root``: disjoint, by subtree, balanced by level.

    The outcome depends on the names alone: not on a seed, not on the order of reading.

    Args:
        root: What is divided.
        where: Names it in an error.
        notes: What was left out of it, told in an error.

    Raises:
        ConfigError: There are fewer than three files.
    """
    sizes = _sizes(root)
    if sizes[()] < len(SPLITS):
        raise ConfigError(
            f"{where} has too few files to explore",
            why=f"it has {sizes[()]}, and train, valid and test need at least one each",
            details=notes,
            then="root=DIRECTORY with a folder of at least 3 files",
        )
    divided = {path for path, size in sizes.items() if size > max(1, LARGE * sizes[()])} | {()}
    units = _units(root, divided)
    totals: Counter[Kind] = Counter()
    for content in units.values():
        totals.update(content)

    def concentration(path: Path) -> tuple[float, int]:
        share = max(number / totals[kind] for kind, number in units[path].items())
        return -share, stream_seed(_SALT, *path)

    # The hardest to place go first, each to the split that lacks its kinds of files most.
    loads: dict[str, Counter[Kind]] = {split: Counter() for split in SPLITS}
    split_of: dict[Path, str] = {}
    ordered = sorted(units, key=concentration)
    for place, path in enumerate(ordered):

        def lack(split: str, content: Counter[Kind] = units[path]) -> float:
            return sum(
                number * (SHARES[split] - loads[split][kind] / totals[kind])
                for kind, number in content.items()
            )

        empty = [split for split in SPLITS if not loads[split]]
        must = len(ordered) - place <= len(empty)
        chosen = max(empty if must else SPLITS, key=lack)
        loads[chosen].update(units[path])
        split_of[path] = chosen
    return Division(dict(_spread(root, split_of)), frozenset(divided))


def _sizes(root: Folder) -> dict[Path, int]:
    """Number of files below each folder."""
    sizes: Counter[Path] = Counter()
    for path, folder in reversed(list(root.walk())):
        sizes[path] += len(folder.files)
        if path:
            sizes[path[:-1]] += sizes[path]
    return dict(sizes)


def _units(root: Folder, divided: Collection[Path]) -> dict[Path, Counter[Kind]]:
    """What goes to a split as a whole, single files or whole folders, and what it consists of."""
    units: dict[Path, Counter[Kind]] = {}
    unit_of: dict[Path, Path] = {}
    for path, folder in root.walk():
        unit = unit_of.get(path[:-1]) if path else None
        if unit is None and path not in divided:
            unit = path
        if unit is not None:
            unit_of[path] = unit
        kind = (min(len(path) + 1, DEEP), path[0] if path and path[:1] in divided else "")
        for file in folder.files:
            place = unit or (*path, file.name)
            units.setdefault(place, Counter({(TOP, ""): 1} if len(unit or ()) == 1 else {}))
            units[place][kind] += 1
    return units


def _spread(root: Folder, split_of: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """The split of every file, from those of the units."""
    waiting: list[tuple[Path, Folder, str | None]] = [((), root, None)]
    while waiting:
        path, folder, split = waiting.pop()
        for file in folder.files:
            place = (*path, file.name)
            yield place, split or split_of[place]
        for child in folder.folders:
            place = (*path, child.name)
            waiting.append((place, child, split or split_of.get(place)))


@attrs.define(eq=False)
class PoolFolder:
    """A folder as one split sees it: only the files of that split.

    Args:
        path: From the root, () for the root.
        files: Files that may be asked for; distractors come from them first.
        spare: Other files of the split, to fill up.
        folders: Folders with a file of the split somewhere below.
        weight: How many tasks lie below; distractor folders are drawn in proportion to it, so
            that being shown says nothing about where the target is.
    """

    path: Path
    files: list[File] = attrs.field(factory=list)
    spare: list[File] = attrs.field(factory=list)
    folders: list[PoolFolder] = attrs.field(factory=list)
    weight: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path[-1] if self.path else ""

    def file(self, name: str) -> File | None:
        """The file of this name, None if there is none."""
        return next((file for file in (*self.files, *self.spare) if file.name == name), None)


@attrs.frozen(eq=False)
class Pool:
    """All that the shown trees of one split are made of.

    Args:
        root: The pruned tree.
        by_path: Its folders.
        by_level: Its folders below the root, by their depth (1 for those in the root).
        files: Files that may be asked for, by level (1 for those in the root).
        spare: The other files.
    """

    root: PoolFolder
    by_path: Mapping[Path, PoolFolder]
    by_level: Mapping[int, Sequence[PoolFolder]]
    files: Mapping[int, Sequence[File]]
    spare: Sequence[File]

    def has(self, path: Path) -> bool:
        """Whether a file of the split has this path."""
        folder = self.by_path.get(path[:-1]) if path else None
        return folder is not None and folder.file(path[-1]) is not None

    def count_tasks(self, targets: Sequence[Path]) -> None:
        """Set the weights of the folders from the paths of the tasks' targets."""
        for target in targets:
            for length in range(len(target)):
                self.by_path[target[:length]].weight += 1


def make_pool(
    root: Folder, belongs: Callable[[Path], bool], may_be_asked: Callable[[Path, File], bool]
) -> Pool:
    """The part of ``root`` whose files satisfy ``belongs`` (a file's path is given)."""
    by_path: dict[Path, PoolFolder] = {}
    by_level: dict[int, list[PoolFolder]] = {}
    files: dict[int, list[File]] = {}
    spare: list[File] = []
    walked = list(root.walk())
    for path, folder in walked:
        made = by_path[path] = PoolFolder(path)
        for file in folder.files:
            place = (*path, file.name)
            if belongs(place):
                (made.files if may_be_asked(place, file) else made.spare).append(file)
        files.setdefault(len(path) + 1, []).extend(made.files)
        spare.extend(made.spare)
    for path, folder in reversed(walked):
        made = by_path[path]
        made.folders = [
            by_path[*path, child.name] for child in folder.folders if (*path, child.name) in by_path
        ]
        if path and not (made.files or made.spare or made.folders):
            del by_path[path]
    for path, made in by_path.items():
        if path:
            by_level.setdefault(len(path), []).append(made)
    return Pool(by_path[()], by_path, by_level, files, spare)
