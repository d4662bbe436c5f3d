"""The lamps, not the same again; their expert; what only a process of its own shows."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import tempfile
from pathlib import Path

import attrs
import numpy as np

from mutants.common import Mutant, register
from mutants.lamps import OPTIONS, Right, also

MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


@breaks("repeats", "a clock", "reset")
class Urandom(Right):
    def show(self, shown):
        return also(shown, os.urandom(4).hex()) if self.turn == 1 else shown


@breaks("repeats", "what other instances did", "reset")
class CountsInstances(Right):
    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        self.number = self.made

    def show(self, shown):
        return also(shown, self.number)


@breaks("forgets", "set every field there", "reset")
class Remembers(Right):
    pushed = 0

    def step(self, action):
        self.pushed += action == "push blue"
        return super().step(action)

    def show(self, shown):
        return also(shown, f"{self.pushed} times blue")


@breaks("interleaved", "kept in the class", "reset")
class SharedState(Right):
    board: dict[str, int] = {}  # noqa: RUF012, the mistake

    def reset(self, task, *, seed, stage=None):
        self.board["pushes"] = 0
        return super().reset(task, seed=seed)

    def step(self, action):
        self.board["pushes"] += 1
        return super().step(action)

    def show(self, shown):
        return also(shown, self.board["pushes"])


@breaks("global-randomness", "random.random() or numpy.random", "reset")
class GlobalRandom(Right):
    def show(self, shown):
        return also(shown, random.random()) if self.turn == 1 else shown


@breaks("global-randomness", "numpy.random changed", "reset")
class SeedsNumpy(Right):
    def reset(self, task, *, seed, stage=None):
        np.random.seed(seed % 2**32)
        return super().reset(task, seed=seed)


# -- its expert ---------------------------------------------------------------------------


@breaks("expert-is-legal", "not on the menu", "expert_action")
class IllegalExpert(Right):
    def expert_action(self):
        return "wait" if self.turn == 2 else super().expert_action()


@breaks("expert-is-legal", "asking at every turn", "expert_action")
class ExpertTakesATurn(Right):
    asked = 0

    def reset(self, task, *, seed, stage=None):
        self.asked = 0
        return super().reset(task, seed=seed)

    def expert_action(self):
        self.asked += 1
        return super().expert_action()

    def show(self, shown):
        return also(shown, self.asked)


@breaks("expert-solves", "the expert is wrong", "expert_action")
class ExpertFails(Right):
    def expert_action(self):
        return "push green" if self.turn == 1 else super().expert_action()


# -- what only a process of its own shows ------------------------------------------------


@breaks("fresh-process", "sort sets", "reset", fresh=True)
class HashOfText(Right):
    def show(self, shown):
        return attrs.evolve(shown, state_key=str(hash(shown.text)))


@breaks("light", "import it where it is needed", "__init__", fresh=True)
class LoadsTorchByItsName(Right):
    def __init__(self):
        super().__init__()
        importlib.import_module("torch")


@breaks("folder", "os.chdir", "__init__", fresh=True)
class ChangesFolder(Right):
    def __init__(self):
        super().__init__()
        os.chdir(tempfile.gettempdir())


@breaks("files", "lamps.log", "reset", fresh=True)
class WritesAFile(Right):
    """A log of the first episode of each process."""

    logged = False

    def reset(self, task, *, seed, stage=None):
        if not self.logged:
            Path("lamps.log").write_text(task.task_id, "utf-8")
            WritesAFile.logged = True
        return super().reset(task, seed=seed)


@breaks("files", "os.remove", "reset", fresh=True)
class RemovesAFile(Right):
    """By the descriptor of its folder, as shutil does."""

    def reset(self, task, *, seed, stage=None):
        folder = os.open(".", os.O_RDONLY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("lamps.log", dir_fd=folder)
        os.close(folder)
        return super().reset(task, seed=seed)


@breaks("light", "import it where it is needed", "__init__", fresh=True)
class ImportsTorch(Right):
    def __init__(self):
        import torch

        super().__init__()
        self.rate = torch.float32


@breaks("spawns", "FileNotFoundError", "__init__", fresh=True)
class BuiltHereOnly(Right):
    """What it needs is in the memory of the process that ran the tests."""

    here: list[str] = []  # noqa: RUF012, the mistake

    def __init__(self):
        super().__init__()
        if not self.here:
            raise FileNotFoundError("lamps.toml")
