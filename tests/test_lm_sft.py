"""Warm-up: the losses are what they say, they fall, and they repeat."""

import math

import numpy as np
import pytest
import torch
from small_models import SCALED
from toy import CPU, examples, hashes, policy, pool, settings

from reflect_core.errors import NonFiniteLoss
from reflect_core.lm.completion import CompletionLoss, completion_batch
from reflect_core.lm.policy import LmPolicy
from reflect_core.lm.sft import StepBatches
from reflect_core.prompt import Menu
from reflect_core.records import Draws


def silent(step, loss):
    pass


def learner(folder, updates, *, tuning="full", **more):
    sft = {"policy_updates": updates, "batch_size": 8, **more}
    return LmPolicy(pool(folder, tuning), settings(folder, tuning, sft=sft), critic=True)


def mean_loss(player, found):
    """Cross-entropy over the legal labels, by the probabilities that the policy states."""
    choices = player.act(
        [example.state for example in found],
        [example.reflection for example in found],
        [Draws(5, ("check", i)) for i in range(len(found))],
        greedy=True,
    )
    places = [e.state.observation.legal_actions.index(e.action) for e in found]
    return -np.mean([math.log(c.probabilities[i]) for c, i in zip(choices, places, strict=True)])


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_warming_up_the_policy_lowers_its_loss(model_folder, monkeypatch, tuning):
    # with one label per action for good, which a model of this size can learn
    menu = Menu(order=(0, 1, 2, 3), labels=(0, 1, 2, 3))
    monkeypatch.setattr("reflect_core.lm.policy.draw_menu", lambda *_: menu)
    player = learner(model_folder("lfm2"), 40, tuning=tuning, lr=1e-2)
    found = examples()
    before = mean_loss(player, found)
    reported = []
    losses = player.fit(
        found, reflect=True, progress=lambda step, loss: reported.append((step, loss))
    )
    assert before == pytest.approx(math.log(4), abs=0.25)
    assert mean_loss(player, found) < 0.8 * before
    assert losses == [loss for _, loss in reported]
    assert [step for step, _ in reported] == [10, 20, 30, 40]
    assert losses[-1] < losses[0] < math.log(4) + 0.25


@pytest.mark.parametrize("updates", [1, 7, 13])
def test_the_last_steps_of_a_short_warmup_are_reported_too(model_folder, updates):
    player = learner(model_folder("lfm2"), updates)
    steps = []
    player.fit(examples(2), reflect=True, progress=lambda step, loss: steps.append(step))
    assert steps[-1] == updates


def test_no_updates_change_nothing(model_folder):
    player = learner(model_folder("llama"), 0)
    before = hashes(player.trainable())
    assert player.fit(examples(2), reflect=True, progress=silent) == []
    assert hashes(player.trainable()) == before


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_same_seed_gives_the_same_losses_and_weights(model_folder, tuning):
    def run(seed):
        torch.rand(3)  # whatever was drawn before
        folder = model_folder("llama")
        made = settings(folder, tuning, seed=seed, sft={"policy_updates": 11, "batch_size": 8})
        player = LmPolicy(pool(folder, tuning), made, critic=True)
        return player.fit(examples(), reflect=True, progress=silent), hashes(player.trainable())

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_policy_learns_at_its_own_rate_where_it_has_one(model_folder):
    def run(**rates):
        player = learner(model_folder("llama"), 3, **rates)
        player.fit(examples(2), reflect=True, progress=silent)
        return hashes(player.trainable())

    assert run(lr=0.5, policy_lr=0.01) == run(lr=0.01)
    assert run(lr=0.01, policy_lr=0.0) == run(lr=0.0) != run(lr=0.01)


@pytest.mark.parametrize("updates", [3, 12])
def test_a_loss_that_is_not_a_number_stops_the_warmup(model_folder, updates):
    player = learner(model_folder("gpt2"), updates)
    with torch.no_grad():
        player.trainable()[0].fill_(float("nan"))
    with pytest.raises(NonFiniteLoss) as caught:
        player.fit(examples(2), reflect=True, progress=silent)
    assert "learning rate 0.001" in caught.value.why
    assert "sft.lr" in caught.value.then and "sft.policy_lr" in caught.value.then


def test_the_warmup_leaves_the_value_head_alone(model_folder):
    player = policy(model_folder("llama"))
    before = hashes(player.module.value_head.parameters())
    player.fit(examples(2), reflect=True, progress=silent)
    assert hashes(player.module.value_head.parameters()) == before


@pytest.mark.parametrize("architecture", ["gpt2", "lfm2", *SCALED])
def test_the_completion_loss_is_the_cross_entropy_of_the_completion_alone(
    model_folder, architecture
):
    models = pool(model_folder(architecture))
    model = models.player("reflector").model
    prompts = [np.array(ids, np.int32) for ids in ([4, 5, 6, 7, 8], [9, 10])]
    completions = [[11, 12], [13, 14, 15, 16]]
    batch = completion_batch(prompts, completions, pad_id=0, device=CPU)
    nats = []
    with torch.no_grad():
        for prompt, completion in zip(prompts, completions, strict=True):
            ids = prompt.tolist()
            for token in completion:
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
                nats.append(-float(torch.log_softmax(logits, dim=-1)[token]))
                ids.append(token)
        loss = float(CompletionLoss(model, logit_map=models.logit_map)(batch))
    assert loss == pytest.approx(np.mean(nats), abs=1e-4)


def test_every_example_comes_once_in_a_pass_and_passes_differ():
    batches = StepBatches(
        lambda row, step, place: (row, step),
        length=lambda sample: 1,
        collate=lambda samples: ([row for row, _ in samples], samples[0][1]),
        examples=10,
        updates=6,
        batch_size=5,
        seed=0,
        name="x",
    )
    rows, steps = zip(*(batches[i]["step_batch"] for i in range(len(batches))), strict=True)
    assert steps == (0, 1, 2, 3, 4, 5)
    passes = [rows[i] + rows[i + 1] for i in (0, 2, 4)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3


def test_a_step_in_pieces_is_the_same_step(model_folder, monkeypatch):
    def learnt(parts):
        monkeypatch.setattr("reflect_core.lm.policy.PARTS", parts)
        player = learner(model_folder("lfm2"), 3)
        losses = player.fit(examples(), reflect=True, progress=silent)
        return losses, torch.cat([p.detach().flatten() for p in player.trainable()])

    whole, weights = learnt(1)
    pieces, same = learnt(2)
    assert pieces == pytest.approx(whole, rel=1e-4)
    # Adam takes nearly the sign of a gradient at first, so rounding shows where it is near 0
    assert (weights - same).abs().mean() < 1e-5


def test_a_second_gpu_in_sight_changes_nothing(model_folder, monkeypatch):
    def learnt():
        player = learner(model_folder("lfm2"), 3)
        seen = []
        read = player.module.forward
        monkeypatch.setattr(
            player.module, "forward", lambda b: seen.append(len(b.input_ids)) or read(b)
        )
        return player.fit(examples(), reflect=True, progress=silent), seen

    alone = learnt()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert learnt() == alone
    assert len(alone[1]) > 3  # steps come in pieces, and none is lost


@pytest.mark.parametrize(("parts", "sizes"), [(1, [8]), (2, [4, 4]), (3, [8])])
def test_pieces_hold_every_example_of_a_step_once_and_those_of_like_length_together(parts, sizes):
    batches = StepBatches(
        lambda row, step, place: (row, step, place),
        length=lambda sample: (7 * sample[0]) % 10,
        collate=list,
        examples=10, updates=3, batch_size=8, seed=0, name="x", parts=parts,
    )  # fmt: skip
    items = [batches[i]["step_batch"] for i in range(len(batches))]
    for step in range(3):
        mine = [item for item in items if item[0][1] == step]
        assert [len(samples) for samples in mine] == sizes
        samples = [sample for piece in mine for sample in piece]
        lengths = [(7 * row) % 10 for row, _, _ in samples]
        assert lengths == sorted(lengths)
        # each with the place at which it was drawn, which names its random numbers
        drawn = sorted(samples, key=lambda sample: sample[2])
        assert [row for row, _, _ in drawn] == batches.rows[step]
