"""Finding plugins, and saying honestly what is wrong with those that cannot be used."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import attrs
import pluggy

from reflect_core import hookspecs
from reflect_core.errors import PluginError, choices
from reflect_core.hookspecs import (
    CurriculumSpec,
    EnvironmentSpec,
    PolicySpec,
    ReflectorSpec,
    Spec,
    TrainerSpec,
)

__all__ = ["DISABLE", "KINDS", "Broken", "Kind", "Offer", "Registry", "load"]

GROUP = hookspecs.PROJECT
STATEMENT = "REFLECT_API"
"""The name under which a plugin states the API that it was written for."""
DISABLE = "REFLECT_DISABLE_PLUGINS"
"""Environment variable: plugins to leave out, by plugin or distribution, with commas."""

S = TypeVar("S", bound=Spec)


@attrs.frozen
class Kind:
    """One of the five kinds of part.

    Args:
        name: As it stands in messages and in :meth:`Registry.find`.
        plural: The registry's attribute.
        section: Its table in a configuration, and its command-line flag.
        hook: The hook that offers it.
        spec: What the hook yields.
    """

    name: str
    plural: str
    section: str
    hook: str
    spec: type[Spec]


KINDS = (
    Kind("environment", "environments", "env", "reflect_environments", EnvironmentSpec),
    Kind("reflector", "reflectors", "reflector", "reflect_reflectors", ReflectorSpec),
    Kind("policy", "policies", "policy", "reflect_policies", PolicySpec),
    Kind("trainer", "trainers", "trainer", "reflect_trainers", TrainerSpec),
    Kind("curriculum", "curricula", "curriculum", "reflect_curricula", CurriculumSpec),
)


@attrs.frozen
class Offer(Generic[S]):
    """A part that can be chosen, and where it comes from."""

    spec: S
    plugin: str
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Plugin, distribution and version, for messages."""
        return _origin(self.plugin, self.distribution, self.version)


@attrs.frozen
class Broken:
    """A plugin that is installed and cannot be used.

    Args:
        cause: Why, on one line.
        then: How to mend it, where that is known.
    """

    plugin: str
    distribution: str
    version: str
    cause: str
    then: str | None = None

    def error(self) -> PluginError:
        """The whole story: which plugin, why, and how to go on without it."""
        return PluginError(
            f"plugin {_origin(self.plugin, self.distribution, self.version)} could not be loaded",
            why=self.cause,
            details=(f"to go on without it: {DISABLE}={self.plugin}",),
            then=self.then,
        )


@attrs.frozen
class Registry:
    """All parts that can be chosen, by kind and name.

    Args:
        broken: Plugins that could not be loaded; they stop nobody who does not need them.
        clashes: ``(kind, name)`` of parts that several plugins offer, with all the offers.
            Such a part cannot be chosen, since the order of installation must not decide.
        disabled: Plugins that were left out on request.
    """

    environments: Mapping[str, Offer[EnvironmentSpec]]
    reflectors: Mapping[str, Offer[ReflectorSpec]]
    policies: Mapping[str, Offer[PolicySpec]]
    trainers: Mapping[str, Offer[TrainerSpec]]
    curricula: Mapping[str, Offer[CurriculumSpec]]
    broken: Sequence[Broken] = ()
    clashes: Mapping[tuple[str, str], Sequence[Offer[Any]]] = attrs.field(factory=dict)
    disabled: Sequence[str] = ()

    def offers(self, kind: str) -> Mapping[str, Offer[Any]]:
        """The parts of one kind, ``"environment"`` for example."""
        plurals = {each.name: each.plural for each in KINDS}
        offers: Mapping[str, Offer[Any]] = getattr(self, plurals[kind])
        return offers

    def find(self, kind: str, name: str) -> Offer[Any]:
        """The part of this kind and name.

        Args:
            kind: ``environment``, ``reflector``, ``policy``, ``trainer`` or ``curriculum``.
            name: As given by the user.

        Raises:
            PluginError: There is none, or more than one.
        """
        offers = self.offers(kind)
        if name in offers:
            return offers[name]
        if clash := self.clashes.get((kind, name)):
            raise _clash_error(kind, name, clash)
        raise PluginError(
            f"no {kind} is called {name!r}",
            details=choices(name, offers)
            + [f"disabled: {plugin}" for plugin in self.disabled]
            + [str(broken.error()) for broken in self.broken],
        )


def load(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    *,
    disabled: Collection[str] | None = None,
) -> Registry:
    """Load every installed plugin and collect what it offers.

    Args:
        entry_points: The plugins; by default those installed in the group ``reflect``.
        disabled: Plugins or distributions to leave out; by default the comma-separated
            names in the environment variable ``REFLECT_DISABLE_PLUGINS``.

    Returns:
        The registry. A plugin that fails is recorded in it and never raises here.
    """
    from reflect_core import __version__, builtin

    broken: list[Broken] = []
    if entry_points is None:
        entry_points = _installed(broken)
    if disabled is None:
        disabled = [name.strip() for name in os.environ.get(DISABLE, "").split(",")]

    offers = _ask(builtin, "builtin", "reflect-core", __version__)
    left_out: list[str] = []
    for point in sorted(entry_points, key=lambda point: (point.name, point.value)):
        distribution, version = _name_of(point.dist)
        if point.name in disabled or distribution in disabled:
            left_out.append(point.name)
            continue
        try:
            offers += _ask(point.load(), point.name, distribution, version)
        except KeyboardInterrupt:
            raise
        # SystemExit and others as well: a plugin must not end the program by being installed
        except BaseException as error:  # noqa: BLE001, recorded below
            broken.append(_broken(point, distribution, version, error))

    by_key: dict[tuple[str, str], list[Offer[Any]]] = {}
    for kind, offer in offers:
        by_key.setdefault((kind, offer.spec.name), []).append(offer)
    unique: dict[str, dict[str, Offer[Any]]] = {kind.name: {} for kind in KINDS}
    for (kind, name), found in sorted(by_key.items()):
        if len(found) == 1:
            unique[kind][name] = found[0]
    return Registry(
        **{kind.plural: unique[kind.name] for kind in KINDS},
        broken=tuple(broken),
        clashes={key: tuple(found) for key, found in by_key.items() if len(found) > 1},
        disabled=tuple(left_out),
    )


def _installed(broken: list[Broken]) -> list[importlib.metadata.EntryPoint]:
    """The plugins of all packages; one whose list of them cannot be read is added to ``broken``."""
    try:
        return list(importlib.metadata.entry_points(group=GROUP))
    except Exception:  # noqa: BLE001, a damaged file of any package
        found: list[importlib.metadata.EntryPoint] = []
        for distribution in importlib.metadata.distributions():
            try:
                found += distribution.entry_points.select(group=GROUP)
            except Exception as error:  # noqa: BLE001, told
                name, version = _name_of(distribution)
                cause = f"its entry_points.txt cannot be read: {_cause(error)}"
                broken.append(Broken(name, name, version, cause, "install that package anew"))
        return found


def _name_of(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Name and version of a package, as far as it tells them: its metadata may be damaged."""
    with contextlib.suppress(Exception):
        if distribution is not None:
            return str(distribution.name), str(distribution.version)
    return "unknown distribution", "?"


def _ask(
    plugin: object, name: str, distribution: str, version: str
) -> list[tuple[str, Offer[Any]]]:
    """Everything that one plugin offers, as ``(kind, offer)``."""
    refusal = _refusal(getattr(plugin, STATEMENT, hookspecs.API_VERSION), distribution)
    if refusal is not None:
        raise refusal
    manager = _manager(plugin, name)
    found: list[tuple[str, Offer[Any]]] = []
    for kind in KINDS:
        for specs in getattr(manager.hook, kind.hook)():
            for spec in specs:
                _check_spec(spec, kind)
                found.append((kind.name, Offer(spec, name, distribution, version)))
    return found


def _manager(plugin: object, name: str, hooks: ModuleType = hookspecs) -> pluggy.PluginManager:
    """A manager for one plugin alone, so that nothing it does can touch another's hooks.

    Args:
        plugin: Implements any of the hooks, with any of their arguments.
        name: The plugin's.
        hooks: The hooks that there are.

    Raises:
        PluginError: Something in it looks like a hook and is none, or asks for what none gives.
    """
    _check_hooks(plugin, hooks)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    manager.register(plugin, name=name)
    manager.check_pending()
    return manager


def _refusal(stated: object, distribution: str) -> PluginError | None:
    """Why a plugin that states this API cannot be used here; None where it can."""
    oldest, newest = hookspecs.OLDEST_API, hookspecs.API_VERSION
    if type(stated) is not int:  # True is no version
        return PluginError(
            f"{STATEMENT} must be a whole number, not {stated!r}",
            then=f"write {STATEMENT} = {newest} in the plugin",
        )
    if oldest <= stated <= newest:
        return None
    here = f"{newest}" if oldest == newest else f"{oldest} to {newest}"
    newer = "reflect-core" if stated > newest else distribution
    return PluginError(
        f"it was written for plugin API {stated}, this reflect-core has {here}",
        then=f"install a newer {newer}",
    )


def _broken(
    point: importlib.metadata.EntryPoint, distribution: str, version: str, error: BaseException
) -> Broken:
    """A plugin that failed, with the deepest cause there is.

    One that was written for another API often fails before it can state that: it imports what
    is not here. What its source says then counts for more than the error.
    """
    cause = _cause(error)
    then = error.then if isinstance(error, PluginError) else None
    # a value that names no module has none to ask
    named = re.fullmatch(r"[\w.]+", point.value.partition(":")[0].strip())
    stated = _stated_api(named[0]) if named else None
    refusal = None if stated is None else _refusal(stated, distribution)
    if refusal is not None and refusal.what != cause:
        cause, then = f"{refusal.what} ({cause})", refusal.then
    return Broken(point.name, distribution, version, cause, then)


def _stated_api(module: str) -> object:
    """What a module's source gives as its API, without running it; None where it says nothing."""
    source = _source(module)
    if source is None:
        return None
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(to, ast.Name) and to.id == STATEMENT for to in targets):
                return node.value.value
    return None


def _source(module: str) -> Path | None:
    """A module's file, found without importing the packages that it is in."""
    name, *rest = module.split(".")
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # a module that was put together in memory
        return None
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        found = PathFinder.find_spec(name, found.submodule_search_locations)
    return Path(found.origin) if found is not None and found.has_location and found.origin else None


def _check_hooks(plugin: object, hooks: ModuleType) -> None:
    """Refuse functions that look like hooks and would never be called, or not as they expect."""
    names = {name for name in dir(hooks) if name.startswith("reflect_")}
    for name in dir(plugin):
        function = getattr(plugin, name)
        if not name.startswith("reflect_") or not inspect.isroutine(function):
            continue
        if name not in names:
            raise PluginError(
                f"{name!r} is not a hook; {'; '.join(choices(name, names, called='hooks'))}"
            )
        if not hasattr(function, f"{GROUP}_impl"):
            raise PluginError(f"{name!r} is not marked with @hookimpl")
        given = inspect.signature(getattr(hooks, name)).parameters
        for asked in inspect.signature(function).parameters.values():
            passed = asked.kind in {asked.POSITIONAL_ONLY, asked.POSITIONAL_OR_KEYWORD}
            if passed and asked.default is asked.empty and asked.name not in {*given, "self"}:
                raise PluginError(
                    f"{name!r} asks for {asked.name!r}, which the hook does not have",
                    then="install a newer reflect-core, or leave the argument out",
                )


def _check_spec(spec: object, kind: Kind) -> None:
    if not isinstance(spec, kind.spec):
        raise PluginError(f"{kind.hook} must yield {kind.spec.__name__}, not {spec!r}")
    if not isinstance(spec.name, str) or not spec.name.strip():
        raise PluginError(f"{kind.hook}: the name of a part cannot be {spec.name!r}")
    if not isinstance(spec.summary, str):
        raise PluginError(f"{kind.name} {spec.name!r}: summary must be text, not {spec.summary!r}")
    if not isinstance(spec.config, type) or not attrs.has(spec.config):
        raise PluginError(f"{kind.name} {spec.name!r}: config must be an attrs class")
    if "name" in attrs.fields_dict(spec.config):
        raise PluginError(f"{kind.name} {spec.name!r}: no option may be called 'name'")
    if isinstance(spec, EnvironmentSpec):
        _check_stages(spec)


def _check_stages(spec: EnvironmentSpec) -> None:
    """Refuse what has no last stage, or none that could be asked for by its name."""
    stages: Any = spec.stages
    named = isinstance(stages, tuple | list) and all(
        isinstance(stage, str) and stage.strip() for stage in stages
    )
    if not named or not stages or len(set(stages)) < len(stages):
        raise PluginError(
            f"environment {spec.name!r}: stages={stages!r} is no tuple of one or more different "
            "names",
            then="stages=('full',)",
        )


def _clash_error(kind: str, name: str, clash: Sequence[Offer[Any]]) -> PluginError:
    *rest, last = [offer.origin for offer in clash]
    foreign = dict.fromkeys(o.plugin for o in clash if o.plugin != "builtin")
    ways = " or ".join(f"{DISABLE}={plugin}" for plugin in foreign)
    return PluginError(
        f"{kind} {name!r} is offered more than once",
        why=f"both {', '.join(rest)} and {last} offer it",
        details=(f"to choose one, leave the other out: {ways}",),
    )


def _cause(error: BaseException) -> str:
    """The error on one line, with the place where the plugin failed."""
    if isinstance(error, PluginError):
        return error.what
    text = " ".join(str(error).split())
    cause = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = None if isinstance(error, ImportError | SyntaxError) else _place(error)
    return f"{cause} ({place})" if place else cause


def _place(error: BaseException) -> str | None:
    """The innermost file and line that are the plugin's own."""
    traceback = error.__traceback__
    place = None
    while traceback:
        frame = traceback.tb_frame
        name = frame.f_globals.get("__name__", "")
        own = name.partition(".")[0] in {"reflect_core", "importlib", "pluggy"}
        if not own and not frame.f_code.co_filename.startswith("<"):
            place = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _origin(plugin: str, distribution: str, version: str) -> str:
    return f"{plugin!r} ({distribution} {version})"
