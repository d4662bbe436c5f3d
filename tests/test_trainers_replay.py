"""What every trainer must do with replayed episodes, on a table of a few logits."""

import itertools
import math

import attrs
import numpy as np
import pytest
import torch
from table import Table, context, game, gradients
from trainer_kinds import BARE, CLIPPED, CRITICS, STILL, each, lively, make

from reflect_core.lm.replayed import MAX_REPLAY_RATIO
from reflect_core.replay import ReplayBuffer
from reflect_core.settings import ReplaySettings


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
