"""What an environment's expert has to say, also where it knows no way on."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.errors import NoAdvice, ReflectError
from reflect_core.protocols import Expert
from reflect_core.records import Hint, Observation

__all__ = ["hint_of", "index_of"]


def hint_of(expert: Expert, observation: Observation) -> Hint:
    """What the expert would do and say in the present state.

    One that has given up plays on with the first legal action and says nothing, so that its
    episode is played to its end and counts as what it is, one that was not solved.
    """
    try:
        return Hint(expert.expert_action(), expert.expert_reflection())
    except NoAdvice:
        return Hint(observation.legal_actions[0], "", given_up=True)


def index_of(action: str, legal: Sequence[str], task_id: str) -> int:
    """The place of an expert's action on the menu.

    Raises:
        ReflectError: It is not there.
    """
    if action not in legal:
        raise ReflectError(
            f"the environment's expert names an action that is not legal: {action!r}",
            why=f"legal are {', '.join(map(repr, legal))} (task {task_id})",
            then="report it to the environment's author",
        )
    return legal.index(action)
