"""Environments that go wrong on purpose, and a plugin that offers one, for test_workers."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import attrs

from reflect_core import EnvironmentSpec, Observation, ReflectError, hookimpl, option
from reflect_core.testing.lamps import Lamps

GROWTH = 40  # MiB
_hoard: list[bytearray] = []


class Dead(Lamps):
    """Lamps whose engine dies in one task, and does nothing ever after."""

    dead = False
    closed = 0
    """How many were closed; for those of this process."""

    def step(self, action):
        """As the lamps', while it lives."""
        self.dead |= self.task.task_id == "train-1"
        if self.dead:
            raise BrokenPipeError("no engine")
        return super().step(action)

    def close(self):
        """Is counted."""
        type(self).closed += 1


class Remembering(Lamps):
    """Its expert says how often it was asked; the same state asked again is the same."""

    def reset(self, task, *, seed, stage=None):
        """Forget."""
        self.asked = set()
        return super().reset(task, seed=seed, stage=stage)

    def expert_action(self):
        """Remember."""
        self.asked.add(self.turn)
        return super().expert_action()

    def expert_reflection(self):
        """Say it."""
        return f"{super().expert_reflection()} after {sorted(self.asked)}"


class Hazards(Lamps):
    """Lamps whose second turn goes wrong for some tasks.

    Args:
        folder: Where mishaps are counted, across processes.
        mishaps: What happens, by task.
        times: How often, by task.
    """

    def __init__(self, folder: Path, mishaps: dict[str, str], *, times: int = 1) -> None:
        super().__init__(horizon=3)
        self.folder, self.mishaps, self.times = folder, mishaps, times

    def step(self, action):
        """As the lamps', or not."""
        task = self.task.task_id
        if self.turn == 1 and task in self.mishaps:
            with (self.folder / task).open("ab") as log:
                if log.tell() < self.times:
                    log.write(b".")
                    log.flush()
                    getattr(self, self.mishaps[task])()
        return super().step(action)

    def crash(self):
        """End the process."""
        os._exit(3)

    def leave(self):
        """End it as libraries do that call ``exit``."""
        sys.exit("no more")

    def hang(self):
        """Never answer."""
        threading.Event().wait()

    def stick(self):
        """Never answer, and hold the interpreter's lock, as code in C may."""
        ctypes.PyDLL(None).pause()

    def blow(self):
        """Raise."""
        raise RuntimeError("a fuse blew")

    def refuse(self):
        """Raise what is meant for people."""
        raise ReflectError("no current", why="not paid", then="pay", details=["3 letters unread"])

    def grow(self):
        """Take memory and keep it."""
        _hoard.append(bytearray(os.urandom(2**20) * GROWTH))

    def litter(self):
        """Leave files and a process behind, and crash."""
        Path(tempfile.mkdtemp(), "litter").write_text("")
        child = subprocess.Popen([sys.executable, "-c", "import threading as t; t.Event().wait()"])
        (self.folder / "child").write_text(str(child.pid))
        os._exit(3)

    def chat(self):
        """Write where a run's results are expected."""
        os.write(1, b"lit!\n")


class Whimsical(Lamps):
    """Shows something else in every process."""

    def _observe(self):
        seen = super()._observe()
        return Observation(f"{seen.text} {os.getpid()}", seen.legal_actions)


class Plain:
    """Has no expert, and nothing to play."""

    def tasks(self, split):
        """None."""
        return []

    def reset(self, task, *, seed, stage=None):
        """Not called."""
        raise AssertionError

    def step(self, action):
        """Not called."""
        raise AssertionError

    def close(self):
        """Nothing is held."""


class Curious(Lamps):
    """Tells what was imported where it lives."""

    def tasks(self, split):
        """One task, whose text names heavy packages that are there."""
        heavy = {"torch", "transformers", "peft", "accelerate"} & set(sys.modules)
        return [attrs.evolve(super().tasks(split)[0], text=" ".join(sorted(heavy)))]


class Rendezvous(Lamps):
    """The first turn ends when a model call begins that comes after the one that chose it.

    Args:
        folder: Has a named pipe for each number of a model call.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def step(self, action):
        """Wait, in the first turn; tasks 0 and 1 are of the first half, 2 and 3 of the second."""
        if self.turn == 0:
            second = int(self.task.task_id[-1]) >= 2
            with (self.folder / f"call-{3 if second else 2}").open("rb", buffering=0) as pipe:
                pipe.read(1)
        return super().step(action)


@attrs.frozen
class FaultyConfig:
    """As :class:`Hazards`' arguments, as options."""

    folder: str = option("", "Where mishaps are counted.")
    crash: tuple[str, ...] = option((), "Tasks that end the process.")
    curious: bool = option(False, "Tell what was imported.")


@hookimpl
def reflect_environments():
    """Offer the faulty lamps."""

    def make(config, context):
        if config.curious:
            return Curious()
        return Hazards(Path(config.folder), dict.fromkeys(config.crash, "crash"))

    yield EnvironmentSpec(name="faulty", factory=make, config=FaultyConfig)
