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
    terminates,
    text,
)
from reflect_core.testing.environments.expert import expert_forgets, expert_is_legal, expert_solves
from reflect_core.testing.environments.machine import any_order
from reflect_core.testing.environments.offered import builds, closes, one_split, records, splits
from reflect_core.testing.environments.process import (
    files,
    folder,
    fresh_process,
    light,
    releases,
    spawns,
)
from reflect_core.testing.environments.states import last_stage, state_keys
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.unlisted import unlisted

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
    terminates,
    over,
    text,
    records,
    closes,
    repeats,
    global_randomness,
    forgets,
    interleaved,
    unlisted,
    one_split,
    last_stage,
    state_keys,
    spawns,
    fresh_process,
    light,
    files,
    folder,
    releases,
    expert_is_legal,
    expert_forgets,
    expert_solves,
    any_order,
)
