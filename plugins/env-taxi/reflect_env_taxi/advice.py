"""Who is asked for the right action: a planner that knows every way, or a compass that knows none.

Either is a table over Taxi's states, made once.
"""

from __future__ import annotations

from collections.abc import Sequence

from reflect_env_taxi.compass import Cell, heading
from reflect_env_taxi.view import EAST, MOVES, WEST, WORDS, Scene

Advice = Sequence[tuple[int, ...]]
"""By state, the numbers of the right actions, the first of which is taken; none where there is
nothing to say."""


def by_compass(scenes: Sequence[Scene], *, pick_up: int, drop_off: int) -> Advice:
    """What one says who knows where everything is and sees the walls, but no way round them.

    Right is whatever brings the taxi nearer as the crow flies. Of two such moves the first is the
    one along the longer side, east and west where both are as long. Where walls stand on the
    sides in which the target lies, there is nothing to say.

    Args:
        scenes: All states.
        pick_up: Number of that action.
        drop_off: Number of that action.
    """

    def right(scene: Scene) -> tuple[int, ...]:
        where = heading(scene.taxi, scene.target, WORDS)
        if not where:
            return (drop_off if scene.aboard else pick_up,)
        free = [side for side in where if side not in scene.walls]
        free.sort(key=lambda side: (side in (EAST, WEST)) != _is_wide(scene.taxi, scene.target))
        return tuple(MOVES[side] for side in free)

    return [right(scene) for scene in scenes]


def _is_wide(start: Cell, goal: Cell) -> bool:
    return abs(goal[1] - start[1]) >= abs(goal[0] - start[0])
