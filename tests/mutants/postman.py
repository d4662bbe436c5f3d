"""The tutorial's postman, wrong in ways that another reader of the reference thought of.

Like those of ``hanoi``, written down without the laws at hand. One more was found by no law: a
key that holds the seed and leaves out whether the last road was wrong. Chance could explain
what is seen of it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import attrs

from mutants.common import Mutant, register
from reflect_core import Observation, Step, Task
from reflect_core.streams import stream

sys.path.append(str(Path(__file__).parents[2] / "examples" / "reflect-env-postman"))

from reflect_env_postman.environment import ROADS, ROUNDS, SPLITS, STOPS, PostmanEnvironment

OPTIONS = {"stages": ("full",), "horizon": 8}
MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


class Right(PostmanEnvironment):
    """Right, and built without options."""

    def __init__(self, horizon=8):
        super().__init__(horizon)


@breaks("records", "take a copy", "reset")
class StopsInData(Right):
    """The stops of a round are kept in the task's data, so that the id need not be taken apart."""

    def tasks(self, split):
        return [
            Task("-".join(r), split, f"Visit {', '.join(r)}.", data={"stops": [str(p) for p in r]})
            for r in ROUNDS[SPLITS[split]]
        ]

    def reset(self, task, *, seed, stage=None):
        self.seed, self.name, self.round = seed, task.task_id, task.data["stops"]
        self.todo, self.turns, self.said = list(self.round), self.horizon, ""
        return self._look()

    def _look(self):
        if not self.turns:
            return Observation(f"{self.said}The round is over.", ())
        draws = stream(self.seed, self.name, len(self.todo))
        draws.shuffle(self.round)
        self.signs = {place: draws.choice(ROADS) for place in self.round}
        signs = ", ".join(f"{place}: {road}" for place, road in self.signs.items())
        text = f"Next stop: {self.todo[0]}. Turns left: {self.turns}. Signs: {signs}"
        return Observation(self.said + text, [f"go {road}" for road in ROADS])


@breaks("expert-is-legal", "", "expert_action")
class VariedReflections(Right):
    """The expert does not always say it in the same words; all draws come from the seed."""

    def reset(self, task, *, seed, stage=None):
        self.draws = stream(seed, task.task_id)
        return super().reset(task, seed=seed, stage=stage)

    def expert_reflection(self):
        action, stop = self.expert_action(), self.todo[0]
        opening = self.draws.choice(("I look for", "I want", "Now to"))
        return f"{self.said}{opening} {stop}: {self.signs[stop]}. {action}"

    def _look(self):
        if not self.turns:
            return Observation(f"{self.said}The round is over.", ())
        places = self.draws.permutation(self.round)
        self.signs = {place: self.draws.choice(ROADS) for place in places}
        signs = ", ".join(f"{place}: {road}" for place, road in self.signs.items())
        text = f"Next stop: {self.todo[0]}. Turns left: {self.turns}. Signs: {signs}"
        return Observation(self.said + text, [f"go {road}" for road in ROADS])


@breaks("success", "before the episode has terminated", "step")
class HomeAgain(Right):
    """When all is delivered the postman goes home, and only then the day is over."""

    def step(self, action):
        right = action == self.expert_action()
        delivered, home = right and len(self.todo) > 0, right and not self.todo
        self.said = "" if right else "Wrong road. "
        self.todo = self.todo[1:] if delivered else self.todo
        self.turns = 0 if home else self.turns - 1
        over = not self.turns
        return Step(self._look(), delivered / STOPS, terminated=over, success=not self.todo)

    def expert_action(self):
        if self.turns and not self.todo:
            return "go home"
        return super().expert_action()

    def expert_reflection(self):
        if self.turns and not self.todo:
            return f"{self.said}All is delivered. go home"
        return super().expert_reflection()

    def _look(self):
        if self.turns and not self.todo:
            text = f"{self.said}All is delivered. Turns left: {self.turns}. Now home."
            return Observation(text, ["go home"] + [f"go {road}" for road in ROADS])
        return super()._look()


@breaks("one-split", "another split", "tasks")
class MorePractice(Right):
    """More to practise: each round of train begun at any of its stops, in either direction."""

    def tasks(self, split):
        tasks = super().tasks(split)
        if split != "train":
            return tasks
        known, more = {task.task_id for task in tasks}, []
        for task in tasks:
            stops = task.task_id.split("-")
            for way in (stops, stops[::-1]):
                for first in range(STOPS):
                    r = way[first:] + way[:first]
                    if "-".join(r) in known:
                        continue
                    known.add("-".join(r))
                    name, text = "again-" + "-".join(r), f"Visit {', '.join(r)}."
                    more.append(Task(name, split, text, practice=True))
        return tasks + more

    def reset(self, task, *, seed, stage=None):
        plain = Task(task.task_id.removeprefix("again-"), task.split, task.text)
        return super().reset(plain, seed=seed, stage=stage)


@breaks("splits", "drawn anew", "tasks")
class NumberedRounds(Right):
    """Short ids for the logs, numbered through all splits; each split is made when first asked."""

    def __init__(self, horizon=8):
        super().__init__(horizon)
        self.lists, self.count = {}, 0

    def tasks(self, split):
        if split not in self.lists:
            self.lists[split] = []
            for task in super().tasks(split):
                self.count += 1
                stops = task.task_id.split("-")
                numbered = Task(f"round-{self.count}", split, task.text, data={"stops": stops})
                self.lists[split].append(numbered)
        return list(self.lists[split])

    def reset(self, task, *, seed, stage=None):
        plain = Task("-".join(task.data["stops"]), task.split, task.text)
        return super().reset(plain, seed=seed, stage=stage)


@breaks("menu", "empty before the end", "step")
class NoRoadTwice(Right):
    """A road that has been tried in vain is not offered again."""

    def reset(self, task, *, seed, stage=None):
        self.tried = set()
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        if action != self.expert_action():
            self.tried.add(action)
        return super().step(action)

    def _look(self):
        seen = super()._look()
        return Observation(seen.text, [a for a in seen.legal_actions if a not in self.tried])


@breaks("text", "as it came", "step")
class SaysWhatWasWrong(Right):
    """The observation says which road was the wrong one, and so does the expert."""

    def step(self, action):
        right = action == self.expert_action()
        self.said = "" if right else f"'{action}' was wrong. "
        self.todo = self.todo[1:] if right else self.todo
        self.turns = self.turns - 1 if self.todo else 0
        return Step(self._look(), right / STOPS, terminated=not self.turns, success=not self.todo)


@breaks("last-stage", "None is the real task", "reset", stages=("guided", "full"))
class GuidedStage(Right):
    """In training the first stops are worth a little more; without a stage it is the real thing."""

    def reset(self, task, *, seed, stage=None):
        self.guided = stage is not None
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        answer = super().step(action)
        if self.guided and answer.reward > 0:
            answer = attrs.evolve(answer, shaping=0.02 * len(self.todo))
        return answer


DIARY = {"file": None}


@breaks("any-order", "another instance", "")
class KeepsDiary(Right):
    """Writes down what was done; one file for all, as there can be many environments."""

    def __init__(self, horizon=8):
        super().__init__(horizon)
        if DIARY["file"] is None or DIARY["file"].closed:
            DIARY["file"] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115

    def reset(self, task, *, seed, stage=None):
        DIARY["file"].write(f"{task.task_id} {seed}\n")
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        answer = super().step(action)
        DIARY["file"].write(f"  {answer.reward} {action[:80]!r}\n")
        return answer

    def close(self):
        DIARY["file"].close()


@breaks("over", "EpisodeOver", "step")
class KnowsItsRoads(Right):
    """What is no road at all costs a turn and a little reward besides."""

    def step(self, action):
        if action not in [f"go {road}" for road in ROADS]:
            self.said = "That is no road. "
            self.turns = max(0, self.turns - 1)
            return Step(self._look(), -0.1, terminated=not self.turns)
        return super().step(action)


@breaks("any-order", "another instance", "reset")
class InARow(Right):
    """Three right roads in a row, and each one more, earn a bonus."""

    def __init__(self, horizon=8):
        super().__init__(horizon)
        self.row = 0

    def step(self, action):
        answer = super().step(action)
        self.row = self.row + 1 if answer.reward > 0 else 0
        if self.row >= 3:
            answer = attrs.evolve(answer, reward=answer.reward + 0.05)
        if answer.over:
            self.row = 0
        return answer
