"""A critic by least squares: what it finds, and that it does not look where it must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.linear_critic import (
    FOLDS,
    RIDGE,
    LinearCritic,
    cross_fitted,
    powers_of_turn,
)


def turns(episodes=12, length=5, width=3, seed=0):
    draw = np.random.default_rng(seed)
    rows = episodes * length
    return (
        draw.normal(size=(rows, width)),
        draw.normal(size=rows),
        np.repeat(np.arange(episodes), length),
    )


@given(st.integers(0, 11), st.integers(0, 1000), st.floats(-100, 100))
def test_what_came_of_an_episode_does_not_change_its_own_values(episode, seed, other):
    features, targets, episodes = turns(seed=seed)
    before = cross_fitted(features, targets, episodes)
    own = episodes == episode
    targets = np.where(own, targets + other + 1000, targets)
    after = cross_fitted(features, targets, episodes)
    assert np.array_equal(before[own], after[own])
    far = episodes % FOLDS != episode % FOLDS
    assert not np.allclose(before[far], after[far])


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_the_unit_of_a_feature_does_not_matter(seed, unit, shift):
    features, targets, episodes = turns(seed=seed)
    before = cross_fitted(features, targets, episodes)
    after = cross_fitted(features * [1, unit, 1] + [0, shift, 0], targets, episodes)
    assert np.allclose(before, after, atol=1e-6)


def test_it_shrinks_what_is_linear_by_the_penalty():
    features, _, _ = turns(episodes=4000)
    targets = 2 + 3 * features[:, 0]
    values = LinearCritic.fit(features, targets).values(features)
    shrunk = 2 + 3 * features[:, 0] / (1 + RIDGE)
    assert np.abs(values - shrunk).max() < 0.1


def test_a_feature_that_never_varies_changes_nothing():
    features, targets, episodes = turns()
    more = np.hstack([features, np.full((len(features), 1), 0.1)])
    before, after = (cross_fitted(each, targets, episodes) for each in (features, more))
    assert np.allclose(before, after)
    alike = LinearCritic.fit(np.ones((4, 2)), np.array([1.0, 2.0, 3.0, 6.0]))
    assert alike.values(np.ones((1, 2))).tolist() == pytest.approx([3.0])


def test_it_tells_states_apart_by_the_returns_of_other_episodes():
    episodes = np.repeat(np.arange(40), 6)
    good = np.tile([1.0, 1, 1, 0, 0, 0], 40)
    noise = np.random.default_rng(0).normal(size=240)
    values = cross_fitted(good[:, None], good + 0.3 * noise, episodes)
    assert values[good == 1].min() > 0.6 and values[good == 0].max() < 0.4


def test_without_other_episodes_nothing_is_known():
    features, targets, episodes = turns(episodes=1)
    assert not cross_fitted(features, targets, episodes).any()


def test_each_episode_counts_its_turns_anew():
    assert powers_of_turn([3, 1]).tolist() == [[0, 0, 0], [1, 1, 1], [2, 4, 8], [0, 0, 0]]


def test_what_falls_as_turns_run_out_is_seen_where_features_tell_nothing():
    lengths = [10] * 12
    left = np.concatenate([np.linspace(1, 0, length) ** 2 for length in lengths])
    episodes = np.repeat(np.arange(12), 10)
    blind = cross_fitted(np.zeros((120, 1)), left, episodes)
    timed = cross_fitted(powers_of_turn(lengths), left, episodes)
    assert np.square(timed - left).mean() < 0.3 * np.square(blind - left).mean()
