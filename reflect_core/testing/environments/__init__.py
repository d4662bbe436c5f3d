"""The laws of environments."""

from reflect_core.testing.environments.again import (
    forgets,
    global_randomness,
    interleaved,
    repeats,
)
from reflect_core.testing.environments.episodes import (
    accepts,
    answers,
    ends,
    finite,
    menu,
    over,
    resets,
    success,
    text,
)
from reflect_core.testing.environments.expert import expert_is_legal, expert_solves
from reflect_core.testing.environments.machine import any_order
from reflect_core.testing.environments.offered import builds, closes, records, splits
from reflect_core.testing.environments.process import files, folder, fresh_process, light, spawns
from reflect_core.testing.environments.subject import EnvironmentSubject

__all__ = ["ENVIRONMENT_LAWS", "EnvironmentSubject"]

ENVIRONMENT_LAWS = (
    builds,
    splits,
    resets,
    menu,
    accepts,
    answers,
    finite,
    success,
    ends,
    over,
    text,
    records,
    closes,
    repeats,
    global_randomness,
    forgets,
    interleaved,
    spawns,
    fresh_process,
    light,
    files,
    folder,
    expert_is_legal,
    expert_solves,
    any_order,
)
