"""Installed environments in Gymnasium's registry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium

from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError, choices
from reflect_core.gym.environment import TextEnvironment
from reflect_core.hookspecs import EnvironmentSpec
from reflect_core.options import check, options, plain
from reflect_core.plugins import load

__all__ = ["NAMESPACE", "environment_id", "make", "register"]

NAMESPACE = "reflect"


def environment_id(spec: EnvironmentSpec) -> str:
    """What ``gymnasium.make`` knows an environment by.

    >>> environment_id(EnvironmentSpec(name="maze", factory=print, version=2))
    'reflect/maze-v2'
    """
    return f"{NAMESPACE}/{spec.name}-v{spec.version}"


def register() -> tuple[str, ...]:
    """Register every installed environment that is not registered yet.

    Importing :mod:`reflect_core.gym` does this once; call it again after an installation.
    Plugins that cannot be loaded are left out, as ``reflect plugins`` tells.

    Returns:
        The ids of all that are registered.
    """
    ids = []
    for offer in load().environments.values():
        if re.fullmatch(r"[\w.-]+", offer.spec.name) is None:
            warnings.warn(
                f"environment {offer.spec.name!r} of {offer.origin} is not in Gymnasium's registry,"
                " which takes letters, digits, '.', '-' and '_' alone",
                stacklevel=2,
            )
            continue
        ids.append(environment_id(offer.spec))
        if ids[-1] not in gymnasium.registry:
            gymnasium.register(
                ids[-1], entry_point=f"{__name__}:make", kwargs={"name": offer.spec.name}
            )
    return tuple(ids)


def make(
    name: str, *, config: Mapping[str, Any] | None = None, run_seed: int = 0, **how: Any
) -> TextEnvironment:
    """Build an installed environment for Gymnasium; what ``gymnasium.make`` calls.

    Args:
        name: As after ``--env``.
        config: Its options, as ``reflect plugins NAME`` lists them.
        run_seed: What a run's seed decides: splits and content that is generated.
        how: Arguments of :class:`TextEnvironment`.

    Raises:
        PluginError: There is no such environment.
        ConfigError: An option is unknown or out of range.
    """
    spec: EnvironmentSpec = load().find("environment", name).spec
    environment = spec.factory(_configure(spec, config or {}), EnvironmentContext(run_seed))
    try:
        return TextEnvironment(environment, **how)
    except BaseException:
        environment.close()
        raise


def _configure(spec: EnvironmentSpec, given: Mapping[str, Any]) -> Any:
    known = {key.option: key for key in options(spec.config, spec.name)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(
                f"environment {spec.name!r} has no option {name!r}",
                details=choices(name, known, called="options"),
            )
        values[name] = check(known[name], plain(value), "in config")
    try:
        return spec.config(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the options of {spec.name!r} do not go together", why=str(error)
        ) from error
