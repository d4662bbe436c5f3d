"""PPO: the first ratio, the direction of a step, and every term by hand."""

import copy
import io
import math

import attrs
import numpy as np
import pytest
import torch
from reflect_trainer_ppo.plugin import PpoConfig
from reflect_trainer_ppo.trainer import PpoTrainer
from small_models import ARCHITECTURES
from toy import context, hashes, play, policy, rewarded, stir

from reflect_core.advantages import discounted_returns, explained_variance
from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.reader import Reader

BARE = {"ent_coef": 0.0, "vf_coef": 0.0, "norm_adv": False, "update_epochs": 1, "target_kl": None}
"""The policy term alone, one pass."""


def trainer(player, **options):
    return PpoTrainer(PpoConfig(**options), context(player))


def make(model_folder, architecture="llama", tuning="full", **sections):
    return policy(model_folder(architecture), tuning, **sections)


def logprobs(player, trajectories):
    """Log-probability of each taken action under the present weights, one prompt at a time."""
    found = []
    with player.player.active() as model, torch.no_grad():
        for turn in turns_of(trajectories):
            ids = torch.tensor([turn.choice.prompt_ids.tolist()])
            logits = model(input_ids=ids).logits[0, -1, turn.choice.label_ids.tolist()].double()
            found.append(torch.log_softmax(logits, -1))
    return found


def turns_of(trajectories):
    return [turn for trajectory in trajectories for turn in trajectory.transitions]


def taken(player, trajectories):
    turns = turns_of(trajectories)
    return np.array(
        [
            float(row[t.choice.index])
            for row, t in zip(logprobs(player, trajectories), turns, strict=True)
        ]
    )


def with_ratio(player, trajectories, ratio):
    """Episodes whose stored log-probabilities make the ratio what we want."""
    now = iter(taken(player, trajectories) - math.log(ratio))
    return [
        attrs.evolve(
            trajectory,
            transitions=tuple(
                attrs.evolve(t, choice=attrs.evolve(t.choice, logprob=next(now), value=0.0))
                for t in trajectory.transitions
            ),
        )
        for trajectory in trajectories
    ]


def gradients(player):
    return torch.cat([p.grad.flatten() for p in player.trainable()])


# -- the first step -----------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_first_ratio_is_one(model_folder, architecture, tuning):
    player = make(model_folder, architecture, tuning)
    figures = trainer(player, update_epochs=1, minibatch_size=64).update(play(player), iteration=0)
    assert figures["first_ratio_error"] < 1e-5
    assert figures["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert figures["clip_fraction"] == 0


def test_the_first_ratio_is_one_at_another_temperature_too(model_folder):
    player = make(model_folder, rollout={"temperature": 0.6})
    figures = trainer(player, minibatch_size=64).update(play(player), iteration=0)
    assert figures["first_ratio_error"] < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_half_precision_the_first_ratio_is_near_one(model_folder, architecture):
    player = make(model_folder, architecture, "lora", model={"dtype": "bfloat16"})
    figures = trainer(player, update_epochs=1, minibatch_size=64).update(play(player), iteration=0)
    assert figures["first_ratio_error"] < 0.02


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_an_update_makes_what_was_good_more_probable(model_folder, tuning):
    player = make(model_folder, tuning=tuning)
    episodes = [
        rewarded(episode, [1.0 if i % 2 else -1.0])
        for i, episode in enumerate(play(player, horizon=1))
    ]
    before = taken(player, episodes)
    trainer(player, lr=1e-3, minibatch_size=64).update(episodes, iteration=0)
    change = taken(player, episodes) - before
    assert change[1::2].mean() > 0 > change[::2].mean()


def test_without_differences_in_reward_the_actor_stays_as_it_is(model_folder):
    player = make(model_folder)
    episodes = [rewarded(episode, [0.5]) for episode in play(player, horizon=1)]
    same = with_ratio(player, episodes, 1.0)  # values 0, so all advantages are alike
    before = hashes(player.player.trainable())
    trainer(player, **BARE | {"norm_adv": True}).update(same, iteration=0)
    assert hashes(player.player.trainable()) == before
    trainer(player, **BARE).update(same, iteration=0)
    assert hashes(player.player.trainable()) != before


def test_the_optimizer_holds_the_policy_and_the_value_head_and_nothing_else(model_folder):
    player = make(model_folder, tuning="lora")
    player.models.player("reflector")
    groups = trainer(player).optimizer.param_groups
    held = {id(p) for group in groups for p in group["params"]}
    named = player.player.model.named_parameters()
    expected = {id(p) for name, p in named if ".policy." in name}
    assert held == expected | {id(p) for p in player.module.value_head.parameters()}


def test_the_reflector_stays_as_it_is(model_folder):
    player = make(model_folder, tuning="lora")
    reflector = player.models.player("reflector")
    before = hashes(reflector.trainable())
    base = [p for name, p in player.player.model.named_parameters() if "lora_" not in name]
    kept = hashes(base)
    trainer(player).update(play(player), iteration=0)
    assert hashes(reflector.trainable()) == before
    assert hashes(base) == kept


# -- the terms, by hand -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate", "clipped"),
    [(1.5, 2.0, 1.2 * 2.0, 1), (1.5, -2.0, 1.5 * -2.0, 1), (0.5, 2.0, 0.5 * 2.0, 1),
     (0.5, -2.0, 0.8 * -2.0, 1), (1.1, 2.0, 1.1 * 2.0, 0)],
)  # fmt: skip
def test_clipping_against_hand_computed_cases(model_folder, ratio, advantage, surrogate, clipped):
    player = make(model_folder)
    episodes = [rewarded(e, [advantage]) for e in play(player, horizon=1)]
    figures = trainer(player, **BARE, lr=0.0).update(
        with_ratio(player, episodes, ratio), iteration=0
    )
    assert figures["policy_loss"] == pytest.approx(-surrogate, rel=1e-4)
    assert figures["clip_fraction"] == clipped
    assert figures["approx_kl"] == pytest.approx(ratio - 1 - math.log(ratio), abs=1e-4)
    # where the clipped side counts there is nothing to learn
    flat = surrogate != pytest.approx(ratio * advantage)
    assert (figures["grad_norm"] == 0) == flat


def test_the_value_loss_and_what_a_truncated_episode_expects(model_folder):
    player = make(model_folder)
    with torch.no_grad():
        for parameter in player.module.value_head.parameters():
            parameter.zero_()
    (episode,) = play(player, 1, horizon=1)
    (episode,) = with_ratio(player, [rewarded(episode, [0.25], final_value=0.5)], 1.0)
    cut = attrs.evolve(episode, terminated=False, truncated=True)
    loss = {
        name: trainer(player, gamma=0.9, lr=0.0).update([one], iteration=0)["value_loss"]
        for name, one in (("terminated", episode), ("truncated", cut))
    }
    assert loss["terminated"] == pytest.approx(0.5 * 0.25**2)
    assert loss["truncated"] == pytest.approx(0.5 * (0.25 + 0.9 * 0.5) ** 2)


def test_shaping_counts_in_training(model_folder):
    player = make(model_folder)
    (episode,) = play(player, 1, horizon=1)
    (episode,) = with_ratio(player, [rewarded(episode, [0.25])], 1.0)
    turn = attrs.evolve(episode.transitions[0], shaping=0.5)
    shaped = attrs.evolve(episode, transitions=(turn,))
    figures = trainer(player, **BARE, lr=0.0).update([shaped], iteration=0)
    assert figures["policy_loss"] == pytest.approx(-0.75, rel=1e-5)


def test_the_kl_to_the_warm_up_starts_at_zero_and_is_exact(model_folder):
    player = make(model_folder)
    learner = trainer(player, kl_coef=0.1, lr=3e-3, update_epochs=1, minibatch_size=64)
    first = play(player)
    assert learner.update(first, iteration=0)["kl_to_warmup"] == pytest.approx(0, abs=1e-7)
    second = play(player, iteration=1)
    now = logprobs(player, second)
    warm = make(model_folder)  # the same weights as before the update
    then = logprobs(warm, second)
    expected = np.mean([float((a.exp() * (a - b)).sum()) for a, b in zip(now, then, strict=True)])
    figures = learner.update(second, iteration=1)
    assert expected > 1e-4
    assert figures["kl_to_warmup"] == pytest.approx(expected, rel=1e-3)
    assert figures["first_ratio_error"] < 1e-5


def test_past_turns_are_read_at_the_temperature_that_they_were_sampled_at(model_folder):
    player = policy(model_folder("llama"), rollout={"temperature": 0.5})
    learner = trainer(player, kl_coef=0.1, update_epochs=1, minibatch_size=64)
    fresh = play(player)
    again = attrs.evolve(play(player, 1, iteration=1)[0], replayed=True, group=-1, weight=0.1)
    sampled = [turn.choice.logprob for turn in again.transitions]
    assert learner.reader.taken_logprobs(again.transitions) == pytest.approx(sampled, abs=1e-5)
    figures = learner.update([*fresh, again], iteration=0)
    assert figures["kl_to_warmup"] == pytest.approx(0, abs=1e-7)
    assert figures["replay_ratio"] == pytest.approx(1, abs=1e-5)


def test_the_warm_up_reads_only_the_turns_that_are_learnt_from(model_folder, monkeypatch):
    player = make(model_folder)
    learner = trainer(player, kl_coef=0.1, keep_certain=1e-9, update_epochs=2, target_kl=None)
    episodes = play(player)
    turns = [turn for one in episodes for turn in one.transitions]
    sure = attrs.evolve(turns[0], choice=attrs.evolve(turns[0].choice, logprob=-1e-9))
    first = attrs.evolve(episodes[0], transitions=(sure, *episodes[0].transitions[1:]))
    looked = []
    read = Reader.logprobs
    monkeypatch.setattr(
        Reader, "logprobs", lambda reader, some: (looked.extend(some), read(reader, some))[1]
    )
    figures = learner.update([first, *episodes[1:]], iteration=0)
    assert looked
    assert not any(turn is sure for turn in looked)
    assert figures["kl_to_warmup"] >= 0


def test_a_strong_hold_on_the_warm_up_keeps_the_policy_near_it(model_folder):
    def distance(kl_coef):
        player = make(model_folder)
        learner = trainer(player, kl_coef=kl_coef, lr=1e-3, target_kl=None, update_epochs=6)
        episodes = play(player)
        start = logprobs(player, episodes)
        learner.update(episodes, iteration=0)
        end = logprobs(player, episodes)
        return sum(float((a.exp() * (a - b)).sum()) for a, b in zip(end, start, strict=True))

    assert distance(10.0) < 0.5 * distance(1e-6)


# -- gradients ----------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "lfm2"])
def test_the_gradient_agrees_with_finite_differences(model_folder, architecture):
    player = make(model_folder, architecture)
    episodes = with_ratio(player, play(player, 4), 1.1)
    options = {"vf_coef": 0.5, "ent_coef": 0.02, "norm_adv": False, "max_grad_norm": 1e9}
    trainer(player, **options, lr=0.0, update_epochs=1, minibatch_size=64).update(
        episodes, iteration=0
    )
    found = gradients(player).double()

    # the loss written down once more, from whole prompts and full logits in double precision
    model = copy.deepcopy(player.player.model).double()
    head = copy.deepcopy(player.module.value_head).double()
    weights = [*model.parameters(), *head.parameters()]
    turns = turns_of(episodes)
    lasting = [e.transitions[i:] for e in episodes for i in range(e.turns)]
    # lambda and gamma by hand: values are 0, so deltas are rewards
    advantages = [sum(0.95**k * t.reward for k, t in enumerate(rest)) for rest in lasting]

    def loss():
        total = 0.0
        for turn, advantage in zip(turns, advantages, strict=True):
            ids = torch.tensor([turn.choice.prompt_ids.tolist()])
            output = model(input_ids=ids, output_hidden_states=True)
            logits = output.logits[0, -1, turn.choice.label_ids.tolist()]
            logp = torch.log_softmax(logits, -1)
            ratio = (logp[turn.choice.index] - turn.choice.logprob).exp()
            surrogate = torch.min(advantage * ratio, advantage * ratio.clamp(0.8, 1.2))
            value = head(output.hidden_states[-1][0, -1])[0]
            entropy = -(logp.exp() * logp).sum()
            total += -surrogate + 0.5 * 0.5 * (value - advantage) ** 2 - 0.02 * entropy
        return total / len(turns)

    generator = torch.Generator().manual_seed(1)
    step = 1e-5
    for _ in range(3):
        direction = [torch.randn(w.shape, generator=generator).double() for w in weights]
        with torch.no_grad():
            values = []
            for sign in (1, -2):  # to +step, then to -step
                for w, d in zip(weights, direction, strict=True):
                    w.add_(sign * step * d)
                values.append(float(loss()))
            for w, d in zip(weights, direction, strict=True):
                w.add_(step * d)
        slope = (values[0] - values[1]) / (2 * step)
        expected = float(found @ torch.cat([d.flatten() for d in direction]))
        assert expected == pytest.approx(slope, rel=2e-3, abs=2e-4)


def test_micro_batches_save_memory_and_change_nothing(model_folder):
    episodes = play(make(model_folder))
    found = {}
    for size in (1, 3, 64):
        player = make(model_folder)
        figures = trainer(
            player,
            micro_batch_size=size,
            minibatch_size=64,
            lr=0.0,
            update_epochs=1,
            max_grad_norm=1e9,
            kl_coef=0.1,
        ).update(episodes, iteration=0)
        found[size] = gradients(player), figures
    for size in (1, 3):
        assert torch.allclose(found[size][0], found[64][0], atol=1e-6)
        assert found[size][1] == pytest.approx(found[64][1], abs=1e-5)


def test_only_a_part_of_the_foregone_turns_is_learnt_from(model_folder):
    player = make(model_folder)

    def steps(logprob, keep):
        episodes = [
            attrs.evolve(
                episode,
                transitions=tuple(
                    attrs.evolve(t, choice=attrs.evolve(t.choice, logprob=logprob))
                    for t in episode.transitions
                ),
            )
            for episode in play(player, 24)
        ]
        options = BARE | {"lr": 0.0, "minibatch_size": 1, "keep_certain": keep}
        return trainer(player, **options).update(episodes, iteration=0)["optimizer_steps"]

    assert steps(math.log(0.999), 1.0) == 48
    assert 4 <= steps(math.log(0.999), 0.25) <= 22
    assert steps(math.log(0.6), 0.25) == 48  # these were in doubt


def test_figures_are_means_over_the_turns_and_not_over_the_steps(model_folder):
    player = make(model_folder)
    played = play(player, 24)

    def figures(size):
        options = {"lr": 0.0, "minibatch_size": size, "update_epochs": 1}
        return trainer(player, **options).update(played, iteration=0)

    whole, parted = figures(0), figures(47)  # 48 turns: one by itself
    assert parted["optimizer_steps"] == 2
    for name in ("entropy", "policy_loss", "value_loss"):
        assert parted[name] == pytest.approx(whole[name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_the_explained_variance_is_that_of_the_returns_whatever_lambda_is(model_folder, gae_lambda):
    player = make(model_folder)
    played = play(player, 24)
    values = [turn.choice.value for one in played for turn in one.transitions]
    returns = [
        each
        for one in played
        for each in discounted_returns([turn.reward for turn in one.transitions], gamma=0.9)
    ]
    figures = trainer(player, gamma=0.9, gae_lambda=gae_lambda).update(played, iteration=0)
    assert figures["explained_variance"] == pytest.approx(
        explained_variance(values, returns), abs=1e-6
    )


def test_the_gradient_is_clipped_and_its_own_length_reported(model_folder):
    player = make(model_folder)
    figures = trainer(
        player, max_grad_norm=0.01, lr=0.0, minibatch_size=64, update_epochs=1
    ).update(play(player), iteration=0)
    assert figures["grad_norm"] > 0.01
    assert float(gradients(player).norm()) == pytest.approx(0.01, rel=1e-3)


def test_without_a_length_the_gradient_is_not_clipped(model_folder):
    def learnt(length):
        player = make(model_folder)
        options = {"lr": 1e-3, "minibatch_size": 64, "update_epochs": 1, "adam_eps": 1.0}
        trainer(player, max_grad_norm=length, **options).update(play(player), iteration=0)
        return torch.cat([each.detach().flatten() for each in player.trainable()])

    assert torch.equal(learnt(0.0), learnt(1e9))
    assert not torch.equal(learnt(0.0), learnt(0.01))


# -- going on and stopping ----------------------------------------------------------------


@pytest.mark.parametrize("critic", ["gradient", "least-squares"])
@pytest.mark.parametrize("kl_coef", [0.0, 0.2])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_saved_loaded_and_updated_is_updated_to_the_last_bit(model_folder, tuning, kl_coef, critic):
    options = {"kl_coef": kl_coef, "lr": 1e-3, "minibatch_size": 5, "critic": critic}
    player = make(model_folder, tuning=tuning)
    learner = trainer(player, **options)
    learner.update(play(player), iteration=0)
    buffer = io.BytesIO()
    torch.save({"policy": player.state_dict(), "trainer": learner.state_dict()}, buffer)

    other = make(model_folder, tuning=tuning)
    stir(other.trainable(), seed=9)
    fresh = trainer(other, **options)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other.load_state_dict(saved["policy"])
    fresh.load_state_dict(saved["trainer"])

    ends = []
    for each, teacher in ((player, learner), (other, fresh)):
        episodes = play(each, iteration=1)
        assert {t.choice.weights_version for t in turns_of(episodes)} == {1}
        figures = teacher.update(episodes, iteration=1)
        ends.append((figures, hashes(each.trainable()), each.weights_version))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("where", ["reward", "weights"])
def test_what_is_not_a_number_stops_before_any_step(model_folder, where):
    player = make(model_folder)
    episodes = play(player)
    learner = trainer(player)
    if where == "reward":
        episodes[3] = rewarded(episodes[3], [math.nan, 0.0])
    else:
        with torch.no_grad():
            player.trainable()[0].fill_(math.nan)
    before = hashes(player.trainable())
    with pytest.raises(NonFiniteLoss) as caught:
        learner.update(episodes, iteration=0)
    assert hashes(player.trainable()) == before
    assert caught.value.then


def test_nothing_played_nothing_learnt(model_folder):
    player = make(model_folder)
    before = hashes(player.trainable())
    assert trainer(player).update([], iteration=0) == {}
    assert hashes(player.trainable()) == before


def test_passes_stop_when_the_policy_has_moved_far_enough(model_folder):
    def steps(target_kl):
        player = make(model_folder)
        learner = trainer(player, lr=1e-2, update_epochs=5, minibatch_size=4, target_kl=target_kl)
        return learner.update(play(player), iteration=0)["optimizer_steps"]

    assert steps(None) == 5 * 4
    assert steps(1e-6) == 4
    assert steps(1e9) == 5 * 4


def test_what_is_logged(model_folder):
    player = make(model_folder)
    figures = trainer(player).update(play(player), iteration=0)
    assert set(figures) == {
        "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "kl_to_warmup",
        "explained_variance", "grad_norm", "first_ratio_error", "optimizer_steps",
    }  # fmt: skip
    assert all(isinstance(value, float) and math.isfinite(value) for value in figures.values())
    assert 0 < figures["entropy"] <= math.log(4) + 1e-6
