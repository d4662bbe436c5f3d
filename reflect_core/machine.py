"""What a run's figures depend on besides its settings, and whether that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reflect_core import config
from reflect_core.ablation.identity import stage_keys
from reflect_core.digests import tasks_digest
from reflect_core.errors import CheckpointError, ReflectError
from reflect_core.files import read_json, write_json
from reflect_core.folders import MACHINE
from reflect_core.records import Task
from reflect_core.session import Session


def compare(session: Session) -> None:
    """Note the conditions under which a run begins; warn when it goes on under others.

    Conditions that an older version did not note are not compared.

    Raises:
        CheckpointError: What was noted cannot be read.
    """
    here, path = _conditions(session), session.folder.path / MACHINE
    if not path.exists():
        write_json(path, here)
        return
    before = _noted(path)
    changed = [name for name in here if name in before and before[name] != here[name]]
    if "tasks" in changed:
        session.progress.warn(
            "the environment's tasks are not those that this run began with: "
            "what it was made from has changed, and so may its figures"
        )
    if "stages" in changed:
        _heed_settings(session, path, before)
    aside = ("tasks", "stages")
    told = [f"{name} {before[name]} to {here[name]}" for name in changed if name not in aside]
    if told:
        session.progress.warn(
            f"resumed under other conditions ({', '.join(told)}): "
            "figures may differ in their last digits from an uninterrupted run's"
        )


def _heed_settings(session: Session, path: Path, before: dict[str, Any]) -> None:
    """Warn of finished stages that the settings of now would do otherwise.

    One that is still to come may have other settings than were foreseen: those are noted.
    """
    now, then = stage_keys(session.settings), before["stages"]
    if not isinstance(then, dict):
        return
    done = [stage for stage in now if session.folder.finished(stage)]
    if other := [stage for stage in done if then.get(stage) != now[stage]]:
        session.progress.warn(
            f"the settings are not those that {' and '.join(other)} of this run came from: "
            "run.toml has changed, and the run's figures are neither these settings' nor those'"
        )
    kept = {stage: then.get(stage) for stage in done}
    write_json(path, {**before, "stages": {**now, **kept}})


def _noted(path: Path) -> dict[str, Any]:
    then = "remove it: it is only compared with"
    try:
        found = read_json(path)
    except CheckpointError as error:
        raise CheckpointError(error.what, why=error.why, then=then) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} does not tell what a run began with", then=then)
    return found


def _tasks(session: Session, split: str) -> Sequence[Task]:
    """Those of a split; none where there are none, which is not for here to refuse."""
    try:
        return session.tasks(split)
    except ReflectError:
        return ()


def _conditions(session: Session) -> dict[str, Any]:
    import torch

    versions = config.versions(session.registry, session.settings)
    del versions["platform"]  # a new kernel changes no figure
    return {
        **versions,
        "torch": torch.__version__,  # with the device that it was built for
        "threads": torch.get_num_threads(),
        "processes": session.accelerator.num_processes,
        "device": str(session.accelerator.device.type),
        "stages": stage_keys(session.settings),
        "tasks": tasks_digest(
            task for split in ("train", "valid") for task in _tasks(session, split)
        ),
    }
