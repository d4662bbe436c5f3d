"""``reflect new``: a plugin package to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from reflect_core.cli.options import FOLDER
from reflect_core.plugins import load
from reflect_core.scaffold import SECTIONS, Package

_TRY = {
    "env": "--env {name} --trainer ppo",
    "reflector": "--env filesys --reflector {name}",
    "trainer": "--env filesys --trainer {name}",
    "curriculum": "--env filesys --curriculum {name}",
}


@click.command()
@click.argument("kind", type=click.Choice(SECTIONS))
@click.argument("name")
@click.option(
    "--into",
    type=FOLDER,
    default=Path(),
    metavar="DIR",
    help="Where the package's folder is made.  [here]",
)
def new(kind: str, name: str, into: Path) -> None:
    """Make a package reflect-KIND-NAME that works at once, to put your own code in.

    It has an entry point, a sample part with options, the tests of the contract and a README.
    What exists is never overwritten.
    """
    package = Package(kind, name)
    package.check_free(load())
    folder = package.write(into)
    click.echo(f"Made {folder}:")
    for path in package.render():
        click.echo(f"  {path}")
    click.echo("Next:")
    for line in (
        f"pip install -e {shlex.quote(f'{folder}[test]')}",  # what checks it comes along
        f"reflect check {name}",
        f"reflect run {_TRY[kind].format(name=name)}",
    ):
        click.echo(f"  {line}")
