"""The global random generators of Python and numpy, which no part may depend on."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["kept_random", "random_states", "seed_global_random"]


def seed_global_random(seed: int) -> None:
    """Seed Python's and numpy's global generators; see :func:`kept_random`."""
    random.seed(seed)
    np.random.seed(seed)


@contextlib.contextmanager
def kept_random() -> Iterator[None]:
    """Bring the global generators back to where they were, whatever is done with them."""
    before, numpys = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpys)


def random_states() -> dict[str, object]:
    """Their states, by their names, in a form that can be compared."""
    numpys: Any = np.random.get_state(legacy=False)
    inner = numpys["state"]
    return {
        "random": random.getstate(),
        "numpy.random": (inner["key"].tobytes(), inner["pos"], numpys["has_gauss"]),
    }
