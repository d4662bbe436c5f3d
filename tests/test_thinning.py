"""Leaving out turns must leave every mean what it was, in the mean."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.thinning import CERTAIN, thin

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(probabilities, st.integers(0, 2**32))
def test_keeping_all_changes_nothing(taken, seed):
    rows, weights = thin(taken, 1.0, np.random.default_rng(seed))
    assert rows.tolist() == list(range(len(taken)))
    assert weights.tolist() == [1.0] * len(taken)


@given(probabilities, st.floats(0.05, 1), st.integers(0, 2**32))
def test_what_was_in_doubt_is_always_kept(taken, keep, seed):
    rows, weights = thin(taken, keep, np.random.default_rng(seed))
    assert len(rows) == len(weights) > 0
    assert set(np.flatnonzero(np.array(taken) < CERTAIN)) <= set(rows.tolist())


def test_means_are_kept_in_the_mean():
    generator = np.random.default_rng(0)
    taken = np.where(generator.random(200) < 0.8, 0.999, 0.5)
    values = generator.normal(size=200) + (taken > 0.9)
    estimates = []
    for _ in range(4000):
        rows, weights = thin(taken, 0.25, generator)
        assert len(rows) < 120
        estimates.append(np.mean(weights * values[rows]))
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - values.mean()) < 4 * error
