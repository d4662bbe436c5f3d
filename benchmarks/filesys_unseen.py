"""Plays the test tasks that nothing has played before: neither a published row nor a trial.

    python benchmarks/filesys_unseen.py STUDY     (a folder that `make bench-demo` has made)

A run's report is on `env.test_tasks` of the test split's tasks, the same ones in every run, and
settings may have been chosen by somebody who had seen them played. The split has more. The players
of the study play all of its tasks (`reflect eval RUN --label unseen`), and what is printed counts
those alone that the report lacks. Intervals as in the study's table.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment

from reflect_core.files import read_json
from reflect_core.stats import Interval, paired_difference

LABEL = "unseen"
ARMS = {"reflect-rl": ("random", "warmup", "trained"), "warmup-equal": ("warmup",)}
"""The players of each arm that are asked; both decodings, where they decode."""
REFERENCE = "reflect-rl trained"

Won = Mapping[tuple[int, str], bool]
"""Whether an episode was won, by the run's seed and the task."""


@attrs.frozen
class Player:
    """A row of the table."""

    name: str
    decoding: str
    won: Won


def players(study: Path, seeds: Sequence[int]) -> list[Player]:
    """What all runs won of the tasks that their own evaluation lacks."""
    won: dict[tuple[str, str], dict[tuple[int, str], bool]] = {}
    for arm, names in ARMS.items():
        for seed in seeds:
            run = study / f"seed-{seed}" / arm
            known = {
                episode["task_id"]
                for row in read_json(run / "evaluation.json")["rows"]
                for episode in row["episodes"]
            }
            for row in read_json(run / f"evaluation-{LABEL}.json")["rows"]:
                if row["name"] in names:
                    mine = won.setdefault((f"{arm} {row['name']}", row["decoding"]), {})
                    mine |= {
                        (seed, episode["task_id"]): episode["success"]
                        for episode in row["episodes"]
                        if episode["task_id"] not in known
                    }
    return [Player(name, decoding, each) for (name, decoding), each in won.items()]


def difference(ours: Won, theirs: Won | None = None) -> Interval:
    """Success, or by how much it is above another's, over tasks and seeds."""
    pairs = sorted(ours)
    return paired_difference(
        [float(ours[pair]) for pair in pairs],
        [float(theirs[pair]) if theirs else 0.0 for pair in pairs],
        runs=[seed for seed, _ in pairs],
        tasks=[task for _, task in pairs],
    )


def table(rows: Sequence[Player]) -> list[str]:
    """As Markdown."""
    lines = [
        "| player | decoding | episodes | success | Reflect-RL minus this |",
        "|---|---|---|---|---|",
    ]
    best = {row.decoding: row.won for row in rows if row.name == REFERENCE}
    for row in rows:
        rate = difference(row.won)
        told = f"{rate.estimate:.1%} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        gain = ""
        if row.name != REFERENCE:
            less = difference(best.get(row.decoding, best["sampled"]), row.won)
            gain = f"{100 * less.estimate:+.1f} [{100 * less.low:+.1f}, {100 * less.high:+.1f}]"
        lines.append(f"| {row.name} | {row.decoding} | {len(row.won)} | {told} | {gain} |")
    return lines


def main() -> int:
    """Play what is not yet played, and print."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    study = Path(sys.argv[1])
    seeds = sorted(int(each.name.removeprefix("seed-")) for each in study.glob("seed-*"))
    if not seeds:
        print(f"Error: {study} is no study: it has no seed-0 or the like", file=sys.stderr)
        return 2
    count = len(FilesysEnvironment(FilesysConfig(test_tasks=1_000_000)).tasks("test"))
    for seed in seeds:
        for arm, names in ARMS.items():
            words = [str(study / f"seed-{seed}" / arm), "--label", LABEL, "--episodes", str(count)]
            words += [f"env.test_tasks={count}", f"eval.players={','.join(names)}"]
            command = [sys.executable, "-m", "reflect_core", "eval", *words]
            if code := subprocess.call(command, stdout=subprocess.DEVNULL):
                return code
    print("\n".join(table(players(study, seeds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
