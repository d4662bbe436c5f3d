"""Whether the contracts find every mutant and never blame what is right.

    python benchmarks/conformance.py [--repetitions 20] [--limit 60] [--only NAME ...]

Every installed part that needs no network, the right parts that the mutants were made from, and
the mutants of ``tests/mutants`` are examined with the default effort, the right ones with so many
seeds. Exits with code 1 when a mutant is missed or blamed for something else too, when something
right fails, or when all mutants together take longer than the limit. For one core:

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/conformance.py
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mutants import (
    curricula,
    environments,
    hanoi,
    lamps,
    lamps_again,
    maze,
    parts,
    postman,
    small_ppo,
    trainers,
)
from mutants.common import Mutant

from reflect_core.context import EnvironmentContext
from reflect_core.plugins import KINDS, Offer, load
from reflect_core.testing.bench import Bench, bench_settings
from reflect_core.testing.environments import EnvironmentSubject
from reflect_core.testing.kinds import LAWS
from reflect_core.testing.laws import Effort, Examiner, Outcome
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.recipes import Installed

Examine = Callable[[Effort], Mapping[str, Outcome]]
ONLINE = {("reflector", "openai")}
"""Parts that are nothing without a network."""


@attrs.frozen
class Good:
    """Something right.

    Args:
        kind: Of the part.
        name: Of the part.
        examine: What comes of each law.
    """

    kind: str
    name: str
    examine: Examine


def installed() -> Iterator[Good]:
    """The parts of all plugins that could be loaded."""
    registry = load()
    for kind in KINDS:
        for name, offer in sorted(registry.offers(kind.name).items()):
            if (kind.name, name) not in ONLINE:
                yield Good(kind.name, name, examination(kind.name, offer))


def examination(kind: str, offer: Offer) -> Examine:
    """How a part is examined, with its default options."""
    spec, config = offer.spec, offer.spec.config()

    def examine(effort: Effort) -> Mapping[str, Outcome]:
        if kind == "environment":
            subject = EnvironmentSubject(
                make=lambda: spec.factory(config, EnvironmentContext()),
                stages=spec.stages,
                config=config,
                recipe=Installed(offer.plugin, spec.name, config),
                truncates=spec.truncates,
            )
        else:
            subject = PartSubject.of(kind, spec, config, bench_settings())
        with contextlib.closing(subject):
            examiner = Examiner(subject, LAWS[kind], effort)
            return {outcome.law.name: outcome for outcome in examiner.outcomes()}

    return examine


def originals(bench: Bench) -> Iterator[Good]:
    """The right parts that the mutants were made from."""

    def small(effort: Effort) -> Mapping[str, Outcome]:
        return trainers.examine(small_ppo.spec(small_ppo.SmallPpo), bench, effort)

    for name, made, more in (
        ("(lamps)", lamps.Right, lamps.OPTIONS),
        ("(maze)", maze.Maze, maze.OPTIONS),
        ("(hanoi)", hanoi.Right, hanoi.OPTIONS),
        ("(postman)", postman.Right, postman.OPTIONS),
    ):
        original = Mutant(made, "", "", "", fresh=True, more=more)
        yield Good("environment", name, functools.partial(environments.examine, original))
    yield Good("trainer", "(small ppo)", small)
    for kind, right in (
        ("reflector", parts.Parrot),
        ("policy", parts.Habit),
        ("curriculum", curricula.InTurn),
    ):
        yield Good(
            kind,
            f"({right.__name__})",
            lambda effort, kind=kind, right=right: parts.examine(kind, right, bench, effort),
        )


def mutants(bench: Bench) -> Iterator[tuple[str, str, Mutant, Examine]]:
    """Kind, name, mutant and how it is examined."""
    for name, mutant in environments.MUTANTS.items():
        yield "environment", name, mutant, lambda e, m=mutant: environments.examine(m, e)
    for name, mutant in trainers.MUTANTS.items():
        made = small_ppo.spec(mutant.make)
        yield "trainer", name, mutant, lambda e, made=made: trainers.examine(made, bench, e)
    for kind, group in (
        ("reflector", parts.REFLECTORS),
        ("policy", parts.POLICIES),
        ("curriculum", curricula.CURRICULA),
    ):
        for name, mutant in group.items():
            yield (
                kind,
                name,
                mutant,
                lambda e, kind=kind, m=mutant: parts.examine(kind, m.make, bench, e),
            )


def judge_mutants(bench: Bench) -> tuple[list[str], float]:
    """Examine all mutants; returns what was missed and the seconds that it took."""
    missed: list[str] = []
    began = time.perf_counter()
    print("| Kind | Mutant | Law | Found | Seconds |\n|---|---|---|---|---:|")
    for kind, name, mutant, examine in mutants(bench):
        start = time.perf_counter()
        wrong = mutant.missed(examine(Effort()))
        if wrong is not None:
            missed.append(f"{kind} {name}: {wrong}")
        took = time.perf_counter() - start
        print(f"| {kind} | {name} | {mutant.law} | {'no' if wrong else 'yes'} | {took:.2f} |")
    return missed, time.perf_counter() - began


def judge_good(bench: Bench, repetitions: int, only: Sequence[str] | None) -> list[str]:
    """Examine what is right with many seeds; returns the alarms."""
    alarms: list[str] = []
    print("| Kind | Part | Repetitions | Alarms | Laws | Skipped | Seconds each |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for good in (*installed(), *originals(bench)):
        if only is not None and good.name not in only:
            continue
        start = time.perf_counter()
        before, found = len(alarms), {}
        for seed in range(repetitions):
            found = good.examine(Effort(seed=seed))
            alarms += [
                f"{good.kind} {good.name}, seed {seed}: {outcome.explain()}"
                for outcome in found.values()
                if outcome.broken
            ]
        each = (time.perf_counter() - start) / repetitions
        skipped = sum(outcome.status == "skipped" for outcome in found.values())
        print(
            f"| {good.kind} | {good.name} | {repetitions} | {len(alarms) - before} "
            f"| {len(found)} | {skipped} | {each:.1f} |"
        )
    return alarms


def main() -> int:
    """Examine, print, and say by the exit code whether all came out as it should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--repetitions", type=int, default=20, help="seeds for what is right, 0 for none"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for all mutants")
    parser.add_argument("--only", nargs="*", help="of what is right, only these, by name")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # it takes a while: rows are told as they come
    sys.path[:] = [str(Path(place or ".").absolute()) for place in sys.path]
    lamps_again.BuiltHereOnly.here.append("lamps.toml")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        # some write files and leave them
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        bench = Bench()
        bench.policy()  # torch and the model are loaded before the clock runs
        missed, seconds = judge_mutants(bench)
        print(
            f"\nall mutants: {seconds:.1f} s on {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
        )
        print()
        alarms = []
        if options.repetitions:
            alarms = judge_good(bench, options.repetitions, options.only)
    for trouble in (*missed, *alarms):
        print(f"\n{trouble}")
    print(f"\n{len(missed)} missed, {len(alarms)} false alarms")
    return int(bool(missed or alarms) or seconds > options.limit)


if __name__ == "__main__":
    sys.exit(main())
