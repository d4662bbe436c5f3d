"""The arms of an ablation: what each leaves out of the whole method, or puts in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from reflect_core.errors import ConfigError, choices
from reflect_core.settings import Settings

__all__ = ["REFERENCE", "Arm", "arms_of", "choose"]

REFERENCE = "reflect-rl"
"""The arm that every other one is compared with."""


@attrs.frozen
class Arm:
    """One way to make a policy.

    Args:
        name: The word after ``--arms``.
        title: For people.
        overrides: ``KEY=VALUE`` words on top of the study's configuration.
        row: Name of the evaluation's row by which the arm is judged.
        longer_than: An arm whose learning time this one's warm-up is given, in whole.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    row: str
    longer_than: str | None = None


def arms_of(
    base: Settings, *, baselines: Mapping[str, str] | None = None, levels: int = 2
) -> tuple[Arm, ...]:
    """All arms for a configuration, in the order of the table.

    Where the configuration has a curriculum, an arm takes it away; else, one adds the curriculum
    ``depth``, if the tasks have several levels. The policy without reflections is given the
    warm-up updates of both players.

    Args:
        base: The configuration of the whole method.
        baselines: Policies without a model that the environment thinks worth a row, and their
            titles.
        levels: How many levels the train tasks have.
    """
    curriculum: tuple[Arm, ...] = ()
    if base.curriculum.name != "uniform":
        curriculum = (
            Arm("no-curriculum", "without curriculum", ("curriculum=uniform",), "trained"),
        )
    elif levels > 1:
        curriculum = (Arm("depth", "with the curriculum depth", ("curriculum=depth",), "trained"),)
    silent = ("reflector=none",)
    both = base.sft.reflector_updates + base.sft.policy_updates
    alone = (*silent, f"sft.policy_updates={both}")
    untaught = ("teach.episodes=0",)
    return (
        Arm("random", "random legal action", ("policy=random", *silent, *untaught), "random"),
        *(
            Arm(name, title, (f"policy={name}", *silent, *untaught), name)
            for name, title in (baselines or {}).items()
        ),
        Arm("follow", "the action that the reflection names", ("policy=follow",), "follow"),
        Arm("warmup", "warm-up only", ("train.iterations=0",), "warmup"),
        Arm(
            "warmup-equal",
            "warm-up only, given the same wall time",
            ("train.iterations=0",),
            "warmup",
            longer_than=REFERENCE,
        ),
        Arm("rl-only", "RL only, no reflection", (*silent, *untaught), "trained"),
        Arm("no-reflection", "warm-up and RL, no reflection", alone, "trained"),
        Arm(
            "unnamed",
            "reflections that name no action",
            ("rollout.name_actions=false",),
            "trained",
        ),
        Arm("no-negatives", "without negative examples", ("teach.negatives=0",), "trained"),
        *curriculum,
        Arm(REFERENCE, "Reflect-RL", (), "trained"),
    )


def choose(arms: Sequence[Arm], names: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of these names, and those that they need; all where none are named.

    Raises:
        ConfigError: A name is not an arm's.
    """
    known = {arm.name: arm for arm in arms}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no arm is called {name!r}", details=choices(name, known, called="arms")
            )
    wanted = {*(names or known), REFERENCE}
    wanted |= {arm.longer_than for arm in arms if arm.name in wanted and arm.longer_than}
    return tuple(arm for arm in arms if arm.name in wanted)
