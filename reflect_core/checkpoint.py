"""Checkpoints of RL: weights, optimizer, curriculum, replay and log positions, in a folder each.

No pickled objects: safetensors for the policy and the episodes that are kept for replay, JSON
for plain values, and a tensor file for the trainer that is read with ``weights_only=True``. A
folder is written beside its place, flushed and renamed, so a kill at any moment leaves the
older ones whole.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from reflect_core.errors import CheckpointError, ReflectError
from reflect_core.files import read_json, write_json
from reflect_core.runfolder import RunFolder

FORMAT = 2
"""1 had no hashes of the logs."""
POLICY, TRAINER, STATE = "policy.safetensors", "trainer.pt", "state.json"
REPLAY = "replay.safetensors"
"""Only where there is something to replay."""


@attrs.frozen
class Checkpoint:
    """Everything that RL needs to go on as if it had never stopped.

    Args:
        iteration: Iterations that are done.
        policy: Tensors by name.
        trainer: Nested plain values and tensors.
        curriculum: JSON-like state.
        logs: Length in bytes of each log.
        log_hashes: SHA-256 of each log up to there, by which a run knows its own checkpoints;
            :func:`save` puts them in.
        best_iteration, best_success: The best validation so far.
        replay: Arrays by name; none where replay is off.
    """

    iteration: int
    policy: Mapping[str, Any]
    trainer: Mapping[str, Any]
    curriculum: Mapping[str, Any]
    logs: Mapping[str, int]
    best_iteration: int
    best_success: float
    replay: Mapping[str, Any] = attrs.field(factory=dict)
    log_hashes: Mapping[str, str] = attrs.field(factory=dict)


def path_of(folder: RunFolder, iteration: int) -> Path:
    """Where the checkpoint after so many iterations lies."""
    return folder.checkpoints / f"{iteration:06d}"


def save(folder: RunFolder, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; it is complete on the disk when this returns."""
    import torch
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file

    def write(target: Path) -> None:
        tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.policy.items()}
        save_file(tensors, str(target / POLICY))
        # through memory: torch hides what the system said of a disk that is full
        content = io.BytesIO()
        torch.save(dict(checkpoint.trainer), content)
        (target / TRAINER).write_bytes(content.getbuffer())
        if checkpoint.replay:
            save_arrays(dict(checkpoint.replay), str(target / REPLAY))
        known = attrs.evolve(checkpoint, log_hashes=folder.hashes(checkpoint.logs))
        plain = attrs.asdict(
            known, filter=attrs.filters.exclude("policy", "trainer", "replay"), recurse=False
        )
        hashes = {path.name: _sha256(path) for path in sorted(target.iterdir())}
        write_json(target / STATE, {"format": FORMAT, **plain, "sha256": hashes})

    path = path_of(folder, checkpoint.iteration)
    folder.write_folder(path, write)
    return path


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: It is missing, damaged or not one of ours.
    """
    try:
        return _read(path)
    except OSError:
        raise  # the disk's word, not the checkpoint's fault
    except Exception as error:  # a foreign state or tensor file can raise anything
        raise CheckpointError(
            f"the checkpoint {path} cannot be read",
            why=error.what
            if isinstance(error, CheckpointError)
            else f"{type(error).__name__}: {error}".splitlines()[0],
            then="remove this folder to resume from the checkpoint before it",
        ) from error


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Taking up what a checkpoint holds: whatever fails is the checkpoint's fault.

    Raises:
        CheckpointError: It is another run's, or of other parts.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # each part's own, in any form
        if type(error).__name__ == "OutOfMemoryError":  # the GPU's
            raise
        raise CheckpointError(
            f"the checkpoint {path} does not fit this run",
            why=f"{type(error).__name__}: {error}".splitlines()[0],
            then="remove this folder to resume from the checkpoint before it",
        ) from error


def latest(folder: RunFolder) -> Path | None:
    """The newest checkpoint of a run, None where there is none."""
    found = _all(folder)
    return found[-1] if found else None


def prune(folder: RunFolder, *, keep: int, best: int) -> None:
    """Remove all but the newest ``keep`` checkpoints and the best one.

    What those that stay hold to be the best stays too: a run may have to go on from any of them.
    """
    found = _all(folder)
    stay = found[-max(keep, 1) :]
    needed = {*stay, path_of(folder, best), *(_best_of(folder, path) for path in stay)}
    for path in found:
        if path not in needed:
            shutil.rmtree(path)


def _best_of(folder: RunFolder, path: Path) -> Path | None:
    """The best checkpoint by what this one says; None where it cannot be read."""
    try:
        return path_of(folder, int(read_json(path / STATE)["best_iteration"]))
    except (OSError, ReflectError, KeyError, TypeError, ValueError):
        return None


def _read(path: Path) -> Checkpoint:
    import torch
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file

    state = read_json(path / STATE)
    if not isinstance(state, dict) or state.get("format") not in (1, FORMAT):
        raise CheckpointError(f"{STATE} has no format {FORMAT}")
    replays = REPLAY in state["sha256"]
    for name in (POLICY, TRAINER, *([REPLAY] if replays else [])):
        if not (path / name).exists() or _sha256(path / name) != state["sha256"][name]:
            raise CheckpointError(f"{name} is missing or its content has changed")
    return Checkpoint(
        iteration=state["iteration"],
        policy=load_file(str(path / POLICY)),
        trainer=torch.load(path / TRAINER, map_location="cpu", weights_only=True),
        curriculum=state["curriculum"],
        logs=state["logs"],
        log_hashes=state["log_hashes"] if state["format"] == FORMAT else {},
        best_iteration=state["best_iteration"],
        best_success=state["best_success"],
        replay=load_arrays(str(path / REPLAY)) if replays else {},
    )


def _all(folder: RunFolder) -> list[Path]:
    if not folder.checkpoints.exists():
        return []
    return sorted(path for path in folder.checkpoints.iterdir() if path.name.isdecimal())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
