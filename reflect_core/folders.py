"""Run folders: a new one, an old one, and who may work in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reflect_core import files
from reflect_core.errors import CheckpointError, ReflectError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reflect_core.plugins import Registry
    from reflect_core.settings import Settings

RUNS = Path("runs")
CONFIG = "run.toml"
MACHINE = "machine.json"
"""What a run began with, besides its settings."""
ANY_RUN = "name a folder that reflect run made"
"""Told where no run is."""


def is_main_process() -> bool:
    """Whether this process speaks and makes folders, where a launcher started several."""
    return os.environ.get("RANK", "0") == "0"


def create(out: Path | None, settings: Settings, registry: Registry) -> Path:
    """Make the folder of a new run, with its ``run.toml``.

    Args:
        out: The folder; by default the first free ``runs/ENV-TRAINER-SEED-N``.

    Raises:
        ReflectError: The folder is in use.
    """
    from reflect_core import config

    several = int(os.environ.get("WORLD_SIZE") or 1) > 1
    if several and out is None:
        raise ReflectError(
            "a run of several processes needs --out",
            why="each process would choose a folder of its own",
            then="add --out runs/NAME",
        )
    if out is not None and not is_main_process():
        return _await(out)
    if out is not None and str(out).encode(errors="ignore").decode() != str(out):
        raise ReflectError(
            f"the folder's name {str(out)!a} is not valid text",
            why="it has bytes that are not UTF-8, and libraries that write models refuse it",
            then="choose another --out",
        )
    text = config.dump(settings, config.versions(registry, settings))
    folder = out if out is not None else _first_free(settings)
    make(folder)
    _claim(folder)  # before a lock is left in somebody's folder
    with files.lock(folder):  # two commands may name one folder at one time
        _claim(folder)
        files.write_atomic(folder / CONFIG, text)
    return folder


def discard_unused(folder: Path) -> None:
    """Remove a run's folder if nothing was made in it yet."""
    if _unused(folder):
        for path in folder.iterdir():
            path.unlink()
        with contextlib.suppress(OSError):  # a link to a folder, or the one we stand in
            folder.rmdir()


def nothing_made(groups: Iterable[Path]) -> bool:
    """Whether no run in any of these folders has made anything; logs beside them do not count."""
    return all(_unused(run) for group in groups for run in group.iterdir() if run.is_dir())


def _unused(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {CONFIG, MACHINE, files.LOCK}


def open_run(folder: Path, registry: Registry) -> Settings:
    """The settings of an existing run.

    Raises:
        CheckpointError: The folder is missing or is not a run's.
    """
    from reflect_core import config

    if not folder.exists():
        raise CheckpointError(f"there is no folder {folder}", then=ANY_RUN, details=_known(folder))
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} is not a run",
            why=f"it has no {CONFIG}",
            then=ANY_RUN,
            details=_known(folder),
        )
    return config.load(registry, folder / CONFIG)


def _claim(folder: Path) -> None:
    """See that a folder is free for a run.

    Raises:
        ReflectError: It holds a run, or something else.
    """
    if (folder / CONFIG).exists():
        raise ReflectError(
            f"{folder} holds a run already",
            then=f"go on with it (reflect run --resume {shlex.quote(str(folder))}) "
            "or choose another --out",
        )
    if any(path.name != files.LOCK for path in folder.iterdir()):
        raise ReflectError(
            f"{folder} is not empty",
            why="a run shares its folder with nothing, so that nothing can be lost",
            then="choose another --out",
        )


def make(folder: Path) -> None:
    """Make a folder; whatever the system has against it is the user's to mend."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReflectError(
            f"the folder {folder} cannot be made",
            why=os.strerror(error.errno) if error.errno else str(error),
            then="choose a place where you may write, with --out",
        ) from error


def _first_free(settings: Settings) -> Path:
    make(RUNS)
    stem = f"{settings.env.name}-{settings.trainer.name}-{settings.seed}"
    for number in itertools.count(1):
        folder = RUNS / f"{stem}-{number}"
        try:
            folder.mkdir()  # not exist_ok: whoever makes it has it
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers do not end")


def _await(folder: Path, seconds: float = 120.0) -> Path:
    """Wait until the main process has made the folder."""
    end = time.monotonic() + seconds
    while not (folder / CONFIG).exists():
        if time.monotonic() > end:
            raise ReflectError(f"the main process made no run in {folder}")
        time.sleep(0.1)
    return folder


def _known(folder: Path) -> list[str]:
    """A line that lists the runs beside the folder that was asked for."""
    parent = folder.parent if folder.parent.is_dir() else RUNS
    runs = sorted(str(path.parent) for path in parent.glob(f"*/{CONFIG}"))
    return [f"runs: {', '.join(runs)}"] if runs else []
