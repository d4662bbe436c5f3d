"""Files that survive a crash: whole or not at all, and on the disk when a call returns."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reflect_core.errors import CheckpointError

__all__ = [
    "LOCK",
    "append_rows",
    "fsync_dir",
    "fsync_tree",
    "lock",
    "read_json",
    "read_rows",
    "whole",
    "write_atomic",
    "write_json",
    "write_through",
]

LOCK = ".lock"
"""Name of the file that is locked while a process is at work in a folder."""


def whole(path: str) -> Path:
    """The absolute path, as seen from here; ``~`` is the home.

    ``~NAME`` of nobody is a folder like any other: pathlib raises there. What ``..`` means behind a
    link is left to the system.
    """
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a mixture.

    The data goes to a temporary file beside ``path``, is flushed to the disk and renamed.

    Args:
        path: The file to make or to replace.
        data: Text (written as UTF-8 with the line ends it has) or bytes.
    """
    raw = data.encode() if isinstance(data, str) else data

    def write(temporary: Path) -> None:
        temporary.write_bytes(raw)

    write_through(path, write)


def write_through(path: Path, write: Callable[[Path], object]) -> None:
    """As :func:`write_atomic`, for writers that want a path: ``write(temporary)``.

    The temporary file has the suffix of ``path``, for writers that look at it. It is removed
    when ``write`` raises, so that a full disk leaves the old content and no litter.
    """
    # always of one name: what a killed process left behind is overwritten, not kept
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        write(temporary)
        _fsync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def as_json(value: Any) -> Any:
    """The value as it is once it was written and read again: tuples are lists."""
    return json.loads(json.dumps(value, ensure_ascii=False))


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        CheckpointError: It is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not a JSON file", why=str(error)) from error


def append_rows(path: Path, *rows: Mapping[str, Any]) -> None:
    """Append one line of JSON per row and flush them to the disk."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that :func:`append_rows` wrote; none where there is no file.

    A last line without its end was cut off by a crash and does not count.

    Raises:
        CheckpointError: Another line is not a JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise CheckpointError(f"{path}, line {number} is not JSON", why=str(error)) from error
        if not isinstance(row, dict):
            raise CheckpointError(f"{path}, line {number} is not a JSON object")
        rows.append(row)
    return rows


def fsync_dir(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a loss of power."""
    if os.name == "nt":  # Windows cannot open folders, and needs no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder below ``folder``, for one that is to be renamed whole."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _fsync(Path(parent, name))
        fsync_dir(Path(parent))


NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What file systems answer that know no locks: some that are shared over a network."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; the system lets go of it however the process ends.

    Raises:
        CheckpointError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with (folder / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(
                f"another process is at work in {folder}",
                then="wait until it has ended, or give this run another folder with --out",
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


def _fsync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
