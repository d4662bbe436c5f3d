"""A run's folder: where things are, which stages are done, and logs that can be cut back."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reflect_core.errors import CheckpointError, ConfigError
from reflect_core.files import append_rows, fsync_dir, fsync_tree, read_json, write_json
from reflect_core.records import SPLITS
from reflect_core.settings import EvalSettings

STUDY = "study.toml"
"""The configuration of a study, in a folder above those of its runs."""

LABEL = re.compile("[a-z0-9][a-z0-9_-]{0,40}")
"""Of an evaluation."""

LOGS = ("metrics.jsonl", "timings.jsonl")


class RunFolder:
    """Paths and progress of one run.

    ``stages.json`` names the finished stages with the lengths of the logs at their end. A
    stage that was interrupted has no entry: its log lines are cut and it begins anew, or,
    for RL, goes on from its last checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def shared(self) -> Path:
        """The folder of the study of which this run is an arm, else this one."""
        study = self.path.resolve().parent.parent
        return study if (study / STUDY).exists() else self.path

    @property
    def examples(self) -> Path:
        """The teacher's examples, one JSON object a line."""
        return self.path / "data" / "examples.jsonl"

    @property
    def reflector(self) -> Path:
        """The warmed-up reflector, frozen from then on."""
        return self.path / "reflector"

    @property
    def warmup(self) -> Path:
        """The policy after the warm-up."""
        return self.path / "warmup"

    @property
    def policy(self) -> Path:
        """The policy after RL, the best on valid."""
        return self.path / "policy"

    @property
    def checkpoints(self) -> Path:
        """One folder per checkpoint, named by the iterations done."""
        return self.path / "checkpoints"

    def evaluation_of(self, evaluation: EvalSettings) -> Path:
        """Outcomes of an evaluation, episode by episode; each split and label has its own file.

        Raises:
            ConfigError: The label cannot be part of a file's name, or a split has it.
        """
        label, split = evaluation.label, evaluation.split
        if label and (set(label.split("-")) & set(SPLITS) or not LABEL.fullmatch(label)):
            raise ConfigError(
                f"an evaluation cannot be called {label!r}",
                why="it is a part of a file's name: small letters, digits, - and _, "
                f"and none of {', '.join(SPLITS)}",
            )
        parts = ["evaluation", *([label] if label else []), *([split] if split != "test" else [])]
        return self.path / f"{'-'.join(parts)}.json"

    # -- stages ---------------------------------------------------------------------------

    def _stages(self) -> dict[str, dict[str, int]]:
        path = self.path / "stages.json"
        if not path.exists():
            return {}
        stages = read_json(path)
        if not isinstance(stages, dict) or not all(
            isinstance(lengths, dict) and all(isinstance(n, int) for n in lengths.values())
            for lengths in stages.values()
        ):
            raise CheckpointError(
                f"{path} is not a table of stages", then="restore the file, or begin a new run"
            )
        return stages

    def finished(self, stage: str) -> bool:
        """Whether the stage is done."""
        return stage in self._stages()

    def finish(self, stage: str) -> None:
        """Note that the stage is done, and how long the logs are now."""
        write_json(self.path / "stages.json", {**self._stages(), stage: self.positions()})

    def rewind(self) -> None:
        """Cut the logs to the end of the last finished stage."""
        stages = self._stages()
        self.cut(list(stages.values())[-1] if stages else {})

    # -- logs -----------------------------------------------------------------------------

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a row of figures that repeat exactly."""
        append_rows(self.path / "metrics.jsonl", row)

    def time(self, row: Mapping[str, Any]) -> None:
        """Append a row of wall times, which do not repeat."""
        append_rows(self.path / "timings.jsonl", row)

    def positions(self) -> dict[str, int]:
        """Length of each log in bytes."""
        paths = {name: self.path / name for name in LOGS}
        return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}

    def hashes(self, positions: Mapping[str, int]) -> dict[str, str]:
        """SHA-256 of each log up to these lengths."""
        found = {}
        for name in LOGS:
            digest, left = hashlib.sha256(), positions.get(name, 0)
            if left:
                with (self.path / name).open("rb") as file:
                    while left and (piece := file.read(min(left, 2**20))):
                        digest.update(piece)
                        left -= len(piece)
            found[name] = digest.hexdigest()
        return found

    def check_logs(
        self, positions: Mapping[str, int], hashes: Mapping[str, str], *, of: Path
    ) -> None:
        """See that the logs begin as they did when a checkpoint was saved beside them.

        Args:
            positions: Their lengths then.
            hashes: As :meth:`hashes` then; none in checkpoints of older versions.
            of: The checkpoint.

        Raises:
            CheckpointError: They do not: they were edited, or it was saved by another run.
        """
        for name in LOGS:
            self._long_enough(name, positions.get(name, 0))
        found = self.hashes(positions) if hashes else {}
        for name in hashes:
            if found.get(name) != hashes[name]:
                raise CheckpointError(
                    f"{self.path / name} is not the one that the checkpoint {of} was saved beside",
                    why="one of the two is another run's, or was changed",
                    then="restore the file, or where the checkpoint is another run's, remove that",
                )

    def cut(self, positions: Mapping[str, int]) -> None:
        """Shorten the logs to these lengths.

        Raises:
            CheckpointError: A log is shorter than it was.
        """
        for name in LOGS:
            self._long_enough(name, positions.get(name, 0))
        for name in LOGS:
            path = self.path / name
            if path.exists():
                with path.open("r+b") as file:
                    file.truncate(positions.get(name, 0))

    def _long_enough(self, name: str, length: int) -> None:
        path = self.path / name
        size = path.stat().st_size if path.exists() else 0
        if size < length:
            raise CheckpointError(
                f"{path} is shorter than when the run was saved",
                why=f"{size} bytes, {length} expected",
                then="restore the file, or begin a new run",
            )

    # -- folders --------------------------------------------------------------------------

    def write_folder(self, target: Path, write: Callable[[Path], object]) -> None:
        """Make a folder that is there whole or not at all; replaces an old one.

        ``write`` is given a folder beside ``target``, which is flushed and renamed.
        """
        fresh = target.with_name(f".{target.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            write(fresh)
            _as_the_folder(fresh)
            fsync_tree(fresh)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
        fsync_dir(target.parent)


def _as_the_folder(folder: Path) -> None:
    """Let whoever may read the folder read its files: safetensors writes for the owner alone."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            with contextlib.suppress(OSError):  # some file systems have no such thing
                path.chmod(mode)
