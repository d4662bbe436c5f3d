"""What every trainer must do: gradients, masked turns, replayed episodes, going on, stopping.

Mostly on a table of a few logits, where the right answer can be written down.
"""

import io
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
from reflect_core.rollout import Played

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


@each
@pytest.mark.parametrize("p", [0.1, 0.3, 0.49])
def test_a_replayed_gradient_is_in_the_mean_the_one_on_policy(kind, p):
    # a bandit with two arms; who played took the first with 1/4, so that of four episodes one
    # is the first arm and three the second, exactly as expected
    now, then = Table([[math.log(p / (1 - p)), 0.0]]), Table([[-math.log(3), 0.0]])
    pays = np.array([2.0, -0.5])
    replayed = [
        game(now, [(0, arm, pays[arm])], by=then, keys=["s"], replayed=True, group=-1 - i)
        for i, arm in enumerate([0, 1, 1, 1])
    ]
    # and as many fresh ones of return 0, so that every baseline is 0
    fresh = [game(now, [(0, arm, 0.0)], keys=["s"]) for arm in (0, 1, 1, 1)]
    options = {"norm_adv": False, "norm_std": False, "vf_coef": 0.0, "clip_coef": 10.0}
    make(kind, context(now), **BARE | options).update([*fresh, *replayed], iteration=0)
    found = gradients(now)[0][0]
    chances = np.array([p, 1 - p])
    on_policy = sum(chances[a] * pays[a] * (np.eye(2)[a] - chances) for a in range(2))
    assert found == pytest.approx(-on_policy * len(replayed) / len([*fresh, *replayed]), rel=1e-6)
    # which is not what one gets who takes the old episodes for new ones
    wrong = sum(np.array([0.25, 0.75])[a] * pays[a] * (np.eye(2)[a] - chances) for a in range(2))
    assert on_policy != pytest.approx(wrong, rel=0.02)


@each
@pytest.mark.parametrize("logprob", [math.log(0.2), math.log(0.01), -800.0])
def test_the_ratio_of_a_replayed_turn_is_bounded_and_its_gradient_is_not_lost(kind, logprob):
    player = Table([[0.0, 0.0], [0.0, 0.0]])
    (turn,) = game(player, [(0, 1, 1.0)], keys=["s"]).transitions
    turn = attrs.evolve(turn, choice=attrs.evolve(turn.choice, logprob=logprob))
    replayed = game(player, [(0, 1, 1.0)], replayed=True)
    replayed = attrs.evolve(replayed, transitions=(turn,))
    fresh = game(player, [(1, 0, 0.0)], keys=["t"])
    options = {"norm_adv": False, "norm_std": False, "clip_coef": 10.0}
    figures = make(kind, context(player), **BARE | options).update([fresh, replayed], iteration=0)
    assert figures["replay_ratio"] == pytest.approx(MAX_REPLAY_RATIO)
    assert gradients(player)[0][0] == pytest.approx(MAX_REPLAY_RATIO * np.array([0.25, -0.25]))


@each
def test_ratios_of_replayed_turns_are_kept_apart_from_those_of_fresh_ones(kind):
    now, then = Table([[0.0, 0.0], [0.4, 0.0]]), Table([[0.0, 0.0], [0.0, 0.5]])
    fresh = [game(now, [(0, i % 2, float(i % 2))], keys=["s"]) for i in range(3)]
    replayed = [game(now, [(1, 0, 1.0)], by=then, replayed=True) for _ in range(5)]
    options = {"lr": 0.0, "update_epochs": 3, "minibatch_size": 2, "micro_batch_size": 1,
               "target_kl": 1e-6}  # fmt: skip
    figures = make(kind, context(now), **options).update([*fresh, *replayed], iteration=0)
    ratio = math.exp(now.logprobs(1)[0] - then.logprobs(1)[0])
    assert 1.1 < ratio < MAX_REPLAY_RATIO
    assert figures["replay_ratio"] == pytest.approx(ratio, rel=1e-6)
    assert figures["first_ratio_error"] < 1e-6
    assert abs(figures["approx_kl"]) < 1e-9
    # replayed turns, however far away, do not stop the passes
    assert figures["optimizer_steps"] == (12 if kind in CLIPPED else 4)


@each
def test_fresh_turns_are_not_compared_with_replayed_episodes(kind):
    found = []
    for reward in (0.0, 1.0, 50.0):
        player = Table(np.zeros((4, 2)), [0.2, 0.1, -0.3, 0.0])
        episodes = [
            *(game(player, [(i, i % 2, i / 4), (2, 0, 0.1 * i)], keys="ab") for i in range(2)),
            game(player, [(3, 1, reward)], replayed=True, keys="a"),
        ]
        make(kind, context(player), **STILL).update(episodes, iteration=0)
        found.append(gradients(player))
    for logits, values in found[1:]:
        assert np.array_equal(logits[:3], found[0][0][:3])
        assert np.array_equal(values[:3], found[0][1][:3])
        # but they are learnt from themselves
        assert not np.array_equal(logits[3], found[0][0][3])


@pytest.mark.parametrize("kind", sorted(CRITICS))
def test_values_of_replayed_turns_are_those_of_the_present_critic(kind):
    player = Table(np.zeros((3, 2)), [0.5, 0.25, 0.0])
    fresh = game(player, [(2, 0, 0.0)])
    options = BARE | {"norm_adv": False, "vf_coef": 0.0, "gae_lambda": 1.0}
    found = []
    for stale in ([0.5, 0.25], [7.0, -9.0], [math.nan, math.nan]):
        turns = [(0, 0, 0.0), (1, 1, 1.0)]
        replayed = game(player, turns, values=stale, replayed=True, learn_turns=1)
        figures = make(kind, context(player), **options).update([fresh, replayed], iteration=0)
        found.append(figures | {"gradient": gradients(player)[0].tolist()})
    # the return 1 less the value 1/2, for one of two turns whose action had probability 1/2
    assert found[0]["gradient"][0] == pytest.approx([-0.125, 0.125])
    assert found[0] == found[1] == found[2]


@each
def test_an_update_can_do_with_replayed_episodes_alone(kind):
    player = Table(np.zeros((2, 2)))
    episodes = [game(player, [(0, 1, 1.0), (1, 0, 0.0)], replayed=True) for _ in range(2)]
    figures = make(kind, context(player), lr=0.01).update(episodes, iteration=0)
    assert all(math.isfinite(value) for value in figures.values())
    assert player.logprobs(0)[1] > -math.log(2)


@each
def test_micro_batches_change_nothing_where_fresh_and_replayed_turns_mix(kind):
    found = []
    for size in (1, 2, 64):
        player, episodes = lively()
        mixed = [attrs.evolve(e, replayed=i in (1, 3)) for i, e in enumerate(episodes)]
        learner = make(kind, context(player), **STILL | {"micro_batch_size": size})
        figures = learner.update(mixed, iteration=0)
        del figures["first_ratio_error"]  # a mean over micro-batches of their largest
        found.append((figures, gradients(player)))
    for figures, (logits, values) in found[1:]:
        assert figures == pytest.approx(found[0][0], rel=1e-6)
        assert logits == pytest.approx(found[0][1][0], abs=1e-12)
        assert values == pytest.approx(found[0][1][1], abs=1e-12)


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
