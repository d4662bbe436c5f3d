"""Looking for what breaks a law, and for the simplest such thing, with Hypothesis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from reflect_core.testing.laws import Broken, Effort
from reflect_core.testing.randomness import kept_random, seed_global_random
from reflect_core.testing.walks import shrunk, simpler_plans

__all__ = ["search", "settings_of"]

T = TypeVar("T")


def settings_of(effort: Effort) -> hypothesis.settings:
    """Settings of a search that leaves nothing on the disk and prints nothing."""
    return hypothesis.settings(
        max_examples=effort.max_examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )


def search(
    effort: Effort,
    strategy: st.SearchStrategy[T],
    check: Callable[[T], None],
    *,
    drawn: Sequence[T] = (),
) -> None:
    """Look for an example that breaks a law, and for the simplest such example.

    To make an example takes many times as long as to play it. So those of a strategy are made
    once, for all laws that use it; only where one of them breaks the law does Hypothesis go
    through them again, and then it shrinks what it finds.

    Args:
        strategy: Kept for the next call, hence one that is made once.
        drawn: Examples besides, of :mod:`reflect_core.testing.walks`.

    Raises:
        Broken: As ``check`` raised it for the simplest example found.
    """
    made = _examples(effort, strategy)
    with kept_random():
        for number, example in enumerate((*made, *drawn)):
            first = _broken(check, example)
            if first is None:
                continue
            if number < len(made):
                first = _simplest(effort, strategy, check, first)
            else:
                simple = shrunk(
                    example, simpler_plans, lambda each: _broken(check, each) is not None
                )
                first = _broken(check, simple) or _at_times(first)
            raise _bare(first) from None


def _broken(check: Callable[[T], None], example: T) -> Broken | None:
    seed_global_random(0)  # as Hypothesis does
    try:
        check(example)
    except Broken as error:
        return error
    return None


def _simplest(
    effort: Effort, strategy: st.SearchStrategy[T], check: Callable[[T], None], first: Broken
) -> Broken:
    broken = [first]

    def noted(example: T) -> None:
        try:
            check(example)
        except Broken as error:
            broken.append(error)
            raise

    try:
        _given(effort, strategy, noted)
    except Broken as error:
        return error
    except Flaky:
        pass
    return _at_times(broken[-1])


def _at_times(error: Broken) -> Broken:
    return _bare(error, "(not at every try with the same example)")


def _bare(error: Broken, *remarks: str) -> Broken:
    """The same without the notes that Hypothesis leaves: the story says it better."""
    return Broken(
        error.what,
        shown=(*error.shown, *remarks),
        cause=error.cause,
        place=error.place,
        story=error.story,
    )


@functools.lru_cache(maxsize=32)
def _examples(effort: Effort, strategy: st.SearchStrategy[T]) -> tuple[T, ...]:
    made: list[T] = []
    _given(effort, strategy, made.append)
    return tuple(made)


def _given(effort: Effort, strategy: st.SearchStrategy[T], check: Callable[[T], None]) -> None:
    @hypothesis.seed(effort.seed)
    @settings_of(effort)
    @hypothesis.given(strategy)
    def examine(example: T) -> None:
        check(example)

    examine()
