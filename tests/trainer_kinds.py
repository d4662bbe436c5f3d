"""Every kind of trainer, made on a table of logits, and episodes in which everything differs."""

import attrs
import pytest
from reflect_trainer_grpo.plugin import GrpoConfig
from reflect_trainer_grpo.trainer import GrpoTrainer
from reflect_trainer_ppo.plugin import PpoConfig
from reflect_trainer_ppo.trainer import PpoTrainer
from reflect_trainer_reinforce.plugin import ReinforceConfig
from reflect_trainer_reinforce.trainer import ReinforceTrainer
from table import Table, game

TRAINERS = {
    "ppo": (PpoTrainer, PpoConfig, {}),
    "reinforce-none": (ReinforceTrainer, ReinforceConfig, {"baseline": "none"}),
    "reinforce-mean": (ReinforceTrainer, ReinforceConfig, {"baseline": "mean"}),
    "reinforce-loo": (ReinforceTrainer, ReinforceConfig, {"baseline": "loo"}),
    "reinforce-critic": (ReinforceTrainer, ReinforceConfig, {"baseline": "critic"}),
    "grpo": (GrpoTrainer, GrpoConfig, {}),
    "gigpo": (GrpoTrainer, GrpoConfig, {"step_coef": 0.5}),
}
CLIPPED = {"ppo", "grpo", "gigpo"}
CRITICS = {"ppo", "reinforce-critic"}
each = pytest.mark.parametrize("kind", TRAINERS)
STILL = {"lr": 0.0, "minibatch_size": 64, "max_grad_norm": 1e9, "keep_certain": 1.0}
"""One step at rate 0 on all turns: the gradient stays where it can be seen."""
BARE = STILL | {"ent_coef": 0.0}


def make(kind, at, **options):
    """A trainer in a context; options that it does not have are left out."""
    trainer, config, own = TRAINERS[kind]
    known = {field.name for field in attrs.fields(config)}
    given = {name: value for name, value in options.items() if name in known}
    return trainer(config(**{**own, **given}), at)


def weight(learner, name):
    return getattr(learner.config, name, 0.0)


def lively():
    """A table and episodes in which everything differs: menus, lengths, ratios, rewards."""
    now = Table([[0.2, -0.4, 0.1], [0.5, 0.3, 0.0], [-0.3, 0.2, 0.4]], [0.3, -0.2, 0.1], [3, 2, 3])
    then = Table([[0.1, -0.3, 0.1], [0.5, 0.2, 0.0], [-0.3, 0.3, 0.4]], menus=[3, 2, 3])
    keys = ["x", "y", "x"]
    return now, [
        game(now, [(0, 1, 0.0), (1, 0, 1.0)], by=then, keys=keys[:2], group=0),
        game(now, [(0, 2, 0.5), (2, 1, 0.0), (2, 0, 0.25)], by=then, keys=keys, group=0),
        game(now, [(2, 2, -1.0)], by=then, keys=keys[:1], group=1),
        game(now, [(1, 1, 0.5), (0, 0, 2.0)], by=then, keys=keys[:2], group=1, learn_turns=1),
        game(now, [(0, 0, 0.5)], by=then, keys=keys[:1], group=1, terminated=False,
             truncated=True, final_value=0.7),
    ]  # fmt: skip
