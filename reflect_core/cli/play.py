"""``reflect play``: an environment in the terminal, with numbered actions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reflect_core.cli.options import FOLDER
from reflect_core.errors import ReflectError

if TYPE_CHECKING:
    from reflect_core.play import Counsel, Game

QUIT = "q"


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--policy", "run", metavar="RUN", type=FOLDER, help="Show what the players of RUN would do."
)
@click.option("--split", type=click.Choice(["train", "valid", "test"]), help="Whose tasks.  [test]")
@click.option("--task", metavar="ID", help="Which task.  [drawn by the seed]")
@click.option("--stage", metavar="NAME", help="Of the environment.  [the real task]")
@click.option("--seed", type=click.IntRange(min=0), help="Of the episode.  [the run's, or 0]")
def play(
    name: str,
    overrides: tuple[str, ...],
    run: Path | None,
    split: str | None,
    task: str | None,
    stage: str | None,
    seed: int | None,
) -> None:
    """Play an episode of the environment NAME yourself.

    Options of the environment are given as KEY=VALUE. An action is chosen by its number or its
    text; q or the end of the input leaves. With --policy the reflection of the run's reflector
    and its policy's probability for each action are shown, and an empty line takes the likeliest.
    """
    from reflect_core import plugins
    from reflect_core.play import table

    registry = plugins.load()
    with table(registry, name, overrides=overrides, run=run, seed=seed) as made:
        game = made.game(task_id=task, split=split, seed=seed, stage=stage)
        click.echo(f"{name}, {game.task.split} tasks, seed {game.seed}")
        if made.players is not None:
            click.echo(f"players of {run}: {made.players.stage}")
        click.echo(f"\nTask: {game.task.text}")
        while not game.over:
            counsel = game.counsel()
            click.echo(f"\n{_shown(game, counsel)}")
            action = _asked(game, counsel)
            if action is None:
                break
            step = game.step(action)
            shaping = f" and shaping {step.shaping:+.2f}" if step.shaping else ""
            click.echo(f"> {action}\nreward {step.reward:+.2f}{shaping}")
        if game.over:
            click.echo(f"\n{game.text}")
        click.echo(_ending(game))


def _shown(game: Game, counsel: Counsel | None) -> str:
    """The observation, the reflection, and the menu with its numbers.

    Raises:
        ReflectError: There is nothing to choose from.
    """
    if not game.menu:
        raise ReflectError(
            "the episode goes on and has no legal actions",
            why=f"the environment shows {game.text!r} and an empty menu",
            then="reflect check NAME tells how it came to that",
        )
    lines = [game.text]
    if counsel is not None:
        lines.append(f"Reflection: {counsel.reflection or '(none)'}")
    width, digits = max(map(len, game.menu)), len(str(len(game.menu)))
    for number, action in enumerate(game.menu, 1):
        line = f"  {number:>{digits}}  {action}"
        if counsel is not None and counsel.probabilities:
            likeliest = "  <" if number - 1 == counsel.index else ""
            chance = counsel.probabilities[number - 1]
            line = f"  {number:>{digits}}  {action:<{width}}  {chance:7.2%}{likeliest}"
        lines.append(line)
    return "\n".join(lines)


def _asked(game: Game, counsel: Counsel | None) -> str | None:
    """The action that the person chose; None to leave."""
    while True:
        try:
            answer = input(f"Action, 1 to {len(game.menu)}, or {QUIT}: ").strip()
        except EOFError:
            click.echo()  # the prompt's line has no end
            return None
        except UnicodeDecodeError:
            click.echo("That is not text in this terminal's encoding.")
            continue
        if not sys.stdin.isatty():
            click.echo(answer)  # as a terminal would have shown it
        if answer == QUIT:
            return None
        if not answer and counsel is not None:
            return game.menu[counsel.index]
        number = answer.lstrip("0")
        if number.isdecimal() and len(number) < 10 and 1 <= int(number) <= len(game.menu):
            return game.menu[int(number) - 1]
        if answer in game.menu:
            return answer
        click.echo(f"There is no action {answer!r}.")


def _ending(game: Game) -> str:
    """How it went; the task's id comes here and not before, for it may give the answer away."""
    if game.last is None or not game.over:
        how = "Left"
    elif game.last.success:
        how = "Solved"
    elif game.last.truncated:
        how = "Cut off"
    else:
        how = "Not solved"
    turns = "1 turn" if game.turns == 1 else f"{game.turns} turns"
    return f"{how} after {turns}, return {game.episode_return:.2f} (--task {game.task.task_id})"
