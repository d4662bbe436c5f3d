"""A state of Taxi as text: facts in words, and the drawing."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from reflect_env_taxi.compass import Cell, told, turns
from reflect_env_taxi.config import MARKED, NO_DRAWING, PAPER
from reflect_env_taxi.pairs import STOPS

ABOARD = len(STOPS)
"""Taxi's number for a passenger in the taxi."""
NORTH, SOUTH, EAST, WEST = WORDS = ("north", "south", "east", "west")
MOVES = {SOUTH: 0, NORTH: 1, EAST: 2, WEST: 3}
"""Taxi's numbers of the moves."""


@attrs.frozen
class Scene:
    """A state of Taxi, taken apart.

    Args:
        taxi: Where the taxi stands.
        passenger: Number of the passenger's stop, :data:`ABOARD` when he is in the taxi.
        goal: Number of the stop where he wants to go.
        walls: Directions in which the taxi cannot move.
    """

    taxi: Cell
    passenger: int
    goal: int
    walls: frozenset[str]

    @property
    def aboard(self) -> bool:
        """Whether the passenger is in the taxi."""
        return self.passenger == ABOARD

    @property
    def target(self) -> Cell:
        """Where the taxi has to go next: to the passenger, or with him to the goal."""
        return STOPS[self.goal if self.aboard else self.passenger]


class View:
    """Shows scenes on Taxi's map; what was drawn once is kept."""

    def __init__(self, town: Sequence[str], *, drawing: str, facts: bool) -> None:
        """Choose what is shown.

        Args:
            town: Taxi's map with its frame; cells stand in every second column.
            drawing: As the option.
            facts: As the option.
        """
        self._town = town
        self._drawing = drawing
        self._facts = facts
        self._known: dict[tuple[Scene, bool], tuple[str, str]] = {}

    def text(self, scene: Scene, *, again: bool, turns_left: int) -> str:
        """What stands below the last action's result.

        Args:
            scene: The state.
            again: Whether a passenger who waits was aboard before.
            turns_left: Of the horizon.
        """
        key = scene, again
        if key not in self._known:
            self._known[key] = self._parts(scene, again)
        before, after = self._known[key]
        return f"{before}{turns(turns_left)}{after}"

    def _parts(self, scene: Scene, again: bool) -> tuple[str, str]:
        before, lines = "", [""]
        if self._facts:
            place = "aboard" if scene.aboard else told(scene.target) + (" again" if again else "")
            before = f"At {told(scene.taxi)}, passenger {place}, goal {told(STOPS[scene.goal])}, "
            sides = (f"{side} {'wall' if side in scene.walls else 'free'}" for side in MOVES)
            lines.append(", ".join(sides))
        if self._drawing != NO_DRAWING:
            lines += self._draw(scene)
        return before, "\n".join(lines)

    def _draw(self, scene: Scene) -> list[str]:
        """The map with one sign in each cell where something is.

        The paper's rules put the taxi on top of whatever it stands on. Ours writes its sign
        small on the goal, and leaves out the frame above and below, which never changes.
        """
        signs = {STOPS[scene.goal]: "D"}
        if not scene.aboard:
            signs[STOPS[scene.passenger]] = "P"
        taxi = "X" if scene.aboard else "O" if scene.taxi == STOPS[scene.passenger] else "T"
        if self._drawing == MARKED and scene.taxi == STOPS[scene.goal]:
            taxi = taxi.lower()
        signs[scene.taxi] = taxi
        drawn = list(self._town)
        for number, line in enumerate(self._town[1:-1]):
            cells = [signs.get((number, column), " ") for column in range(len(line) // 2)]
            drawn[number + 1] = line[0] + "".join(
                cell + line[2 * column + 2] for column, cell in enumerate(cells)
            )
        return drawn if self._drawing == PAPER else drawn[1:-1]
