"""Prints how likely a policy of a ``filesys`` run takes what the reflection names.

    python benchmarks/filesys_lookup.py RUN [RUN ...]

It plays 500 valid episodes with the explorer and 150 with the run's own teacher, gives the policy
their reflections, and prints the mean probability of the named file, of the named folder, and,
where a reflection names two ways, of going back and of going on: after the warm-up and after RL.
The number of turns stands in parentheses.  Two or three minutes for a run.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import attrs

from reflect_core import folders, plugins
from reflect_core.errors import ReflectError
from reflect_core.progress import QuietProgress
from reflect_core.records import Draws, State
from reflect_core.rollout import evaluation_episodes
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.teach import Walk

Turn = tuple[State, str, Draws]
EXPLORERS, OTHERS = 500, 150
"""How many ways of the explorer are looked at, and of another expert."""


def turns(session: Session, episodes: int) -> Iterator[tuple[Turn, str]]:
    """The turns of the expert's way through valid episodes, and its actions."""
    full = session.env_spec.stages[-1]
    planned = evaluation_episodes(session.tasks("valid"), episodes, seed=5, stage=full)
    for number, episode in enumerate(planned):
        walk = Walk(
            session.environment, episode.task, seed=episode.environment_seed, stage=episode.stage
        )
        for turn in range(1000):
            action, said = walk.expert.expert_action(), walk.expert.expert_reflection()
            yield (walk.state(), said, Draws(1, ("lookup", number, turn))), action
            if walk.step(action).over:
                break


def probabilities(session: Session, asked: list[tuple[Turn, str]]) -> dict[str, list[float]]:
    """The policy's probabilities of what is named, by kind of turn."""
    found = defaultdict(list)
    for first in range(0, len(asked), 128):
        part = asked[first : first + 128]
        states, said, draws = zip(*(turn for turn, _ in part), strict=True)
        for choice, state, words, (_, action) in zip(
            session.policy.act(states, said, draws, greedy=True), states, said, part, strict=True
        ):
            legal = state.observation.legal_actions
            likely = dict(zip(legal, choice.probabilities, strict=True))
            if " or " in words:
                back, on = words.rsplit(": ", 1)[-1].split(" or ")
                found["two ways, back"].append(likely[back])
                found["two ways, on"].append(likely[on])
            elif action.startswith("id "):
                found["file"].append(likely[action])
            elif action != "cd ..":
                found["folder"].append(likely[action])
    return found


def look_up(run: Path) -> None:
    """Print one line for each policy that the run has."""
    registry = plugins.load()
    settings = folders.open_run(run, registry)
    if settings.env.name != "filesys":
        raise ReflectError(
            f"{run} is a run of {settings.env.name}",
            why="only reflections of filesys name files and folders",
            then="name a run of filesys",
        )
    for expert in dict.fromkeys(("explorer", settings.env.options.expert)):
        options = attrs.evolve(settings.env.options, expert=expert)
        its = attrs.evolve(settings, env=attrs.evolve(settings.env, options=options))
        session = Session(RunFolder(run), its, registry, QuietProgress())
        try:
            asked = list(turns(session, EXPLORERS if expert == "explorer" else OTHERS))
            for policy in (RunFolder(run).warmup, RunFolder(run).policy):
                if not policy.exists():
                    continue
                session.policy.load(policy)
                row = probabilities(session, asked)
                told = (f"{kind} {mean(row[kind]):.3f} ({len(row[kind])})" for kind in sorted(row))
                print(f"{run}, {expert}'s way, {policy.name}: {', '.join(told)}", flush=True)
        finally:
            session.close()


def main() -> int:
    """Look up in every run named; what cannot be used is told, with code 2."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    for name in sys.argv[1:]:
        try:
            look_up(Path(name))
        except ReflectError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
