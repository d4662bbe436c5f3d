"""The engine's planner in a process of its own, since a search cannot be interrupted.

``python -m reflect_env_alfworld.planner`` reads a riddle from its standard input and writes the
plan to its standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys

import attrs

from reflect_env_alfworld.native import Downward, Operator

SPENT = (22, 23, 24)
"""Exit codes of Fast Downward: its search ran out of memory, of time, or of both."""


@attrs.frozen
class Riddle:
    """A state as the compiled part of the engine can be brought to it.

    Args:
        sas: The problem, translated.
        search_sas: The same, translated for searching.
        done: What was done since the start.
    """

    sas: str
    search_sas: str
    done: tuple[Operator, ...]


def solve(riddle: Riddle, *, seconds: float) -> list[str] | None:
    """Operators that lead to the goal.

    None where there is no way, the time was too short, or the search ended its process, as one
    does that runs out of memory.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "reflect_env_alfworld.planner"],
            input=json.dumps(attrs.asdict(riddle)),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode < 0 or done.returncode in SPENT:
        return None
    done.check_returncode()
    found: list[str] | None = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Solve the riddle on the standard input."""
    told = json.load(sys.stdin)
    downward = Downward()
    downward.load(told["sas"].encode())
    for operator in told["done"]:
        downward.apply(Operator(**operator))
    # the search writes to the standard output as it pleases; the answer is the last line
    sys.stdout.write(f"\n{json.dumps(downward.plan(told['search_sas'].encode()))}\n")


if __name__ == "__main__":
    main()
