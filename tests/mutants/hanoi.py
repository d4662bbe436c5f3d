"""The Tower of Hanoi, wrong in ways that a reader of the reference alone thought of.

Who wrote these down had the example and the reference at hand, and neither the laws nor the
other mutants.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

import attrs

from mutants.common import Mutant, register
from reflect_core import EpisodeOver, Step, Task
from reflect_core.streams import stream

sys.path.append(str(Path(__file__).parents[2] / "examples" / "reflect-env-hanoi"))

from reflect_env_hanoi.environment import Hanoi
from reflect_env_hanoi.plugin import HanoiConfig
from reflect_env_hanoi.towers import RODS, moved, moves, way

OPTIONS = {"stages": ("full",)}
MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


class Right(Hanoi):
    """Right, and built without options."""

    def __init__(self, config=None):
        super().__init__(config or HanoiConfig())


@breaks("expert-forgets", "set it in reset", "expert_reflection")
class TidiesUpAtTheEnd(Right):
    """I clear the note of the last mistake as soon as an episode is over, not in `reset`."""

    def __init__(self, config=None):
        super().__init__(config)
        self._wrong = False

    def reset(self, task, *, seed, stage=None):
        self._position, self._goal = str(task.data["position"]), str(task.data["goal"])
        self._left = int(task.data["fewest"]) + self.config.slack
        self._over = False
        return self._observe()

    def step(self, action):
        step = super().step(action)
        if self._over:
            self._wrong = False
        return step


@breaks("splits", "task ids are made of", "tasks")
class NumberedTasks(Right):
    """I number the tasks: `hanoi-0`, `hanoi-1`, ... read better in logs than `ABBA-C`."""

    def __init__(self, config=None):
        super().__init__(config)
        self._tasks = {
            split: [
                Task(f"hanoi-{i}", split, task.text, level=task.level, data=task.data)
                for i, task in enumerate(tasks)
            ]
            for split, tasks in self._tasks.items()
        }


@breaks("forgets", "set every field there", "reset")
class SeededOnce(Right):
    """I list the rods in a random order in each episode, from a generator seeded at the start."""

    def __init__(self, config=None):
        super().__init__(config)
        self._draws = None

    def reset(self, task, *, seed, stage=None):
        if self._draws is None:
            self._draws = stream(seed, "hanoi", "order")
        self._order = "".join(self._draws.permutation(list(RODS)))
        return super().reset(task, seed=seed, stage=stage)

    def _observe(self):
        shown = []
        for rod in self._order:
            disks = [str(i + 1) for i, each in enumerate(self._position) if each == rod]
            shown.append(f"{rod}: {' '.join(disks) or 'empty'}")
        text = f"{', '.join(shown)}. Goal {self._goal}, {self._left} turns left."
        key = f"{self._position}-{self._left}-{self._order}"
        return attrs.evolve(super()._observe(), text=text, state_key=key)


@breaks("unlisted", "compare it with the legal actions", "step")
class TableOfCommands(Right):
    """I look the command up in a table of all commands, then ask whether the disk is free."""

    def __init__(self, config=None):
        super().__init__(config)
        self._commands = {
            f"move {disk} to {rod}": (disk - 1, rod)
            for disk in range(self.config.disks + 1)
            for rod in RODS
        }

    def step(self, action):
        if self._over:
            raise EpisodeOver("reset first")
        before = len(way(self._position, self._goal))
        if action in self._commands:
            disk, rod = self._commands[action]
            if self._free(disk, rod):
                rods = list(self._position)
                rods[disk] = rod
                self._position = "".join(rods)
        self._left -= 1
        self._wrong = len(way(self._position, self._goal)) >= before
        success = set(self._position) == {self._goal}
        self._over = success or not self._left
        reward = 1.0 if success else -1 / 20
        return Step(self._observe(), reward, terminated=self._over, success=success)

    def _free(self, disk, rod):
        own, smaller = self._position[disk], self._position[:disk]
        return rod != own and own not in smaller and rod not in smaller


@breaks("forgets", "set every field there", "reset")
class NormalisedReward(Right):
    """I divide rewards by their running root mean square, as VecNormalize does; PPO likes it."""

    def __init__(self, config=None):
        super().__init__(config)
        self._count, self._squares = 0, 0.0

    def step(self, action):
        step = super().step(action)
        self._count += 1
        self._squares += step.reward**2
        scale = math.sqrt(self._squares / self._count)
        return attrs.evolve(step, reward=step.reward / scale)


@breaks("terminates", "the horizon is part of the task", "step")
class OutOfTimeIsTruncated(Right):
    """I tell apart solved (`terminated`) and out of turns (`truncated`), as Gymnasium does."""

    def step(self, action):
        step = super().step(action)
        if step.terminated and not step.success:
            step = attrs.evolve(step, terminated=False, truncated=True)
        return step


@breaks("state-keys", "the turns left", "reset")
class KeyIsThePosition(Right):
    """I use the position as the state's key, so that more states are found equal."""

    def _observe(self):
        return attrs.evolve(super()._observe(), state_key=self._position)


@breaks("text", "cut it", "step")
class RepeatsWhatWasSaid(Right):
    """I tell the player which text was not understood, in quotes."""

    def reset(self, task, *, seed, stage=None):
        self._said = ""
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        if not self._over:
            self._said = "" if action in self._menu() else f"{action!r} is not possible. "
        return super().step(action)

    def _observe(self):
        seen = super()._observe()
        if self._said:
            seen = attrs.evolve(seen, text=self._said + seen.text, state_key=None)
        return seen


@breaks("expert-is-legal", "not on the menu", "expert_action")
class NoTakingBack(Right):
    """I take the undoing of the last move off the menu: players went to and fro for ever."""

    def reset(self, task, *, seed, stage=None):
        self._back = None
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        if self._over:
            raise EpisodeOver("reset first")
        before = len(way(self._position, self._goal))
        if action in self._menu():
            _, disk, _, rod = action.split()
            self._back = f"move {disk} to {self._position[int(disk) - 1]}"
            self._position = moved(self._position, int(disk) - 1, rod)
        self._left -= 1
        self._wrong = len(way(self._position, self._goal)) >= before
        success = set(self._position) == {self._goal}
        self._over = success or not self._left
        reward = 1.0 if success else -1 / 20
        return Step(self._observe(), reward, terminated=self._over, success=success)

    def _menu(self):
        return tuple(each for each in super()._menu() if each != self._back)

    def _observe(self):
        seen = super()._observe()
        if self._back:
            text = f"{seen.text} Not allowed: {self._back}."
            seen = attrs.evolve(seen, text=text, state_key=f"{seen.state_key}-{self._back}")
        return seen


@breaks("last-stage", "None is the real task", "reset", stages=("guided", "full"))
class GuidedUnlessFull(Right):
    """I add a stage `guided` before `full`: coming nearer to the goal gives some shaping."""

    def reset(self, task, *, seed, stage=None):
        self._guided = stage != "full"
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        if self._over:
            raise EpisodeOver("reset first")
        before = len(way(self._position, self._goal))
        step = super().step(action)
        nearer = before - len(way(self._position, self._goal))
        return attrs.evolve(step, shaping=nearer / 20 if self._guided else 0.0)


@breaks("releases", "only the last one closed", "close", fresh=True)
class LogOfEachEpisode(Right):
    """I write the moves of each episode to a temporary file, which `close` closes and removes."""

    def __init__(self, config=None):
        super().__init__(config)
        self._log = None

    def reset(self, task, *, seed, stage=None):
        self._log, self._path = tempfile.mkstemp(prefix="hanoi-", suffix=".log")
        return super().reset(task, seed=seed, stage=stage)

    def step(self, action):
        step = super().step(action)
        if self._log is not None:
            os.write(self._log, f"{action}\n".encode("utf-8", "replace"))
        return step

    def close(self):
        if self._log is not None:
            os.close(self._log)
            Path(self._path).unlink()
            self._log = None


@breaks("fresh-process", "sort sets", "reset", fresh=True)
class MenuIsASet(Right):
    """I build the menu as a set: the reference says that its items have to be unique."""

    def _menu(self):
        return tuple({f"move {disk + 1} to {rod}" for disk, rod in moves(self._position)})
