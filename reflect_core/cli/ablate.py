"""``reflect ablate``: the paper's table for any environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reflect_core import folders
from reflect_core.cli.run import _WithKeys, configuring
from reflect_core.errors import ConfigError, ReflectError

if TYPE_CHECKING:
    from reflect_core.plugins import Registry
    from reflect_core.settings import Settings

STUDY = "study.toml"


@click.command(cls=_WithKeys)
@configuring
@click.option("--arms", metavar="A,B,...", help="Only these arms.  [all]")
@click.option("--seeds", metavar="0,1,...", default="0,1,2", show_default=True, help="Of the runs.")
@click.option("--jobs", type=click.IntRange(min=1), help="Arms side by side.  [by model and cores]")
@click.option("--dry-run", is_flag=True, help="Show the arms, and do nothing.")
def ablate(
    overrides: tuple[str, ...],
    out: Path | None,
    file: Path | None,
    arms: str | None,
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
    from reflect_core.ablation.arms import arms_of, choose
    from reflect_core.ablation.study import Study, default_jobs
    from reflect_core.progress import make_progress

    registry = plugins.load()
    base = config.resolve(registry, file=file, overrides=overrides, flags=flags)
    chosen = choose(arms_of(base, _baselines(base, registry)), _words(arms))
    if dry_run:
        for arm in chosen:
            click.echo(f"{arm.name:<14} {arm.title:<40} {' '.join(arm.overrides)}")
        return
    folder = out if out is not None else folders.RUNS / f"ablate-{base.env.name}"
    folders.make(folder)
    _same_study(folder, config.dump(base))
    study = Study(folder, registry, base, chosen, _numbers(seeds), jobs or default_jobs(base))
    with files.lock(folder):
        study.run(make_progress())
        result = table.gather(chosen, study.runs())
        table.write(result, folder)
    click.echo(result.markdown())
    click.echo(f"Everything is in {folder}")


def _baselines(base: Settings, registry: Registry) -> dict[str, str]:
    """The policies that the environment wants a row of, with their titles."""
    environment: Any = registry.find("environment", base.env.name).spec
    specs = [registry.find("policy", name).spec for name in environment.baselines]
    return {spec.name: spec.summary or spec.name for spec in specs}


def _same_study(folder: Path, text: str) -> None:
    """Note the configuration of a new study; refuse another one in the folder of an old.

    Raises:
        ReflectError: The folder holds a study with other settings, or something else.
    """
    from reflect_core import files

    path = folder / STUDY
    if not path.exists():
        if {each.name for each in folder.iterdir()} - {files.LOCK}:
            raise ReflectError(f"{folder} is not empty", then="choose another --out")
        files.write_atomic(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise ReflectError(
            f"{folder} holds an ablation with other settings",
            why=f"its {STUDY} is not what this command asks for",
            then="give the settings that it began with, or choose another --out",
        )


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
