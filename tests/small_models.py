"""Small random models of several architectures, made on the spot, and a toy run around them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

ARCHITECTURES = ("gpt2", "llama", "qwen2", "lfm2")
SCALED = ("granite", "cohere", "gemma2", "hyperclovax", "falcon_h1")
"""Architectures that change their logits after the output matrix, each in another way."""


def make_tokenizer():
    """A byte-level BPE tokenizer in which a space and a letter are one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    letters = " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    corpus = [letters, "the red blue green white lamp is lit push turns left Task Actions"] * 50
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>")


def make_model(architecture: str, vocabulary: int):
    """A random causal LM of about twenty thousand parameters."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        GPT2Config,
        Lfm2Config,
        LlamaConfig,
        Qwen2Config,
    )

    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
    }
    configs = {
        "gpt2": lambda: GPT2Config(
            n_embd=32, n_layer=2, n_head=4, n_positions=512, vocab_size=vocabulary
        ),
        "llama": lambda: LlamaConfig(**shape),
        "qwen2": lambda: Qwen2Config(**shape),
        "lfm2": lambda: Lfm2Config(
            **shape,
            layer_types=["conv", "full_attention"],
            conv_L_cache=3,
            block_auto_adjust_ff_dim=False,
        ),
    }
    plain = {
        # whose weights have other names on the hub
        "gpt_neox": {"max_position_embeddings": 512, "tie_word_embeddings": False},
        # which writes without a cache of keys and values
        "mamba": {"state_size": 4, "tie_word_embeddings": True},
    }
    scaled = {
        "granite": {"logits_scaling": 8.0},
        "cohere": {"logit_scale": 0.125},
        "gemma2": {"final_logit_softcapping": 1.0, "head_dim": 8},
        "hyperclovax": {"logits_scaling": 0.25},
        "falcon_h1": {"lm_head_multiplier": 0.25, "mamba_d_ssm": 32, "mamba_n_heads": 4,
                      "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1},
    }  # fmt: skip
    if architecture in plain | scaled:
        config = AutoConfig.for_model(architecture, **{**shape, **(plain | scaled)[architecture]})
    else:
        config = configs[architecture]()
    model = AutoModelForCausalLM.from_config(config).eval()
    if architecture in scaled:
        with torch.no_grad():  # logits of a size at which a scale and a cap show
            model.get_output_embeddings().weight.mul_(20)
    return model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``model_folder("gpt2")`` is a folder with a small random model of that architecture."""
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            tokenizer = make_tokenizer()
            tokenizer.save_pretrained(folder)
            make_model(architecture, len(tokenizer)).save_pretrained(folder)
            made[architecture] = folder
        return made[architecture]

    return make
