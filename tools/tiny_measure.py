"""What a model of `tiny`'s kind can do of each skill."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from tiny_batches import encode, pad_batch
from tiny_text import SKILLS, Draft, World, make_example
from tokenizers import Tokenizer
from transformers import Lfm2ForCausalLM


@torch.no_grad()
def measure(
    model: Lfm2ForCausalLM,
    tokenizer: Tokenizer,
    level: float = 1.0,
    examples: int = 16,
    skills: Sequence[Callable[[World], Draft]] = tuple(SKILLS),
) -> dict[str, float]:
    """The share of held-out answers whose tokens are all the most likely ones, per skill."""
    model.eval()
    accuracies = {}
    for skill in skills:
        rng = random.Random(f"held-out-{skill.__name__}-{level}")
        drafts = [make_example(rng, level, skill) for _ in range(examples)]
        encoded = encode(tokenizer, drafts, rng)
        encoded = [example for example in encoded if len(example.ids) <= 640]
        encoded.sort(key=lambda example: len(example.ids))
        right = total = 0
        for first in range(0, len(encoded), 12):
            batch = encoded[first : first + 12]
            ids, _ = pad_batch(batch)
            best = model(input_ids=ids, use_cache=False).logits.argmax(-1).numpy()
            for row, example in enumerate(batch):
                hits = best[row, : len(example.ids) - 1] == example.ids[1:]
                asked = (example.weights[1:] >= 0.5) & (example.pieces[1:] >= 0)
                for piece in np.unique(example.pieces[1:][asked]):
                    total += 1
                    right += bool(hits[example.pieces[1:] == piece].all())
        accuracies[skill.__name__] = right / total if total else float("nan")
    return accuracies
