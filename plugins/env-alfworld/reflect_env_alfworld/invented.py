"""Made-up names of things, so that a model must read a name and cannot know it by heart.

Train has some twenty types of movable objects, and no type is in two splits: who learns
those by heart cannot say the name of a new one.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

_SINGLE = ("b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z")
_ONSETS = (*_SINGLE, "br", "ch", "gl", "pl", "sh", "sp", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "oo", "ai", "ea")
_CODAS = ("", "", "ck", "l", "m", "n", "nt", "r", "sk", "st", "t")
SYLLABLES = 2
"""Most of a word; a name is one word or two."""


def invented_name(rng: np.random.Generator, taken: Collection[str]) -> str:
    """A name as ALFWorld writes a type: a capital at each word, nothing between them.

    Args:
        rng: Draws it.
        taken: Names that it is not, in lower case.

    >>> invented_name(np.random.default_rng(0), ()).isalpha()
    True
    """
    while True:
        words = [_word(rng) for _ in range(1 + int(rng.random() < 0.4))]
        name = "".join(word.capitalize() for word in words)
        # the engine takes a basin for a part of its fixture, and calls it otherwise
        if name.lower() not in taken and "basin" not in name.lower():
            return name


def _word(rng: np.random.Generator) -> str:
    syllables = (
        _one_of(rng, _ONSETS) + _one_of(rng, _VOWELS)
        for _ in range(int(rng.integers(1, SYLLABLES + 1)))
    )
    return "".join(syllables) + _one_of(rng, _CODAS)


def _one_of(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]
