"""The plugin API on one page.

A plugin is a module (or object) that an installed distribution names in its entry-point
group ``reflect``. It implements any of the five hooks below with :data:`hookimpl`; each
returns an iterable of specs, and a spec names one choice and how to build it. All hooks of
all plugins are asked, none wins by order of installation: a name offered twice is an error.

    from reflect_core import EnvironmentSpec, hookimpl

    @hookimpl
    def reflect_environments():
        yield EnvironmentSpec(name="maze", factory=make_maze, config=MazeConfig, summary="...")

Beside its hooks a plugin says for which :data:`API_VERSION` it was written, and is then
refused by name, not by accident, where that does not fit: ``REFLECT_API = 1``. The rules are
in ``docs/reference/api-versions.md``. No other function in it may be called ``reflect_...``: it
would be taken for a misspelt hook.

Keep heavy imports (torch, gymnasium, your engine) inside ``factory``: the module that holds
the hooks is imported by every command that does something, ``reflect plugins`` included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pluggy

from reflect_core.protocols import Curriculum, Environment, Policy, Reflector, Trainer

if TYPE_CHECKING:
    from reflect_core.context import Context, EnvironmentContext

PROJECT = "reflect"
API_VERSION = 1
"""Number of this plugin API; every change that a plugin can make use of raises it."""
OLDEST_API = 1
"""Oldest API whose plugins work here; raised when something that they may use goes or changes."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
T = TypeVar("T")


def option(
    default: T,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[object] | None = None,
    neutral: bool | Callable[[Any], bool] = False,
    path: bool | Callable[[str], bool] = False,
    **metadata: Any,
) -> T:
    """A field of a part's config class: an option with its default and one line of help.

    Its type may be ``int``, ``float``, ``bool``, ``str``, ``Literal[...]``, ``tuple[X, ...]``,
    any of these ``| None``, or whatever else cattrs can structure. The bounds are inclusive
    and hold where the value is a number; they are checked when a run is configured. A ``neutral``
    option decides how something is done and never what comes of it (a time-out): two runs that
    differ in nothing else have the same stages. Where that depends on the other options, it is a
    function of the config. A ``path`` (text or :class:`pathlib.Path`) names a file or
    folder: what a person gives is as seen from where the command is given, with ``~`` for the home,
    and a run records it whole and so finds it from anywhere. Where only some values are paths, it
    is a function of the value. The name ``name`` is taken: it is how the
    part itself is chosen.

    >>> @attrs.frozen
    ... class MazeConfig:
    ...     size: int = option(4, "Side of the maze in cells.", minimum=1)
    >>> MazeConfig().size
    4
    """
    limits = {"minimum": minimum, "maximum": maximum, "choices": choices}
    metadata |= {key: limit for key, limit in limits.items() if limit is not None}
    metadata |= {"neutral": neutral, "path": path}
    return attrs.field(default=default, metadata={"help": help, **metadata})


@attrs.frozen
class NoConfig:
    """The config of a part that has no options."""


@attrs.frozen(kw_only=True)
class Spec:
    """What every kind of part tells about itself.

    Args:
        name: The word after ``--env``, ``--trainer`` and so on.
        factory: ``factory(config, context) -> part``; called late, may import anything.
        config: An attrs class whose fields are the options (see :func:`option`).
        summary: One line for ``reflect plugins``.
        version: Raised when results stop being comparable.
    """

    name: str
    factory: Callable[[Any, Any], Any]
    config: type = NoConfig
    summary: str = ""
    version: int = 1


@attrs.frozen(kw_only=True)
class EnvironmentSpec(Spec):
    """An environment. ``factory`` gets an :class:`EnvironmentContext`, free of torch.

    Args:
        stages: Names that a curriculum may pass to ``reset``; the last is the real task,
            the one that evaluation uses.
        baselines: Names of policies worth a row beside ``random`` in the report.
        defaults: What this environment would rather have as defaults of other sections, by
            dotted key (``{"rollout.history": 0}``); files and command lines still win. A key
            of another part (``trainer.lr``) counts only where the chosen part has it.
        truncates: Whether ``Step.truncated`` may be told: episodes are cut by a limit that is
            not the task's, and what they would still have brought is estimated. So the last
            observation shows the state that was reached, with its menu, and the expert answers
            there as in any other; where the menu is empty or the expert raises ``EpisodeOver``,
            nothing can be estimated and 0 is taken.
        expert_solves: Share of the real tasks that its expert solves with these defaults, of
            those that it does not give up; ``reflect check`` demands as much.
    """

    factory: Callable[[Any, EnvironmentContext], Environment]
    stages: tuple[str, ...] = ("full",)
    baselines: tuple[str, ...] = ()
    defaults: Mapping[str, object] = attrs.field(factory=dict)
    truncates: bool = False
    expert_solves: float = 1.0


@attrs.frozen(kw_only=True)
class ReflectorSpec(Spec):
    """A reflector.

    Args:
        needs_expert: Ask the environment's expert at every turn and pass its word along.
        trainable: The warm-up stage fits it (it is then a :class:`TrainableReflector`).
        teaches: It can be chosen with ``--teacher NAME`` (it then has ``advise``).
        remote: Every answer is asked for elsewhere and may cost money: a plan counts requests.
    """

    factory: Callable[[Any, Context], Reflector]
    needs_expert: bool = False
    trainable: bool = False
    teaches: bool = False
    remote: bool = False


@attrs.frozen(kw_only=True)
class PolicySpec(Spec):
    """A policy.

    Args:
        needs_expert: As for reflectors.
        trainable: The warm-up stage fits it, and trainers may update it (it is then a
            :class:`TrainablePolicy`).
    """

    factory: Callable[[Any, Context], Policy]
    needs_expert: bool = False
    trainable: bool = False


@attrs.frozen(kw_only=True)
class TrainerSpec(Spec):
    """A trainer. Its factory finds the policy to train in ``context.policy``.

    Args:
        needs_critic: The policy is built with a value head.
        needs_lm: It updates the policy ``lm``, or one derived of its class, and no other, as all
            do that are built on :class:`reflect_core.lm.learner.Learner`.
    """

    factory: Callable[[Any, Context], Trainer]
    needs_critic: bool = False
    needs_lm: bool = False


@attrs.frozen(kw_only=True)
class CurriculumSpec(Spec):
    """A curriculum. Its factory finds the tasks in ``context.tasks``."""

    factory: Callable[[Any, Context], Curriculum]


@hookspec
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """Offer environments for ``--env NAME``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def reflect_reflectors() -> Iterable[ReflectorSpec]:
    """Offer reflectors for ``--reflector NAME``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def reflect_policies() -> Iterable[PolicySpec]:
    """Offer policies for ``--policy NAME``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def reflect_trainers() -> Iterable[TrainerSpec]:
    """Offer trainers for ``--trainer NAME``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def reflect_curricula() -> Iterable[CurriculumSpec]:
    """Offer curricula for ``--curriculum NAME``."""
    raise AssertionError("a hook specification is never called")
