"""The examples of `tiny_text` as token ids: which at which step, and batches of like length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tiny_model import BOS, EOS, SPECIALS
from tiny_settings import Settings
from tiny_text import ALIKE, MATCHING, WRITING, Draft, make_example
from tokenizers import Tokenizer
from torch.utils.data import IterableDataset

EXAMPLES_PER_POOL = 512


@dataclass
class Encoded:
    """One example as token ids, with the weight of predicting each and its piece."""

    ids: np.ndarray
    weights: np.ndarray
    pieces: np.ndarray


def encode(tokenizer: Tokenizer, drafts: Sequence[Draft], rng: random.Random) -> list[Encoded]:
    """Tokenize whole examples and give each token the weight of the piece it starts in."""
    encoded = []
    bos, eos = SPECIALS.index(BOS), SPECIALS.index(EOS)
    for draft, result in zip(
        drafts, tokenizer.encode_batch([draft.text for draft in drafts]), strict=True
    ):
        ends = np.cumsum([len(text) for text, _ in draft.pieces])
        starts = np.array([start for start, _ in result.offsets])
        pieces = np.searchsorted(ends, starts, side="right")
        weights = np.array([weight for _, weight in draft.pieces], dtype=np.float32)[pieces]
        head = [bos] if rng.random() < 0.5 else []
        tail = [eos] if draft.text.endswith("\n") else []
        encoded.append(
            Encoded(
                np.array([*head, *result.ids, *tail], dtype=np.int64),
                np.array([*([0.0] * len(head)), *weights, *([0.1] * len(tail))], dtype=np.float32),
                np.array([*([-1] * len(head)), *pieces, *([-1] * len(tail))], dtype=np.int64),
            )
        )
    return encoded


def pad_batch(examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the right (a causal model needs no mask then) to a multiple of 16."""
    width = -(-max(len(example.ids) for example in examples) // 16) * 16
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    weights = torch.zeros(len(examples), width)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.from_numpy(example.ids)
        weights[row, : len(example.ids)] = torch.from_numpy(example.weights)
    return ids, weights


Position = tuple[int, int, int]
"""Where the stream of batches stands: pool, step at the pool's start, batches used of it."""


class Batches(IterableDataset):
    """Endless batches of examples of like length, in an order fixed by the seed."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer, position: Position) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.position = position

    def pool(self, number: int, step: int) -> list[list[Encoded]]:
        """The batches of one pool, whose difficulty is that of ``step``."""
        settings = self.settings
        rng = random.Random(f"pool-{settings.seed}-{number}")
        write = self.look_up if step >= settings.steps else self.example
        drafts = [write(rng, settings.level(step)) for _ in range(EXAMPLES_PER_POOL)]
        examples = encode(self.tokenizer, drafts, rng)
        examples = [e for e in examples if len(e.ids) <= settings.longest and e.weights[1:].any()]
        examples.sort(key=lambda example: len(example.ids))
        batches: list[list[Encoded]] = [[]]
        for example in examples:
            if (len(batches[-1]) + 1) * len(example.ids) > settings.tokens_per_batch:
                batches.append([])
            batches[-1].append(example)
        rng.shuffle(batches)
        return batches

    @staticmethod
    def example(rng: random.Random, level: float) -> Draft:
        """One of any skill, sometimes an easier one."""
        return make_example(rng, level if rng.random() < 0.8 else level * rng.random())

    @staticmethod
    def look_up(rng: random.Random, level: float) -> Draft:
        """Seven times of ten a look-up or a copy among items most of which end alike."""
        kind = rng.random()
        if kind < 0.7:
            return make_example(rng, level, rng.choice(MATCHING if kind < 0.4 else WRITING), ALIKE)
        return make_example(rng, level)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, Position]]:
        """Yield ids, weights and the position after each batch."""
        torch.set_num_threads(1)
        number, start, used = self.position
        while True:
            batches = self.pool(number, start)
            for index in range(used, len(batches)):
                ids, weights = pad_batch(batches[index])
                yield ids, weights, (number, start, index + 1)
            number, start, used = number + 1, start + len(batches), 0
