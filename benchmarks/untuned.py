"""Whether the base model plays better than chance before anything was taught.

    python benchmarks/untuned.py [--env filesys] [--folder runs/untuned] [KEY=VALUE ...]

A base that was pre-trained on the sly for an environment would. Both players are the model as
it was loaded, and every episode is played by a random legal policy too. Prints the table and
whether the untuned model's success lies within random's 95% interval, above or below; ends with
code 1 where it is not within. Only above speaks for a hidden warm-up: an untaught model need not
choose evenly, and may lose more often than chance does: see untuned_habits.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from reflect_core import report
from reflect_core.stats import wilson

EPISODES = 1000


def verdict(result: report.Report) -> tuple[bool, list[str]]:
    """Whether every row of the untuned model lies within random's interval, and why.

    The interval is Wilson's over episodes, also where tasks repeat: both play the same ones, so
    what tasks differ by leaves no doubt.
    """
    (chance,) = [row for row in result.rows if row.name == "random"]
    random = wilson(round(chance.success.estimate * chance.episodes), chance.episodes)
    lines, within = [], True
    for row in result.rows:
        if row.name != "untuned":
            continue
        rate = row.success.estimate
        where = "below" if rate < random.low else "above" if rate > random.high else "within"
        within &= where == "within"
        lines.append(
            f"untuned, {row.decoding}: {rate:.1%} lies {where} random's "
            f"[{random.low:.1%}, {random.high:.1%}]"
        )
    return within, lines


def main() -> int:
    """Play, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="filesys")
    parser.add_argument("--folder", type=Path, default=Path("runs/untuned"))
    options, overrides = parser.parse_known_args()
    words = ["--env", options.env, "--out", str(options.folder)]
    # both decodings, also where an environment is evaluated in one by default
    words += ["teach.episodes=0", "train.iterations=0", "eval.decoding=both"]
    words += [f"eval.episodes={EPISODES}"]
    command = [sys.executable, "-m", "reflect_core", "run", *words, *overrides]
    if code := subprocess.call(command):
        return code
    within, lines = verdict(report.load(options.folder))
    print("\n".join(lines))
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
