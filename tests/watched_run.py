"""``reflect``, with the weights' hash after every update written down by each process.

For test_processes: ``python watched_run.py HASHES run --env ...``. The samples of the warm-up that
each process learns from stand in a folder beside, of the same name but for its ending.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from reflect_trainer_ppo.trainer import PpoTrainer

from reflect_core.cli import main
from reflect_core.lm.sft import StepBatches

HASHES = Path(sys.argv[1])
SAMPLES = HASHES.with_suffix(".samples")
RANK = os.environ.get("RANK", "0")
update = PpoTrainer.update
make = StepBatches.__init__


def watched(trainer: PpoTrainer, trajectories, *, iteration: int):
    figures = update(trainer, trajectories, iteration=iteration)
    digest = hashlib.sha256()
    for parameter in trainer.policy.trainable():
        digest.update(parameter.detach().numpy().tobytes())
    with (HASHES / RANK).open("a") as file:
        file.write(f"{len(trajectories)} {digest.hexdigest()}\n")
    return figures


def named(batches: StepBatches, encode, *, collate, name, **more):
    """Samples carry their step and place along, up to the moment when they are learnt from."""

    def noting(samples):
        SAMPLES.mkdir(exist_ok=True)
        with (SAMPLES / RANK).open("a") as file:
            for place, _ in samples:
                file.write(f"{name} {place}\n")
        return collate([sample for _, sample in samples])

    length = more.pop("length")
    make(
        batches,
        lambda row, step, place: (f"{step} {place}", encode(row, step, place)),
        length=lambda sample: length(sample[1]), collate=noting, name=name, **more,
    )  # fmt: skip


if __name__ == "__main__":
    StepBatches.__init__ = named
    PpoTrainer.update = watched
    sys.exit(main(sys.argv[2:]))
