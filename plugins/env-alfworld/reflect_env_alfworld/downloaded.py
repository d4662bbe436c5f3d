"""Games that lie in a folder as ALFWorld lays out its data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from reflect_core.errors import ReflectError
from reflect_core.files import whole
from reflect_core.records import SPLITS
from reflect_env_alfworld.config import FOLDER, REAL, AlfworldConfig
from reflect_env_alfworld.games import DATA, FAMILIES, GAME_FILE, MARK, Game
from reflect_env_alfworld.library import DATA_VARIABLE

HOW_TO_GET = f"alfworld-download (2.2 GB), then export {DATA_VARIABLE}=~/.cache/alfworld"

_TASK = re.compile(r"Your task is to: ([^\"\\]*?)\.?\\*\"")


def root(config: AlfworldConfig) -> Path:
    """The folder that holds the splits' folders.

    Raises:
        ReflectError: There is none, or its games are generated and real ones are asked for.
    """
    named = config.data or os.environ.get(DATA_VARIABLE)
    if not named:
        raise ReflectError(
            "there are no real ALFWorld games",
            why=f"neither data=DIRECTORY nor ${DATA_VARIABLE} says where they are",
            then=f"{HOW_TO_GET}; or play generated games (source=generated)",
        )
    place = whole(named)
    data = place if place.name == DATA or not (place / DATA).is_dir() else place / DATA
    if not data.is_dir():
        raise ReflectError(
            f"there is no folder {place}",
            then=f"{HOW_TO_GET}; or play generated games (source=generated)",
        )
    if config.source == REAL and (data / MARK).exists():
        raise _not_real(place)
    return data


def _not_real(place: Path) -> ReflectError:
    return ReflectError(
        f"the games in {place} were generated",
        why="generated games are never called real ones",
        then=f"source={FOLDER}",
    )


def read_split(config: AlfworldConfig, split: str, left_out: Counter[str]) -> list[Game]:
    """The games of a split, by name.

    Args:
        config: The options.
        split: train, valid or test.
        left_out: Counts games that are not offered, by the reason.

    Raises:
        ReflectError: A folder of the split is missing.
    """
    data = root(config)
    games = []
    for name in config.folders(split):
        if not (data / name).is_dir():
            there = sorted(path.name for path in data.iterdir() if path.is_dir())
            raise ReflectError(
                f"the {split} games are missing",
                why=f"{data} has no folder {name}",
                details=[f"it has: {', '.join(there) or 'nothing'}"],
                then=f"{split}=FOLDER to take others; {HOW_TO_GET}",
            )
        for path in sorted((data / name).rglob(GAME_FILE)):
            game = _read(path, data, split, config, left_out)
            if game is not None:
                games.append(game)
    return games


def find(config: AlfworldConfig, game_id: str, split: str, text: str) -> Game:
    """A game that :func:`read_split` named, without reading the others.

    Raises:
        ReflectError: It is not there.
    """
    source, _, place = game_id.partition(":")
    path = root(config) / place / GAME_FILE
    # an id is data from elsewhere: it names no file outside the split's folders
    named = _named(path.parent.parent.name)
    first, *rest = Path(place).parts or ("",)
    outside = ".." in rest or split not in SPLITS or first not in config.folders(split)
    if named is None or outside or source != config.source or not path.is_file():
        raise ReflectError(
            f"there is no game {game_id!r}",
            why=f"{path} is missing, or in no folder of {split}",
            then="take tasks from an environment with the same options",
        )
    family, words = named
    return Game(game_id, split, family, text, source, path=path, data=words)


def _read(
    path: Path, data: Path, split: str, config: AlfworldConfig, left_out: Counter[str]
) -> Game | None:
    """The game in a file; None where it is not offered."""
    named = _named(path.parent.parent.name)
    if named is None:
        left_out["not named as ALFWorld names its tasks"] += 1
        return None
    place = path.parent.relative_to(data).as_posix()
    if "movable" in place or "Sliced" in place:
        left_out["with movable receptacles or sliced objects, which ALFWorld leaves out"] += 1
        return None
    family, words = named
    if not chosen(config, family, path.parent.parent.name):
        return None
    try:
        content = path.read_bytes()
        written: dict[str, Any] = json.loads(content)
        text, solvable = task_of(written["grammar"]), written.get("solvable")
    except (OSError, ValueError, KeyError, TypeError):
        left_out["that cannot be read"] += 1
        return None
    if config.source == REAL and written.get("synthetic"):  # a part of an exported folder
        raise _not_real(path.parent)
    if not solvable or text is None:
        left_out["not known to be solvable"] += 1
        return None
    return Game(
        game_id=f"{config.source}:{place}",
        split=split,
        family=family,
        text=text,
        source=config.source,
        path=path,
        data={**words, "hash": hashlib.blake2b(content, digest_size=8).hexdigest()},
    )


def task_of(grammar: str) -> str | None:
    """The task that ALFWorld's grammar tells at the start of a game."""
    found = _TASK.search(grammar)
    return found[1] if found else None


def _named(task: str) -> tuple[str, dict[str, str]] | None:
    """Family and words of a task's folder: ``FAMILY-OBJECT-MOVABLE-TARGET-ROOM``."""
    parts = task.split("-")
    if len(parts) != 5 or parts[0] not in FAMILIES:
        return None
    family, kind, movable, target, room = parts
    lit = family == "look_at_obj_in_light"
    return family, {
        "object": kind,
        "movable": "" if movable == "None" else movable,
        "receptacle": "" if lit else target,
        "lamp": target if lit else "",
        "room": room,
    }


def chosen(config: AlfworldConfig, family: str, task: str) -> bool:
    """Whether the options ask for a task of this name."""
    if config.families is not None and family not in config.families.split():
        return False
    return config.filter is None or f"{task}-".startswith(f"{config.filter}-")
