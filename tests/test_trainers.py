"""What every trainer must do: gradients, masked turns, going on, stopping.

Mostly on a table of a few logits, where the right answer can be written down.
"""

import io
import math
import types

import attrs
import numpy as np
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from table import Table, context, game, gradients
from trainer_kinds import BARE, CRITICS, STILL, TRAINERS, each, lively, make, weight

from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.learner import Learner
from reflect_core.lm.policy import entropy
from reflect_core.options import options


def test_no_number_of_a_trainer_is_without_a_lower_bound():
    for _, config, _ in TRAINERS.values():
        numbers = [key for key in options(config, "trainer") if key.type in (int, float)]
        assert len(numbers) > 5
        assert [key.option for key in numbers if key.minimum is None] == []


@each
def test_probabilities_are_those_of_the_samplers_temperature(kind):
    logits = np.array([[0.3, -0.1, 0.2], [1.0, 0.0, -1.0]])
    player, sampler = Table(logits), Table(logits / 0.5)
    played = [
        game(player, [(0, i % 3, float(i == 1)), (1, 0, 0.5)], by=sampler, keys=["x", "y"])
        for i in range(4)
    ]
    cold = [
        attrs.evolve(
            each,
            transitions=tuple(
                attrs.evolve(turn, choice=attrs.evolve(turn.choice, temperature=0.5))
                for turn in each.transitions
            ),
        )
        for each in played
    ]
    learner = make(kind, context(player), **BARE | {"kl_coef": 0.1})
    again = [attrs.evolve(each, success=True, replayed=True) for each in cold[:2]]
    figures = learner.update([*cold, *again], iteration=0)
    assert figures["first_ratio_error"] == pytest.approx(0, abs=1e-6)
    assert figures["kl_to_warmup"] == pytest.approx(0, abs=1e-9)
    assert figures["replay_ratio"] == pytest.approx(1)


@each
def test_a_loss_whose_gradient_is_not_finite_moves_nothing(kind):
    player, episodes = lively()
    learner = make(kind, context(player), **STILL | {"lr": 0.1})
    before = toy.hashes(player.trainable())

    def flat_and_steep(now):
        return (0.0 * now.logprobs[:, 0].sum()).sqrt(), {}

    with pytest.raises(NonFiniteLoss, match="gradient norm"):
        learner.learn(learner.batch(episodes), flat_and_steep, iteration=0)
    assert toy.hashes(player.trainable()) == before


# -- gradients ----------------------------------------------------------------------------


@each
@pytest.mark.parametrize("micro_batch_size", [2, 64])
def test_the_gradient_is_that_of_the_loss_by_finite_differences(kind, micro_batch_size):
    player, episodes = lively()
    options = {
        "ent_coef": 0.05,
        "kl_coef": 0.3,
        "vf_coef": 0.5,
        "micro_batch_size": micro_batch_size,
    }
    learner = make(kind, context(player), **STILL | options)
    # away from the warm-up policy, where the KL has a slope
    toy.stir(player.trainable())

    def loss():
        figures = learner.update(episodes, iteration=0)
        return (
            figures["policy_loss"]
            + weight(learner, "vf_coef") * figures.get("value_loss", 0.0)
            - 0.05 * figures["entropy"]
            + 0.3 * figures["kl_to_warmup"]
        )

    loss()
    step = 1e-5
    for parameter, found in zip(player.trainable(), gradients(player), strict=True):
        assert np.abs(found).max() > 1e-3 or (found.ndim == 1 and kind not in CRITICS)
        for place in np.ndindex(*found.shape):
            ends = []
            for sign in (1, -1):
                parameter.data[place] += sign * step
                ends.append(loss())
                parameter.data[place] -= sign * step
            slope = (ends[0] - ends[1]) / (2 * step)
            assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), place


@each
def test_a_step_raises_the_probability_of_the_better_action(kind):
    player = Table([[0.3, -0.1, 0.2], [0.0, 0.0, 0.0]])
    before = player.logprobs(0)
    episodes = [game(player, [(0, i % 3, float(i % 3 == 1))], keys=["s"]) for i in range(6)]
    make(kind, context(player), **BARE | {"lr": 0.05}).update(episodes, iteration=0)
    change = player.logprobs(0) - before
    assert change[1] > 0 > max(change[0], change[2])
    assert player.logprobs(1).tolist() == [-math.log(3)] * 3


menus = st.lists(st.lists(st.floats(-8, 8), min_size=1, max_size=5), min_size=1, max_size=4)


@given(menus)
def test_masked_entropy_and_its_gradient_against_brute_force(menus):
    width = max(map(len, menus))
    padded = [[*row, *[-math.inf] * (width - len(row))] for row in menus]
    logits = torch.tensor(padded, dtype=torch.float64, requires_grad=True)
    found = entropy(logits)
    found.sum().backward()
    logprobs = torch.log_softmax(logits, -1).detach()
    for place, row in enumerate(menus):
        p = np.exp(row) / np.exp(row).sum()
        assert logprobs[place].exp().tolist() == pytest.approx([*p, *[0.0] * (width - len(row))])
        expected = -(p * np.log(p)).sum()
        assert found[place].item() == pytest.approx(expected, abs=1e-9)
        slope = [*(-p * (np.log(p) + expected)), *[0.0] * (width - len(row))]
        assert logits.grad[place].tolist() == pytest.approx(slope, abs=1e-9)


@each
def test_without_a_use_for_it_the_critic_stays_as_it_is(kind):
    player, episodes = lively()
    before = player.state_dict()["values"]
    make(kind, context(player), lr=0.1).update(episodes, iteration=0)
    assert torch.equal(player.state_dict()["values"], before) == (kind not in CRITICS)


# -- turns that are not learnt from -------------------------------------------------------


@each
@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_masked_turns_count_in_returns_and_have_no_gradient(kind, gae_lambda):
    player = Table(np.zeros((4, 3)), [0.1, -0.4, 0.3, 0.2])
    rewards = {}
    for late in (0.0, 1.0):
        episodes = [
            game(player, [(0, 1, 0.0), (1, 0, 0.0), (2, 2, late)], keys="abc", learn_turns=1),
            game(player, [(3, 1, 0.25)], keys="d"),
        ]
        plain = {"norm_adv": False, "norm_std": False, "gae_lambda": gae_lambda}
        learner = make(kind, context(player), **STILL | plain)
        learner.update(episodes, iteration=0)
        logits, values = gradients(player)
        assert not logits[[1, 2]].any()
        assert not values[[1, 2]].any()
        rewards[late] = logits[0, 1]
    # what came of the first turn is seen in it: the more, the more probable it becomes
    assert rewards[1.0] < rewards[0.0]


@each
def test_masked_turns_do_not_matter_for_what_the_others_are_compared_with(kind):
    # two masked turns that differ in all but their rewards, which are of the episode
    found = []
    for state, action in ((1, 0), (2, 2)):
        player = Table(np.zeros((4, 3)), [0.0, 0.7, -0.2, 0.0])
        episodes = [
            game(player, [(0, 1, 0.0), (state, action, 1.0)], keys="dd", learn_turns=1),
            game(player, [(3, 1, 0.25)], keys="d"),
        ]
        make(kind, context(player), **BARE).update(episodes, iteration=0)
        found.append(gradients(player)[0])
    assert np.array_equal(*found)


@each
def test_nothing_to_learn_from_changes_nothing(kind):
    player = Table(np.zeros((1, 2)))
    learner = make(kind, context(player))
    assert learner.update([], iteration=0) == {}
    assert learner.update([game(player, [(0, 1, 1.0)], learn_turns=0)], iteration=0) == {}
    assert player.weights_version == learner.updates == 0


@each
def test_the_first_ratio_error_is_the_largest_of_all_turns(kind):
    player = Table(np.zeros((4, 2)))
    then = Table([[0.0, 0.0], [0.8, 0.0], [0.2, 0.0], [0.0, 0.0]])
    episodes = [game(player, [(i, 0, float(i))], by=then, keys="s") for i in range(4)]
    worst = 1 - math.exp(player.logprobs(1)[0] - then.logprobs(1)[0])
    for size in (1, 3, 64):
        learner = make(kind, context(player), **STILL | {"micro_batch_size": size})
        figures = learner.update(episodes, iteration=0)
        assert figures["first_ratio_error"] == pytest.approx(worst, rel=1e-6)


@each
def test_far_above_the_gradient_adam_eps_makes_steps_proportional_to_it(kind):
    player, episodes = lively()
    before = [each.detach().clone() for each in player.trainable()]
    options = STILL | {"lr": 1e4, "adam_eps": 1e6, "update_epochs": 1}
    make(kind, context(player), **options).update(episodes, iteration=0)
    slopes = [each.grad for each in player.trainable()]
    assert any(slope.abs().max() > 1e-3 for slope in slopes)
    for old, new, slope in zip(before, player.trainable(), slopes, strict=True):
        assert torch.allclose(old - new.detach(), 0.01 * slope, rtol=1e-3, atol=1e-7)


@each
def test_far_below_it_steps_have_the_length_of_the_rate(kind):
    player, episodes = lively()
    before = [each.detach().clone() for each in player.trainable()]
    make(kind, context(player), **STILL | {"lr": 0.01, "update_epochs": 1}).update(
        episodes, iteration=0
    )
    for old, new in zip(before, player.trainable(), strict=True):
        steep = new.grad.abs() > 1e-2
        assert (old - new.detach())[steep].abs().numpy() == pytest.approx(0.01, rel=1e-2)


def test_a_config_without_adam_eps_has_the_default_of_those_that_have_it():
    player, _ = lively()
    learner = Learner(
        types.SimpleNamespace(lr=0.1, kl_coef=0.0, micro_batch_size=8), context(player)
    )
    (eps,) = {config().adam_eps for _, config, _ in TRAINERS.values()}
    assert learner.optimizer.defaults["eps"] == eps


@each
@pytest.mark.parametrize("anneal", [False, True])
def test_an_annealed_rate_falls_linearly_over_the_run(kind, anneal):
    player, episodes = lively()
    options = STILL | {"lr": 0.01, "anneal_lr": anneal, "update_epochs": 1}
    at = context(player, iterations=4)
    # any order: a run that is resumed begins in the middle
    for iteration, expected in (2, 0.005), (0, 0.01), (3, 0.0025), (1, 0.0075), (5, 0.0):
        learner = make(kind, at, **options)
        before = [each.detach().clone() for each in player.trainable()]
        learner.update(episodes, iteration=iteration)
        for old, new in zip(before, player.trainable(), strict=True):
            steep = new.grad.abs() > 1e-2
            moved = (old - new.detach())[steep].abs().numpy()
            assert moved == pytest.approx(expected if anneal else 0.01, rel=1e-2)


# -- on a language model ------------------------------------------------------------------


def paired(episodes):
    """The same episodes in groups of two."""
    return [attrs.evolve(episode, group=i // 2) for i, episode in enumerate(episodes)]


@each
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_first_ratio_is_one(model_folder, kind, tuning):
    player = toy.policy(model_folder("llama"), tuning)
    once = {} if kind.startswith("reinforce") else {"update_epochs": 1}
    learner = make(kind, toy.context(player), minibatch_size=64, **once)
    figures = learner.update(paired(toy.play(player)), iteration=0)
    assert figures["first_ratio_error"] < 1e-5
    assert figures["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert figures["optimizer_steps"] == 1
    assert "replay_ratio" not in figures


@pytest.mark.parametrize("kind", ["reinforce-loo", "reinforce-critic", "gigpo"])
@pytest.mark.parametrize("kl_coef", [0.0, 0.2])
def test_saved_loaded_and_updated_is_updated_to_the_last_bit(model_folder, kind, kl_coef):
    options = {"kl_coef": kl_coef, "lr": 1e-3, "minibatch_size": 5}
    player = toy.policy(model_folder("llama"))
    learner = make(kind, toy.context(player), **options)
    old = paired(toy.play(player))
    learner.update(old, iteration=0)
    buffer = io.BytesIO()
    torch.save({"policy": player.state_dict(), "trainer": learner.state_dict()}, buffer)

    other = toy.policy(model_folder("llama"))
    toy.stir(other.trainable(), seed=9)
    fresh = make(kind, toy.context(other), **options)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other.load_state_dict(saved["policy"])
    fresh.load_state_dict(saved["trainer"])

    ends = []
    replayed = [attrs.evolve(episode, replayed=True) for episode in old[:2]]
    for each_player, teacher in ((player, learner), (other, fresh)):
        episodes = [*paired(toy.play(each_player, iteration=1)), *replayed]
        figures = teacher.update(episodes, iteration=1)
        ends.append((figures, toy.hashes(each_player.trainable()), each_player.weights_version))
    assert ends[0] == ends[1]


@each
@pytest.mark.parametrize("where", ["reward", "weights"])
def test_what_is_not_a_number_stops_before_any_step(kind, where):
    player, episodes = lively()
    if where == "reward":
        episodes[0] = toy.rewarded(episodes[0], [math.nan, 0.0])
    else:
        with torch.no_grad():
            player.trainable()[0].fill_(math.nan)
    before = toy.hashes(player.trainable())
    with pytest.raises(NonFiniteLoss) as caught:
        make(kind, context(player)).update(episodes, iteration=0)
    assert toy.hashes(player.trainable()) == before
    assert caught.value.then


SHARED = {
    "policy_loss", "entropy", "kl_to_warmup", "approx_kl", "grad_norm", "first_ratio_error",
    "optimizer_steps",
}  # fmt: skip
OWN = {
    "ppo": {"value_loss", "explained_variance", "clip_fraction"},
    "reinforce-loo": {"advantage_mean", "advantage_variance"},
    "reinforce-critic": {
        "advantage_mean", "advantage_variance", "value_loss", "explained_variance",
    },
    "grpo": {"clip_fraction", "flat_groups"},
    "gigpo": {"clip_fraction", "flat_groups", "shared_states"},
}  # fmt: skip


@pytest.mark.parametrize("kind", OWN)
def test_what_is_logged(kind):
    player, episodes = lively()
    figures = make(kind, context(player)).update(episodes, iteration=0)
    assert set(figures) == SHARED | OWN[kind]
    assert all(isinstance(value, float) and math.isfinite(value) for value in figures.values())
