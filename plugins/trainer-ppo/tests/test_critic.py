"""PPO with a critic that is fitted to every iteration."""

import attrs
import numpy as np
import pytest
from reflect_trainer_ppo.critic import refitted
from reflect_trainer_ppo.plugin import PpoConfig
from reflect_trainer_ppo.trainer import PpoTrainer
from toy import context, hashes, play, policy, stir

from reflect_core.advantages import discounted_returns, explained_variance
from reflect_core.linear_critic import LinearCritic, cross_fitted, powers_of_turn


def trainer(player, **options):
    return PpoTrainer(PpoConfig(critic="least-squares", **options), context(player))


def turns_of(trajectories):
    return [turn for trajectory in trajectories for turn in trajectory.transitions]


def test_fitted_values_take_the_place_of_the_played_ones(model_folder):
    player = policy(model_folder("llama"))
    stir(player.module.value_head.parameters(), seed=1)
    played = play(player)
    options = {"minibatch_size": 0, "gamma": 0.9, "update_epochs": 1}
    learner = trainer(player, **options)
    before = learner.reader.hidden(turns_of(played))
    lengths = [one.turns for one in played]
    returns = np.concatenate(
        [discounted_returns([t.reward for t in one.transitions], gamma=0.9) for one in played]
    )
    episodes = np.repeat(np.arange(len(played)), lengths)
    values = cross_fitted(np.hstack([before, powers_of_turn(lengths)]), returns, episodes)
    figures = learner.update(played, iteration=0)
    assert figures["explained_variance"] == pytest.approx(
        explained_variance(values, returns), abs=1e-6
    )
    fitted = LinearCritic.fit(before, returns)
    head = player.module.value_head
    assert head.weight[0].tolist() == pytest.approx(fitted.weight.tolist(), rel=1e-3, abs=1e-5)
    assert head.bias.item() == pytest.approx(fitted.bias, rel=1e-3, abs=1e-5)


def test_what_the_critic_says_before_it_is_fitted_does_not_matter(model_folder):
    after = []
    for seed in (1, 2):
        player = policy(model_folder("llama"))
        played = play(player)
        stir(player.module.value_head.parameters(), seed=seed)
        trainer(player, vf_coef=5.0).update(played, iteration=0)
        after.append(hashes(player.trainable()))
    assert after[0] == after[1]


def test_features_do_not_depend_on_the_batches(model_folder):
    player = policy(model_folder("llama"))
    turns = turns_of(play(player))
    whole = trainer(player, micro_batch_size=64).reader.hidden(turns)
    assert whole.shape == (len(turns), 32)
    assert np.allclose(trainer(player, micro_batch_size=3).reader.hidden(turns), whole, atol=1e-5)
    head = player.module.value_head
    values = whole @ head.weight[0].detach().numpy() + head.bias.item()
    assert np.allclose(values, [turn.choice.value for turn in turns], atol=1e-5)


def test_what_a_truncated_episode_expects_is_a_part_of_its_returns(model_folder):
    player = policy(model_folder("llama"))
    first, *others = play(player)
    learner = trainer(player)
    found = []
    for final_value in (0.0, 5.0):
        cut = attrs.evolve(first, terminated=False, truncated=True, final_value=final_value)
        batch = refitted(learner, learner.batch([cut, *others]), gamma=0.9)
        found.append((batch.values, player.module.value_head.bias.item()))
    (before, low), (after, high) = found
    assert before[0] == after[0] and before[1] != after[1]
    assert high != low


def read(monkeypatch, learner):
    """How many prompts each forward pass without gradients reads, as they are made."""
    counts = []
    batch = learner.policy.batch
    monkeypatch.setattr(
        learner.policy, "batch", lambda turns: (counts.append(len(turns)), batch(turns))[1]
    )
    return counts


def test_what_was_read_in_play_is_not_read_again(model_folder, monkeypatch):
    player = policy(model_folder("llama"))
    assert all(turn.choice.hidden is None for turn in turns_of(play(player)))
    learner = trainer(player)
    turns = turns_of(play(player))
    plain = [attrs.evolve(turn, choice=attrs.evolve(turn.choice, hidden=None)) for turn in turns]
    computed = learner.reader.hidden(plain)
    counts = read(monkeypatch, learner)
    assert np.allclose(learner.reader.hidden(turns), computed, atol=1e-5)
    assert counts == []
    assert np.allclose(learner.reader.hidden([turns[0], *plain[1:]]), computed, atol=1e-5)
    assert sum(counts) == len(turns) - 1


def test_what_older_weights_read_is_read_again(model_folder):
    player = policy(model_folder("llama"))
    learner = trainer(player, lr=0.1)
    turns = turns_of(play(player))
    before = learner.reader.hidden(turns)
    learner.update(play(player, iteration=1), iteration=0)
    after = learner.reader.hidden(turns)
    assert not np.allclose(after, before, atol=1e-3)
    fresh = [attrs.evolve(t, choice=attrs.evolve(t.choice, hidden=None)) for t in turns]
    assert np.array_equal(after, learner.reader.hidden(fresh))


def test_only_a_fitted_critic_has_hidden_states_kept(model_folder):
    player = policy(model_folder("llama"))
    trainer(player)
    PpoTrainer(PpoConfig(), context(player))
    assert all(turn.choice.hidden is None for turn in turns_of(play(player)))
