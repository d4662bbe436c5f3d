"""GRPO: advantages within groups, by hand, and those of turns in the same state."""

import numpy as np
import pytest
from reflect_trainer_grpo.plugin import GrpoConfig
from reflect_trainer_grpo.trainer import GrpoTrainer
from table import Table, advantages, context, game

from reflect_core import ReflectError

BARE = {"lr": 0.0, "ent_coef": 0.0, "max_grad_norm": 1e9, "keep_certain": 1.0}
"""One step at rate 0, the policy term alone."""


def found(episodes, **options):
    """Advantages of the turns, and what was logged."""
    player = Table(np.zeros((12, 2)))
    learner = GrpoTrainer(GrpoConfig(**BARE | options), context(player))
    made = [game(player, turns, **more) for turns, more in episodes]
    return advantages(player, learner, made), learner.update(made, iteration=0)


def one(state, reward, group, **more):
    """An episode of one turn."""
    return [(state, 0, reward)], {"group": group, **more}


# group 0: mean 2, deviation 1; group 1: returns alike
GROUPS = [one(0, 1.0, 0), one(1, 7.0, 1), one(2, 3.0, 0), one(3, 7.0, 1)]


@pytest.mark.parametrize(("norm_std", "expected"), [(True, [-1, 1]), (False, [-2, 2])])
def test_each_episode_is_compared_with_its_group(norm_std, expected):
    wide = [one(4, 1.0, 2), one(5, 5.0, 2)]  # mean 3, deviation 2
    advantages, figures = found([*GROUPS, *wide], norm_std=norm_std)
    assert advantages == pytest.approx([-1, 0, 1, 0, *expected], abs=1e-6)
    assert figures["flat_groups"] == pytest.approx(1 / 3)


def test_all_turns_of_an_episode_have_its_advantage():
    long = [(0, 0, 0.5), (1, 1, 0.0), (2, 0, 0.5)], {"group": 0}
    advantages, _ = found([long, one(3, 0.0, 0)])
    assert advantages == pytest.approx([1, 1, 1, -1])


def test_an_episode_that_was_left_alone_teaches_nothing():
    advantages, figures = found([one(0, 5.0, 0), one(1, 0.0, 1)])
    assert advantages == pytest.approx([0, 0])
    assert figures["flat_groups"] == 1
    assert figures["grad_norm"] == 0


# -- step groups --------------------------------------------------------------------------

# returns to go with a discount of 1/2: 1.5, 3, 4 and 0, 0; the returns are 5 and 0
FIRST = [(0, 0, 0.0), (1, 1, 1.0), (2, 0, 4.0)]
SECOND = [(3, 0, 0.0), (4, 1, 0.0)]


def stepped(first, second, **options):
    parts = [(FIRST, {"keys": first}), (SECOND, {"keys": second})]
    return found(parts, **{"step_coef": 2.0, "gamma": 0.5, "norm_std": False} | options)


def test_turns_in_the_same_state_are_compared_with_each_other():
    # in state a 1.5 and 0, in b 3 and 0, in c one alone
    advantages, figures = stepped("abc", "ab")
    steps = np.array([0.75, 1.5, 0, -0.75, -1.5])
    assert advantages == pytest.approx(np.array([2.5] * 3 + [-2.5] * 2) + 2 * steps)
    assert figures["shared_states"] == pytest.approx(4 / 5)
    scaled, _ = stepped("abc", "ab", norm_std=True)
    assert scaled == pytest.approx([1 + 2, 1 + 2, 1, -1 - 2, -1 - 2])


def test_a_state_that_is_visited_twice_counts_twice():
    # in state a 1.5, 4 and 0, whose mean is 11/6
    advantages, _ = stepped("aba", "ab")
    steps = np.array([1.5 - 11 / 6, 1.5, 4 - 11 / 6, -11 / 6, -1.5])
    assert advantages == pytest.approx(np.array([2.5] * 3 + [-2.5] * 2) + 2 * steps)


def test_equal_keys_in_different_groups_are_different_states():
    turns = [([(0, 0, 1.0)], {"keys": "a", "group": 0}), ([(1, 0, 0.0)], {"keys": "a", "group": 1})]
    advantages, figures = found(turns, step_coef=1.0)
    assert advantages == [0, 0]
    assert figures["shared_states"] == 0


def test_masked_turns_belong_to_no_step_group():
    parts = [
        (FIRST, {"keys": "abc", "learn_turns": 1}),
        (SECOND, {"keys": "ab"}),
    ]
    options = {"step_coef": 2.0, "gamma": 0.5, "norm_std": False}
    advantages, _ = found(parts, **options)
    # the fourth turn's b lost its partner
    assert advantages == pytest.approx([2.5 + 1.5, -2.5 - 1.5, -2.5])


def test_states_without_names_are_a_clear_error():
    with pytest.raises(ReflectError) as caught:
        stepped("abc", ["a", None])
    assert "state_key" in str(caught.value)
    assert "step_coef=0" in str(caught.value)
    found([(FIRST, {}), (SECOND, {})])  # nobody asked for them


def test_passes_go_on_until_the_policy_has_moved_too_far():
    def steps(target_kl):
        player = Table(np.zeros((2, 2)))
        config = GrpoConfig(lr=0.1, update_epochs=4, minibatch_size=0, target_kl=target_kl)
        episodes = [game(player, [(i % 2, i % 2, float(i == 0))]) for i in range(4)]
        figures = GrpoTrainer(config, context(player)).update(episodes, iteration=0)
        return figures["optimizer_steps"]

    assert steps(None) == 4
    assert steps(1e-6) == 2  # the first pass starts where the policy was
