"""The built-in parts, offered through the same hooks as those of any plugin.

Factories import late: this module is read by every command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflect_core.hookspecs import (
    CurriculumSpec,
    NoConfig,
    PolicySpec,
    ReflectorSpec,
    hookimpl,
)

if TYPE_CHECKING:
    from reflect_core.context import Context
    from reflect_core.protocols import Curriculum, Policy, Reflector


@hookimpl
def reflect_reflectors() -> Iterable[ReflectorSpec]:
    """Reflections from nobody, and from the environment's expert."""
    yield ReflectorSpec(
        name="none", factory=_silent, summary="says nothing; the policy plays without reflections"
    )
    yield ReflectorSpec(
        name="expert",
        factory=_expert_reflector,
        needs_expert=True,
        summary="what the environment's expert would say",
    )


@hookimpl
def reflect_policies() -> Iterable[PolicySpec]:
    """The language model, and baselines without one."""
    yield PolicySpec(
        name="lm",
        factory=_lm,
        trainable=True,
        summary="a causal language model; softmax over the labels of the legal actions",
    )
    yield PolicySpec(name="random", factory=_random, summary="any legal action, all alike")
    yield PolicySpec(
        name="expert",
        factory=_expert_policy,
        needs_expert=True,
        summary="the action that the environment's expert takes",
    )
    yield PolicySpec(
        name="follow", factory=_follow, summary="the legal action that the reflection names"
    )


@hookimpl
def reflect_curricula() -> Iterable[CurriculumSpec]:
    """Tasks in no particular order."""
    yield CurriculumSpec(
        name="uniform", factory=_uniform, summary="all train tasks alike, in shuffled passes"
    )


def _silent(config: NoConfig, context: Context) -> Reflector:
    from reflect_core.baselines import SilentReflector

    return SilentReflector()


def _expert_reflector(config: NoConfig, context: Context) -> Reflector:
    from reflect_core.baselines import ExpertReflector

    return ExpertReflector()


def _lm(config: NoConfig, context: Context) -> Policy:
    from reflect_core.lm.policy import make_policy

    return make_policy(config, context)


def _random(config: NoConfig, context: Context) -> Policy:
    from reflect_core.baselines import RandomPolicy

    return RandomPolicy()


def _expert_policy(config: NoConfig, context: Context) -> Policy:
    from reflect_core.baselines import ExpertPolicy

    return ExpertPolicy()


def _follow(config: NoConfig, context: Context) -> Policy:
    from reflect_core.baselines import FollowPolicy

    return FollowPolicy()


def _uniform(config: NoConfig, context: Context) -> Curriculum:
    from reflect_core.curriculum import UniformCurriculum

    return UniformCurriculum(context.tasks("train"), seed=context.seed)
