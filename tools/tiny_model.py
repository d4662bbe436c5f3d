"""The tokenizer of `tiny` and the model before its training."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from tiny_text import LABELS, load_words, make_example
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SPECIALS = (PAD, BOS, EOS, *LABELS)
VOCABULARY = 2048
# Words that take the space before them into their token.  All other words are one and the
# same token sequence wherever they stand, so that a name can be matched by its tokens.
JOINED_WORDS = (
    "the a an is are was were be has had do did not it its he she they we you his her my your "
    "our their of to for from with by at as that and but or so then in on"
)


def build_tokenizer(seed: int, examples: int = 24_000) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer and reserve the label tokens."""
    tokenizer = Tokenizer(models.BPE())
    joined = "|".join(JOINED_WORDS.split())
    pattern = (
        rf" (?:{joined})(?![A-Za-z0-9_])|\.[a-z]{{1,4}}(?![A-Za-z0-9])|[,.;] |"
        r"[A-Z]?[a-z]+|[A-Z]+|[0-9]|\s|[^A-Za-z0-9\s]"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rng = random.Random(f"tokenizer-{seed}")

    def texts() -> Iterator[str]:
        for number in range(examples):
            draft = make_example(rng, level=(number % 4) / 3)
            yield "".join(text for text, _ in draft.pieces if not text.startswith("<|"))
        for words in load_words().values():
            yield from (f"{word}\n" for word in words for _ in range(20))

    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=list(LABELS),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def build_model(seed: int) -> Lfm2ForCausalLM:
    """The untrained model: short convolutions and attention by turns."""
    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        layer_types=["conv", "full_attention"] * 3,
        conv_L_cache=4,
        block_auto_adjust_ff_dim=False,
        initializer_range=0.06,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=SPECIALS.index(PAD),
        bos_token_id=SPECIALS.index(BOS),
        eos_token_id=SPECIALS.index(EOS),
    )
    return Lfm2ForCausalLM(config)
