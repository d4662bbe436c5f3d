"""Finding plugins, and saying honestly what is wrong with those that cannot be used."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs
import pluggy

from reflect_core import hookspecs
from reflect_core.errors import PluginError, choices
from reflect_core.hookspecs import (
    API_VERSION,
    CurriculumSpec,
    EnvironmentSpec,
    PolicySpec,
    ReflectorSpec,
    Spec,
    TrainerSpec,
)

__all__ = ["DISABLE", "KINDS", "Broken", "Kind", "Offer", "Registry", "load"]

GROUP = hookspecs.PROJECT
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

    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=GROUP)
    if disabled is None:
        disabled = [name.strip() for name in os.environ.get(DISABLE, "").split(",")]

    offers = _ask(builtin, "builtin", "reflect-core", __version__)
    broken: list[Broken] = []
    left_out: list[str] = []
    for point in sorted(entry_points, key=lambda point: (point.name, point.value)):
        distribution = point.dist.name if point.dist else "unknown distribution"
        version = point.dist.version if point.dist else "?"
        if point.name in disabled or distribution in disabled:
            left_out.append(point.name)
            continue
        try:
            offers += _ask(point.load(), point.name, distribution, version)
        # SystemExit as well: a plugin must not be able to end the program by being installed
        except (Exception, SystemExit) as error:  # noqa: BLE001, recorded below
            then = error.then if isinstance(error, PluginError) else None
            cause = _cause(error)
            broken.append(Broken(point.name, distribution, version, cause, then))

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


def _ask(
    plugin: object, name: str, distribution: str, version: str
) -> list[tuple[str, Offer[Any]]]:
    """Everything that one plugin offers, as ``(kind, offer)``.

    Each plugin has a manager of its own, so that nothing it does can touch another's hooks.
    """
    wanted = getattr(plugin, "REFLECT_API", API_VERSION)
    if wanted != API_VERSION:
        newer = isinstance(wanted, int) and wanted > API_VERSION
        raise PluginError(
            f"it was written for plugin API {wanted!r}, this reflect-core has {API_VERSION}",
            then=f"install a newer {'reflect-core' if newer else distribution}",
        )
    _check_names(plugin)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=name)
    manager.check_pending()

    found: list[tuple[str, Offer[Any]]] = []
    for kind in KINDS:
        for specs in getattr(manager.hook, kind.hook)():
            for spec in specs:
                _check_spec(spec, kind)
                found.append((kind.name, Offer(spec, name, distribution, version)))
    return found


def _check_names(plugin: object) -> None:
    """Refuse functions that look like hooks and would never be called."""
    hooks = {kind.hook for kind in KINDS}
    for name in dir(plugin):
        if not name.startswith("reflect_") or not inspect.isroutine(getattr(plugin, name)):
            continue
        if name not in hooks:
            raise PluginError(
                f"{name!r} is not a hook; {'; '.join(choices(name, hooks, called='hooks'))}"
            )
        if not hasattr(getattr(plugin, name), f"{GROUP}_impl"):
            raise PluginError(f"{name!r} is not marked with @hookimpl")


def _check_spec(spec: object, kind: Kind) -> None:
    if not isinstance(spec, kind.spec):
        raise PluginError(f"{kind.hook} must yield {kind.spec.__name__}, not {spec!r}")
    if not isinstance(spec.name, str) or not spec.name.strip():
        raise PluginError(f"{kind.hook}: the name of a part cannot be {spec.name!r}")
    if not isinstance(spec.config, type) or not attrs.has(spec.config):
        raise PluginError(f"{kind.name} {spec.name!r}: config must be an attrs class")
    if "name" in attrs.fields_dict(spec.config):
        raise PluginError(f"{kind.name} {spec.name!r}: no option may be called 'name'")


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
