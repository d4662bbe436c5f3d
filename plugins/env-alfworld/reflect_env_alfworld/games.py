"""What a game is, whether it was generated, downloaded or given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

FAMILIES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""The kinds of goal, as ALFWorld names and numbers them."""
DATA = "json_2.1.1"
"""The folder of ALFWorld's data that holds the splits."""
GAME_FILE = "game.tw-pddl"
MARK = "SYNTHETIC"
"""A file in :data:`DATA` that tells a folder of generated games."""


@attrs.frozen
class Game:
    """One game: a room, what lies in it and a goal.

    Args:
        game_id: Unique and stable.
        split: train, valid or test.
        family: One of ``FAMILIES``.
        text: The instruction.
        source: generated, real or textworld.
        problem: The PDDL problem, None where it lies in a file.
        path: The game file of one that lies in a file.
        data: The goal's object and receptacle, the room and more, as JSON holds them.
    """

    game_id: str
    split: str
    family: str
    text: str
    source: str
    problem: str | None = None
    path: Path | None = None
    data: Mapping[str, Any] = attrs.field(factory=dict)


def task_folder(game: Game) -> str:
    """The folder of a generated game's task, named as ALFWorld names them."""
    target = game.data["receptacle"] or game.data["lamp"]
    return f"{game.family}-{game.data['object']}-None-{target}-{game.data['room']}"
