"""Strategies of Hypothesis for episodes: what they make shrinks to the shortest and smallest."""

from __future__ import annotations

import functools

from hypothesis import strategies as st

from reflect_core.testing.explore import NUMBERS, SPOILINGS, Move, Plan

__all__ = ["NASTY", "PAIRS", "moves", "other_texts", "plans"]

NASTY = ("", " ", "\n", "\x00", "\udcff", "a" * 5000, "{}", "%s", "../..", "0", "none")
"""Texts that have broken parsers before."""


def other_texts() -> st.SearchStrategy[str]:
    """Text that a model might say and hardly any menu holds, lone surrogates included."""
    anything = st.text(st.characters(exclude_categories=()), max_size=20)
    return st.one_of(st.sampled_from(NASTY), anything)


def moves(*, others: bool = True) -> st.SearchStrategy[Move]:
    """Items of the menu; with ``others`` now and then something else."""
    items = st.builds(Move, st.integers(0, 99))
    if not others:
        return items
    spoilt = st.builds(Move, st.integers(0, 9), st.none(), st.integers(1, SPOILINGS))
    return st.one_of(items, items, items, st.builds(Move, st.just(0), other_texts()), spoilt)


@functools.cache
def plans(*, others: bool = True, longest: int = 30) -> st.SearchStrategy[Plan]:
    """Episodes of any task and stage, ``longest`` moves at most.

    Args:
        others: As in :func:`moves`.
    """
    move = moves(others=others)
    return st.builds(
        Plan,
        task=st.integers(0, 9999),
        seed=st.integers(0, NUMBERS),
        stage=st.integers(0, 9),
        moves=st.one_of(
            st.lists(move, max_size=longest),
            # else half a dozen moves is the most that is usual
            st.lists(move, min_size=longest // 3, max_size=longest),
        ).map(tuple),
    )


PAIRS = st.tuples(plans(), plans())
"""Two episodes to play after or beside one another."""
