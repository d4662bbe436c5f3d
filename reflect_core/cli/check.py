"""``reflect check``: the laws of a part, examined without writing a test."""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from reflect_core.errors import ConfigError, PluginError, ReflectError, choices
from reflect_core.plugins import KINDS, Kind, Offer, Registry, load

if TYPE_CHECKING:
    from reflect_core.settings import Settings
    from reflect_core.testing.laws import Outcome

EXIT_BROKEN = 1
COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow"}


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--kind", type=click.Choice([kind.name for kind in KINDS]), help="Where two share it."
)
@click.option(
    "--max-examples",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Examples for each law that is searched.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the search."
)
def check(
    name: str, overrides: tuple[str, ...], kind: str | None, max_examples: int, seed: int
) -> int:
    """Examine whether the installed part NAME keeps the laws of its kind.

    NAME is an environment, reflector, policy, trainer or curriculum; its options are given as
    KEY=VALUE. The exit code is 1 where a law is broken.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise ReflectError(
            "this command needs the package hypothesis", then="pip install 'reflect-core[testing]'"
        )
    with _hypothesis_elsewhere():
        return _examine(name, overrides, kind, max_examples, seed)


@contextlib.contextmanager
def _hypothesis_elsewhere() -> Iterator[None]:
    """What Hypothesis stores does not go into the folder in which the command is run."""
    from hypothesis.configuration import set_hypothesis_home_dir

    with tempfile.TemporaryDirectory(prefix="reflect-check-") as scratch:
        set_hypothesis_home_dir(scratch)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


def _examine(
    name: str, overrides: tuple[str, ...], kind: str | None, max_examples: int, seed: int
) -> int:
    """Examine the laws and tell what came of each; returns the exit code."""
    from reflect_core.testing.kinds import LAWS
    from reflect_core.testing.laws import Effort, Examiner

    registry = load()
    chosen = _kind(registry, name, kind)
    offer = registry.find(chosen.name, name)
    subject = _subject(registry, chosen, offer, overrides)
    try:
        subject.build()
    except ReflectError:
        raise  # a mistake in the options is told before anything is examined
    except Exception:  # noqa: BLE001, whatever else it is: the law `builds` tells it
        pass
    click.echo(f"{chosen.name} {name!r} from {offer.origin}\n")
    examiner = Examiner(subject, LAWS[chosen.name], Effort(max_examples, seed))
    width = max(map(len, examiner.laws))
    outcomes = []
    with contextlib.closing(subject):
        for outcome in examiner.outcomes():
            click.echo(_row(outcome, width))
            outcomes.append(outcome)
    return _sum_up(outcomes, ["reflect", "check", name, *overrides], kind, max_examples, seed)


def _row(outcome: Outcome, width: int) -> str:
    status = click.style(f"{outcome.status:<7}", fg=COLOURS[outcome.status])
    remark = f" ({outcome.remark})" if outcome.remark else ""
    return f"  {status}  {outcome.law.name:<{width}}  {outcome.law.text}{remark}"


def _sum_up(
    outcomes: Sequence[Outcome], words: list[str], kind: str | None, max_examples: int, seed: int
) -> int:
    """Tell what was broken and how to see it again; returns the exit code."""
    broken = [outcome for outcome in outcomes if outcome.broken]
    for outcome in broken:
        click.echo(f"\n{outcome.explain()}")
    counts = Counter(outcome.status for outcome in outcomes)
    told = [f"{counts[status]} {status}" for status in COLOURS if counts[status]]
    click.echo(f"\n{', '.join(told)}")
    if not broken:
        return 0
    words += ["--kind", kind] if kind else []
    words += ["--max-examples", str(max_examples), "--seed", str(seed)]
    click.echo(f"again: {shlex.join(words)}")
    return EXIT_BROKEN


def _kind(registry: Registry, name: str, kind: str | None) -> Kind:
    """The kind that a part of this name is of.

    Raises:
        PluginError: Nothing is called so.
        ConfigError: Parts of several kinds are.
    """
    found = [
        each
        for each in KINDS
        if kind in {None, each.name}
        and (name in registry.offers(each.name) or (each.name, name) in registry.clashes)
    ]
    if not found and kind is not None:
        registry.find(kind, name)
    if not found:
        known = {part for each in KINDS for part in registry.offers(each.name)}
        details = choices(name, known) + [str(broken.error()) for broken in registry.broken]
        raise PluginError(f"no part is called {name!r}", details=details)
    if len(found) > 1:
        names = [each.name for each in found]
        raise ConfigError(
            f"{name!r} is the name of more than one part",
            why=f"a {' and a '.join(names)} are called so",
            then=f"add {' or '.join(f'--kind {each}' for each in names)}",
        )
    return found[0]


def _subject(registry: Registry, kind: Kind, offer: Offer[Any], words: Sequence[str]) -> Any:
    """What is examined, with its options.

    Raises:
        ConfigError: An option is unknown or out of range.
    """
    from reflect_core.context import EnvironmentContext
    from reflect_core.testing.environments import EnvironmentSubject
    from reflect_core.testing.parts import PartSubject
    from reflect_core.testing.recipes import Installed, InstalledPart

    settings = _settings(registry, kind, offer, words)
    config = getattr(settings, kind.section).options
    spec = offer.spec
    if kind.name != "environment":
        made = PartSubject.of(kind.name, spec, config, settings)
        made.recipe = InstalledPart(kind.name, spec.name, config, settings)
        return made
    return EnvironmentSubject(
        make=lambda: spec.factory(config, EnvironmentContext(settings.seed)),
        stages=spec.stages,
        config=config,
        recipe=Installed(offer.plugin, spec.name, config, settings.seed),
        truncates=spec.truncates,
        expert_solves=spec.expert_solves,
    )


def _settings(registry: Registry, kind: Kind, offer: Offer[Any], words: Sequence[str]) -> Settings:
    """A configuration with the part in its place; the others are those of a toy run.

    A bare option is the part's own where it has one of that name.
    """
    from reflect_core.config import resolve
    from reflect_core.testing.bench import bench_registry

    own = attrs.fields_dict(offer.spec.config)
    spelt = [
        f"{kind.section}.{word}" if word.partition("=")[0].replace("-", "_") in own else word
        for word in words
    ]
    flags = {"env": "lamps", "reflector": "none", kind.section: offer.spec.name}
    return resolve(bench_registry(registry), overrides=spelt, flags=flags)
