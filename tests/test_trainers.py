"""What every trainer must do: gradients, masked turns, replayed episodes, going on, stopping.

Mostly on a table of a few logits, where the right answer can be written down.
"""

import io
import itertools
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from reflect_trainer_grpo.plugin import GrpoConfig
from reflect_trainer_grpo.trainer import GrpoTrainer
from reflect_trainer_ppo.plugin import PpoConfig
from reflect_trainer_ppo.trainer import PpoTrainer
from reflect_trainer_reinforce.plugin import ReinforceConfig
from reflect_trainer_reinforce.trainer import ReinforceTrainer
from table import Table, context, game, gradients

from reflect_core import Assignment
from reflect_core.errors import ConfigError, NonFiniteLoss
from reflect_core.lm.learner import MAX_REPLAY_RATIO
from reflect_core.lm.policy import entropy
from reflect_core.loop import Training
from reflect_core.replay import ReplayBuffer
from reflect_core.rollout import Played
from reflect_core.settings import ReplaySettings

TRAINERS = {
    "ppo": (PpoTrainer, PpoConfig, {}),
    "reinforce-none": (ReinforceTrainer, ReinforceConfig, {"baseline": "none"}),
    "reinforce-mean": (ReinforceTrainer, ReinforceConfig, {"baseline": "mean"}),
    "reinforce-loo": (ReinforceTrainer, ReinforceConfig, {"baseline": "loo"}),
    "reinforce-critic": (ReinforceTrainer, ReinforceConfig, {"baseline": "critic"}),
    "grpo": (GrpoTrainer, GrpoConfig, {}),
    "gigpo": (GrpoTrainer, GrpoConfig, {"step_coef": 0.5}),
}
CLIPPED = {"ppo", "grpo", "gigpo"}
CRITICS = {"ppo", "reinforce-critic"}
each = pytest.mark.parametrize("kind", TRAINERS)
STILL = {"lr": 0.0, "minibatch_size": 64, "max_grad_norm": 1e9, "keep_certain": 1.0}
"""One step at rate 0 on all turns: the gradient stays where it can be seen."""
BARE = STILL | {"ent_coef": 0.0}


def make(kind, at, **options):
    """A trainer in a context; options that it does not have are left out."""
    trainer, config, own = TRAINERS[kind]
    known = {field.name for field in attrs.fields(config)}
    given = {name: value for name, value in options.items() if name in known}
    return trainer(config(**{**own, **given}), at)


def weight(learner, name):
    return getattr(learner.config, name, 0.0)


# -- gradients ----------------------------------------------------------------------------


def lively():
    """A table and episodes in which everything differs: menus, lengths, ratios, rewards."""
    now = Table([[0.2, -0.4, 0.1], [0.5, 0.3, 0.0], [-0.3, 0.2, 0.4]], [0.3, -0.2, 0.1], [3, 2, 3])
    then = Table([[0.1, -0.3, 0.1], [0.5, 0.2, 0.0], [-0.3, 0.3, 0.4]], menus=[3, 2, 3])
    keys = ["x", "y", "x"]
    return now, [
        game(now, [(0, 1, 0.0), (1, 0, 1.0)], by=then, keys=keys[:2], group=0),
        game(now, [(0, 2, 0.5), (2, 1, 0.0), (2, 0, 0.25)], by=then, keys=keys, group=0),
        game(now, [(2, 2, -1.0)], by=then, keys=keys[:1], group=1),
        game(now, [(1, 1, 0.5), (0, 0, 2.0)], by=then, keys=keys[:2], group=1, learn_turns=1),
        game(now, [(0, 0, 0.5)], by=then, keys=keys[:1], group=1, terminated=False,
             truncated=True, final_value=0.7),
    ]  # fmt: skip


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
def test_masked_turns_count_in_returns_and_have_no_gradient(kind):
    player = Table(np.zeros((4, 3)))
    rewards = {}
    for late in (0.0, 1.0):
        episodes = [
            game(player, [(0, 1, 0.0), (1, 0, 0.0), (2, 2, late)], keys="abc", learn_turns=1),
            game(player, [(3, 1, 0.25)], keys="d"),
        ]
        learner = make(kind, context(player), **STILL | {"norm_adv": False, "norm_std": False})
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
        player = Table(np.zeros((4, 3)), [0.0, 0.0, 0.0, 0.0])
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


# -- replayed episodes --------------------------------------------------------------------


def replay(then, outcomes, *, settings=None, seed=0):
    """What the real buffer draws after iterations in which these policies played these turns.

    Args:
        then: The policy of each iteration.
        outcomes: Of each iteration, its episodes as (turns, success).
    """
    kept = ReplayBuffer(settings or ReplaySettings(99), seed=seed)
    for iteration, (by, episodes) in enumerate(zip(then, outcomes, strict=True)):
        played = [
            game(by, turns, success=success, episode=i)
            for i, (turns, success) in enumerate(episodes)
        ]
        kept.add(played, iteration=iteration)
    return kept.draw(iteration=len(then))[0]


def success_gradient(player, chances):
    """Of the probability of success in the logits (S, K), by automatic differentiation.

    Args:
        player: A table whose state 0 comes first and whose state 1 + a follows on the action a.
        chances: Of success, (K,) after one turn, or (K, K) after two.
    """
    logits = player.module.logits.detach().clone().requires_grad_()
    chances = torch.as_tensor(chances, dtype=torch.float64)
    choices = torch.softmax(logits, -1)
    if chances.ndim == 2:
        chances = (choices[1 : 1 + len(chances)] * chances).sum(-1)
    (choices[0] * chances).sum().backward()
    return logits.grad.numpy()


RISKY = pytest.mark.parametrize(
    ("chances", "better"), [((0.5, 0.0), 0), ((0.5, 0.6), 1), ((0.5, 1.0), 1)]
)
"""A risky arm pays 1 or -1, half each; a safe one pays 0.2, which may count as success."""


@each
@RISKY
def test_a_replayed_gradient_is_in_the_mean_that_of_the_probability_of_success(
    kind, chances, better
):
    # two iterations of other policies, and every way in which their episodes may end
    then = [Table([[math.log(p / (1 - p)), 0.0], [0.0, 0.0]]) for p in (0.25, 0.4)]
    now = Table([[math.log(0.35 / 0.65), 0.0], [0.0, 0.0]])
    ends = [(arm, won) for arm in (0, 1) for won in (True, False)]
    pays = {(0, True): 1.0, (0, False): -1.0, (1, True): 0.2, (1, False): 0.2}
    fresh = [game(now, [(1, i % 2, float(i))], keys=["s"]) for i in range(3)]
    learner = make(kind, context(now), **STILL)
    found = np.zeros(2)
    for ended in itertools.product(ends, repeat=3):
        by = [then[0], then[0], then[1]]
        chance = math.prod(
            math.exp(player.logprobs(0)[arm]) * (chances[arm] if won else 1 - chances[arm])
            for player, (arm, won) in zip(by, ended, strict=True)
        )
        outcomes = [([(0, *(arm, pays[arm, won]))], won) for arm, won in ended]
        drawn = replay(then, [outcomes[:2], outcomes[2:]])
        if chance and drawn:
            learner.update([*fresh, *drawn], iteration=0)
            found -= chance * gradients(now)[0][0]
    assert found == pytest.approx(success_gradient(now, chances)[0], rel=1e-6)
    # so that it leads to the arm that succeeds more often, and not away from it
    assert found[better] > 0.01 > 0 > found[1 - better]


@each
@pytest.mark.parametrize("learn_turns", [None, 1])
def test_a_replayed_gradient_is_right_for_episodes_of_several_turns(kind, learn_turns):
    # where a turn leads, and so what comes of it, is the doing of whoever plays
    then = Table([[0.1, 0.0], [0.3, 0.0], [0.0, 0.2], [0.0, 0.0]])
    now = Table([[0.2, 0.0], [0.0, 0.1], [0.0, 0.0], [0.0, 0.0]])
    chances = np.array([[0.9, 0.1], [0.2, 0.6]])
    fresh = [game(now, [(3, i % 2, float(i)), (3, 0, 0.0)], keys="st", learn_turns=learn_turns)
             for i in range(3)]  # fmt: skip
    learner = make(kind, context(now), **STILL)
    found = np.zeros((4, 2))
    for a, b in itertools.product((0, 1), repeat=2):
        (solved,) = replay([then], [[([(0, a, 0.0), (1 + a, b, 1.0)], True)]])
        solved = attrs.evolve(solved, learn_turns=learn_turns)
        learner.update([*fresh, solved], iteration=0)
        chance = math.exp(then.logprobs(0)[a] + then.logprobs(1 + a)[b]) * chances[a, b]
        found -= chance * gradients(now)[0]
    expected = success_gradient(now, chances)
    # a mean over turns, of which each fresh episode has so many
    assert found[0] == pytest.approx(expected[0] / (learn_turns or 2), rel=1e-6)
    expected[1:3] /= math.inf if learn_turns else 2
    assert found[1:3] == pytest.approx(expected[1:3], rel=1e-6)


@each
@pytest.mark.parametrize("stored", [[0.2], [0.01], [math.exp(-800)], [0.5, 0.24], [0.9, 0.1]])
def test_the_ratio_of_a_replayed_episode_is_bounded_and_its_gradient_is_not_lost(kind, stored):
    player = Table([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    replayed = game(player, [(i, 1, 1.0) for i in range(len(stored))], replayed=True, weight=0.5)
    turns = [
        attrs.evolve(turn, choice=attrs.evolve(turn.choice, logprob=math.log(max(p, 1e-300))))
        for turn, p in zip(replayed.transitions, stored, strict=True)
    ]
    replayed = attrs.evolve(replayed, transitions=tuple(turns))
    fresh = game(player, [(2, 0, 0.0)], keys=["t"])
    figures = make(kind, context(player), **BARE).update([fresh, replayed], iteration=0)
    assert figures["replay_ratio"] == pytest.approx(MAX_REPLAY_RATIO)
    assert figures["replay_loss"] == pytest.approx(-0.5 * MAX_REPLAY_RATIO * len(stored))
    for state in range(len(stored)):
        slope = 0.5 * MAX_REPLAY_RATIO * np.array([0.5, -0.5])
        assert gradients(player)[0][state] == pytest.approx(slope)


@each
def test_a_replayed_episode_that_has_become_rare_counts_less(kind):
    now, then = Table([[0.0, 0.0], [0.4, 0.0]]), Table([[0.0, 0.0], [1.4, 0.0]])
    fresh = [game(now, [(0, i % 2, float(i % 2))], keys=["s"]) for i in range(3)]
    replayed = [game(now, [(1, 0, 1.0)], by=then, replayed=True) for _ in range(5)]
    options = {"lr": 0.0, "update_epochs": 3, "minibatch_size": 2, "micro_batch_size": 1,
               "target_kl": 1e-6}  # fmt: skip
    figures = make(kind, context(now), **options).update([*fresh, *replayed], iteration=0)
    ratio = math.exp(now.logprobs(1)[0] - then.logprobs(1)[0])
    assert ratio < 0.8
    assert figures["replay_ratio"] == pytest.approx(ratio, rel=1e-6)
    assert figures["replay_loss"] == pytest.approx(-5 * ratio, rel=1e-6)
    # how far away it was played is no reason to stop
    assert figures["first_ratio_error"] < 1e-6
    assert abs(figures["approx_kl"]) < 1e-9
    assert figures["optimizer_steps"] == (6 if kind in CLIPPED else 2)


@pytest.mark.parametrize("kind", sorted(CLIPPED))
def test_within_an_update_the_ratio_of_a_replayed_turn_is_clipped_as_any_other(kind):
    player = Table([[0.0, 0.0], [0.0, 0.0]])
    episodes = [game(player, [(1, 0, 0.0)], keys="s"), game(player, [(0, 0, 1.0)], replayed=True)]
    options = BARE | {"lr": 1.0, "update_epochs": 2, "target_kl": None, "clip_coef": 0.2}
    figures = make(kind, context(player), **options).update(episodes, iteration=0)
    assert math.exp(player.logprobs(0)[0]) > 0.7  # after the first step, and 1/2 before it
    assert figures["replay_loss"] == pytest.approx(-(1 + 1.2) / 2, rel=1e-6)


@each
def test_fresh_turns_do_not_know_of_replayed_episodes(kind):
    found = []
    for weight in (0.0, 1.0, 50.0):
        player = Table(np.zeros((4, 2)), [0.2, 0.1, -0.3, 0.0])
        episodes = [
            *(game(player, [(i, i % 2, i / 4), (2, 0, 0.1 * i)], keys="ab") for i in range(2)),
            game(player, [(3, 1, weight)], replayed=True, keys="a", weight=weight),
        ]
        make(kind, context(player), **STILL).update(episodes, iteration=0)
        found.append(gradients(player))
    for logits, values in found:
        assert np.array_equal(logits[:3], found[0][0][:3])
        assert np.array_equal(values[:3], found[0][1][:3])
        assert values[3] == 0
    # but they are learnt from themselves, as they weigh
    slopes = [logits[3, 1] for logits, _ in found]
    assert slopes == pytest.approx([0.0, -0.25, -12.5])  # of one turn, where the others have two


@each
@pytest.mark.parametrize("again", [1, 2, 7])
def test_steps_and_figures_of_the_fresh_turns_are_those_without_replay(kind, again):
    player, episodes = lively()
    options = {"lr": 0.0, "minibatch_size": 3, "micro_batch_size": 2, "kl_coef": 0.1}
    alone = make(kind, context(player), **options).update(episodes, iteration=0)
    weights = [0.1 * (i + 1) for i in range(again)]
    replayed = [
        game(player, [(0, 1, 5.0), (2, 1, 1.0)], replayed=True, weight=weight, keys="xx")
        for weight in weights
    ]
    figures = make(kind, context(player), **options).update([*episodes, *replayed], iteration=0)
    assert figures.keys() - alone.keys() == {"replay_loss", "replay_ratio"}
    for name, value in alone.items():
        if name != "grad_norm":
            assert figures[name] == value, name
    # however many steps there are, together they learn from each replayed turn once a pass
    per_turn = len(episodes) / sum(len(e.transitions[: e.learn_turns]) for e in episodes)
    assert figures["replay_loss"] == pytest.approx(-2 * sum(weights) * per_turn, rel=1e-6)
    assert figures["replay_ratio"] == pytest.approx(1)


@each
def test_replayed_turns_are_thinned_without_bias(kind):
    player = Table([[6.0, 0.0], [0.0, 0.0]])
    fresh = [game(player, [(1, 0, 0.0)], keys="s")]
    replayed = [game(player, [(0, 0, 1.0)], replayed=True, weight=0.05) for _ in range(20)]
    learner = make(kind, context(player), **BARE | {"keep_certain": 0.5})
    losses = [learner.update([*fresh, *replayed], iteration=i)["replay_loss"] for i in range(200)]
    assert np.mean(losses) == pytest.approx(-1, abs=0.05)
    assert np.std(losses) > 0.1


@pytest.mark.parametrize("kind", sorted(CRITICS))
def test_the_critic_settles_where_it_does_without_replay(kind):
    found = []
    for again in (0, 5):
        player = Table([[0.0, 0.0]], [0.0])
        options = STILL | {"lr": 0.01, "update_epochs": 1}
        learner = make(kind, context(player), **options)
        for iteration in range(100):
            # one success in ten
            fresh = [game(player, [(0, i % 2, float(i == 0))]) for i in range(10)]
            replayed = [game(player, [(0, 0, 1.0)], replayed=True, weight=0.1)] * again
            learner.update([*fresh, *replayed], iteration=iteration)
        found.append((player.module.values.item(), player.logprobs(0)[0]))
    (without, plain), (beside, moved) = found
    assert without == pytest.approx(0.1, abs=0.01)
    assert beside == without
    assert moved != plain


@each
def test_what_the_critic_said_of_a_replayed_episode_does_not_matter(kind):
    player = Table(np.zeros((3, 2)), [0.5, 0.25, 0.0])
    fresh = game(player, [(2, 0, 0.0)], keys="s")
    found = []
    for stale in ([0.5, 0.25], [7.0, -9.0], [math.nan, math.nan]):
        turns = [(0, 0, 0.0), (1, 1, 1.0)]
        replayed = game(player, turns, values=stale, replayed=True)
        figures = make(kind, context(player), **STILL).update([fresh, replayed], iteration=0)
        found.append(figures | {"gradient": gradients(player)[0].tolist()})
    assert found[0] == found[1] == found[2]


@each
def test_replayed_episodes_alone_make_no_update(kind):
    # how much they count depends on the fresh ones, which are missing only where all failed
    player = Table(np.zeros((2, 2)))
    episodes = [game(player, [(0, 1, 1.0), (1, 0, 0.0)], replayed=True) for _ in range(2)]
    assert make(kind, context(player), lr=0.01).update(episodes, iteration=0) == {}
    assert player.logprobs(0)[1] == -math.log(2)


@each
def test_micro_batches_change_nothing_where_fresh_and_replayed_turns_mix(kind):
    found = []
    for size in (1, 2, 64):
        player, episodes = lively()
        mixed = [attrs.evolve(e, replayed=i in (1, 3)) for i, e in enumerate(episodes)]
        learner = make(kind, context(player), **STILL | {"micro_batch_size": size})
        found.append((learner.update(mixed, iteration=0), gradients(player)))
    for figures, (logits, values) in found[1:]:
        assert figures == pytest.approx(found[0][0], rel=1e-6)
        assert logits == pytest.approx(found[0][1][0], abs=1e-12)
        assert values == pytest.approx(found[0][1][1], abs=1e-12)


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


# -- groups in the loop -------------------------------------------------------------------


class Tasks:
    """A curriculum that writes down how many tasks it is asked for."""

    def __init__(self, group_size=1):
        self.group_size = group_size

    def assign(self, episodes, *, iteration):
        self.asked = episodes
        tasks = toy.Lamps().tasks("train")
        count = episodes // self.group_size
        return [Assignment(tasks[i], group_size=self.group_size) for i in range(count)]


class Stop(Exception):
    """Enough was seen."""


class Planned:
    """A collector that keeps the plan."""

    waited = 0.0

    def play(self, episodes, *, greedy):
        self.episodes = episodes
        return Played([], [])


class Whole:
    """A crew of one."""

    is_main = False

    def share(self, episodes):
        return episodes

    def merge(self, played):
        raise Stop


@attrs.define
class Compares:
    """A trainer that compares episodes."""

    group_size: int


def plan(trainer, curriculum, episodes):
    """The groups of the episodes that the loop plays, and their tasks."""
    collector = Planned()
    settings = toy.settings(Path("nowhere"), train={"episodes": episodes})
    training = Training(
        folder=None, settings=settings, collector=collector, trainer=trainer,
        curriculum=curriculum, weights=None, valid=(), final_stage="full", crew=Whole(),
        best_success=0.0,
    )  # fmt: skip
    with pytest.raises(Stop):
        training.run(lambda **figures: None)
    return [(episode.group, episode.task.task_id) for episode in collector.episodes]


def test_the_loop_plays_each_task_as_often_as_the_trainer_compares():
    assert len(set(plan(object(), Tasks(), 6))) == 6
    for trainer, curriculum in ((Compares(3), Tasks()), (Compares(1), Tasks(3))):
        groups = plan(trainer, curriculum, 6)
        assert groups == [(0, "train-0")] * 3 + [(1, "train-1")] * 3
    curriculum = Tasks()
    plan(Compares(3), curriculum, 6)
    assert curriculum.asked == 2
    assert plan(Compares(2), Tasks(2), 8) == [(0, "train-0")] * 4 + [(1, "train-1")] * 4


def test_episodes_that_do_not_make_whole_groups_are_refused():
    with pytest.raises(ConfigError, match="6 cannot be played in groups of 4") as caught:
        plan(Compares(4), Tasks(), 6)
    assert "train.episodes=8" in str(caught.value)


@pytest.mark.parametrize(("kind", "size"), [("ppo", 1), ("reinforce-loo", 4), ("grpo", 4)])
def test_trainers_say_how_many_episodes_they_compare(kind, size):
    assert make(kind, context(Table([[0.0]])), group_size=4).group_size == size
