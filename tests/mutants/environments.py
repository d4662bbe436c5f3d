"""All environments that are wrong."""

from __future__ import annotations

from mutants import hanoi, lamps, lamps_again, maze_again, maze_shown, postman
from mutants.common import Mutant
from reflect_core.testing.environments import ENVIRONMENT_LAWS, EnvironmentSubject
from reflect_core.testing.laws import Effort, Examiner, Outcome
from reflect_core.testing.recipes import FromFile

__all__ = ["MUTANTS", "examine"]

MUTANTS: dict[str, Mutant] = {}
for module in (lamps, lamps_again, maze_shown, maze_again, hanoi, postman):
    assert not set(MUTANTS) & set(module.MUTANTS), "a name is taken twice"
    MUTANTS |= module.MUTANTS


def examine(mutant: Mutant, effort: Effort | None = None) -> dict[str, Outcome]:
    """What came of each law, by its name; in a process of its own only where that is needed."""
    recipe = FromFile.of(mutant.make) if mutant.fresh else None
    subject = EnvironmentSubject(mutant.make, recipe=recipe, **mutant.more)
    examiner = Examiner(subject, ENVIRONMENT_LAWS, effort or Effort())
    try:
        return {outcome.law.name: outcome for outcome in examiner.outcomes()}
    finally:
        subject.close()
