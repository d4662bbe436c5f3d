"""An environment in a process of its own: what it plays there, and what it does besides.

The parent calls :func:`ask`, the child :func:`main`: it reads what to do from its standard input
and watches what the interpreter tells its audit hooks.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core.protocols import Environment
from reflect_core.testing.child import run_child
from reflect_core.testing.explore import Plan, World, play
from reflect_core.testing.places import Place
from reflect_core.testing.randomness import seed_global_random
from reflect_core.testing.recipes import Recipe

__all__ = ["Report", "ask"]

HEAVY = ("torch", "transformers", "accelerate", "peft")
CHILD = "from reflect_core.testing.probe import main; main()"
EPISODES = 4
"""That one instance plays before it is asked what it leaves behind."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "sqlite3.connect": ((0, None),),
}
"""Audit events that change the disk: which of their arguments are paths, and which of them is the
descriptor of the folder that a relative one starts from."""


@attrs.frozen
class Report:
    """What an environment did in a process of its own.

    Args:
        failure: Why there is no more to tell, on one line; empty where all went well.
        last_lines: Of what the process wrote before it failed.
        episodes: :meth:`Episode.keys` of each plan.
        heavy_before: Something heavy was there before the environment was built.
        imported: Heavy packages that it imported, and where.
        writes: Changes of the disk outside the temporary folder, and where they were made.
        moves: Changes of the working directory.
        left: What is still there after it was closed.
    """

    failure: str = ""
    last_lines: Sequence[str] = ()
    episodes: Sequence[Sequence[str]] = ()
    heavy_before: bool = False
    imported: Sequence[tuple[str, Place | None]] = ()
    writes: Sequence[tuple[str, Place | None]] = ()
    moves: Sequence[tuple[str, Place | None]] = ()
    left: Sequence[str] = ()


def ask(recipe: Recipe, world: World, plans: Sequence[Plan]) -> Report:
    """Build the environment in a fresh process, play the plans, and close it twice.

    What it writes to its temporary folder and its cache lies in a folder of that process.
    """
    try:
        job = pickle.dumps((recipe.early, pickle.dumps((recipe, world, list(plans)))))
    except Exception as error:  # noqa: BLE001, pickle raises many kinds; told
        return Report(failure=f"{type(error).__name__}: {error}")
    ended = run_child(CHILD, job)
    if ended.result is None:
        return Report(failure=ended.failure, last_lines=ended.last_lines)
    return _read(json.loads(ended.result))


def _read(found: dict[str, Any]) -> Report:
    for name in ("imported", "writes", "moves"):
        found[name] = [(what, place and Place(*place)) for what, place in found[name]]
    return Report(**found)


class Watch:
    """Notes what happens between ``on`` and ``off``.

    Audit hooks cannot be taken away, so there is one for the life of the process.
    """

    def __init__(self) -> None:
        self.watching = False
        self.allowed = Path(tempfile.gettempdir()).resolve()
        self.seen: dict[str, list[tuple[str, tuple[str, int, str] | None]]] = {
            "imported": [],
            "writes": [],
            "moves": [],
        }
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        self.watching = False  # what happens in here is not of interest
        try:
            self._note(event, arguments)
        finally:
            self.watching = True

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and arguments[0] in HEAVY:
            self._add("imported", str(arguments[0]))
        elif event == "open" and _writes(*arguments[1:3]):
            self._write("it wrote to", arguments[0])
        elif event == "os.chdir":
            self._add("moves", f"it changed to {arguments[0]}")
        elif event == "sqlite3.connect" and _in_memory(arguments[0]):
            return
        elif event in CHANGES:
            for number, start in CHANGES[event]:
                folder = -1 if start is None else arguments[start]
                self._write(f"{event} of", arguments[number], folder)

    def _write(self, what: str, path: Any, folder: int = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file descriptor: it was seen when it was opened
        start = Path.cwd() if folder == -1 else _opened(folder)
        if start is None:
            return
        full = (start / os.fsdecode(path)).resolve()
        if not full.is_relative_to(self.allowed) and full != Path(os.devnull):
            self._add("writes", f"{what} {full}")

    def _add(self, kind: str, what: str) -> None:
        self.seen[kind].append((what, _caller()))


def _in_memory(database: Any) -> bool:
    """Whether SQLite writes no file of this name: it is in memory, temporary, or only read."""
    name = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    if name.startswith("file:"):
        return any(word in name for word in ("mode=memory", "mode=ro", ":memory:"))
    return name in ("", ":memory:")


def _opened(folder: int) -> Path | None:
    """The folder of a descriptor; None where the system does not tell."""
    try:
        return Path(f"/proc/self/fd/{folder}").readlink()
    except OSError:
        return None


def _writes(mode: str | None, flags: int) -> bool:
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool(flags & WRITING)


def _caller() -> tuple[str, int, str] | None:
    """The innermost line on the stack that is neither Python's own nor the kit's."""
    standard = sysconfig.get_path("stdlib")
    kit = str(Path(__file__).parent)
    frame = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        library = file.startswith(standard) and "site-packages" not in file
        if not library and not file.startswith(("<", kit)):
            return file, frame.f_lineno, frame.f_code.co_qualname
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _left(make: Callable[[], Environment], plans: Sequence[Plan], world: World) -> list[str]:
    """What an instance that played some episodes leaves behind.

    Two play, one after the other, and only what the second adds counts: what is loaded or kept
    once for all, such as a corpus, is there after the first.
    """
    found: list[tuple[set[str], int]] = []
    for _ in range(2):
        seed_global_random(0)
        environment = make()
        for plan in plans[:EPISODES]:
            play(environment, plan, world)
        environment.close()
        del environment
        gc.collect()
        found.append((_temporary(), _open_descriptors()))
    (files_before, open_before), (files_after, open_after) = found
    more = sorted(files_after - files_before)
    told = [f"it left {name} in the temporary folder" for name in more]
    if open_after > open_before:
        told.append(f"it left {open_after - open_before} files or sockets open")
    return told


def _temporary() -> set[str]:
    folder = Path(tempfile.gettempdir())
    cache = Path(os.environ["XDG_CACHE_HOME"])
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not path.is_relative_to(cache)
    }


def _open_descriptors() -> int:
    """How many files and sockets the process has open; 0 where the system does not tell."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


def _heavy() -> set[str]:
    """Which of the heavy packages are loaded."""
    return {name for name in HEAVY if name in sys.modules}


def main() -> None:
    """Do what the standard input says and write what was seen to the file that is named."""
    early, job = pickle.load(sys.stdin.buffer)
    watch = Watch()
    watch.watching = early
    before = _heavy()
    recipe, world, plans = pickle.loads(job)
    make = recipe.load()
    if not early:
        before = _heavy()
    episodes = []
    watch.watching = True
    for plan in plans:
        seed_global_random(0)
        environment = make()
        episodes.append(play(environment, plan, world).keys())
        environment.close()
    left = _left(make, plans, world)
    watch.watching = False
    # importlib.import_module tells no audit hook of what it imports
    heard = {name for name, _ in watch.seen["imported"]}
    watch.seen["imported"] += [(name, None) for name in sorted(_heavy() - before - heard)]
    seen = {"episodes": episodes, "heavy_before": bool(before), "left": left, **watch.seen}
    Path(sys.argv[1]).write_text(json.dumps(seen), encoding="utf-8")
