"""A run's folder: where things are, which stages are done, and logs that can be cut back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reflect_core.errors import CheckpointError
from reflect_core.files import append_rows, fsync_dir, fsync_tree, read_json, write_json

STUDY = "study.toml"
"""The configuration of a study, in a folder above those of its runs."""

LOGS = ("metrics.jsonl", "timings.jsonl", "episodes.jsonl")


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

    def evaluation_of(self, split: str) -> Path:
        """Outcomes of an evaluation, episode by episode; each split has its own file."""
        return self.path / ("evaluation.json" if split == "test" else f"evaluation-{split}.json")

    # -- stages ---------------------------------------------------------------------------

    def _stages(self) -> dict[str, dict[str, int]]:
        path = self.path / "stages.json"
        if not path.exists():
            return {}
        stages = read_json(path)
        if not isinstance(stages, dict):
            raise CheckpointError(f"{path} is not a table of stages")
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

    def cut(self, positions: Mapping[str, int]) -> None:
        """Shorten the logs to these lengths.

        Raises:
            CheckpointError: A log is shorter than it was.
        """
        for name in LOGS:
            path, length = self.path / name, positions.get(name, 0)
            if not path.exists() and length == 0:
                continue
            size = path.stat().st_size if path.exists() else 0
            if size < length:
                raise CheckpointError(
                    f"{path} is shorter than when the run was saved",
                    why=f"{size} bytes, {length} expected",
                    then="restore the file, or begin a new run",
                )
            with path.open("r+b") as file:
                file.truncate(length)

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
            fsync_tree(fresh)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
        fsync_dir(target.parent)
