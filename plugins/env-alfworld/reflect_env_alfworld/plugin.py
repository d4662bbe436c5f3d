"""What this distribution offers to reflect; everything heavier is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflect_core.hookspecs import EnvironmentSpec, hookimpl
from reflect_env_alfworld.config import AlfworldConfig

if TYPE_CHECKING:
    from reflect_core.context import EnvironmentContext
    from reflect_env_alfworld.environment import AlfworldEnvironment


def make_environment(config: AlfworldConfig, context: EnvironmentContext) -> AlfworldEnvironment:
    """Build the environment; its games do not depend on the run's seed."""
    from reflect_env_alfworld import library

    library.load()
    from reflect_env_alfworld.environment import AlfworldEnvironment

    return AlfworldEnvironment(config)


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """The environment ``alfworld``."""
    yield EnvironmentSpec(
        name="alfworld",
        factory=make_environment,
        config=AlfworldConfig,
        version=4,
        summary="do a household task in a room told as text (ALFWorld), generated or real",
        expert_solves=0.4,
        defaults={
            # an observation lists what was seen; the past would only make prompts longer
            "rollout.history": 0,
            # a reason and a command
            "rollout.max_reflection_tokens": 40,
            # the engine is slow, leaks, and may crash or hang on a game
            "rollout.workers": 2,
            # a teacher that mostly leaves closed what is closed leaves something to RL
            "env.expert": "visitor",
            "env.shape_pickup": True,
            # most names of a room are new; a small model garbles them unless it is held to the menu
            "reflector.legal_names": True,
            "reflector.tries": 1,
            "teach.episodes": 1500,
            "sft.reflector_updates": 900,
            # four turns in ten only search on; what decides a task is said seldom
            "sft.balance": 0.5,
            # the policy begins as the reflector, which reads states
            "sft.policy_from": "reflector",
            "sft.policy_reflected": 1.0,
            "sft.policy_updates": 220,
            # A few long steps for an iteration of many episodes. At most turns the action is
            # certain, and Adam would make much of the little there; `adam_eps` prevents it.
            "trainer.critic": "least-squares",
            "trainer.lr": 2.5e-3,
            "trainer.adam_eps": 1e-3,
            "trainer.keep_certain": 0.1,
            "trainer.minibatch_size": 256,
            # What RL has to find begins at a few per cent. Where a ratio counts up to 1.2, such an
            # action gains a fifth in an iteration, whatever it is worth.
            "trainer.clip_coef": 1.0,
            "trainer.update_epochs": 1,
            "trainer.target_kl": None,
            # held closer to its warm-up, the policy keeps the teacher's habit
            "trainer.kl_coef": 0.02,
            "trainer.ent_coef": 0.0,
            "trainer.gamma": 0.95,
            "trainer.gae_lambda": 0.7,
            "train.iterations": 4,
            "train.episodes": 96,
            "train.valid_every": 4,
            "train.valid_episodes": 60,
            # 200 test games take minutes; playing them argmax too would double that
            "eval.decoding": "sampled",
        },
    )
