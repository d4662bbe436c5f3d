"""Episodes drawn without Hypothesis: cheap, long and unlike one another.

Hypothesis likes short examples and variations of those that it has made, which finds odd cases;
what happens one time in ten needs turns by the hundred. What it makes shrinks by itself; what is
drawn here is shrunk by :func:`shrunk`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from reflect_core.streams import stream
from reflect_core.testing.explore import NUMBERS, Move, Plan

__all__ = ["drawn_pairs", "drawn_plans", "shrunk", "simpler_plans"]

LONGEST = 30
T = TypeVar("T")


@functools.lru_cache(maxsize=64)
def drawn_plans(
    count: int, *, seed: int, others: bool = True, longest: int = LONGEST
) -> tuple[Plan, ...]:
    """Episodes by the menu; with ``others`` some of them say something else now and then."""
    made = []
    for number in range(count):
        draws = stream(seed, "plan", number)
        numbers = [int(n) for n in draws.integers(0, 9999, size=int(draws.integers(longest)) + 1)]
        strays = others and number % 2
        steps = [Move(text=f"say {n}") if strays and n % 4 == 0 else Move(n) for n in numbers]
        task, stage = draws.integers(0, 9999, size=2).tolist()
        made.append(Plan(task, int(draws.integers(NUMBERS)), stage, tuple(steps)))
    return tuple(made)


def drawn_pairs(count: int, *, seed: int) -> list[tuple[Plan, Plan]]:
    """Two episodes to play after or beside one another."""
    drawn = drawn_plans(2 * count, seed=seed)
    return list(zip(drawn[:count], drawn[count:], strict=True))


def shrunk(
    example: T,
    simpler: Callable[[T], Iterator[T]],
    fails: Callable[[T], bool],
    *,
    tries: int = 1000,
) -> T:
    """The simplest example that still fails, as far as one change at a time leads.

    Args:
        simpler: What is simpler than an example by one change, the boldest changes first.
        fails: Whether one does.
        tries: Examples to try at most.
    """
    again = True
    while again:
        again = False
        for each in simpler(example):
            tries -= 1
            if tries < 0:
                return example
            if fails(each):
                example, again = each, True
                break
    return example


def simpler_plans(example: T) -> Iterator[T]:
    """A plan, or some together, made simpler."""
    if isinstance(example, Plan):
        yield from _simpler_plan(example)  # type: ignore[misc]
    elif isinstance(example, tuple):
        for place, part in enumerate(example):
            for each in simpler_plans(part):
                yield (*example[:place], each, *example[place + 1 :])  # type: ignore[misc]


def _simpler_plan(plan: Plan) -> Iterator[Plan]:
    size = len(plan.moves)
    while size:
        for start in range(0, len(plan.moves), size):
            rest = plan.moves[:start] + plan.moves[start + size :]
            yield attrs.evolve(plan, moves=rest)
        size //= 2
    for field in ("task", "seed", "stage"):
        if getattr(plan, field):
            change: Any = {field: 0}
            yield attrs.evolve(plan, **change)
    for place, move in enumerate(plan.moves):
        if move != Move():
            moves = (*plan.moves[:place], Move(), *plan.moves[place + 1 :])
            yield attrs.evolve(plan, moves=moves)
