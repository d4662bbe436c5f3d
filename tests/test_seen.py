"""An evaluation with other options may play what its run has learnt from: that is told."""

import attrs
import pytest
from toy import lamps_registry, settings

from reflect_core import config
from reflect_core.folders import create
from reflect_core.plugins import load
from reflect_core.progress import QuietProgress
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.seen import seen_before
from reflect_core.session import Session


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], (0, 75)),
        (["held_out=none"], (225, 300)),
        (["task=dropoff", "held_out=none"], (9, 12)),
        (["drawing=paper"], (0, 75)),
        (["held_out=none", "eval.split=train"], (225, 300)),
    ],
)
def test_tasks_of_train_and_valid_are_counted(tmp_path, options, found):
    registry = load()
    if "taxi" not in registry.environments:
        pytest.skip("taxi is not installed")
    own = config.resolve(registry, flags={"env": "taxi"})
    folder = create(tmp_path / "r", own, registry)
    made = config.override(registry, own, options)
    session = Session(RunFolder(folder), made, registry, QuietProgress(), beside=True)
    tasks = session.tasks(made.eval.split)
    assert (seen_before(session, tasks), len(tasks)) == found
    session.close()


class Telling(QuietProgress):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def warn(self, text):
        self.told.append(text)


def test_it_is_told_where_tasks_were_learnt_from(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("reflect_core.contest.seen_before", lambda session, tasks: len(tasks) // 2)
    made = settings(model_folder("lfm2"), policy="random", reflector="none", eval={"episodes": 4})
    beside = attrs.evolve(made, eval=attrs.evolve(made.eval, label="x"))
    for how, expected in ((False, 0), (True, 1)):
        progress = Telling()
        execute(tmp_path / "r", beside, ["eval"], lamps_registry(), progress, beside=how)
        assert len(progress.told) == expected
        (tmp_path / "r" / "evaluation-x.json").unlink()
