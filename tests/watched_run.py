"""``reflect``, with the weights' hash after every update written down by each process.

For test_processes: ``python watched_run.py HASHES run --env ...``.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from reflect_trainer_ppo.trainer import PpoTrainer

from reflect_core.cli import main

HASHES = Path(sys.argv[1])
update = PpoTrainer.update


def watched(trainer: PpoTrainer, trajectories, *, iteration: int):
    figures = update(trainer, trajectories, iteration=iteration)
    digest = hashlib.sha256()
    for parameter in trainer.policy.trainable():
        digest.update(parameter.detach().numpy().tobytes())
    with (HASHES / os.environ.get("RANK", "0")).open("a") as file:
        file.write(f"{len(trajectories)} {digest.hexdigest()}\n")
    return figures


if __name__ == "__main__":
    PpoTrainer.update = watched
    sys.exit(main(sys.argv[2:]))
