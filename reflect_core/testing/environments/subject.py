"""An environment under examination, and what is known of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from reflect_core.errors import NoAdvice
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Task
from reflect_core.testing import probe
from reflect_core.testing.explore import SPLITS, Episode, Plan, World, play
from reflect_core.testing.laws import Effort, Skipped
from reflect_core.testing.places import Place, place_of_method
from reflect_core.testing.randomness import seed_global_random
from reflect_core.testing.recipes import Recipe
from reflect_core.testing.search import search
from reflect_core.testing.strategies import plans
from reflect_core.testing.walks import drawn_plans

__all__ = ["FRESH", "EnvironmentSubject", "described"]

HORIZON = 1000
"""Turns after which an episode is taken to be endless where nobody says how long it may be."""
FRESH = 8
"""Episodes that are played in a fresh process."""
EXPERT = 25
"""Episodes that its expert plays at most."""


@attrs.define
class EnvironmentSubject:
    """An environment under examination.

    Args:
        make: Builds one.
        stages: Stages that ``reset`` knows.
        horizon: Turns within which each episode ends; by default what the config's option
            ``horizon`` says, or else 1000.
        config: The options that it is built with, which must pickle; None where it has none.
        recipe: How a fresh process builds it; None where that is not known.
        max_text: Characters of an observation at most.
        expert_solves: Share of episodes that its expert solves, of those that it does not give up.
        truncates: Whether it may cut episodes by a limit that is not the task's.
    """

    make: Callable[[], Environment]
    stages: tuple[str, ...] = ()
    horizon: int | None = None
    config: Any = None
    recipe: Recipe | None = None
    max_text: int = 20_000
    expert_solves: float = 1.0
    truncates: bool = False
    _cls: type | None = None
    _kept: Environment | None = None
    _world: World | None = None
    _tasks_were: list[str] | None = None
    _report: probe.Report | None = None
    _by_expert: list[Episode] | None = None
    _alone: dict[Plan, Episode] = attrs.field(factory=dict)
    _explored: dict[tuple[Plan, bool], Episode] = attrs.field(factory=dict)

    def build(self) -> None:
        """Build one and keep it; what is wrong with the options is raised here.

        It is kept as long as others come and go: a run has many at a time too, and what they
        share, such as a corpus, need not be read for each.
        """
        if self._kept is None:
            self._kept = self.make()
            self._cls = type(self._kept)

    def close(self) -> None:
        """Close the one that was kept."""
        if self._kept is not None:
            _close(self._kept)
            self._kept = None

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Environment]:
        """A new instance, closed afterwards."""
        self.build()
        environment = self.make()
        try:
            yield environment
        finally:
            _close(environment)

    def look(self, method: str) -> Place | None:
        """Where the environment defines a method."""
        return place_of_method(self._cls, method) if self._cls else None

    @property
    def world(self) -> World:
        """Its tasks and stages, read once."""
        if self._world is None:
            with self.fresh() as environment:
                tasks = [task for split in SPLITS for task in environment.tasks(split)]
            horizon = self.horizon or getattr(self.config, "horizon", None) or HORIZON
            if not tasks:
                raise Skipped("it has no tasks")
            self._tasks_were = [described(task) for task in tasks]
            self._world = World(tuple(tasks), self.stages, int(horizon))
        return self._world

    @property
    def tasks_were(self) -> list[str]:
        """The world's tasks as they were when they were read, see :func:`described`."""
        assert self._tasks_were is not None, "the world is read first"
        return self._tasks_were

    def fresh_process(self, effort: Effort) -> probe.Report:
        """What an instance in a fresh process did, asked once."""
        if self._report is None:
            if self.recipe is None:
                raise Skipped("only known by a function; name it by `spec` or in a contract class")
            self._report = probe.ask(self.recipe, self.world, drawn_plans(FRESH, seed=effort.seed))
        return self._report

    def alone(self, plan: Plan) -> Episode:
        """A plan played on an instance of its own, once and for all laws."""
        if plan not in self._alone:
            self._alone[plan] = self.played(plan)
        return self._alone[plan]

    def played(self, plan: Plan, *, global_seed: int = 0) -> Episode:
        """A plan played on a new instance, anew at each call."""
        seed_global_random(global_seed)
        with self.fresh() as environment:
            return play(environment, plan, self.world)

    def by_expert(self, effort: Effort) -> list[Episode]:
        """Episodes of the real task that the expert plays, once; none where there is none."""
        if self._by_expert is None:
            drawn = drawn_plans(min(effort.max_examples, EXPERT), seed=effort.seed)
            self._by_expert = [
                each for plan in drawn if (each := self._expert_plays(plan)) is not None
            ]
        return self._by_expert

    def _expert_plays(self, plan: Plan) -> Episode | None:
        seed_global_random(0)
        with self.fresh() as environment:
            if not isinstance(environment, Expert):
                return None
            episode = play(environment, attrs.evolve(plan, stage=0, moves=()), self.world)
            while episode.running and len(episode.steps) < self.world.horizon:
                try:
                    action = environment.expert_action()
                except NoAdvice:
                    episode.given_up = True
                    break
                except Exception:  # noqa: BLE001, the law `expert-is-legal` looks at that
                    break
                episode.take(environment, action)
            return episode

    def explore(
        self,
        effort: Effort,
        check: Callable[[Episode], None],
        *,
        others: bool = True,
        to_end: bool = False,
    ) -> None:
        """Play many episodes on one instance and look at each.

        Laws that look at the same episodes share them: each is played once.
        """
        world = self.world
        with self.fresh() as environment:

            def played(plan: Plan) -> Episode:
                if (plan, to_end) not in self._explored:
                    self._explored[plan, to_end] = play(environment, plan, world, to_end=to_end)
                return self._explored[plan, to_end]

            search(
                effort,
                plans(others=others),
                lambda plan: check(played(plan)),
                drawn=drawn_plans(effort.max_examples, seed=effort.seed, others=others),
            )


def described(task: Task) -> str:
    """All of a task, its data too, which equality leaves out."""
    return repr((task, task.data))


def _close(environment: Environment) -> None:
    # what goes wrong here is for the law `closes` to find, and for no other
    with contextlib.suppress(Exception):
        environment.close()
