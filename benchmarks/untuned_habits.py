"""Prints what an untuned model's preferences alone make of chance.

    python benchmarks/untuned_habits.py RUN     (a folder that untuned.py has made)

A model that nobody taught may prefer some actions for their words, and these may be bad ones. It
plays its test episodes again, and its actions are counted. Then a player that draws each action as
often, and looks at nothing, plays the same episodes ten times, and so does one that draws evenly.
Only where every turn offers the same actions; the menu has them in another order at every turn.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reflect_core import folders, plugins
from reflect_core.baselines import SilentReflector
from reflect_core.errors import ReflectError
from reflect_core.progress import QuietProgress
from reflect_core.records import Choice, Draws, State, Trajectory
from reflect_core.rollout import evaluation_episodes
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.stats import wilson

ROUNDS = 10


class HabitPolicy:
    """Draws a legal action by fixed probabilities, whatever the state is."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = tuple(probabilities)

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        """One choice per state; ``greedy`` changes nothing."""
        actions = len(self.probabilities)
        return [
            Choice(index=int(draw.stream("action").choice(actions, p=self.probabilities)))
            for draw in draws
        ]


def frequencies(played: Sequence[Trajectory]) -> list[float]:
    """How often each of the K actions was taken; shape (K,), sums to 1.

    Raises:
        ReflectError: Not all turns offer the same actions.
    """
    turns = [turn for trajectory in played for turn in trajectory.transitions]
    menus = {turn.observation.legal_actions for turn in turns}
    if len(menus) != 1:
        raise ReflectError(
            f"the turns of these episodes offer {len(menus)} different sets of actions",
            why="how often each was taken compares only where every turn offers the same",
            then="name a run of frozenlake or taxi",
        )
    counts = np.bincount([turn.choice.index for turn in turns], minlength=len(menus.pop()))
    return [float(share) for share in counts / counts.sum()]


def rate(played: Sequence[Trajectory]) -> str:
    """Success with its interval, and how long an episode is, as text."""
    found = wilson(sum(each.success for each in played), len(played))
    turns = sum(each.turns for each in played) / len(played)
    told = f"{found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}] of {len(played)}"
    return f"{told}, {turns:.2f} turns each"


def tell(run: Path) -> None:
    """Print the model and the players without a model, for both decodings."""
    registry = plugins.load()
    settings = folders.open_run(run, registry)
    session = Session(RunFolder(run), settings, registry, QuietProgress())
    with contextlib.closing(session):
        tasks, stage = session.tasks("test"), session.env_spec.stages[-1]
        count = settings.eval.episodes
        once = evaluation_episodes(tasks, count, seed=settings.seed, stage=stage)
        often = evaluation_episodes(tasks, ROUNDS * count, seed=settings.seed, stage=stage)

        def draws_by(probabilities: Sequence[float]) -> str:
            player = session.collector(SilentReflector(), HabitPolicy(probabilities))
            return rate(player.play(often, greedy=False).trajectories)

        for decoding in ("sampled", "argmax"):
            played = session.own_collector().play(once, greedy=decoding == "argmax").trajectories
            shares = frequencies(played)
            print(f"untuned, {decoding}: {rate(played)}")
            print(f"  actions taken: {' '.join(f'{share:.3f}' for share in shares)}")
            print(f"  drawn as often, without a look: {draws_by(shares)}", flush=True)
        print(f"drawn evenly: {draws_by([1 / len(shares)] * len(shares))}")


def main() -> int:
    """Tell of the run named; what cannot be used is told, with code 2."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        tell(Path(sys.argv[1]))
    except ReflectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
