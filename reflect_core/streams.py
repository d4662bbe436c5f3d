"""Named random streams: every random choice is a pure function of the seed and a name.

Nothing is ever advanced in the background, so there is no generator state to save: a
resumed run, or one with another number of parallel environments, draws the same numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["stream", "stream_seed"]


def stream_seed(seed: int, *name: str | int) -> int:
    """A 64-bit integer that depends on ``seed`` and every part of ``name``.

    >>> stream_seed(0, "episode", 3) == stream_seed(0, "episode", 3)
    True
    >>> stream_seed(0, "a", "bc") == stream_seed(0, "ab", "c")
    False
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, *name):
        # type and length are part of the key, so that ("a", "bc") and ("ab", "c") differ
        encoded = repr(part).encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """A fresh generator for the stream of this name, always at its beginning."""
    return np.random.Generator(np.random.Philox(key=stream_seed(seed, *name)))
