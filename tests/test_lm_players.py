"""Two players on one base: whose weights are whose, and how they are switched."""

import json

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_models import ARCHITECTURES
from toy import examples, hashes, policy, pool, settings, stir

from reflect_core.errors import ConfigError, ModelError
from reflect_core.lm.policy import LmPolicy
from reflect_core.lm.pool import _check_whole
from reflect_core.settings import ModelSettings

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
IDS = torch.tensor([[5, 9, 17, 300, 42]])


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def adapters(model, role):
    return {name: p for name, p in model.named_parameters() if f".{role}." in name}


def base(model):
    return [p for name, p in model.named_parameters() if "lora_" not in name]


@each_architecture
def test_with_adapters_the_base_is_in_memory_once(model_folder, architecture):
    models = pool(model_folder(architecture), "lora")
    reflector, player = models.player("reflector"), models.player("policy")
    assert reflector.model is player.model
    own = {id(p) for p in reflector.trainable()}, {id(p) for p in player.trainable()}
    assert all(own)
    assert not own[0] & own[1]
    assert models.player("policy").trainable()[0] is player.trainable()[0]


def test_with_full_tuning_each_player_has_a_copy_of_its_own(model_folder):
    models = pool(model_folder("llama"), "full")
    reflector, player = models.player("reflector"), models.player("policy")
    before = hashes(reflector.trainable())
    assert hashes(player.trainable()) == before
    stir(player.trainable())
    assert hashes(reflector.trainable()) == before
    assert hashes(models.player("policy").trainable()) == before


@each_architecture
@pytest.mark.parametrize("first", ["reflector", "policy"])
def test_training_the_policy_changes_its_adapter_and_nothing_else(
    model_folder, architecture, first
):
    models = pool(model_folder(architecture), "lora")
    made = {first: models.player(first)}
    player = LmPolicy(models, settings(model_folder(architecture), "lora"), critic=True)
    reflector = made.get("reflector") or models.player("reflector")
    model = player.player.model
    still = hashes(base(model)), hashes(adapters(model, "reflector").values())
    moved = hashes(adapters(model, "policy").values())
    answer = None
    with reflector.active() as active:
        answer = logits(active)
    player.fit(examples(4), reflect=True, progress=lambda step, loss: None)
    assert (hashes(base(model)), hashes(adapters(model, "reflector").values())) == still
    assert hashes(adapters(model, "policy").values()) != moved
    with reflector.active() as active:
        assert torch.equal(logits(active), answer)


@each_architecture
def test_what_is_trained_is_the_policys_adapter_and_the_value_head(model_folder, architecture):
    models = pool(model_folder(architecture), "lora")
    models.player("reflector")
    player = LmPolicy(models, settings(model_folder(architecture), "lora"), critic=True)
    models.player("reflector")
    expected = {id(p) for p in adapters(player.player.model, "policy").values()}
    expected |= {id(p) for p in player.module.value_head.parameters()}
    assert {id(p) for p in player.trainable()} == expected
    with player.training() as module:
        switched_on = {id(p) for p in module.parameters() if p.requires_grad}
        assert switched_on == expected


def test_each_player_answers_with_its_own_weights(model_folder):
    models = pool(model_folder("qwen2"), "lora")
    players = [models.player("reflector"), models.player("policy")]
    for seed, player in enumerate(players):
        stir(player.trainable(), seed=seed, scale=0.5)
    answers = []
    for player in (*players, *players):
        with player.active() as model:
            answers.append(logits(model))
    assert torch.equal(answers[0], answers[2])
    assert torch.equal(answers[1], answers[3])
    assert not torch.allclose(answers[0], answers[1])


class Stop(Exception):
    pass


@pytest.fixture(scope="module", params=["full", "lora"])
def pair(request, model_folder):
    models = pool(model_folder("gpt2"), request.param)
    return [models.player("reflector"), models.player("policy")]


def condition(player):
    model = player.model
    adapter = player.peft.active_adapter if player.peft is not None else None
    return (
        adapter,
        model.training,
        {name: p.requires_grad for name, p in model.named_parameters()},
        [module.active_adapter for module in model.modules() if hasattr(module, "lora_A")],
    )


def nest(pair, plan, fail):
    """Enter the blocks of the plan inside each other; in the innermost, maybe raise."""
    if not plan:
        if fail:
            raise Stop
        return
    (who, training), *rest = plan
    before = [condition(player) for player in pair]
    try:
        with pair[who].active(training=training) as model:
            own = {id(p) for p in pair[who].trainable()}
            on = {id(p) for p in model.parameters() if p.requires_grad}
            assert on == (own if training else set())
            assert not model.training
            nest(pair, rest, fail)
            assert {id(p) for p in model.parameters() if p.requires_grad} == on
    finally:
        assert [condition(player) for player in pair] == before


@hypothesis_settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_a_switch_leaves_everything_as_it_found_it(pair, plan, fail, mode):
    for player in pair:
        player.model.train(mode)
    if fail:
        with pytest.raises(Stop):
            nest(pair, plan, fail)
    else:
        nest(pair, plan, fail)


@each_architecture
def test_an_adapter_folder_is_read_by_peft(model_folder, tmp_path, architecture):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    models = pool(model_folder(architecture), "lora")
    models.player("reflector")
    player = models.player("policy")
    stir(player.trainable(), scale=0.3)
    player.save(tmp_path / "a", models.tokenizer)
    with player.active() as model:
        expected = logits(model)
    plain = AutoModelForCausalLM.from_pretrained(model_folder(architecture)).eval()
    assert not torch.allclose(logits(plain), expected, atol=1e-3)
    again = PeftModel.from_pretrained(plain, tmp_path / "a").eval()
    assert torch.allclose(logits(again), expected, atol=1e-5)
    assert len(AutoTokenizer.from_pretrained(tmp_path / "a")) == len(models.tokenizer)
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["r"] == 4


@pytest.mark.parametrize("role", ["reflector", "policy"])
def test_an_adapter_folder_alone_is_read_with_its_base(model_folder, tmp_path, role):
    from transformers import AutoModelForCausalLM

    models = pool(model_folder("llama"), "lora")
    players = {each: models.player(each) for each in ("reflector", "policy")}
    stir(players[role].trainable(), scale=0.3)
    players[role].save(tmp_path / "a", models.tokenizer)
    with players[role].active() as model:
        expected = logits(model)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "a").eval()
    assert torch.allclose(logits(again), expected, atol=1e-5)


def test_a_model_that_takes_no_adapters_is_told(model_folder):
    with pytest.raises(ModelError, match="takes no LoRA adapters") as told:
        pool(model_folder("falcon_h1"), "lora").player("policy")
    assert "model.tuning=full" in str(told.value)


def test_an_adapter_folder_tells_the_revision_of_its_base(model_folder, tmp_path):
    models = pool(model_folder("llama"), "lora")
    models.settings = attrs.evolve(models.settings, revision="v2")  # a folder has none
    for role in ("reflector", "policy"):
        models.player(role).save(tmp_path / role, models.tokenizer)
        config = json.loads((tmp_path / role / "adapter_config.json").read_text())
        assert config["revision"] == "v2"


def test_a_fully_tuned_player_is_read_back_where_the_hub_has_other_names(model_folder, tmp_path):
    from transformers import AutoModelForCausalLM

    models = pool(model_folder("gpt_neox"))
    player = models.player("policy")
    stir(player.trainable(), scale=0.3)
    player.save(tmp_path / "m", models.tokenizer)
    again = models.player("policy")
    again.load(tmp_path / "m")
    with player.active() as one, again.active() as other:
        assert torch.equal(logits(one), logits(other))
        read = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
        assert torch.allclose(logits(read), logits(one), atol=1e-6)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"dtype": "bfloat16"}, "tuned whole cannot be in bfloat16"),
        ({"dtype": "float16"}, "tuned whole cannot be in float16"),
    ],
)
def test_a_model_too_coarse_to_be_tuned_whole_is_refused(model_folder, more, told):
    with pytest.raises(ConfigError, match=told) as caught:
        pool(model_folder("llama"), "full", **more)
    assert "model.tuning=lora" in str(caught.value)
    assert pool(model_folder("llama"), "lora", **more).player("policy")


def test_a_quantised_model_is_not_tuned_whole():
    made = ModelSettings(name="any", tuning="full", quantize="4bit")
    with pytest.raises(ConfigError, match="does not go with"):
        _check_whole(made)


def test_a_model_that_cannot_write_is_told_when_the_reflector_is_built(model_folder):
    with pytest.raises(ModelError, match="'mamba' cannot write reflections") as caught:
        pool(model_folder("mamba")).check_writes()
    assert "--reflector none" in str(caught.value)
    pool(model_folder("llama")).check_writes()


def test_labels_are_compared_in_full_precision_whatever_the_model_s(model_folder):
    player = policy(model_folder("llama"), "lora", model={"dtype": "bfloat16"})
    module = player.module
    generator = torch.Generator().manual_seed(0)
    width = module.lm.get_output_embeddings().weight.shape[1]
    state = (4 * torch.randn(8, width, generator=generator)).bfloat16()
    labels = torch.arange(6).repeat(8, 1)
    found = module._label_logits(state, labels)
    rows = module.lm.get_output_embeddings().weight[labels].double()
    exact = torch.einsum("bd,bkd->bk", state.double(), rows)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), exact, rtol=1e-5, atol=1e-5)


@each_architecture
def test_a_fully_tuned_folder_is_read_by_transformers(model_folder, tmp_path, architecture):
    from transformers import AutoModelForCausalLM

    player = policy(model_folder(architecture))
    player.save(tmp_path / "m")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    with player.player.active() as model:
        assert torch.allclose(logits(again), logits(model), atol=1e-6)


def test_new_adapters_depend_on_the_seed_and_not_on_what_was_drawn_before(model_folder):
    from reflect_core.lm.pool import ModelPool

    def weights(seed):
        made = ModelPool(
            pool(model_folder("llama"), "lora").settings, torch.device("cpu"), seed=seed
        )
        return hashes(made.player("policy").trainable())

    first = weights(0)
    torch.rand(7)
    assert weights(0) == first
    assert weights(1) != first
