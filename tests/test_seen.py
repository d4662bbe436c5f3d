"""An evaluation with other options may play what its run has learnt from: that is counted."""

import pytest

from reflect_core import config
from reflect_core.plugins import load
from reflect_core.seen import seen_before


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
def test_tasks_of_train_and_valid_are_counted(options, found):
    registry = load()
    if "taxi" not in registry.environments:
        pytest.skip("taxi is not installed")
    own = config.resolve(registry, flags={"env": "taxi"})
    assert seen_before(own, config.override(registry, own, options), registry) == found
