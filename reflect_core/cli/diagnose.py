"""``reflect diagnose``: which of the two players fails, and where."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reflect_core import folders
from reflect_core.cli.options import FOLDER

if TYPE_CHECKING:
    from reflect_core.diagnosis import Diagnosis, Turn


@click.command()
@click.argument("run", metavar="RUN", type=FOLDER)
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    default="valid",
    help="Whose tasks.  [valid]",
)
@click.option(
    "--episodes", type=click.IntRange(min=1), default=100, help="How many are played.  [100]"
)
@click.option(
    "--player",
    type=click.Choice(["trained", "warmup", "follow"]),
    help="The policy after RL, before it, or one that takes the named action.  "
    "[after RL, where it is done]",
)
@click.option(
    "--reflector",
    type=click.Choice(["own", "expert"]),
    default="own",
    help="Who reflects: the run's reflector, or the expert.  [own]",
)
@click.option(
    "--decoding",
    type=click.Choice(["sampled", "argmax"]),
    default="sampled",
    help="Of both players.  [sampled]",
)
@click.option(
    "--show", type=click.IntRange(min=0), default=3, help="Failed episodes to tell of.  [3]"
)
def diagnose(
    run: Path,
    split: str,
    episodes: int,
    player: str | None,
    reflector: str,
    decoding: str,
    show: int,
) -> None:
    """Compare the players of RUN with the environment's expert, turn by turn.

    Tells whether reflections name the expert's action, whether the policy takes it, and at which
    kind of turn the episodes that failed parted from the expert. With --player follow only the
    reflector can err, with --reflector expert only the policy. The split is valid by default: what
    is learnt here may lead to other settings, and test must not be chosen on. The expert shows one
    right way of perhaps several. A reflection may name several actions, joined by "or": it is right
    if the expert's is among them, and follow takes the last.
    """
    from reflect_core import plugins
    from reflect_core.diagnosis import diagnose as compare
    from reflect_core.progress import QuietProgress
    from reflect_core.runfolder import RunFolder
    from reflect_core.session import Session

    registry = plugins.load()
    settings = folders.open_run(run, registry)
    session = Session(RunFolder(run), settings, registry, QuietProgress())
    if player is None:
        player = "trained" if session.folder.finished("train") else "warmup"
    with contextlib.closing(session):
        found = compare(
            session,
            split=split,
            episodes=episodes,
            player=player,
            reflector=reflector,
            greedy=decoding == "argmax",
        )
    words = ", the expert's reflections" if reflector == "expert" else ""
    click.echo(f"{settings.env.name}, {split} tasks, {decoding}, policy {player!r} of {run}{words}")
    click.echo("\n".join(_table(found)))
    for turn in [each for each in found.partings() if each is not None][:show]:
        click.echo("\n" + "\n".join(_shown(turn)))


def _table(found: Diagnosis) -> list[str]:
    """How many turns there are of each kind, and of failed episodes by the kind of their last."""
    counts, partings = found.counts(), found.partings()
    turns, episodes = counts.total(), len(found.episodes)
    last = Counter((turn.said, turn.did) for turn in partings if turn is not None)
    lines = [
        f"{episodes - len(partings)} of {episodes} episodes solved, {turns} turns",
        "",
        "reflection names  policy takes   turns   share  failed there",
    ]
    for kind, count in counts.most_common():
        said, did = (part.value for part in kind)
        share = f"{count / turns:.1%}"
        lines.append(f"{said:<16}  {did:<13}  {count:>5}  {share:>6}  {last[kind]:>12}")
    for ways, taken in sorted(found.choices().items()):
        *shares, others = (f"{count / sum(taken):.1%}" for count in taken)
        lines.append(
            f"{sum(taken)} turns leave a choice of {ways}: taken, in the order in which they are "
            f"named, {', '.join(shares)}; another {others}"
        )
    if found.alone:
        lines.append(f"{found.alone} turns more were not compared: the expert had given up")
    if never := partings.count(None):
        lines.append(f"{never} failed and were with the expert all along")
    return lines


def _shown(turn: Turn) -> list[str]:
    return [
        f"{turn.task_id}, turn {turn.number + 1}",
        *(f"    {line}" for line in turn.observation.splitlines()),
        f"  expert:     {turn.advice}",
        f"  reflection: {turn.reflection or '(none)'}",
        f"  policy:     {turn.taken}",
    ]
