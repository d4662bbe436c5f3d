"""A causal LM with random weights, small enough to be made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["random_model"]

WIDTH = 32
END = "<|end|>"
LETTERS = " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
WORDS = (
    "Task: push the lit lamp\n The red blue green white lamp is lit. turns left. "
    "Observation: Action: Reflection: Actions:"
)


def random_model(folder: Path) -> None:
    """Write a causal LM with random weights, about forty thousand, and its tokenizer.

    It has dropout, so that who forgets to turn that off is found out.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from reflect_core.lm.quiet import quiet

    quiet()
    tokenizer = _tokenizer()
    config = GPT2Config(
        n_embd=WIDTH,
        n_layer=2,
        n_head=2,
        n_positions=512,
        vocab_size=len(tokenizer),
        # far from the nearly equal logits of fresh weights
        initializer_range=0.2,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerBase:
    """Bytes, the words of the lamps, which makes prompts short, and letters to serve as labels."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=450,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator([f"{WORDS} {LETTERS}"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=END)
