"""The policy ``lm``: the softmax over legal labels, on four architectures."""

import itertools
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ARCHITECTURES, SCALED
from toy import hashes, policy, pool, stir, turns

from reflect_core.errors import CheckpointError, ReflectError
from reflect_core.lm.generate import inverse_cdf
from reflect_core.lm.policy import LmPolicy, entropy
from reflect_core.prompt import UNGROUNDED
from reflect_core.records import Draws, Observation, State, Task

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
each_tuning = pytest.mark.parametrize("tuning", ["full", "lora"])


@pytest.fixture(scope="module")
def make(model_folder):
    made = {}

    def get(architecture, tuning="full"):
        key = architecture, tuning
        if key not in made:
            made[key] = policy(model_folder(architecture), tuning)
        return made[key]

    return get


def brute_force(player, choice):
    """Probabilities of the legal labels from the whole model's full-vocabulary logits."""
    with player.player.active() as model, torch.no_grad():
        ids = torch.tensor([choice.prompt_ids.tolist()])
        logits = model(input_ids=ids).logits[0, -1]
    return torch.softmax(logits[choice.label_ids.tolist()].double(), dim=-1)


@pytest.mark.parametrize(
    ("architecture", "tuning"),
    [
        *itertools.product(ARCHITECTURES, ("full", "lora")),
        *itertools.product(SCALED, ("full",)),
        ("granite", "lora"),
    ],
)
def test_probabilities_are_the_softmax_over_the_legal_labels(make, architecture, tuning):
    player = make(architecture, tuning)
    for choice in player.act(*turns(), greedy=False):
        expected = brute_force(player, choice)
        assert choice.probabilities == pytest.approx(expected.tolist(), abs=1e-4)
        assert sum(choice.probabilities) == pytest.approx(1, abs=1e-5)
        assert choice.logprob == pytest.approx(math.log(expected[choice.index]), abs=1e-4)
        assert len(choice.label_ids) == len(choice.probabilities) == 4


@pytest.mark.parametrize(("check", "name"), [(True, True), (False, True), (True, False)])
def test_it_reads_that_a_reflection_cannot_be_followed(model_folder, check, name):
    options = {"check_reflections": check, "name_actions": name}
    player = policy(model_folder("gpt2"), rollout=options)
    states, _, draws = turns(1)
    ids = player.encode(states[0], "fly away", draws[0])[0].ids.tolist()
    told = player.models.tokenizer.decode(ids).endswith(UNGROUNDED)
    assert told is (check and name)


@each_architecture
def test_an_answer_does_not_depend_on_what_is_answered_beside_it(make, architecture):
    player = make(architecture)
    states, texts, draws = turns()
    together = player.act(states, texts, draws, greedy=False)
    for i, choice in enumerate(together):
        (alone,) = player.act([states[i]], [texts[i]], [draws[i]], greedy=False)
        assert alone.index == choice.index
        assert alone.prompt_ids.tolist() == choice.prompt_ids.tolist()
        assert alone.probabilities == pytest.approx(choice.probabilities, abs=1e-4)
        assert alone.value == pytest.approx(choice.value, abs=1e-4)


def test_answers_come_in_order_from_more_states_than_one_batch_holds(make):
    player = make("lfm2")
    states, texts, draws = turns(12)
    whole = player.act(states * 4, texts * 4, draws * 4, greedy=True)
    assert [c.index for c in whole] == [
        c.index for c in player.act(states, texts, draws, greedy=True)
    ] * 4


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_no_more_prompts_are_read_at_once_than_the_setting_says(model_folder, rows):
    player = policy(model_folder("lfm2"), rollout={"batch_rows": rows})
    sizes = []
    player.player.model.base_model.register_forward_pre_hook(
        lambda module, args, given: sizes.append(len(given["input_ids"])), with_kwargs=True
    )
    player.act(*turns(12), greedy=True)
    assert max(sizes) == min(rows, 12)
    assert sum(sizes) == 12


def test_nothing_asked_nothing_answered(make):
    assert make("gpt2").act([], [], [], greedy=False) == []


def test_greedy_takes_the_most_probable(make):
    for choice in make("llama").act(*turns(), greedy=True):
        assert choice.index == int(np.argmax(choice.probabilities))
        assert choice.temperature == 0


def test_the_same_draws_give_the_same_choice_and_others_other_ones(make):
    player = make("gpt2")
    states, texts, _ = turns()

    def pick(seed):
        draws = [Draws(seed, ("d", i)) for i in range(9)]
        return [choice.index for choice in player.act(states, texts, draws, greedy=False)]

    picked = [pick(seed) for seed in (0, 0, 1, 2)]
    assert picked[0] == picked[1]
    assert len({tuple(row) for row in picked}) == 3


def test_temperature_sharpens_and_zero_is_argmax(model_folder, make):
    states = turns()
    plain = make("qwen2").act(*states, greedy=False)
    cold = policy(model_folder("qwen2"), rollout={"temperature": 0.5}).act(*states, greedy=False)
    frozen = policy(model_folder("qwen2"), rollout={"temperature": 0.0}).act(*states, greedy=False)
    for at_one, at_half, at_zero in zip(plain, cold, frozen, strict=True):
        squared = np.square(at_one.probabilities)
        assert at_half.probabilities == pytest.approx(squared / squared.sum(), abs=1e-5)
        assert at_half.temperature == 0.5
        assert at_zero.index == int(np.argmax(at_one.probabilities))
        assert math.isfinite(at_zero.logprob)
        assert at_zero.temperature == 0


def test_dropped_history_is_counted_in_turns(model_folder):
    from reflect_core.records import PastTurn

    long = State(
        Task("t", "train", "win"),
        Observation("now", ("push red", "push blue")),
        tuple(PastTurn("The red lamp is lit " * 3, "push red") for _ in range(8)),
    )
    player = policy(model_folder("gpt2"), model={"context": 128})
    (choice,) = player.act([long], [""], [Draws(0, ("x",))], greedy=True)
    assert len(choice.prompt_ids) <= 128
    shown = player.models.tokenizer.decode(choice.prompt_ids.tolist()).count("> push red")
    assert 0 < shown < 8
    assert choice.truncated_turns == 8 - shown


@each_architecture
def test_only_the_labels_rows_of_the_output_matrix_are_multiplied(make, architecture):
    player = make(architecture)

    def multiplied(*_):
        raise AssertionError("all rows were")

    with player.player.active() as model:
        hook = model.get_output_embeddings().register_forward_pre_hook(multiplied)
        with pytest.raises(AssertionError, match="all rows"):
            model(input_ids=torch.tensor([[1]]))
    try:
        assert len(player.act(*turns(), greedy=False)) == 9
    finally:
        hook.remove()


def test_more_actions_than_labels_is_a_clear_error(make):
    player = make("gpt2")
    count = len(player.encoder.labels) + 1
    actions = tuple(f"go {i}" for i in range(count))
    crowded = State(Task("maze-7", "train", "win"), Observation("now", actions))
    with pytest.raises(ReflectError) as caught:
        player.act([crowded], [""], [Draws(0, ("x",))], greedy=False)
    assert str(count) in caught.value.what
    assert str(count - 1) in caught.value.what
    assert "maze-7" in caught.value.why
    assert caught.value.then


# -- sampling -----------------------------------------------------------------------------


def distributions():
    weights = st.lists(
        st.sampled_from([0.0, 1e-30, 1e-9, 0.1, 0.5, 1.0, 3.0]), min_size=1, max_size=9
    )
    return weights.filter(any).map(lambda w: torch.tensor(w) / sum(w))


uniforms = st.one_of(
    st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 1 - 2**-53, 1 - 2**-26, 0.5])
)


@settings(deadline=None, max_examples=300)
@given(distributions(), uniforms)
def test_sampling_never_takes_what_has_no_probability(probabilities, uniform):
    index = int(inverse_cdf(probabilities.unsqueeze(0), torch.tensor([uniform]).double()))
    assert probabilities[index] > 0
    rounded = int(inverse_cdf(probabilities.unsqueeze(0), torch.tensor([1.0])))
    assert probabilities[rounded] > 0


@settings(deadline=None)
@given(distributions())
def test_an_index_is_taken_as_often_as_it_is_probable(probabilities):
    grid = (torch.arange(4000).double() + 0.5) / 4000
    taken = inverse_cdf(probabilities.expand(4000, -1), grid)
    shares = torch.bincount(taken, minlength=len(probabilities)) / 4000
    assert torch.allclose(shares, probabilities, atol=1 / 2000)
    assert (taken.diff() >= 0).all()


def test_entropy_is_that_of_the_legal_actions():
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.5, -math.inf]], requires_grad=True)
    found = entropy(logits)
    p = np.exp([1, 2, -1]) / np.exp([1, 2, -1]).sum()
    assert found.tolist() == pytest.approx([-(p * np.log(p)).sum(), math.log(2)], rel=1e-6)
    found.sum().backward()
    assert torch.isfinite(logits.grad).all()


# -- saving -------------------------------------------------------------------------------


@each_architecture
@each_tuning
def test_saved_and_loaded_is_the_same_to_the_last_bit(
    make, model_folder, tmp_path, architecture, tuning
):
    saved = make(architecture, tuning)
    saved.save(tmp_path / "p")
    loaded = LmPolicy(pool(model_folder(architecture), tuning), saved.settings, critic=True)
    assert hashes(loaded.trainable()) != hashes(saved.trainable())
    loaded.load(tmp_path / "p")
    assert hashes(loaded.trainable()) == hashes(saved.trainable())
    for a, b in zip(
        saved.act(*turns(), greedy=False), loaded.act(*turns(), greedy=False), strict=True
    ):
        assert a == b


@each_tuning
def test_a_state_dict_is_a_copy_that_can_be_put_back(model_folder, tuning):
    player = policy(model_folder("llama"), tuning)
    before, kept = hashes(player.trainable()), player.state_dict()
    stir(player.trainable())
    assert hashes(player.trainable()) != before
    player.load_state_dict(kept)
    assert hashes(player.trainable()) == before


def refuses(player, folder):
    with pytest.raises(CheckpointError) as caught:
        player.load(folder)
    assert str(folder) in caught.value.what
    assert caught.value.why
    assert caught.value.then
    return caught.value


@each_tuning
def test_a_folder_that_is_not_there_or_is_damaged_is_refused(make, tmp_path, tuning):
    player = make("llama", tuning)
    refuses(player, tmp_path / "nowhere")
    for name in ("weights", "value_head.safetensors"):
        folder = tmp_path / name
        player.save(folder)
        victim = folder / name
        if name == "weights":
            victim = folder / (
                "model.safetensors" if tuning == "full" else "adapter_model.safetensors"
            )
        victim.write_bytes(victim.read_bytes()[:-7])
        refuses(player, folder)


@each_tuning
def test_another_models_folder_is_refused(make, model_folder, tmp_path, tuning):
    make("gpt2", tuning).save(tmp_path / "gpt2")
    refuses(make("llama", tuning), tmp_path / "gpt2")
    other = "lora" if tuning == "full" else "full"
    refuses(make("gpt2", other), tmp_path / "gpt2")
    shutil.rmtree(tmp_path / "gpt2")


def test_an_adapter_of_another_rank_is_refused(make, model_folder, tmp_path):
    policy(model_folder("llama"), "lora", model={"lora_r": 8}).save(tmp_path / "wide")
    refuses(make("llama", "lora"), tmp_path / "wide")
