"""The maze, not the same again; its expert; what only a process of its own shows."""

from __future__ import annotations

import datetime
import json
import os
import random
from pathlib import Path

import attrs
import numpy as np

from mutants.common import Mutant, register
from mutants.maze import OPTIONS, ROOMS, Maze
from reflect_core.streams import stream

MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


# -- the same again -----------------------------------------------------------------------


@breaks("forgets", "set every field there", "reset")
class SlipsFromTheConstructor(Maze):
    def __init__(self, config=None):
        super().__init__(config)
        self.kept = stream(0, "slips")

    def reset(self, task, *, seed, stage=None):
        shown = super().reset(task, seed=seed, stage=stage)
        self.draws = self.kept
        return shown


@breaks("repeats", "something random", "reset")
class UnseededSlips(Maze):
    def reset(self, task, *, seed, stage=None):
        shown = super().reset(task, seed=seed, stage=stage)
        self.draws = np.random.default_rng()
        return shown


@breaks("global-randomness", "random.random()", "reset")
class PythonsRandom(Maze):
    def reset(self, task, *, seed, stage=None):
        shown = super().reset(task, seed=seed, stage=stage)
        self.draws = random
        return shown


@breaks("repeats", "a clock", "reset")
class TellsTheTime(Maze):
    def observe(self, answer="you look around"):
        shown = super().observe(answer)
        now = datetime.datetime.now().time()
        return attrs.evolve(shown, text=f"{now} {shown.text}")


@breaks("interleaved", "kept in the class", "reset")
class KeptInTheClass(Maze):
    pockets: list[str] = []  # noqa: RUF012, the mistake

    def reset(self, task, *, seed, stage=None):
        self.pockets.clear()
        return super().reset(task, seed=seed, stage=stage)

    def act(self, action):
        self.pockets.append(action)
        return super().act(action)

    def observe(self, answer="you look around"):
        shown = super().observe(answer)
        return attrs.evolve(shown, text=f"{shown.text}; {len(self.pockets)} things done")


@breaks("any-order", "tasks, the expert or close touch", "reset")
class TasksDrawFromTheEpisode(Maze):
    """One generator for everything; reset seeds it."""

    def tasks(self, split):
        if self.task is not None:
            self.draws.random()
        return super().tasks(split)


@breaks("any-order", "tasks, the expert or close touch", "reset")
class ClosesForAll(Maze):
    """The map is shared, and taken away by the first that is closed."""

    maps: dict[str, int] = {}  # noqa: RUF012, the mistake

    def reset(self, task, *, seed, stage=None):
        self.maps["open"] = 1
        return super().reset(task, seed=seed, stage=stage)

    def close(self):
        self.maps.clear()

    def act(self, action):
        return super().act(action) if self.maps else (False, "the map is gone")


@breaks("closes", "second close", "close")
class ForgetsThatItClosed(Maze):
    def __init__(self, config=None):
        super().__init__(config)
        self.log = Path(os.devnull).open("w")  # noqa: SIM115, it is held

    def close(self):
        self.log.close()
        del self.log


# -- expert -------------------------------------------------------------------------------


@breaks("expert-is-legal", "which is not on the menu", "expert_action")
class PlansOnce(Maze):
    """The way is found at reset; who slips or strays is told to go on as if he had not."""

    def reset(self, task, *, seed, stage=None):
        shown = super().reset(task, seed=seed, stage=stage)
        self.first = super().expert_action()
        return shown

    def expert_action(self):
        return self.first if self.turn < 2 else super().expert_action()


@breaks("expert-solves", "the expert is wrong", "expert_action")
class ForgetsTheKey(Maze):
    def expert_action(self):
        if "open the door" in self.menu():
            return "open the door"
        way = self.path(self.task.data["door"])
        return f"go to the {way or ROOMS[self.room][0]}"


# -- a process of its own -----------------------------------------------------------------


@breaks("fresh-process", "sort sets", "reset", fresh=True)
class MenuFromASet(Maze):
    def menu(self):
        return list(set(super().menu()))


@breaks("fresh-process", "hash()", "reset", fresh=True)
class SeedsWithHash(Maze):
    def reset(self, task, *, seed, stage=None):
        shown = super().reset(task, seed=seed, stage=stage)
        self.draws = np.random.default_rng(abs(hash((task.task_id, seed))))
        return shown


@breaks("files", "maze.json", "__init__", fresh=True)
class CachesTheMap(Maze):
    cached = False

    def __init__(self, config=None):
        super().__init__(config)
        if not self.cached:
            Path("maze.json").write_text(json.dumps(ROOMS), encoding="utf-8")
            CachesTheMap.cached = True
