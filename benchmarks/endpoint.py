"""Five hundred requests to an endpoint that fails, under a budget, by processes that are killed.

    python benchmarks/endpoint.py [--rooms 500] [--faults 0.2] [--kills 4] [--seed 0]

The server is ``plugins/reflector-openai/tests/faulty_server.py``: it answers with 429, 500,
cut bodies, garbage, too late or not at all, and keeps its own count of tokens and prompts.
Processes ask all questions one after another on the same folder: some are killed at an event
drawn at random, one runs until the budget is spent, the last has no budget. Prints a table.
Exits with code 1 when a stored answer was lost or asked again, or the budget was exceeded.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "plugins" / "reflector-openai" / "tests"
sys.path.insert(0, str(TESTS))  # the server and what asks it live with the tests

from endpoint_kit import Attempts, stored  # noqa: E402
from faulty_server import KINDS, FaultyServer, prompt  # noqa: E402
from reflect_reflector_openai.plugin import ANSWERS  # noqa: E402

TOKENS_PER_ROOM = 840
"""Budget for each question: too little for all of them, as the server counts."""
LINE = "{:<12}{:>9}{:>8}{:>13}{:>6}{:>10}"


def main() -> int:
    """Ask, print, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rooms", type=int, default=500, help="questions")
    parser.add_argument("--faults", type=float, default=0.2, help="share of responses")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    faults = [
        generator.choice(KINDS) if generator.random() < options.faults else "ok"
        for _ in range(20 * options.rooms)
    ]
    budget = TOKENS_PER_ROOM * options.rooms
    part = {"timeout": 1.0, "budget": budget, "when_spent": "go-on"}
    rows: list[tuple[str, int, int, int, int, int]] = []
    known: dict[str, str] = {}
    lost = again = over = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultyServer(faults) as server,
        Attempts(server.url, Path(folder), options.rooms, **part) as attempts,
    ):
        # an answer takes about six events: so each is killed within its own share of the rooms
        share = max(1, 6 * options.rooms // (options.kills + 1))
        plan = [(f"killed {n + 1}", generator.randint(1, share)) for n in range(options.kills)]
        for name, fatal in [*plan, ("to the end", 0), ("no budget", 0)]:
            arrived, tokens = len(server.bodies), server.tokens
            limit = None if name == "no budget" else budget
            attempts.attempt(fatal=fatal, budget=limit)
            asked = [prompt(body) for body in server.bodies[arrived:]]
            now = stored(Path(folder) / ANSWERS)
            repeated = sum(each in known for each in asked)
            missing = len(known.items() - now.items())
            rows.append(
                (name, len(asked), len(now) - len(known), repeated, missing, server.tokens - tokens)
            )
            again, lost = again + repeated, lost + missing
            over += limit is not None and server.tokens > limit
            known = now
    print(LINE.format("process", "requests", "stored", "asked again", "lost", "tokens"))
    for row in rows:
        print(LINE.format(*row))
    within = sum(row[-1] for row in rows[:-1])
    print(f"\nanswers stored: {len(known)} of {options.rooms}")
    print(f"the server's tokens under the budget: {within:,} of {budget:,}")
    print(f"prompts that the server answered twice: {sum(n > 1 for n in server.answered.values())}")
    told = ", ".join(f"{kind} {server.told[kind]}" for kind in KINDS)
    print(f"faults: {told}")
    return int(bool(lost or again or over or len(known) != options.rooms))


if __name__ == "__main__":
    sys.exit(main())
