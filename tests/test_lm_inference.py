"""Reading without learning: the same figures, and nothing that later training trips over."""

import itertools

import pytest
import torch
from small_models import ARCHITECTURES, SCALED, make_tokenizer
from toy import policy, turns
from transformers import AutoModelForCausalLM, LlamaConfig

from reflect_core.lm.generate import generate
from reflect_core.lm.inference import inference

WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}


def stretched(kind):
    """A model that makes its rotary frequencies anew for prompts longer than it was made for."""
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4,
                 "original_max_position_embeddings": 16}  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(
        LlamaConfig(
            **WIDE, **heads, vocab_size=400, max_position_embeddings=16, rope_parameters=rope
        )
    )


def gradients(module, loss):
    module.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    ("architecture", "tuning"),
    [
        *itertools.product(ARCHITECTURES, ("full", "lora")),
        *itertools.product(SCALED, ("full",)),
        ("gpt_neox", "lora"),
    ],
)
def test_what_was_played_changes_nothing_of_what_is_learnt(model_folder, architecture, tuning):
    found = []
    for plays in (False, True):
        player = policy(model_folder(architecture), tuning)
        if plays:
            played = player.act(*turns(), greedy=False)
            assert all(isinstance(choice.value, float) for choice in played)
        encoded = [player.encode(*each) for each in zip(*turns(), strict=True)]
        batch = player._batch([(prompt.ids, labels) for prompt, labels in encoded])
        with player.training() as module:
            logits, values = module(batch)
            found.append(gradients(module, logits.logsumexp(-1).mean() + values.sum()))
    assert found[0]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_buffers_that_are_made_while_it_is_read_can_be_trained_on(kind):
    model = stretched(kind)
    ids = torch.arange(40)[None]
    with inference(model):
        read = model(input_ids=ids).logits.clone()
    trained = model(input_ids=ids).logits
    assert torch.equal(read, trained)
    assert gradients(model, trained.logsumexp(-1).mean())


def test_nothing_is_kept_for_gradients_unless_a_model_is_quantised():
    model = stretched("dynamic")
    with inference(model):
        assert model(input_ids=torch.arange(4)[None]).logits.is_inference()
    model.is_quantized = True
    with inference(model):
        logits = model(input_ids=torch.arange(4)[None]).logits
    assert not logits.is_inference()
    assert not logits.requires_grad


def test_what_is_written_is_the_same(model_folder):
    tokenizer = make_tokenizer()
    model = AutoModelForCausalLM.from_pretrained(model_folder("lfm2")).eval()
    prompts = [tokenizer(text)["input_ids"] for text in ("the red lamp", "push the blue lamp is")]
    more = {"max_new_tokens": 8, "end_id": tokenizer.eos_token_id, "pad_id": 0}
    plain = generate(model, prompts, None, **more)
    with inference(model):
        assert generate(model, prompts, None, **more) == plain
