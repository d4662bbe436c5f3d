"""``reflect ablate``: the paper's table for any environment."""

from __future__ import annotations

import contextlib
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reflect_core import folders
from reflect_core.cli.options import WithKeys, configured
from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError, ReflectError
from reflect_core.runfolder import STUDY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reflect_core.ablation.arms import Arm
    from reflect_core.hookspecs import EnvironmentSpec
    from reflect_core.plugins import Registry
    from reflect_core.records import Task
    from reflect_core.settings import Settings


@click.command(cls=WithKeys)
@configured(out="runs/ablate-ENV")
@click.option("--arms", metavar="A,B,...", help="Only these arms.  [all]")
@click.option(
    "--arm", "own", metavar='"NAME=WORDS"', multiple=True, help="One more, by its KEY=VALUE words."
)
@click.option("--seeds", metavar="0,1,...", default="0,1,2", show_default=True, help="Of the runs.")
@click.option("--jobs", type=click.IntRange(min=1), help="Arms side by side.  [by model and cores]")
@click.option("--dry-run", is_flag=True, help="Show the arms, and do nothing.")
def ablate(
    overrides: tuple[str, ...],
    out: Path | None,
    file: Path | None,
    arms: str | None,
    own: tuple[str, ...],
    seeds: str,
    jobs: int | None,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Compare the method with what is left when parts of it are taken away.

    Every arm is a run with the same configuration but for its own overrides, with every seed.
    Arms share the stages that are the same. Stopped, the same command goes on.
    """
    from reflect_core import config, files, plugins
    from reflect_core.ablation import table
    from reflect_core.ablation.arms import arms_of, choose, own_arm
    from reflect_core.ablation.study import Study, default_jobs
    from reflect_core.digests import tasks_digest
    from reflect_core.progress import make_progress

    if any(word.partition("=")[0].strip() == "seed" for word in overrides):
        raise ConfigError(
            "an ablation takes no seed=",
            why="every arm is run with each of several seeds",
            then="name them: --seeds 0,1,2",
        )
    registry = plugins.load()
    base = config.resolve(registry, file=file, overrides=overrides, flags=flags)
    environment: Any = registry.find("environment", base.env.name).spec
    tasks = _tasks(environment, base)
    asked: dict[str, Any] = {
        "baselines": _baselines(environment, registry),
        "levels": len({task.level for task in tasks if task.split == "train"}),
        "reflector_learns": registry.find("reflector", base.reflector.name).spec.trainable,
    }
    more: list[Arm] = []
    for text in own:
        taken = {arm.name for arm in arms_of(base, more=more, **asked)}
        more.append(own_arm(text, base, registry, taken))
    known = arms_of(base, more=more, **asked)
    chosen = choose(known, _words(arms), always=[arm.name for arm in more])
    for arm in chosen:  # a mistake is told before there is a folder
        config.override(registry, base, arm.overrides)
    numbers = _numbers(seeds)
    if dry_run:
        for arm in chosen:
            click.echo(f"{arm.name:<14} {arm.title:<40} {' '.join(arm.overrides)}")
        return
    folder = out if out is not None else folders.RUNS / f"ablate-{base.env.name}"
    folders.make(folder)
    about = {**config.versions(registry, base), "tasks": tasks_digest(tasks)}
    about.pop("platform")  # a new kernel does not make another study
    study = Study(folder, registry, base, chosen, numbers, jobs or default_jobs(base))
    with files.lock(folder):
        _same_study(folder, base, about, registry)
        study.run(make_progress())
        result = table.gather(chosen, study.runs())
        table.write(result, folder)
    click.echo(result.markdown())
    click.echo(f"Everything is in {folder}")


def _tasks(environment: EnvironmentSpec, base: Settings) -> list[Task]:
    """All tasks that the arms will meet."""
    made = environment.factory(base.env.options, EnvironmentContext(base.seed))
    with contextlib.closing(made):
        return [task for split in ("train", "valid", "test") for task in made.tasks(split)]


def _baselines(environment: EnvironmentSpec, registry: Registry) -> dict[str, str]:
    """The policies that the environment wants a row of, with their titles."""
    specs = [registry.find("policy", name).spec for name in environment.baselines]
    return {spec.name: spec.summary or spec.name for spec in specs}


def _same_study(
    folder: Path, base: Settings, about: Mapping[str, object], registry: Registry
) -> None:
    """Note the configuration of a study; refuse another one in the folder of an old.

    Neutral options, such as an endpoint's budget, may change from one call to the next; all may
    where nothing was made yet, as a mistake in them had stopped it.

    Raises:
        ReflectError: The folder holds a study with other settings, or something else.
    """
    from reflect_core import config, files

    path, text = folder / STUDY, config.dump(base, about)
    if not path.exists():
        if {each.name for each in folder.iterdir()} - {files.LOCK}:
            raise ReflectError(f"{folder} is not empty", then="choose another --out")
        files.write_atomic(path, text)
        return
    old = path.read_text(encoding="utf-8")
    if old == text:
        return
    if _alike(old, text, base, registry):
        files.write_atomic(path, text)
    elif folders.nothing_made(arms := list(folder.glob("seed-*"))):
        for place in arms:
            shutil.rmtree(place)
        files.write_atomic(path, text)
    else:
        raise ReflectError(
            f"{folder} holds an ablation with other settings",
            why=f"its {STUDY} has other settings, versions or tasks than this command",
            then="give the settings that it began with, or choose another --out",
        )


def _alike(old: str, new: str, base: Settings, registry: Registry) -> bool:
    """Whether two studies' configurations differ in neutral options alone."""
    from reflect_core import config
    from reflect_core.neutral import renewed

    try:
        same = tomllib.loads(old).get(config.VERSIONS) == tomllib.loads(new).get(config.VERSIONS)
        return same and renewed(config.loads(registry, old), base) == base
    except (ValueError, ReflectError):
        return False


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(word) for word in _words(text)})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 0:
        raise ConfigError(f"--seeds {text!r} is not a list of seeds", then="--seeds 0,1,2")
    return numbers
