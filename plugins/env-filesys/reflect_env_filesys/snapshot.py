"""A folder as an immutable tree in memory: names, sizes and the first bytes of every file.

Everything is read once, when the snapshot is made, so that what an episode shows does not
depend on when it is played. Nothing is written, run or changed.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from reflect_core.errors import ConfigError
from reflect_env_filesys.names import one_line, shown_name

HEAD_BYTES = 512
"""Bytes kept of each file; what ``cat`` can show."""
HUGE_BYTES = 1_000_000
"""From this size on, ``cat`` says that it shows the head of a larger file."""

BUILD_FOLDERS = frozenset(
    {"__pycache__", "site-packages", "dist-packages", "lib-dynload", "node_modules"}
)
"""Folders that hold what was installed or built, not what was written."""


@attrs.frozen(eq=False)
class File:
    """One file.

    Args:
        name: As shown (see :func:`reflect_env_filesys.names.shown_name`).
        size: In bytes.
        head: The first bytes, or None if it could not be read.
    """

    name: str
    size: int
    head: bytes | None

    @property
    def text(self) -> str | None:
        """The head as text, or None for a binary or unreadable file."""
        if self.head is None or b"\0" in self.head:
            return None
        try:
            return self.head.decode("utf-8")
        except UnicodeDecodeError as error:
            # a character cut in two by the end of the head does not make a file binary
            if len(self.head) < self.size and error.start >= len(self.head) - 3:
                return self.head[: error.start].decode("utf-8")
            return None

    def excerpt(self, length: int) -> str:
        """What ``cat`` answers: the beginning on one line, or why there is none."""
        if self.head is None:
            return "unreadable"
        if self.size == 0:
            return "empty"
        text = self.text
        if text is None:
            return f"binary file, {self.size} bytes"
        line = one_line(text, length) or "blank"
        if len(self.head) < self.size and not line.endswith("..."):
            line += "..."
        return f"{line} (head of {self.size} bytes)" if self.size >= HUGE_BYTES else line


@attrs.frozen(eq=False)
class Folder:
    """One folder with its folders and files, both sorted by name.

    Args:
        name: As shown; empty for the root.
    """

    name: str
    folders: tuple[Folder, ...] = ()
    files: tuple[File, ...] = ()

    def walk(self) -> Iterator[tuple[tuple[str, ...], Folder]]:
        """Every folder with its path, parents first, without recursion."""
        waiting: list[tuple[tuple[str, ...], Folder]] = [((), self)]
        while waiting:
            path, folder = waiting.pop()
            yield path, folder
            waiting.extend(((*path, child.name), child) for child in reversed(folder.folders))


@attrs.frozen(eq=False)
class Snapshot:
    """What was read, and what was not.

    Args:
        root: The tree.
        left_out: How many entries were left out, by reason.
    """

    root: Folder
    left_out: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each reason for which entries were left out."""
        return tuple(f"left out, {why}: {count}" for why, count in sorted(self.left_out.items()))


@attrs.define(eq=False)
class _Building:
    name: str
    place: str
    depth: int
    folders: list[_Building] = attrs.field(factory=list)
    files: list[File] = attrs.field(factory=list)


OWN = ("run.toml", "study.toml")
"""A folder with one of these holds a run, which would change the tree while it grows."""


def read_folder(
    root: str,
    *,
    max_files: int,
    longest_name: int,
    deepest: int,
    hidden: bool = False,
    pattern: str = "*",
    head_bytes: int = HEAD_BYTES,
    skip: Callable[[str], bool] = lambda name: False,
) -> Snapshot:
    """Read the tree below ``root``, shallow folders first, names in sorted order.

    Links are left out: one that leads outside would leave the root, one that leads inside
    would show a file twice, and loops cannot arise. So are pipes, sockets and devices, which
    may block, folders that cannot be listed, and what was built or installed. Files that
    cannot be read are kept and say so.

    Args:
        root: Path of a folder; may itself be a link.
        max_files: Files beyond this number are left out and counted.
        longest_name: Entries with a longer shown name are left out and counted.
        deepest: Folders below so many folders are left out and counted.
        hidden: Whether names that begin with a dot are read.
        pattern: Files of other names are left out and counted; as for ``fnmatch``.
        head_bytes: Bytes to keep of each file.
        skip: Names to leave out besides.

    Raises:
        ConfigError: ``root`` does not exist, is no folder or cannot be listed.
    """
    try:
        place = os.path.realpath(root)
    except ValueError as error:  # a null byte
        raise _no_root(root, error) from error
    left_out: Counter[str] = Counter()
    top = _Building("", place, 0)
    order, files = [top], 0
    for folder in order:  # grows while it is walked: breadth first
        try:
            with os.scandir(folder.place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if folder is top:
                raise _no_root(root, error) from error
            left_out["folders that cannot be listed"] += 1
            continue
        for entry in entries:
            name = shown_name(entry.name)
            reason = _reason(entry, name, place, longest_name, hidden, skip)
            if reason is not None:
                left_out[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                if folder.depth >= deepest:
                    left_out[f"folders below {deepest} folders"] += 1
                    continue
                child = _Building(name, entry.path, folder.depth + 1)
                folder.folders.append(child)
                order.append(child)
            elif not fnmatch.fnmatchcase(entry.name, pattern):
                left_out[f"names not of the form {pattern}"] += 1
            elif files >= max_files:
                left_out[f"beyond max_files={max_files}"] += 1
            else:
                files += 1
                folder.files.append(_read_file(entry.path, name, head_bytes))
    return Snapshot(_finish(order), dict(left_out))


def _no_root(root: str, error: Exception) -> ConfigError:
    if isinstance(error, NotADirectoryError):
        why = "it is a file"
    elif isinstance(error, FileNotFoundError):
        why = "there is no such folder"
    else:
        why = str(error)
    return ConfigError(
        f"the folder '{shown_name(root)}' cannot be explored",
        why=why,
        then="root=DIRECTORY with a folder that can be read",
    )


def _reason(
    entry: os.DirEntry[str],
    name: str,
    root: str,
    longest_name: int,
    hidden: bool,
    skip: Callable[[str], bool],
) -> str | None:
    """Why an entry is left out, or None."""
    if entry.is_symlink():
        return _link_reason(entry.path, root)
    if (entry.name.startswith(".") and not hidden) or skip(entry.name):
        return "hidden or excluded"
    if entry.name in BUILD_FOLDERS or entry.name.endswith(".pyc"):
        return "built or installed"
    if len(name) > longest_name:
        return f"names longer than {longest_name}"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "gone while reading"
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        return "pipes, sockets and devices"
    if stat.S_ISDIR(mode) and any(_has(entry.path, own) for own in OWN):
        return "runs of reflect"
    return None


def _has(folder: str, name: str) -> bool:
    try:
        return Path(folder, name).exists()
    except OSError:  # closed: that is told when it is to be listed
        return False


def _link_reason(link: str, root: str) -> str:
    try:
        target = os.path.realpath(link, strict=True)
    except OSError:  # a loop too
        return "links that lead nowhere"
    inside = target == root or target.startswith(root.rstrip(os.sep) + os.sep)
    return "links inside the root" if inside else "links that lead outside the root"


def _read_file(place: str, name: str, head_bytes: int) -> File:
    size = 0
    try:
        # os.open, because a head is one read, and a pipe put here meanwhile must not block
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            size = os.fstat(handle).st_size
            return File(name, size, os.read(handle, head_bytes))
        finally:
            os.close(handle)
    except OSError:
        return File(name, size, None)


def _finish(order: list[_Building]) -> Folder:
    """The immutable tree; children stand behind their parents in ``order``."""
    made: dict[int, Folder] = {}
    for folder in reversed(order):
        # a folder without any file below it has nothing to find and is not shown
        children = (made.pop(id(child)) for child in folder.folders)
        filled = tuple(child for child in children if child.folders or child.files)
        made[id(folder)] = Folder(folder.name, filled, tuple(folder.files))
    return made[id(order[0])]
