"""Returns and advantages against hand-computed cases and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.advantages import (
    discounted_returns,
    explained_variance,
    gae,
    group_relative,
    leave_one_out,
    standardise,
)

numbers = st.floats(-5, 5)
episodes = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12)
shares = st.floats(0, 1)
# of one iteration: returns, each with the name of its group
grouped = st.lists(st.tuples(numbers, st.sampled_from("abc")), min_size=1, max_size=12)


def test_gae_by_hand():
    # delta = [1 + .5*4 - 2, 2 + .5*6 - 4] = [1, 1]; A_0 = 1 + .5*.5*1
    advantages = gae([1.0, 2.0], [2.0, 4.0], gamma=0.5, gae_lambda=0.5, final_value=6.0)
    assert advantages.tolist() == [1.25, 1.0]


@given(episodes, shares)
def test_lambda_one_is_return_minus_value_after_termination(episode, gamma):
    rewards, values = zip(*episode, strict=True)
    expected = discounted_returns(rewards, gamma=gamma) - np.array(values)
    assert gae(rewards, values, gamma=gamma, gae_lambda=1.0) == pytest.approx(expected, abs=1e-9)


@given(episodes, shares, numbers)
def test_lambda_one_bootstraps_after_truncation(episode, gamma, final):
    rewards, values = zip(*episode, strict=True)
    bootstrap = gamma ** np.arange(len(rewards), 0, -1) * final
    expected = discounted_returns(rewards, gamma=gamma) + bootstrap - np.array(values)
    found = gae(rewards, values, gamma=gamma, gae_lambda=1.0, final_value=final)
    assert found == pytest.approx(expected, abs=1e-9)


@given(episodes, shares)
def test_lambda_zero_is_the_one_step_error(episode, gamma):
    rewards, values = map(np.array, zip(*episode, strict=True))
    expected = rewards + gamma * np.append(values[1:], 0.0) - values
    assert gae(rewards, values, gamma=gamma, gae_lambda=0.0) == pytest.approx(expected)


@given(episodes, shares, shares, numbers, st.integers(1, 13))
def test_what_follows_the_turns_learnt_from_counts_as_it_came(episode, gamma, lam, final, turns):
    rewards, values = zip(*episode, strict=True)
    options = {"gamma": gamma, "gae_lambda": lam}
    found = gae(rewards, values, final_value=final, turns=turns, **options)
    to_go = discounted_returns(rewards, gamma=gamma, final_value=final)
    if turns >= len(rewards):
        assert found.tolist() == gae(rewards, values, final_value=final, **options).tolist()
        return
    assert not found[turns:].any()
    last = to_go[turns - 1] - values[turns - 1]
    assert found[turns - 1] == pytest.approx(last, abs=1e-9)
    if lam == 1:
        expected = to_go[:turns] - np.array(values[:turns])
        assert found[:turns] == pytest.approx(expected, abs=1e-9)


@given(st.lists(numbers, max_size=12), shares)
def test_returns_obey_bellman(rewards, gamma):
    returns = discounted_returns(rewards, gamma=gamma)
    for turn, reward in enumerate(rewards):
        following = returns[turn + 1] if turn + 1 < len(rewards) else 0.0
        assert returns[turn] == pytest.approx(reward + gamma * following)


# -- leave one out ------------------------------------------------------------------------


def test_leave_one_out_by_hand():
    assert leave_one_out([1.0, 2.0, 6.0]).tolist() == [4.0, 3.5, 1.5]
    # who is alone is compared with everybody else, who is all alone with nothing
    assert leave_one_out([1.0, 2.0, 6.0], ["a", "b", "a"]).tolist() == [6.0, 3.5, 1.0]
    assert leave_one_out([7.0]).tolist() == [0.0]
    assert leave_one_out([]).tolist() == []


@given(grouped, st.data(), numbers)
def test_a_baseline_left_out_does_not_know_its_own_episode(episodes, data, other):
    returns, groups = map(list, zip(*episodes, strict=True))
    own = data.draw(st.integers(0, len(returns) - 1))
    before = leave_one_out(returns, groups)[own]
    returns[own] = other
    assert leave_one_out(returns, groups)[own] == before


@given(st.lists(numbers, min_size=2, max_size=12))
def test_the_distance_from_the_others_is_that_from_the_mean_enlarged(returns):
    n = len(returns)
    expected = n / (n - 1) * (np.array(returns) - np.mean(returns))
    assert np.array(returns) - leave_one_out(returns) == pytest.approx(expected, abs=1e-9)


def test_leaving_one_out_keeps_the_gradient_and_the_mean_shrinks_it():
    # every batch of three throws of a biased coin that pays 1, with its probability: the mean
    # of score times advantage is the gradient p (1 - p), of which the batch's mean takes a third
    p = 0.3
    exact = p * (1 - p)
    found = {"loo": 0.0, "mean": 0.0}
    for throws in np.ndindex(2, 2, 2):
        returns = np.array(throws, float)
        chance = np.prod(np.where(returns == 1, p, 1 - p))
        score = returns - p
        found["loo"] += chance * np.mean(score * (returns - leave_one_out(returns)))
        found["mean"] += chance * np.mean(score * (returns - returns.mean()))
    assert found["loo"] == pytest.approx(exact)
    assert found["mean"] == pytest.approx(exact * 2 / 3)


# -- groups -------------------------------------------------------------------------------


def test_group_relative_by_hand():
    # a: mean 2, deviation 1; b: mean 5, deviation 0; c is alone
    returns, groups = [1.0, 5.0, 3.0, 5.0, 9.0], ["a", "b", "a", "b", "c"]
    assert group_relative(returns, groups) == pytest.approx([-1, 0, 1, 0, 0])
    assert group_relative(returns, groups, scale=False).tolist() == [-1, 0, 1, 0, 0]
    assert group_relative([], []).tolist() == []


@given(grouped, st.booleans())
def test_advantages_sum_to_zero_in_each_group(episodes, scale):
    returns, groups = zip(*episodes, strict=True)
    found = group_relative(returns, groups, scale=scale)
    for name in set(groups):
        assert found[np.array(groups) == name].sum() == pytest.approx(0, abs=1e-6)


# differences far above the constant that keeps the division from 0
whole = st.lists(st.tuples(st.integers(-5, 5), st.sampled_from("abc")), min_size=1, max_size=12)


@given(whole, st.integers(-20, 20), st.floats(0.1, 10), st.booleans())
def test_neither_shift_nor_with_the_deviation_scale_matter(episodes, shift, factor, scale):
    returns, groups = zip(*episodes, strict=True)
    found = group_relative(returns, groups, scale=scale)
    moved = group_relative(factor * np.array(returns) + shift, groups, scale=scale)
    assert moved == pytest.approx(found * (1 if scale else factor), abs=1e-6)


@given(grouped, numbers)
def test_other_groups_do_not_matter(episodes, other):
    returns, groups = map(list, zip(*episodes, strict=True))
    found = group_relative(returns, groups)
    more = group_relative([*returns, other], [*groups, "new"])
    assert more[:-1].tolist() == found.tolist()


# -- standardising ------------------------------------------------------------------------


@given(st.lists(numbers, min_size=1, max_size=12))
def test_standardised_values_have_mean_zero_and_deviation_one_or_are_alike(values):
    found = standardise(values)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    if np.std(values) > 1e-3:
        assert found.std() == pytest.approx(1, abs=1e-4)


def test_explained_variance_by_hand():
    returns = np.array([1.0, 2.0, 3.0, 6.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(np.zeros(4), returns) == 0
    # residuals 0, 0, 0, 2 have variance 0.75, the returns 3.5
    assert explained_variance(np.array([1.0, 2.0, 3.0, 4.0]), returns) == pytest.approx(
        1 - 0.75 / 3.5
    )
    assert explained_variance(np.array([1.0, 2.0]), np.array([5.0, 5.0])) == 0
    assert explained_variance([], []) == 0
