"""What the commands that begin something new have in common: options, and their help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["FILE", "FOLDER", "WithKeys", "configured", "configuring", "seeding"]

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


class WithKeys(click.Command):
    """A command whose help ends with the core's options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every key of the core with its default."""
        from reflect_core.config import keys
        from reflect_core.options import written

        rows = [
            (f"{key}={written(key.default)}", key.help)
            for key in keys()
            if key.option != "name" or key.section == "model"
        ]
        with formatter.section(
            "KEY=VALUE, with defaults; those of parts and of an environment: reflect plugins NAME"
        ):
            formatter.write_dl(rows, col_max=34)


seeding = click.option("--seed", type=int, help="Root of every random choice.  [0]")


def configured(*, out: str) -> Callable[[F], F]:
    """Adds what chooses the parts and settings of a new run, but for its seed.

    Args:
        out: Where the folder is made if nobody says, in words.
    """
    return functools.partial(_configured, out=out)


def _configured(command: F, *, out: str) -> F:
    for decorate in reversed(
        (
            click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]..."),
            click.option("--env", metavar="NAME", help="Environment to learn."),
            click.option("--trainer", metavar="NAME", help="How the policy learns.  [ppo]"),
            click.option("--reflector", metavar="NAME", help="Who writes reflections.  [local]"),
            click.option("--policy", metavar="NAME", help="Who chooses actions.  [lm]"),
            click.option(
                "--curriculum",
                metavar="NAME",
                help="Which tasks next.  [uniform, or the environment's]",
            ),
            click.option("--teacher", metavar="NAME", help="Who makes the examples.  [expert]"),
            click.option("--negatives", type=float, help="Negative examples an episode; 0: none."),
            click.option("--model", metavar="NAME", help="Hub name or folder.  [tiny]"),
            click.option("--config", "file", type=FILE, help="TOML file with settings."),
            click.option("--out", type=FOLDER, help=f"Folder to make.  [{out}]"),
        )
    ):
        command = decorate(command)
    return command


configuring = configured(out="first free in runs/")
