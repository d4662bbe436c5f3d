"""Who is asked for the right action: a planner that knows every way, or a compass that knows none.

Either is a table over Taxi's states, made once.
"""

from __future__ import annotations

from collections.abc import Sequence

from reflect_env_taxi.compass import blocks, heading
from reflect_env_taxi.pairs import STOPS
from reflect_env_taxi.view import MOVES, WORDS, Scene

Advice = Sequence[tuple[int, ...]]
"""By state, the numbers of the right actions, the first of which is taken; none where it is not
known what is right."""


def by_compass(scenes: Sequence[Scene], *, pick_up: int, drop_off: int) -> Advice:
    """What one does who knows where everything is and sees the walls, but no way round them.

    First east or west, until the taxi is in the target's column, then north or south. Where a wall
    stands in that way, what is right is not known. Right besides is whatever brings the taxi nearer
    as the crow flies.

    Args:
        scenes: All states.
        pick_up: Number of that action.
        drop_off: Number of that action.
    """

    def right(scene: Scene) -> tuple[int, ...]:
        where = heading(scene.taxi, scene.target, WORDS)
        if not where:
            return (drop_off if scene.aboard else pick_up,)
        *upright, ahead = where
        if ahead in scene.walls:
            return ()
        return tuple(MOVES[side] for side in (ahead, *upright) if side not in scene.walls)

    return [right(scene) for scene in scenes]


def fewest_turns(scene: Scene, *, deliver: bool) -> int:
    """The turns that the rest of a task would take if there were no walls.

    Args:
        scene: The state.
        deliver: Whether a passenger who is waiting is also driven to the goal.
    """
    needed = blocks(scene.taxi, scene.target) + 1
    if deliver and not scene.aboard:
        needed += blocks(scene.target, STOPS[scene.goal]) + 1
    return needed
