"""The tree that one episode shows: the target's path among sampled distractors."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.random import Generator

from reflect_env_filesys.snapshot import File
from reflect_env_filesys.split import Path, Pool, PoolFolder

MOST_SIBLINGS = 3
"""Most folders in a shown folder."""


@attrs.define(eq=False)
class ShownFolder:
    """A folder of the shown tree.

    Args:
        index: Its place in :attr:`ShownTree.folders`.
        name: As shown.
        path: As shown, ``/`` for the root.
        parent: Index of the folder above, -1 for the root.
        children: The folders in it by name, in sorted order, with their indices.
        files: The files in it by name, in sorted order.
    """

    index: int
    name: str
    path: str
    parent: int
    children: dict[str, int] = attrs.field(factory=dict)
    files: dict[str, File] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class ShownTree:
    """What an episode can show.

    Args:
        folders: The root first, parents before children.
        target_folder: Index of the folder with the target.
        target: Name of the target; no other file of the tree has it.
    """

    folders: tuple[ShownFolder, ...]
    target_folder: int
    target: str

    def way(self, start: int, goal: int) -> list[str]:
        """The ``cd`` commands on the shortest way between two folders."""
        above = set(self._up(start))
        down: list[str] = []
        place = goal
        while place not in above:
            down.append(f"cd {self.folders[place].name}")
            place = self.folders[place].parent
        ups = self._up(start).index(place)
        return ["cd .."] * ups + down[::-1]

    def depth_of(self, place: int) -> int:
        """Folders above this one; 0 for the root."""
        return len(self._up(place)) - 1

    def on_the_way(self, depth: int) -> int:
        """Index of the folder of this depth on the way from the root to the target's folder."""
        return self._up(self.target_folder)[::-1][depth]

    def _up(self, place: int) -> list[int]:
        way = [place]
        while place:
            place = self.folders[place].parent
            way.append(place)
        return way


def draw_shape(rng: Generator, level: int, most: int) -> tuple[list[int], int]:
    """Draw which folder lies in which, and which of them holds a target of this level.

    As far as their number allows, every folder on the way has two or three folders in it, and
    so have their neighbours: that a folder has folders does not tell that the target is below.
    The target's folder is drawn last, among all of its depth.

    Args:
        rng: Everything random comes from here.
        level: Depth of the target, 1 in the root.
        most: Most folders below the root; at least ``level - 1``.

    Returns:
        The parent of each folder (-1 for the root, which is the first), parents first, and the
        index of the target's folder.
    """
    number = most if level > 2 else int(rng.integers(max(1, most - 2), most + 1))
    parents, depths, children = [-1], [0], [0]

    def add(parent: int) -> None:
        parents.append(parent)
        depths.append(depths[parent] + 1)
        children.append(0)
        children[parent] += 1

    for _ in range(level - 1):
        add(len(parents) - 1)
    # a sibling for each folder on the way, the upper ones first
    for parent in range(level - 1):
        if len(parents) <= number:
            add(parent)
    # then pairs below folders that have none, the upper ones first, or a third beside two
    while len(parents) <= number:
        pair = number - len(parents) >= 1
        limit = 1 if pair else MOST_SIBLINGS
        free = [i for i, count in enumerate(children) if count < limit and (pair or count)]
        free = free or [i for i, count in enumerate(children) if count < MOST_SIBLINGS]
        highest = min(depths[i] for i in free)
        free = [i for i in free if depths[i] == highest]
        parent = free[int(rng.integers(len(free)))]
        for _ in range(2 if pair and not children[parent] else 1):
            add(parent)
    places = [i for i, depth in enumerate(depths) if depth == level - 1]
    return parents, places[int(rng.integers(len(places)))]


def draw_tree(rng: Generator, pool: Pool, target: Path, *, entries: int, folders: int) -> ShownTree:
    """Draw the tree for one episode from the pool of its split.

    The folders on the way are the real ones. The others are real neighbours where there are
    some, else folders from elsewhere in the pool; their files are their own, filled up from
    elsewhere in the pool (the same depth first) to ``entries`` per folder, or fewer where the
    pool has no more. No two files of the tree have one name.

    Args:
        rng: Everything random comes from here.
        pool: Of the split that the target belongs to.
        target: Path of the target in the corpus.
        entries: Files and folders per folder.
        folders: Most folders below the root.
    """
    parents, goal = draw_shape(rng, len(target), folders)
    chosen = _choose_folders(rng, pool, target, parents, goal)
    shown: list[ShownFolder] = []
    index_of: dict[int, int] = {}
    for node, parent in enumerate(parents):
        real = chosen[node]
        if real is None:
            continue
        index = index_of[node] = len(shown)
        above = shown[index_of[parent]] if parent >= 0 else None
        path = f"{above.path.rstrip('/')}/{real.name}" if above else "/"
        shown.append(ShownFolder(index, real.name, path, above.index if above else -1))
        if above:
            above.children[real.name] = index
    goal = index_of[goal]
    used = {target[-1], *(folder.name for folder in shown)}
    reals = [real for real in chosen if real is not None]
    for folder, real in zip(shown, reals, strict=True):
        folder.children = dict(sorted(folder.children.items()))
        wanted = max(1, entries - len(folder.children))
        files: dict[str, File] = {}
        if folder.index == goal and (file := real.file(target[-1])) is not None:
            files[file.name] = file
        _draw_files(rng, real.files, files, used, wanted)
        folder.files = files
    for folder, real in zip(shown, reals, strict=True):
        wanted = max(1, entries - len(folder.children))
        for source in (pool.files.get(len(real.path) + 1, ()), *pool.files.values(), pool.spare):
            if len(folder.files) < wanted:
                _draw_files(rng, source, folder.files, used, wanted)
        folder.files = dict(sorted(folder.files.items()))
    return ShownTree(tuple(shown), goal, target[-1])


def _choose_folders(
    rng: Generator, pool: Pool, target: Path, parents: list[int], goal: int
) -> list[PoolFolder | None]:
    """A real folder for each place of the shape, None where the pool has no more."""
    chosen: list[PoolFolder | None] = [None] * len(parents)
    node = goal
    for length in range(len(target) - 1, -1, -1):
        chosen[node] = pool.by_path[target[:length]]
        node = parents[node]
    used = {real.path for real in chosen if real is not None}
    for node, parent in enumerate(parents):
        above = chosen[parent]
        if node == 0 or chosen[node] is not None or above is None:
            continue
        taken = {real.name for i, real in enumerate(chosen) if real and parents[i] == parent}
        depth = len(above.path) + 1
        for source in (above.folders, pool.by_level.get(depth, ()), *pool.by_level.values()):
            free = [f for f in source if f.path not in used and f.name not in taken]
            if free:
                real = _weighted(rng, free)
                chosen[node] = real
                used.add(real.path)
                break
    return chosen


def _weighted(rng: Generator, folders: list[PoolFolder]) -> PoolFolder:
    """One of the folders, in proportion to the number of tasks below."""
    # a folder without tasks is shown now and then, where others have run out
    ends = np.cumsum([folder.weight + 0.1 for folder in folders])
    return folders[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


def _draw_files(
    rng: Generator, source: Sequence[File], files: dict[str, File], used: set[str], wanted: int
) -> None:
    """Add files of unused names from ``source`` until there are ``wanted``."""
    number = len(source)
    if not number:
        return
    few = 8 * wanted  # of a large folder, some picks nearly always suffice
    picks = rng.integers(number, size=few) if number > 4 * few else rng.permutation(number)
    for pick in picks.tolist():
        if len(files) >= wanted:
            return
        file = source[pick]
        if file.name not in used:
            used.add(file.name)
            files[file.name] = file
