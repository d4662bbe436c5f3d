"""Generated games as files that any ALFWorld tool plays."""

from __future__ import annotations

import json
from pathlib import Path

from reflect_core.errors import ReflectError
from reflect_core.files import write_atomic
from reflect_env_alfworld.games import DATA, GAME_FILE, MARK, Game, task_folder
from reflect_env_alfworld.pddl import domain, grammar

FOLDERS = {"train": "train", "valid": "valid_seen", "test": "valid_unseen"}
"""The names that ALFWorld's tools look for; here no room of any is in another."""


def game_json(game: Game) -> str:
    """The content of a ``game.tw-pddl``: domain, text grammar and problem of a generated game.

    Raises:
        ValueError: The game is not held in memory.
    """
    return json.dumps(
        {
            "pddl_domain": domain(),
            "grammar": grammar(game.text),
            "pddl_problem": _problem(game),
            "solvable": True,
            "synthetic": True,
        }
    )


def write_game(game: Game, folder: Path) -> Path:
    """Write a generated game below ``folder`` as ALFWorld lays out its data.

    That is ``json_2.1.1/SPLIT/GOAL-ROOM/TRIAL/`` with ``game.tw-pddl`` and ``traj_data.json``,
    both marked as synthetic. Writing a game again gives the same files.

    Returns:
        The game file.

    Raises:
        ReflectError: The folder has games that were not generated.
        ValueError: The game is not held in memory.
    """
    data = folder / DATA
    if data.exists() and not (data / MARK).exists():
        raise ReflectError(
            f"the folder {folder} has games that were not generated",
            why="generated games are never mixed with real ones",
            then="another folder",
        )
    content = game_json(game)
    trial = game.game_id.rpartition("-")[2]
    place = data / FOLDERS[game.split] / task_folder(game) / f"trial_S{trial}"
    place.mkdir(parents=True, exist_ok=True)
    write_atomic(data / MARK, "These games were generated.\n")
    write_atomic(place / "traj_data.json", json.dumps(_trajectory(game, place.name), indent=1))
    path = place / GAME_FILE
    write_atomic(path, content)
    return path


def _problem(game: Game) -> str:
    if game.problem is None:
        raise ValueError(f"{game.game_id} is not a generated game")
    return game.problem


def _trajectory(game: Game, trial: str) -> dict[str, object]:
    plan = game.data["room"]
    return {
        "task_id": trial,
        "task_type": game.family,
        "synthetic": True,
        "pddl_params": {
            "object_target": game.data["object"],
            "parent_target": game.data["receptacle"],
            "toggle_target": game.data["lamp"],
            "mrecep_target": "",
            "object_sliced": False,
        },
        "scene": {"floor_plan": f"FloorPlan{plan}", "scene_num": plan},
        "turk_annotations": {"anns": [{"task_desc": game.text}]},
    }
