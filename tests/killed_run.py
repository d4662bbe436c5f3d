"""Runs that are killed, for test_resume: ``python killed_run.py MODEL FOLDER SEED``.

Everything heavy is imported once; each attempt is a process of its own, forked from here,
that ends itself with SIGKILL at an event drawn at random: before or after something reaches
the disk, an environment steps or an optimizer does. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path

import torch
from toy import lamps_registry, settings

import reflect_core.lm.crew
import reflect_core.lm.policy  # noqa: F401
from reflect_core import checkpoint, run
from reflect_core.progress import QuietProgress
from reflect_core.run import STAGES, execute
from reflect_core.runfolder import RunFolder
from reflect_core.testing.lamps import Lamps

PLAN = ("teach", "sft", "sft", "train", "train", "train", "train", "train", "eval", "eval")
"""In which stage each of the ten attempts is killed."""

ITERATIONS = 6


class Events:
    """Counts events by stage, and kills this process at one of them."""

    def __init__(self, fatal: tuple[str, int] | None) -> None:
        self.fatal = fatal
        self.counts: Counter[str] = Counter()
        self.stage = ""

    def count(self) -> None:
        self.counts[self.stage] += 1
        if (self.stage, self.counts[self.stage]) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: object, name: str) -> None:
        real = getattr(owner, name)

        def watched(*args, **more):
            self.count()
            result = real(*args, **more)
            self.count()
            return result

        setattr(owner, name, watched)

    def watch_all(self) -> None:
        for name in ("fsync", "replace", "rename", "unlink", "rmdir", "ftruncate", "truncate"):
            self.watch(os, name)
        self.watch(shutil, "rmtree")
        self.watch(Lamps, "step")
        self.watch(torch.optim.Adam, "step")
        self.watch(torch.optim.AdamW, "step")
        do = run.run_stage

        def told(session, stage):
            self.stage = stage
            do(session, stage)

        run.run_stage = told


def attempt(model: Path, folder: Path, seed: int, fatal: tuple[str, int] | None) -> int:
    """One process that does what is left of the run; its signal, or its exit code below 0."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
    code = 1
    try:
        events = Events(fatal)
        events.watch_all()
        train = {"iterations": ITERATIONS, "keep_checkpoints": 1}
        made = settings(model, seed=seed, train=train)
        execute(folder, made, STAGES, lamps_registry(), QuietProgress())
        folder.with_suffix(".events").write_text(json.dumps(events.counts))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def main(model: Path, out: Path, seed: int) -> None:
    codes = [attempt(model, out / name, seed, None) for name in ("whole", "again")]
    counts = json.loads((out / "whole.events").read_text())
    generator = random.Random(seed)
    kills = []
    for stage in PLAN:
        # what a checkpoint saved is not done again, so later attempts have fewer events
        # (nor is the warm-up of a player that is done: the first kill comes before that)
        again = stage in {done for done, *_ in kills}
        share = {"train": 2 / ITERATIONS, "eval": 0.5, "sft": 1 if again else 0.4}.get(stage, 1)
        fatal = generator.randint(1, int(share * counts[stage]))
        code = attempt(model, out / "killed", seed, (stage, fatal))
        saved = checkpoint.latest(RunFolder(out / "killed"))
        kills.append((stage, code, int(saved.name) if saved else -1))
    codes.append(attempt(model, out / "killed", seed, None))
    print(json.dumps({"codes": codes, "counts": counts, "kills": kills}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
