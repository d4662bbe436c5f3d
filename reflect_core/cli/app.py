"""The command ``reflect``: its subcommands, and how every failure ends."""

from __future__ import annotations

from collections.abc import Sequence

import click

import reflect_core
from reflect_core.cli.ablate import ablate
from reflect_core.cli.check import check
from reflect_core.cli.diagnose import diagnose
from reflect_core.cli.failures import EXIT_MISTAKE, Interrupted, explain
from reflect_core.cli.new import new
from reflect_core.cli.play import play
from reflect_core.cli.plugins import plugins
from reflect_core.cli.run import evaluate, report, run, sft, teach, train
from reflect_core.cli.stopping import exit_code, terminable

EPILOG = """\b
To begin:
  reflect plugins                             what is installed
  reflect run --env filesys --trainer ppo     teach, warm up, train, evaluate, report
  reflect run --resume runs/NAME              go on with a run that was stopped
  reflect ablate --env filesys                compare the method with its parts
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(reflect_core.__version__, prog_name="reflect")
def command() -> None:
    """Fine-tune small language models, online, to act in text environments."""


for each in (
    run,
    teach,
    sft,
    train,
    evaluate,
    report,
    ablate,
    diagnose,
    plugins,
    check,
    new,
    play,
):
    command.add_command(each)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: The words after ``reflect``; those of the process by default.

    Returns:
        The exit code: 0 for success, 2 for a mistake or obstacle that was explained on
        standard error, 130 after an interruption, 143 after SIGTERM.
    """
    try:
        with terminable():
            code = command.main(args=args, prog_name="reflect", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return EXIT_MISTAKE
    except Interrupted as stop:
        click.echo(f"\n{stop}", err=True)
        return stop.code
    except (click.Abort, KeyboardInterrupt) as stop:
        click.echo("\nStopped.", err=True)
        return exit_code(stop)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise  # a defect: the traceback is what its report needs
        click.echo(f"Error: {told}", err=True)
        return EXIT_MISTAKE
