"""The curriculum ``frontier``: most often the levels that are won about as often as lost.

Where all episodes of a level end alike, their returns hardly differ and there is little to learn.
With a success rate of p, the variance of success is p (1 - p): a level is drawn in proportion to
that and a floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from reflect_core import Assignment, CurriculumSpec, Trajectory, hookimpl, option
from reflect_core.curriculum import Passes
from reflect_core.streams import stream

if TYPE_CHECKING:
    from reflect_core import Context

REFLECT_API = 1


@attrs.frozen
class FrontierConfig:
    """Options of the curriculum."""

    floor: float = option(
        0.05, "Added to each level's p (1 - p), so that none is left out.", minimum=0.001
    )
    memory: float = option(
        0.5, "What the rates known so far count as beside an iteration's.", minimum=0, maximum=1
    )


class Frontier:
    """Draws levels by what is known of them, and tasks of a level in shuffled passes."""

    def __init__(self, config: FrontierConfig, context: Context) -> None:
        tasks = context.tasks("train")
        self._config, self._seed = config, context.seed
        self._passes = {
            level: Passes(
                [task for task in tasks if task.level == level],
                seed=context.seed,
                name=("frontier", level),
            )
            for level in sorted({task.level for task in tasks})
        }
        self._rates = dict.fromkeys(self._passes, 0.5)  # nothing is known yet

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """One episode of each task that is drawn."""
        draw = stream(self._seed, "frontier", "levels", iteration)
        levels = draw.choice(list(self._passes), size=episodes, p=self._shares())
        return [Assignment(self._passes[int(level)].take(1)[0]) for level in levels]

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Learn from outcomes; tells the level that will be drawn most often."""
        keep = self._config.memory
        for level, rate in self._rates.items():
            won = [each.success for each in trajectories if each.task.level == level]
            if won:
                self._rates[level] = keep * rate + (1 - keep) * sum(won) / len(won)
        return {"frontier_level": float(list(self._passes)[int(np.argmax(self._shares()))])}

    def state_dict(self) -> Mapping[str, Any]:
        """Of each level: its success rate and how many tasks were drawn."""
        return {
            str(level): [self._rates[level], passes.drawn] for level, passes in self._passes.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the same rates, after the tasks that were drawn."""
        for level, passes in self._passes.items():
            self._rates[level], passes.drawn = state[str(level)]

    def _shares(self) -> Any:
        rates = np.array(list(self._rates.values()))
        weights = rates * (1 - rates) + self._config.floor
        return weights / weights.sum()


@hookimpl
def reflect_curricula() -> Iterable[CurriculumSpec]:
    """The curriculum ``frontier``."""
    yield CurriculumSpec(
        name="frontier",
        factory=Frontier,
        config=FrontierConfig,
        summary="most often the levels that are won about as often as lost",
    )
