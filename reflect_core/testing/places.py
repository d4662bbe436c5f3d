"""Lines to look at: where an error came from, where a method is defined."""

from __future__ import annotations

import functools
import inspect
import linecache
import os
import traceback
from pathlib import Path

import attrs

__all__ = ["Place", "place_of", "place_of_method", "told"]

KIT = str(Path(__file__).parent) + os.sep
CORE = str(Path(__file__).parents[1]) + os.sep
TOOLS = ("hypothesis", "_pytest", "pluggy", "numpy", "torch", "accelerate", "transformers")


@attrs.frozen
class Place:
    """A line to look at.

    Args:
        file: Its file.
        line: Counted from 1.
        name: The function it stands in.
    """

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        path = Path(self.file)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        code = linecache.getline(self.file, self.line).strip()
        return f"{shown}:{self.line} in {self.name}" + (f": {code}" if code else "")


def told(error: BaseException) -> str:
    """An error on one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place_of(error: BaseException) -> Place | None:
    """The innermost line of an error's traceback that is the author's.

    That is neither the kit's nor a library's; of ``reflect_core`` only where nothing else is on
    the way, so that what calls a helper of ours with the wrong thing is what is looked at.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((KIT, "<")) and not is_library(frame.filename)
    ]
    theirs = [frame for frame in frames if not frame.filename.startswith(CORE)]
    for frame in reversed(theirs or frames):
        return Place(frame.filename, frame.lineno or 0, frame.name)
    return None


@functools.lru_cache(maxsize=256)
def place_of_method(cls: type, method: str) -> Place | None:
    """Where a class defines a method; None where it has none in Python."""
    found = inspect.unwrap(getattr(cls, method, cls))
    try:
        file, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
    except (TypeError, OSError):
        return None
    name = getattr(found, "__qualname__", method)
    return Place(file, line, name) if file else None


def is_library(file: str) -> bool:
    """Whether a file is Python's own, or of the tools that the kit stands on."""
    parts = Path(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            return parts[parts.index(folder) + 1] in TOOLS
    return Path(file).is_relative_to(Path(os.__file__).parent)
