"""The arms of an ablation: what each leaves out of the whole method, or puts in its place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import attrs

from reflect_core import config
from reflect_core.errors import ConfigError, choices
from reflect_core.plugins import Registry
from reflect_core.settings import Settings

__all__ = ["REFERENCE", "Arm", "arms_of", "choose", "own_arm"]

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
    base: Settings,
    *,
    baselines: Mapping[str, str] | None = None,
    levels: int = 2,
    reflector_learns: bool = True,
    more: Sequence[Arm] = (),
) -> tuple[Arm, ...]:
    """All arms for a configuration, in the order of the table.

    Where the configuration has a curriculum, an arm takes it away; else, one adds the curriculum
    ``depth``, if the tasks have several levels. The policy without reflections is given the
    warm-up updates of all players that learn.

    Args:
        base: The configuration of the whole method.
        baselines: Policies without a model that the environment thinks worth a row, and their
            titles.
        levels: How many levels the train tasks have.
        reflector_learns: Whether the configuration's reflector is warmed up.
        more: Arms of the user's own.
    """
    curriculum: tuple[Arm, ...] = ()
    if base.curriculum.name != "uniform":
        curriculum = (
            Arm("no-curriculum", "without curriculum", ("curriculum=uniform",), "trained"),
        )
    elif levels > 1:
        curriculum = (Arm("depth", "with the curriculum depth", ("curriculum=depth",), "trained"),)
    silent = ("reflector=none",)
    updates = base.sft.policy_updates + reflector_learns * base.sft.reflector_updates
    alone = (*silent, f"sft.policy_updates={updates}")
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
            ("train.iterations=0", "teach.share=1.0"),  # it may also learn from RL's tasks
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
        *more,
        Arm(REFERENCE, "Reflect-RL", (), "trained"),
    )


def own_arm(text: str, base: Settings, registry: Registry, taken: Collection[str]) -> Arm:
    """The arm that ``NAME=WORDS`` asks for, WORDS as a shell would part them.

    It is judged by its policy after RL, or where it has no RL by the one it has.

    Raises:
        ConfigError: The name is taken or no word, or the settings are none.
    """
    name, _, words = text.partition("=")
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name) or name in taken:
        raise ConfigError(
            f"an arm cannot be called {name!r}",
            why="another one is" if name in taken else "a name has small letters, digits, - and _",
            then='--arm "NAME=KEY=VALUE KEY=VALUE ..."',
        )
    try:
        overrides = tuple(shlex.split(words))
    except ValueError as error:  # quotation marks that nothing closes
        raise ConfigError(
            f"the settings of the arm {name!r} cannot be read", why=str(error)
        ) from error
    if not overrides:
        raise ConfigError(
            f"the arm {name!r} changes nothing", then=f'--arm "{name}=KEY=VALUE KEY=VALUE ..."'
        )
    made = config.override(registry, base, overrides)
    keys = {word.partition("=")[0].strip() for word in overrides}
    if "seed" in keys or made.eval != base.eval:
        raise ConfigError(
            f"the arm {name!r} sets its seed, or how it is evaluated",
            why="a study runs every arm with each of its seeds, and all play the same episodes",
            then="name the seeds (--seeds 0,1,2); eval options of all arms stand by themselves",
        )
    learns = registry.find("policy", made.policy.name).spec.trainable
    if not learns:
        row = made.policy.name
    elif made.train.iterations:
        row = "trained"
    else:
        row = "warmup" if made.teach.episodes else "untuned"
    return Arm(name, f"{name}: {' '.join(overrides)}", overrides, row)


def choose(
    arms: Sequence[Arm], names: Sequence[str], *, always: Collection[str] = ()
) -> tuple[Arm, ...]:
    """The arms of these names, and those that they need; all where none are named.

    Args:
        arms: To choose from.
        names: The words after ``--arms``.
        always: Names that need not be among them.

    Raises:
        ConfigError: A name is not an arm's.
    """
    known = {arm.name: arm for arm in arms}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no arm is called {name!r}", details=choices(name, known, called="arms")
            )
    wanted = {*(names or known), *always, REFERENCE}
    wanted |= {arm.longer_than for arm in arms if arm.name in wanted and arm.longer_than}
    return tuple(arm for arm in arms if arm.name in wanted)
