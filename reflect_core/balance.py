"""Which examples of a teacher are learnt from how often.

Most turns are alike: who searches says "Not found yet" at four of ten, and what decides a task is
said at one of forty. Drawn as they come, the common ones take most of the updates long after they
are learnt. Sampling by a power of the frequency is how multilingual models balance their languages
(Devlin et al. 2019; Arivazhagan et al. 2019); here the kinds are what reflections say, without the
actions that they name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from reflect_core.advantages import Floats
from reflect_core.grounding import without_actions
from reflect_core.records import Example

__all__ = ["draw_pass", "example_weights", "kind_of", "kind_weights"]

Rows = npt.NDArray[np.int64]


def kind_of(example: Example) -> str:
    """What the reflection says, apart from the legal actions that it names.

    >>> from reflect_core.records import Observation, State, Task
    >>> state = State(Task("t", "train", "Find a.py"), Observation("/: src", ("cd src", "cd ..")))
    >>> kind_of(Example("positive", state, "Not here yet: cd src", "cd src"))
    'Not here yet:'
    """
    return without_actions(example.reflection, example.state.observation.legal_actions)


def kind_weights(kinds: Sequence[Hashable], balance: float) -> Floats:
    """How often each example is drawn in a pass, on average: shape (N,), mean 1.

    A kind with a share p of the examples gets one in proportion to p ** (1 - balance).

    Args:
        kinds: Of each of the N examples.
        balance: 0 draws examples as they come, 1 all kinds alike.

    >>> kind_weights(["a", "a", "a", "b"], 1.0).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    counts = Counter(kinds)
    each = np.array([counts[kind] for kind in kinds], np.float64) ** -balance
    return each * (len(kinds) / each.sum()) if len(kinds) else each


def example_weights(examples: Sequence[Example], balance: float) -> Floats | None:
    """The weights of examples by their kinds; None where they are drawn as they come."""
    return kind_weights([kind_of(each) for each in examples], balance) if balance else None


def draw_pass(weights: Floats, generator: np.random.Generator) -> Rows:
    """The rows of one pass over N examples, shuffled; shape (N,).

    Systematic sampling: an example of weight w is drawn floor(w) or ceil(w) times, w on average.
    With equal weights every example comes once.
    """
    count = len(weights)
    ends = np.cumsum(weights)
    ends *= count / ends[-1]
    marks = np.arange(count) + generator.random()
    rows = np.minimum(np.searchsorted(ends, marks, side="right"), count - 1)
    return generator.permutation(rows)
