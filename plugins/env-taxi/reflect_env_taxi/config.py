"""The options of the two environments, checked where they are made."""

from __future__ import annotations

import attrs

from reflect_core.errors import ConfigError
from reflect_core.hookspecs import option

PICKUP, DROPOFF, FULL = STAGES = ("pickup", "dropoff", "full")
"""Drive to the passenger and let him in; drive with him to the goal; both."""
PAPER, MARKED, NO_DRAWING = DRAWINGS = ("paper", "marked", "none")
PAIRS, NOTHING = HELD_OUT = ("pairs", "none")
AT_PASSENGER, ANYWHERE = BOARDINGS = ("passenger", "anywhere")
PLANNER, COMPASS = EXPERTS = ("planner", "compass")
RANDOM = "random"
MAPS = ("4x4", "8x8", RANDOM)


@attrs.frozen
class TaxiConfig:
    """What the task is and how a state is shown.

    Raises:
        ConfigError: An option is out of range, nothing would be shown, or two exclude each other.
    """

    task: str = option(
        FULL, "What the last stage plays and evaluation with it: full or one part.", choices=STAGES
    )
    horizon: int = option(20, "Turns of an episode.", minimum=1)
    dangerous: bool = option(
        True, "Whether what changes nothing gives -10/20 and ends the episode; else Taxi's points."
    )
    drawing: str = option(
        MARKED,
        "The map: marked shows a goal under the taxi, paper hides it as the paper's does.",
        choices=DRAWINGS,
    )
    facts: bool = option(True, "Whether positions and the four sides are told in words.")
    shape_pickup: bool = option(
        True, "Whether the first pick-up is shaped by +20/20, where there is one to be made."
    )
    boarding: str = option(
        AT_PASSENGER,
        "Where the taxi starts stage dropoff: at the passenger's place, or anywhere.",
        choices=BOARDINGS,
    )
    expert: str = option(
        COMPASS,
        "Who teaches: planner knows all ways; compass where things lie, no way round a wall.",
        choices=EXPERTS,
    )
    held_out: str = option(
        PAIRS,
        "pairs: no pair of test (of task=pickup: no start) is in train; none: all are in all.",
        choices=HELD_OUT,
    )

    def __attrs_post_init__(self) -> None:
        from reflect_core.options import check_all  # heavier than all that plugins are asked first

        check_all(self)
        if self.drawing == NO_DRAWING and not self.facts:
            raise ConfigError(
                "options drawing=none and facts=false leave nothing to see",
                why="a state is shown as a drawing, in words, or both",
                then="leave out one of the two",
            )
        if self.task == DROPOFF and self.boarding == ANYWHERE:
            raise ConfigError(
                "option boarding=anywhere does not go with task=dropoff",
                why="with the passenger aboard a start elsewhere is of no (passenger, goal) pair, "
                "by which the splits are divided",
                then="leave out one of the two",
            )
        if self.boarding == ANYWHERE and self.held_out == PAIRS:
            raise ConfigError(
                "option boarding=anywhere needs held_out=none",
                why="with the passenger aboard a start elsewhere is of no (passenger, goal) pair, "
                "and stage dropoff would show in train what test's drop-offs begin with",
                then="add held_out=none, or leave out boarding",
            )


@attrs.frozen
class FrozenLakeConfig:
    """Which lakes there are and how a state is shown.

    Raises:
        ConfigError: An option is out of range.
    """

    map: str = option("4x4", "Gymnasium's 4x4 or 8x8, or random ones.", choices=MAPS)
    size: int = option(4, "Side of a random map in cells.", minimum=3, maximum=10)
    maps: int = option(300, "Most random maps, of all splits together.", minimum=3)
    slippery: bool = option(False, "Whether two moves in three go to the side instead.")
    horizon: int | None = option(
        None, "Turns of an episode; if none, 4 a row, and 25 a row on slippery ice.", minimum=1
    )
    facts: bool = option(True, "Whether positions and the four sides are told in words.")

    def __attrs_post_init__(self) -> None:
        from reflect_core.options import check_all  # heavier than all that plugins are asked first

        check_all(self)

    @property
    def side(self) -> int:
        """Cells in a row."""
        return self.size if self.map == RANDOM else int(self.map[0])

    @property
    def turns(self) -> int:
        """The horizon; on slippery ice Gymnasium's own limit, unless one is given."""
        return self.horizon or (25 if self.slippery else 4) * self.side
