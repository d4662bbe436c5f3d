"""A curriculum that is right, and what becomes of it by one slip.

Without torch: a fresh process builds each of them, and would wait for it.
"""

from __future__ import annotations

import importlib
import time

import attrs
import numpy as np

from mutants.common import Mutant, register
from reflect_core import CurriculumSpec, Task
from reflect_core.curriculum import UniformCurriculum
from reflect_core.records import Assignment
from reflect_core.testing.parts import PartSubject

CURRICULA: dict[str, Mutant] = {}
curriculum = register(CURRICULA)


@attrs.frozen
class Recipe:
    """Builds a curriculum of a test in another process."""

    module: str
    name: str

    def subject(self) -> PartSubject:
        part = getattr(importlib.import_module(self.module), self.name)
        made = CurriculumSpec(name="mutant", factory=lambda config, context: part(context))
        return PartSubject.of("curriculum", made, made.config())


class InTurn(UniformCurriculum):
    """All tasks in turn, those of the first ten iterations on the first stage."""

    def __init__(self, context):
        super().__init__(context.tasks("train"), seed=context.seed)
        self.context = context
        self.seen = 0

    def assign(self, episodes, *, iteration):
        stage = self.context.stages[0] if iteration < 10 else None
        return [
            attrs.evolve(each, stage=stage)
            for each in super().assign(episodes, iteration=iteration)
        ]

    def observe(self, trajectories):
        self.seen += len(trajectories)
        return {"curriculum/seen": float(self.seen)}

    def state_dict(self):
        return {**super().state_dict(), "seen": self.seen}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.seen = state["seen"]


@curriculum("builds", "no method observe", "__init__")
class Blind(InTurn):
    observe = None


@curriculum("existing", "another split", "assign")
class FromTheTestSplit(InTurn):
    def assign(self, episodes, *, iteration):
        first, *rest = super().assign(episodes, iteration=iteration)
        return [attrs.evolve(first, task=self.context.tasks("test")[0]), *rest]


@curriculum("existing", "tasks of its own making", "assign")
class MakesTasks(InTurn):
    def assign(self, episodes, *, iteration):
        return [Assignment(Task(f"mine-{i}", "train", "push")) for i in range(episodes)]


@curriculum("existing", "a stage that the environment does not declare", "assign")
class StageByNumber(InTurn):
    def assign(self, episodes, *, iteration):
        return [
            attrs.evolve(each, stage=str(iteration))
            for each in super().assign(episodes, iteration=iteration)
        ]


@curriculum("existing", "tasks ran out", "assign")
class RunsOut(InTurn):
    def assign(self, episodes, *, iteration):
        return super().assign(min(episodes, 8), iteration=iteration)


@curriculum("existing", "do not add up", "assign")
class GroupsOfTwo(InTurn):
    def assign(self, episodes, *, iteration):
        halves = super().assign(-(-episodes // 2), iteration=iteration)
        return [attrs.evolve(each, group_size=2) for each in halves]


@curriculum("figures", "mean of no episodes", "observe")
class MeanOfNothing(InTurn):
    def observe(self, trajectories):
        with np.errstate(invalid="ignore"):
            rate = np.divide(sum(one.success for one in trajectories), len(trajectories))
        return {**super().observe(trajectories), "curriculum/rate": float(rate)}


@curriculum("deterministic", "a generator that the seed does not decide", "assign")
class ShufflesByTheClock(InTurn):
    def assign(self, episodes, *, iteration):
        found = list(super().assign(episodes, iteration=iteration))
        start = time.perf_counter_ns() % len(found)
        return found[start:] + found[:start]


@curriculum("fresh-process", "sort sets", "assign")
class AsASetHasThem(InTurn):
    def assign(self, episodes, *, iteration):
        found = super().assign(episodes, iteration=iteration)
        ids = list({task.task_id for task in self.context.tasks("train")})
        return sorted(found, key=lambda each: ids.index(each.task.task_id))


@curriculum("round-trips", "not in state_dict", "state_dict")
class ForgetsWhatItSaw(InTurn):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "seen": 0})


@curriculum("round-trips", "a set", "state_dict")
class ASetInTheState(InTurn):
    def state_dict(self):
        return {**super().state_dict(), "tasks": {"a"}}


@curriculum("arrives", "nothing ends", "assign")
class StaysOnTheFirstStage(InTurn):
    def assign(self, episodes, *, iteration):
        return super().assign(episodes, iteration=0)
