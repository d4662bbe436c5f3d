"""A curriculum in a process of its own: what it assigns there."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from reflect_core.testing.child import run_child
from reflect_core.testing.laws import Broken
from reflect_core.testing.recipes import PartRecipe

__all__ = ["assigned_elsewhere"]

CHILD = "from reflect_core.testing.elsewhere import main; main()"


def assigned_elsewhere(recipe: PartRecipe, history: Sequence[tuple[int, int]]) -> list[str]:
    """What :func:`reflect_core.testing.curricula.iterate` sees in a fresh process.

    Raises:
        Broken: The curriculum cannot be built or asked there.
    """
    try:
        job = pickle.dumps((recipe, list(history)))
    except Exception as error:
        raise Broken(f"its config does not pickle: {type(error).__name__}: {error}") from error
    ended = run_child(CHILD, job)
    if ended.result is None:
        raise Broken(f"a fresh process failed: {ended.failure}", shown=ended.last_lines)
    found: list[str] = json.loads(ended.result)
    return found


def main() -> None:
    """Do what the standard input says, and write what came to the file that is named."""
    from reflect_core.testing.curricula import iterate

    recipe, history = pickle.load(sys.stdin.buffer)
    seen = iterate(recipe.subject().build(), history)
    Path(sys.argv[1]).write_text(json.dumps(seen), encoding="utf-8")
