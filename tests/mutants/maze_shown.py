"""The maze, wrong in what it offers, shows and pays."""

from __future__ import annotations

import attrs
import numpy as np

from mutants.common import Mutant, register
from mutants.maze import OPTIONS, ROOMS, SIZES, Maze
from reflect_core import EpisodeOver, Task
from reflect_core.streams import stream

MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


# -- actions ------------------------------------------------------------------------------


@breaks("accepts", "ValueError: the door is locked", "act")
class LockedDoorOnTheMenu(Maze):
    """The menu has what is there, not what can be done."""

    def menu(self):
        here = self.room == self.task.data["door"]
        door = ["open the door"] if here and not self.held else []
        return super().menu() + door

    def act(self, action):
        if action == "open the door" and not self.held:
            raise ValueError("the door is locked")
        return super().act(action)

    def expert_action(self):
        return super().expert_action() if self.held else self.fetch()

    def fetch(self):
        if self.room == self.key_room:
            return "take the key"
        return f"go to the {self.path(self.key_room)}"


@breaks("accepts", "ZeroDivisionError", "shape")
class RewardByDistance(Maze):
    def shape(self):
        rooms = list(ROOMS)
        away = abs(rooms.index(self.room) - rooms.index(self.task.data["door"]))
        return 0.1 / away


@breaks("answers", "ValueError: not enough values to unpack", "step")
class SplitsTheAction(Maze):
    def step(self, action):
        _verb, _object = action.split(" ", 1)
        return super().step(action)


@breaks("answers", "is not in list", "step")
class LooksUpTheIndex(Maze):
    def step(self, action):
        self.number = self.menu().index(action) if self.task else None
        return super().step(action)


@breaks("answers", "does not look at the menu", "step")
class OpensFromAnywhere(Maze):
    def step(self, action):
        step = super().step(action)
        if action == "none" and not step.terminated:  # how this author's models say "I give up"
            self.over = True
            return attrs.evolve(step, terminated=True, success=True)
        return step


@breaks("menu", "no legal actions", "step")
class NoWayBack(Maze):
    """Of the ways, only those to rooms that were not seen yet."""

    def reset(self, task, *, seed, stage=None):
        self.seen = {task.data["start"]}
        return super().reset(task, seed=seed, stage=stage)

    def act(self, action):
        found = super().act(action)
        self.seen.add(self.room)
        return found

    def menu(self):
        menu = super().menu()
        way_back = self.turn > 1 and self.room == "attic" and not self.held
        return [] if way_back and self.key_room != "attic" else menu


@breaks("menu", "stands there twice", "reset")
class TwoStaircases(Maze):
    def menu(self):
        ways = super().menu()
        return (
            ways
            + ["go to the hall"] * (self.room == "attic")
            + ["go to the attic"] * (self.room == "library")
        )


# -- rewards and ends ---------------------------------------------------------------------


@breaks("finite", "-inf", "step")
class LogOfDistance(Maze):
    def shape(self):
        rooms = list(ROOMS)
        away = abs(rooms.index(self.room) - rooms.index(self.task.data["door"]))
        with np.errstate(divide="ignore"):
            return np.log(away)


@breaks("success", "the episode goes on", "step")
class KeyIsSuccess(Maze):
    def step(self, action):
        step = super().step(action)
        return attrs.evolve(step, success=step.success or self.held)


@breaks("ends", "no limit on the number of turns", "step")
class OneTurnMore(Maze):
    def step(self, action):
        horizon = self.config.horizon
        self.config = attrs.evolve(self.config, horizon=horizon + 1)  # > in place of >=
        try:
            return super().step(action)
        finally:
            self.config = attrs.evolve(self.config, horizon=horizon)


@breaks("over", "raised RuntimeError", "step")
class AnErrorOfItsOwn(Maze):
    def step(self, action):
        try:
            return super().step(action)
        except EpisodeOver:
            raise RuntimeError("call reset first") from None


@breaks("over", "was answered with", "step")
class LastStepOnceMore(Maze):
    last = None

    def step(self, action):
        if self.last is not None and self.over:
            return self.last
        self.last = super().step(action)
        return self.last

    def reset(self, task, *, seed, stage=None):
        self.last = None
        return super().reset(task, seed=seed, stage=stage)


# -- tasks and records --------------------------------------------------------------------


@breaks("splits", "drawn anew at each call", "tasks")
class DrawsTasksEachTime(Maze):
    draws_of_tasks = None

    def tasks(self, split):
        self.draws_of_tasks = self.draws_of_tasks or stream(0, "maze")
        made = []
        for number in range(SIZES[split]):
            door, key, start = self.draws_of_tasks.choice(sorted(ROOMS), 3, False).tolist()
            data = {"door": door, "key": key, "start": start}
            made.append(Task(f"{split}-{number}", split, f"the {door}", data=data))
        return made


@breaks("splits", "two splits have in common", "tasks")
class NamedByTheDoor(Maze):
    def tasks(self, split):
        found = {task.data["door"]: task for task in super().tasks(split)}
        return [attrs.evolve(task, task_id=door) for door, task in found.items()]


@breaks("resets", "KeyError: 'start'", "reset")
class TakesFromTheTask(Maze):
    def reset(self, task, *, seed, stage=None):
        start = task.data.pop("start")
        return super().reset(
            attrs.evolve(task, data={**task.data, "start": start}), seed=seed, stage=stage
        )


@breaks("records", "hand out a copy", "step")
class PathInTheInfo(Maze):
    def reset(self, task, *, seed, stage=None):
        self.walked = []
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        step = super().step(action)
        self.walked.append(self.room)
        return attrs.evolve(step, info={"path": self.walked})


@breaks("text", "repeated in the observation as it came", "step")
class SaysWhatItHeard(Maze):
    def step(self, action):
        step = super().step(action)
        if not step.observation.text.startswith("you cannot"):
            return step
        left = self.config.horizon - self.turn
        text = f"you cannot {action}; you are in the {self.room}; {left} turns left"
        return attrs.evolve(step, observation=attrs.evolve(step.observation, text=text))
