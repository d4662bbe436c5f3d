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
}


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
            then = _WAYS_ON[number]
            if resume is not None:
                then += f", then: reflect run --resume {shlex.quote(str(resume))}"
            return ReflectError(text, then=then)
        seen = seen.__cause__ or seen.__context__
    return None


def _system_number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None
