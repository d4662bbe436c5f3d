"""The study that tests of ablations begin with."""

import pytest

from reflect_core import config, plugins
from reflect_core.ablation.arms import arms_of
from reflect_core.ablation.study import needed_stages

SHORT = (
    "env.corpus=synthetic",
    "teach.episodes=6",
    "sft.reflector_updates=2",
    "sft.policy_updates=2",
    "train.iterations=1",
    "train.episodes=4",
    "train.valid_episodes=2",
    "eval.episodes=4",
)


@pytest.fixture(scope="module")
def registry():
    return plugins.load()


@pytest.fixture(scope="module")
def base(registry):
    return config.resolve(registry, overrides=SHORT, flags={"env": "filesys"})


def arm(base, name):
    return next(arm for arm in arms_of(base) if arm.name == name)


def keys(registry, base, *words):
    return needed_stages(registry, config.override(registry, base, words))
