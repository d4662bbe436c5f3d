"""``reflect run``, and its stages as commands of their own."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from reflect_core import folders
from reflect_core.cli.failures import Interrupted, explain
from reflect_core.cli.options import FOLDER, WithKeys, configuring, seeding
from reflect_core.cli.stopping import exit_code
from reflect_core.errors import ConfigError, ReflectError
from reflect_core.settings import Settings

if TYPE_CHECKING:
    from reflect_core.plugins import Registry

STAGES = ("teach", "sft", "train", "eval", "report")


_continuing = click.argument("folder", metavar="RUN", type=FOLDER)


@click.command(cls=WithKeys)
@configuring
@seeding
@click.option("--resume", metavar="RUN", type=FOLDER, help="Go on with the run in this folder.")
@click.option("--dry-run", is_flag=True, help="Show the settings and stages, and do nothing.")
def run(
    overrides: tuple[str, ...],
    out: Path | None,
    file: Path | None,
    resume: Path | None,
    dry_run: bool,
    **flags: object,
) -> None:
    """Teach, warm up, train, evaluate and report, in one folder.

    Settings are given as KEY=VALUE, for example: train.iterations=5. A bare option will do
    where only one section has it: iterations=5.
    """
    from reflect_core import config, plugins

    registry = plugins.load()
    if resume is not None:
        if out or file or overrides or any(value is not None for value in flags.values()):
            raise ReflectError(
                "the settings of a run are fixed when it begins",
                then=f"reflect run --resume {shlex.quote(str(resume))}, or begin another run: "
                f"reflect run --config {shlex.quote(str(resume / folders.CONFIG))} ...",
            )
        settings = folders.open_run(resume, registry)
    else:
        settings = config.resolve(registry, file=file, overrides=overrides, flags=flags)
    if dry_run:
        click.echo(config.dump(settings))
        _show_plan(settings, registry)
        return
    folder = resume if resume is not None else folders.create(out, settings, registry)
    _execute(folder, settings, STAGES, registry, new=resume is None)


@click.command(cls=WithKeys)
@configuring
@seeding
def teach(overrides: tuple[str, ...], out: Path | None, file: Path | None, **flags: object) -> None:
    """Begin a run: make the teacher's examples."""
    from reflect_core import config, plugins

    registry = plugins.load()
    settings = config.resolve(registry, file=file, overrides=overrides, flags=flags)
    _execute(folders.create(out, settings, registry), settings, ["teach"], registry, new=True)


@click.command()
@_continuing
def sft(folder: Path) -> None:
    """Warm up both players of RUN on the teacher's examples."""
    _continue(folder, "sft")


@click.command()
@_continuing
def train(folder: Path) -> None:
    """Train the policy of RUN by reinforcement."""
    _continue(folder, "train")


@click.command("eval")
@_continuing
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", type=click.Choice(["train", "valid", "test"]), help="Whose tasks.")
@click.option("--episodes", type=click.IntRange(min=1), help="Episodes per row.")
@click.option("--decoding", type=click.Choice(["sampled", "argmax", "both"]), help="Of actions.")
@click.option("--label", metavar="WORD", help="Keep it beside the run's own evaluation.")
def evaluate(folder: Path, overrides: tuple[str, ...], **changes: Any) -> None:
    """Evaluate the players of RUN on held-out tasks.

    KEY=VALUE sets options of env, rollout and eval for this evaluation alone. With another env or
    rollout than the run's it needs a label, which names its file, evaluation-LABEL.json, so that
    results on both are never mixed.
    """
    given = {name: value for name, value in changes.items() if value is not None}

    def change(settings: Settings, registry: Registry) -> Settings:
        made = attrs.evolve(settings, eval=attrs.evolve(settings.eval, **given))
        made = config.override(registry, made, overrides)
        _evaluable(settings, made)
        return made

    from reflect_core import config

    _continue(folder, "eval", change)


def _evaluable(own: Settings, made: Settings) -> None:
    """See that an evaluation's settings leave alone what the run has learnt by.

    Raises:
        ConfigError: They do not, or it is played in another way and has no label.
    """
    from reflect_core.neutral import deciding

    free = {"env", "rollout", "eval"}
    for field in attrs.fields(type(own)):
        if field.name not in free and getattr(own, field.name) != getattr(made, field.name):
            raise ConfigError(
                f"an evaluation cannot change {field.name}",
                why="the run has learnt with it",
                then="set options of env, rollout or eval, or begin another run",
            )
    changed = [name for name in ("env", "rollout") if deciding(own)[name] != deciding(made)[name]]
    if changed and not made.eval.label:
        raise ConfigError(
            f"with another {' and '.join(changed)} than the run's own an evaluation needs a label",
            why="its results would stand where the run's belong",
            then="--label WORD writes evaluation-WORD.json",
        )


@click.command()
@_continuing
def report(folder: Path) -> None:
    """Write and show the report of RUN."""
    _continue(folder, "report")


def _continue(
    folder: Path,
    stage: str,
    change: Callable[[Settings, Registry], Settings] = lambda same, registry: same,
) -> None:
    from reflect_core import plugins

    registry = plugins.load()
    own = folders.open_run(folder, registry)
    settings = change(own, registry)
    _execute(folder, settings, [stage], registry, beside=settings != own)


def _execute(
    folder: Path,
    settings: Settings,
    stages: Sequence[str],
    registry: Any,
    *,
    new: bool = False,
    beside: bool = False,
) -> None:
    """Do the stages in the folder, with progress on standard error.

    A ``new`` run that a mistake in its settings stops before anything was made leaves no
    folder, so that the corrected command can use the same ``--out``.
    """
    from reflect_core import files
    from reflect_core.progress import QuietProgress, make_progress

    first = folders.is_main_process()
    progress = make_progress() if first else QuietProgress()
    way_on = _told_how_to_resume(None if beside else folder)
    with way_on, files.lock(folder) if first else contextlib.nullcontext():
        from reflect_core.run import execute

        try:
            execute(folder, settings, stages, registry, progress, beside=beside)
        except ReflectError:
            if new and first:
                folders.discard_unused(folder)
            raise
    if first:
        _show(folder, settings, stages)
        click.echo(f"Everything is in {folder}")


def _show_plan(settings: Settings, registry: Any) -> None:
    """What a run would do, as comments below its settings."""
    import tempfile

    from reflect_core.plan import describe
    from reflect_core.progress import QuietProgress
    from reflect_core.runfolder import RunFolder
    from reflect_core.session import Session

    with tempfile.TemporaryDirectory(prefix="reflect-plan-") as scratch:
        session = Session(RunFolder(Path(scratch)), settings, registry, QuietProgress())
        with contextlib.closing(session):
            for line in describe(session):
                click.echo(f"# {line}")


def _show(folder: Path, settings: Settings, stages: Sequence[str]) -> None:
    """Print the table of the last stage, on standard output, where it can be piped."""
    from reflect_core import report
    from reflect_core.runfolder import RunFolder

    if {"eval", "report"} & set(stages):
        name = RunFolder(folder).evaluation_of(settings.eval).name
        click.echo(report.load(folder, name).text())


@contextlib.contextmanager
def _told_how_to_resume(folder: Path | None) -> Iterator[None]:
    """Let what stops a run say how to go on with it.

    Args:
        folder: Of the run; None for what is beside it, which a resume would not do.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(folder, exit_code(stop)) from None
    except Exception as error:
        told = explain(error, resume=folder)
        if told is None or told is error:
            raise
        raise told from error
