"""The expert of DangerousTaxi: what it does and what it says."""

from __future__ import annotations

from reflect_env_taxi.compass import heading, told
from reflect_env_taxi.view import MOVES, WORDS, Scene

NO_COMMAND = "No command. "
WRONG_WAY = "Wrong way. "
WRONG_STOP = "Wrong stop. "


def reflection(scene: Scene, action: str | None, complaint: str) -> str:
    """What a teacher says in this state: where the next target lies, walls, and the action.

    Args:
        scene: The state.
        action: The right one; None where that is not known, and the free sides are told instead.
        complaint: What was wrong with the last action, "" where nothing was.
    """
    target = "goal" if scene.aboard else "passenger"
    where = heading(scene.taxi, scene.target, WORDS)
    if not where:
        return f"{complaint}At {told(scene.taxi)}, {target} here: {action}"
    walls = "".join(f", wall {side}" for side in where if side in scene.walls)
    lies = f"{target} {told(scene.target)} is {' '.join(where)}"
    ending = f", free {' '.join(free_sides(scene))}" if action is None else f": {action}"
    return f"{complaint}At {told(scene.taxi)}, {lies}{walls}{ending}"


def free_sides(scene: Scene) -> list[str]:
    """The sides where no wall is, in the order of the menu."""
    return [side for side in MOVES if side not in scene.walls]
