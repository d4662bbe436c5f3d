"""``reflect plugins``: what is installed, what is broken, and what can be set."""

from __future__ import annotations

from typing import Any

import click

from reflect_core.errors import PluginError, choices
from reflect_core.plugins import KINDS, Offer, Registry, load


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List the installed parts, or show the options of those called NAME."""
    registry = load()
    text = _details(registry, name) if name else _overview(registry)
    click.echo(text)


def _overview(registry: Registry) -> str:
    blocks = []
    for kind in KINDS:
        offers = registry.offers(kind.name)
        rows = [
            (offer.spec.name, offer.spec.summary, f"{offer.distribution} {offer.version}")
            for offer in offers.values()
        ]
        blocks.append("\n".join([f"{kind.plural}:", *_columns(rows or [("none", "", "")])]))
    problems = [f"  {line}" for line in _problems(registry)]
    if problems:
        blocks.append("\n".join(["not usable:", *problems]))
    if registry.disabled:
        blocks.append("\n".join(["disabled:", *(f"  {plugin}" for plugin in registry.disabled)]))
    return "\n\n".join(blocks)


def _problems(registry: Registry) -> list[str]:
    errors = [broken.error() for broken in registry.broken]
    for kind, name in registry.clashes:
        try:
            registry.find(kind, name)
        except PluginError as error:
            errors.append(error)
    return [line for error in errors for line in str(error).splitlines()]


def _details(registry: Registry, name: str) -> str:
    """The options of every part of this name, or of every part of the plugin of this name."""
    found = [
        (kind, offer)
        for kind in KINDS
        for offer in registry.offers(kind.name).values()
        if name in {offer.spec.name, offer.plugin, offer.distribution}
    ]
    if not found:
        return _not_found(registry, name)
    return "\n\n".join(_part(kind.name, kind.section, offer) for kind, offer in found)


def _not_found(registry: Registry, name: str) -> str:
    """The cause, if the plugin is broken.

    Raises:
        PluginError: Nothing is called ``name``.
    """
    for broken in registry.broken:
        if name in {broken.plugin, broken.distribution}:
            return str(broken.error())
    for kind, clashing in registry.clashes:
        if name == clashing:
            registry.find(kind, name)
    known = {part for kind in KINDS for part in registry.offers(kind.name)}
    raise PluginError(f"no part is called {name!r}", details=choices(name, known))


def _part(kind: str, section: str, offer: Offer[Any]) -> str:
    from reflect_core.options import options, written

    spec = offer.spec
    lines = [
        f"{kind} {spec.name}, version {spec.version}: {spec.summary}",
        f"  from {offer.origin}",
    ]
    rows = [
        (f"{key}={written(key.default)}", key.expected, key.help)
        for key in options(spec.config, section)
    ]
    lines += _columns(rows) if rows else ["  no options"]
    wishes = [f"  {key}={written(value)}" for key, value in getattr(spec, "defaults", {}).items()]
    if wishes:
        lines += ["", "  with it these are the defaults, each where the part has it:", *wishes]
    return "\n".join(lines)


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [
        f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()
        for first, second, third in rows
    ]
