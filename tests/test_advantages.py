"""Returns and advantages against hand-computed cases and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.advantages import discounted_returns, gae

numbers = st.floats(-5, 5)
episodes = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12)
shares = st.floats(0, 1)


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


@given(st.lists(numbers, max_size=12), shares)
def test_returns_obey_bellman(rewards, gamma):
    returns = discounted_returns(rewards, gamma=gamma)
    for turn, reward in enumerate(rewards):
        following = returns[turn + 1] if turn + 1 < len(rewards) else 0.0
        assert returns[turn] == pytest.approx(reward + gamma * following)
