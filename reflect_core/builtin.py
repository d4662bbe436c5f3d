"""The built-in parts, offered through the same hooks as those of any plugin.

Factories import late: this module is read by every command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from reflect_core.hookspecs import (
    CurriculumSpec,
    NoConfig,
    PolicySpec,
    ReflectorSpec,
    hookimpl,
    option,
)

if TYPE_CHECKING:
    from reflect_core.context import Context
    from reflect_core.protocols import Curriculum, Policy, Reflector

_FIRST = "Deepest level of the tasks at the beginning."


@attrs.frozen
class StagedConfig:
    """Options of the curriculum ``staged``."""

    shares: tuple[float, ...] = option(
        (), "Shares of the iterations, one per stage, in any unit; if none are given, equal ones."
    )


@attrs.frozen
class DepthConfig:
    """Options of the curriculum ``depth``."""

    first: int = option(1, _FIRST, minimum=1)
    until: float = option(
        0.5, "Share of the iterations after which all levels are drawn.", minimum=0, maximum=1
    )


@attrs.frozen
class AdaptiveConfig:
    """Options of the curriculum ``adaptive``."""

    by: str = option(
        "level",
        "What grows harder: level, of the tasks; stage, of the environment.",
        choices=("level", "stage"),
    )
    first: int = option(1, _FIRST, minimum=1)
    threshold: float = option(
        0.8, "Success rate at which the next level or stage begins.", minimum=0, maximum=1
    )
    window: int = option(100, "Newest episodes over which the rate is taken.", minimum=1)


@attrs.frozen
class FirstTurnConfig:
    """Options of the curriculum ``first-turn``."""

    bandit_iterations: int = option(
        3, "Iterations that learn from the first turn of each episode alone.", minimum=0
    )


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
        teaches=True,
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
    """All tasks alike, from easy to hard in three ways, and first turns first."""
    yield CurriculumSpec(
        name="uniform", factory=_uniform, summary="all train tasks alike, in shuffled passes"
    )
    yield CurriculumSpec(
        name="staged",
        factory=_staged,
        config=StagedConfig,
        summary="the environment's stages in order, each for its share of the iterations",
    )
    yield CurriculumSpec(
        name="depth",
        factory=_depth,
        config=DepthConfig,
        summary="shallow levels first, deeper ones join as iterations pass",
    )
    yield CurriculumSpec(
        name="adaptive",
        factory=_adaptive,
        config=AdaptiveConfig,
        summary="the next level or stage once the success rate is high enough",
    )
    yield CurriculumSpec(
        name="first-turn",
        factory=_first_turn,
        config=FirstTurnConfig,
        summary="a bandit on the first turn of each episode, then whole episodes",
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


def _staged(config: StagedConfig, context: Context) -> Curriculum:
    from reflect_core.curriculum import ScheduledCurriculum, stage_ladder, stage_shares

    return ScheduledCurriculum(
        stage_ladder(context.tasks("train"), context.stages),
        shares=stage_shares(config.shares, context.stages),
        iterations=context.settings.train.iterations,
        seed=context.seed,
    )


def _depth(config: DepthConfig, context: Context) -> Curriculum:
    from reflect_core.curriculum import ScheduledCurriculum, level_ladder

    rungs = level_ladder(context.tasks("train"), first=config.first)
    shallow = len(rungs) - 1
    return ScheduledCurriculum(
        rungs,
        shares=[*[config.until / shallow] * shallow, 1 - config.until] if shallow else [1.0],
        iterations=context.settings.train.iterations,
        seed=context.seed,
    )


def _adaptive(config: AdaptiveConfig, context: Context) -> Curriculum:
    from reflect_core.curriculum import AdaptiveCurriculum, level_ladder, stage_ladder

    tasks = context.tasks("train")
    return AdaptiveCurriculum(
        stage_ladder(tasks, context.stages)
        if config.by == "stage"
        else level_ladder(tasks, first=config.first),
        threshold=config.threshold,
        window=config.window,
        seed=context.seed,
    )


def _first_turn(config: FirstTurnConfig, context: Context) -> Curriculum:
    from reflect_core.curriculum import FirstTurnCurriculum

    return FirstTurnCurriculum(
        context.tasks("train"), seed=context.seed, bandit_iterations=config.bandit_iterations
    )
