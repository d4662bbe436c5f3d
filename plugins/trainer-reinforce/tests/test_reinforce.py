"""REINFORCE: each baseline by hand, and the passes it makes."""

import math

import attrs
import numpy as np
import pytest
from reflect_trainer_reinforce.plugin import BASELINES, ReinforceConfig
from reflect_trainer_reinforce.trainer import ReinforceTrainer
from table import Table, advantages, context, game, gradients

BARE = {"lr": 0.0, "ent_coef": 0.0, "max_grad_norm": 1e9, "keep_certain": 1.0, "vf_coef": 0.0}
"""One step at rate 0, the policy term alone."""


def trainer(player, **options):
    return ReinforceTrainer(ReinforceConfig(**options), context(player))


def found(episodes, values=(0.0,) * 8, **options):
    """Advantages of the turns, and what was logged."""
    player = Table(np.zeros((8, 2)), values)
    learner = trainer(player, **BARE | options)
    made = [game(player, *parts, **more) for parts, more in episodes]
    return advantages(player, learner, made), learner.update(made, iteration=0)


def one(state, reward, **more):
    """An episode of one turn."""
    return ([(state, 0, reward)],), more


RETURNS = [one(0, 1.0, group=0), one(1, 2.0, group=0), one(2, 6.0, group=1)]


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [("none", [1, 2, 6]), ("mean", [-2, -1, 3]), ("loo", [-1, 1, 4.5]), ("critic", [0.5, 2, 7])],
)
def test_baselines_by_hand(baseline, expected):
    # with loo the third is alone in its group and compared with both others
    values = [0.5, 0.0, -1.0, *[0.0] * 5]
    advantages, figures = found(RETURNS, values, baseline=baseline)
    assert advantages == pytest.approx(expected)
    assert figures["advantage_mean"] == pytest.approx(np.mean(expected))
    assert figures["advantage_variance"] == pytest.approx(np.var(expected))


def test_without_groups_one_is_left_out_of_the_whole_iteration():
    alone = [one(i, reward, group=i) for i, reward in enumerate([1.0, 2.0, 6.0])]
    assert found(alone, baseline="loo")[0] == pytest.approx([-3, -1.5, 4.5])
    assert found(alone[:1], baseline="loo")[0] == pytest.approx([1])


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_turn_is_credited_with_what_comes_after_it(baseline):
    # returns to go 0 + 1/2 * (1 + 1/2 * 4) = 1.5, 3 and 4; the other episode returns 0.5
    long = ([(0, 0, 0.0), (1, 1, 1.0), (2, 0, 4.0)],), {"group": 0}
    advantages, _ = found([long, one(3, 0.5)], baseline=baseline, gamma=0.5)
    less = {"none": (0, 0), "mean": (1, 1), "loo": (0.5, 1.5), "critic": (0, 0)}[baseline]
    expected = [1.5 - less[0], 3 - less[0], 4 - less[0], 0.5 - less[1]]
    assert advantages == pytest.approx(expected)


@pytest.mark.parametrize("baseline", BASELINES)
def test_only_a_critic_looks_beyond_the_end_of_a_truncated_episode(baseline):
    cut = {"terminated": False, "truncated": True, "final_value": 2.0}
    advantages, _ = found([one(0, 1.0, **cut), one(1, 1.0)], baseline=baseline, gamma=0.9)
    ended = {"none": 1.0, "mean": 0.0, "loo": 0.0, "critic": 1.0}[baseline]
    bootstrap = 0.9 * 2.0 if baseline == "critic" else 0.0
    assert advantages == pytest.approx([ended + bootstrap, ended])


def test_the_critic_learns_the_return_to_go():
    player = Table(np.zeros((3, 2)), [0.5, 0.0, 1.0])
    episodes = [game(player, [(0, 0, 0.0), (1, 1, 2.0)]), game(player, [(2, 0, 1.0)])]
    learner = trainer(player, **BARE | {"baseline": "critic", "vf_coef": 0.6})
    figures = learner.update(episodes, iteration=0)
    # returns 2, 2, 1; errors of the values -1.5, -2, 0
    assert figures["value_loss"] == pytest.approx(0.5 * (1.5**2 + 2**2) / 3)
    assert gradients(player)[1] == pytest.approx(0.6 * np.array([-1.5, -2, 0]) / 3)
    residual = np.var([1.5, 2.0, 0.0])
    assert figures["explained_variance"] == pytest.approx(1 - residual / np.var([2.0, 2.0, 1.0]))


def test_the_gradient_of_one_step_is_that_of_the_log_probability():
    player = Table([[0.4, -0.2, 0.1]])
    learner = trainer(player, **BARE | {"baseline": "none"})
    learner.update([game(player, [(0, 1, 2.0)])], iteration=0)
    p = np.exp(player.logprobs(0))
    assert gradients(player)[0][0] == pytest.approx(-2.0 * (np.eye(3)[1] - p))


def test_an_iteration_is_one_step_unless_told_otherwise():
    player = Table(np.zeros((4, 2)))
    episodes = [game(player, [(i % 4, i % 2, float(i))]) for i in range(100)]
    assert trainer(player).update(episodes, iteration=0)["optimizer_steps"] == 1
    more = trainer(player, minibatch_size=30).update(episodes, iteration=0)
    assert more["optimizer_steps"] == 4


def test_later_steps_are_weighed_by_how_far_the_policy_has_moved():
    # who is twice as probable as when it was played counts twice
    player = Table([[0.0, 0.0]])
    (turn,) = game(player, [(0, 0, 1.0)]).transitions
    rare = attrs.evolve(turn, choice=attrs.evolve(turn.choice, logprob=math.log(0.25)))
    episode = attrs.evolve(game(player, [(0, 0, 1.0)]), transitions=(rare,))
    trainer(player, **BARE | {"baseline": "none"}).update([episode], iteration=0)
    assert gradients(player)[0][0] == pytest.approx([-2 * 0.5, 2 * 0.5])


@pytest.mark.parametrize("baseline", BASELINES)
def test_only_leaving_one_out_compares_the_episodes_of_a_group_alone(baseline):
    learner = trainer(Table(np.zeros((8, 2)), (0.0,) * 8), baseline=baseline, group_size=4)
    assert learner.group_size == 4
    assert learner.compared == (4 if baseline == "loo" else 1)
