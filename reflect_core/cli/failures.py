"""Which failures are a person's to mend, and what they are told."""

from __future__ import annotations

import errno
import os
import re
import shlex
from pathlib import Path

from reflect_core.errors import ReflectError

EXIT_MISTAKE = 2

_WAYS_ON = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within your quota",
    errno.EACCES: "choose a place where you may write, or change its permissions",
    errno.EPERM: "choose a place where you may write, or change its permissions",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOTDIR: "choose a path whose parents are folders",
    errno.EISDIR: "choose a path that is not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "close other programs or raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ELOOP: "choose a path whose links lead somewhere",
    errno.EEXIST: "choose a place where nothing is yet",
    errno.ENOENT: "see whether a file or folder was moved or removed meanwhile",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
}
_NO_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
"""What torch says of it, in errors of no kind of their own."""


class Interrupted(Exception):
    """The user, or a scheduler, stopped a run.

    Args:
        folder: Where it can go on; None where the same command has to be given again.
        code: The exit code that tells who.
    """

    def __init__(self, folder: Path | None, code: int) -> None:
        super().__init__(folder, code)
        self.folder = folder
        self.code = code

    def __str__(self) -> str:
        if self.folder is None:
            return "Stopped. To go on: give the command again"
        return f"Stopped. To go on: reflect run --resume {shlex.quote(str(self.folder))}"


def explain(error: BaseException, *, resume: Path | None = None) -> ReflectError | None:
    """The error to show a person, None if it is a defect of the program.

    Libraries wrap what the system said in errors of their own; the system's number is looked
    for in the chain of causes, and in the text, where Rust libraries leave it.

    Args:
        resume: A run folder that can go on once the obstacle is gone.
    """
    if isinstance(error, ReflectError):
        return error
    seen: BaseException | None = error
    while seen is not None:
        number = _system_number(seen)
        if number in _WAYS_ON:
            where = getattr(seen, "filename", None)
            text = os.strerror(number) + (f": {os.fsdecode(where)}" if where else "")
            return ReflectError(text, then=_WAYS_ON[number] + _way_back(resume))
        if _is_lack_of_memory(seen):
            then = "free some, or choose a smaller model, or fewer rows at once"
            return ReflectError("there is not enough memory", then=then + _way_back(resume))
        seen = seen.__cause__ or seen.__context__
    return None


def _way_back(resume: Path | None) -> str:
    return "" if resume is None else f", then: reflect run --resume {shlex.quote(str(resume))}"


def _is_lack_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def _system_number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None
