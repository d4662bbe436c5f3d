"""Label tokens: which tokens of a model's vocabulary name the items of a menu."""

from __future__ import annotations

import itertools
import re
import string

from transformers import PreTrainedTokenizerBase

from reflect_core.errors import ModelError

RESERVED = re.compile(r"<\|\d\d\|>")
"""How a tokenizer that reserves label tokens spells them; ordinary text cannot produce one."""

MOST = 100


def choose_labels(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids that serve as labels, in a fixed order; at most 100.

    Reserved label tokens are taken where the tokenizer has them. Otherwise a label is a
    space and a short string that together are one token: capital letters first, then
    digits and small letters, then pairs of capitals.

    Raises:
        ModelError: Fewer than two strings are single tokens.
    """
    vocabulary = tokenizer.get_vocab()
    reserved = sorted(token for token in vocabulary if RESERVED.fullmatch(token))
    if reserved:
        return [vocabulary[token] for token in reserved][:MOST]
    singles = [*string.ascii_uppercase, *string.digits, *string.ascii_lowercase]
    pairs = ["".join(pair) for pair in itertools.product(string.ascii_uppercase, repeat=2)]
    labels: list[int] = []
    for text in [*singles, *pairs]:
        label = _spaced(tokenizer, text)
        if label is not None and label not in labels:
            labels.append(label)
        if len(labels) == MOST:
            break
    if len(labels) < 2:
        raise ModelError(
            "this tokenizer has no tokens that can serve as labels",
            why="no letter or digit after a space is a single token",
            then="choose a model with a byte-level BPE or SentencePiece tokenizer",
        )
    return labels


def _spaced(tokenizer: PreTrainedTokenizerBase, text: str) -> int | None:
    """The token of a space and ``text``, None where these are not one token."""
    ids = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        # SentencePiece as in Llama 2 puts a space of its own before every text
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokenizer.convert_ids_to_tokens(ids) != [f"\u2581{text}"]:
            return None
    return None if ids[0] == tokenizer.unk_token_id else int(ids[0])
