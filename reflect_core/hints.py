"""What an environment's expert has to say, also where it knows no way on."""

from __future__ import annotations

from reflect_core.errors import NoAdvice
from reflect_core.protocols import Expert
from reflect_core.records import Hint, Observation

__all__ = ["hint_of"]


def hint_of(expert: Expert, observation: Observation) -> Hint:
    """What the expert would do and say in the present state.

    One that has given up plays on with the first legal action and says nothing, so that its
    episode is played to its end and counts as what it is, one that was not solved.
    """
    try:
        return Hint(expert.expert_action(), expert.expert_reflection())
    except NoAdvice:
        return Hint(observation.legal_actions[0], "", given_up=True)
