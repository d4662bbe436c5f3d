"""Whether an evaluation with other options plays what its run has learnt from."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.folders import CONFIG, open_run
from reflect_core.progress import QuietProgress
from reflect_core.records import Task
from reflect_core.session import Session

__all__ = ["seen_before"]


def seen_before(session: Session, tasks: Sequence[Task]) -> int:
    """How many tasks of an evaluation are train's or valid's of the run that it is beside.

    They are the same where their ids and texts are: other options may divide them otherwise.

    Args:
        session: Of the evaluation.
        tasks: What it plays.
    """
    if not (session.folder.path / CONFIG).is_file():
        return 0  # begun by a program, which alone knows with what
    own = open_run(session.folder.path, session.registry)
    if own.env == session.settings.env:
        return 0
    of_run = Session(session.folder, own, session.registry, QuietProgress())
    try:
        learnt = {_name(task) for split in ("train", "valid") for task in of_run.tasks(split)}
    finally:
        of_run.close()
    return sum(_name(task) in learnt for task in tasks)


def _name(task: Task) -> tuple[str, str]:
    return task.task_id, task.text
