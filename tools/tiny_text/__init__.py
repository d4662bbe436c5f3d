"""Synthetic text for pre-training the embedded base model `tiny`.

Every skill is one function that writes one example: matching a phrase and naming its
label, copying, membership, marks, paths, listings, small maps, sorting, counting.  Names
are made up anew for each example, so that nothing can be learnt by heart and only the
operation on the context remains.  Formats (headers, bullets, separators, cues) vary on
purpose.  The text knows no environment: no example asks what to do next.

An example is a list of pieces, each with a weight for the loss: ``give`` for what cannot
be foreseen (weight 0), ``tell`` for grammar and framing (light), ``ask`` for what follows
from the text before it (full).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .draft import COPY_WEIGHT, Draft
from .lists import NOTHING
from .skills.copying import compare_lists, copying, records, repeating, story
from .skills.judging import conditional, sections, seen_before
from .skills.lookup import (
    chained,
    inverse,
    lookup_after,
    lookup_before,
    lookup_told,
    marked,
    queries_before,
    told_then_label,
)
from .skills.places import grid, listing, paths
from .skills.rows import counting, order, sorting
from .vocabulary import LABELS, load_words, reserved_in
from .world import World

__all__ = [
    "ALIKE",
    "COPY_WEIGHT",
    "LABELS",
    "MATCHING",
    "NOTHING",
    "SKILLS",
    "WRITING",
    "Draft",
    "World",
    "load_words",
    "make_example",
    "reserved_in",
]

# How often each skill is drawn: at the very start of the curriculum, and after it.  The
# start has only dense matching and copying over few symbols, from which the rest follows.
SKILLS: dict[Callable[[World], Draft], tuple[float, float]] = {
    lookup_before: (30, 14),
    lookup_told: (10, 18),
    queries_before: (10, 5),
    lookup_after: (30, 9),
    inverse: (0, 2),
    seen_before: (5, 10),
    marked: (0, 5),
    compare_lists: (0, 1),
    repeating: (10, 1),
    copying: (0, 4),
    records: (5, 4),
    chained: (0, 2),
    paths: (0, 4),
    listing: (0, 5),
    sections: (0, 12),
    conditional: (0, 14),
    told_then_label: (0, 3),
    order: (0, 2),
    grid: (0, 3),
    sorting: (0, 1),
    counting: (0, 1),
    story: (0, 1),
}
EARLY = 0.12


MATCHING = (lookup_after, lookup_after, lookup_told, lookup_before)
WRITING = (repeating, copying, conditional, sections, inverse)
"""What is practised on lists whose items end alike: to name their labels, and to write them."""
ALIKE = 0.7


def make_example(
    rng: random.Random,
    level: float = 1.0,
    skill: Callable[[World], Draft] | None = None,
    alike: float = 0.0,
) -> Draft:
    """Write one example of ``skill``, or of one drawn by its share, free of reserved names.

    ``alike`` is the chance that the items of a list end alike.
    """
    if skill is None:
        shares = [share[level > EARLY] for share in SKILLS.values()]
        skill = rng.choices(tuple(SKILLS), shares)[0]
    while True:
        draft = skill(World(rng, level, alike))
        if not reserved_in(draft.text):
            return draft
