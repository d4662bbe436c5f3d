"""The laws of an environment's expert."""

from __future__ import annotations

from reflect_core.protocols import Expert
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import same, utf8, when
from reflect_core.testing.explore import Plan, turns
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.places import place_of, told
from reflect_core.testing.randomness import seed_global_random
from reflect_core.testing.search import search
from reflect_core.testing.strategies import plans
from reflect_core.testing.walks import drawn_plans

__all__ = ["expert_is_legal", "expert_solves"]


@law(
    cause="the expert answers from a state that is not the present one, or makes up actions",
    look="expert_action",
    needs=["repeats"],
)
def expert_is_legal(subject: EnvironmentSubject, effort: Effort) -> None:
    """Its expert names a legal action in every state, and being asked changes nothing."""
    world = subject.world
    _need_expert(subject)

    def check(plan: Plan) -> None:
        seed_global_random(0)
        with subject.fresh() as environment:
            assert isinstance(environment, Expert)
            for episode in turns(environment, plan, world):
                if not episode.running:
                    break
                try:
                    action, reflection = (
                        environment.expert_action(),
                        environment.expert_reflection(),
                    )
                except Exception as error:
                    raise Broken(
                        f"{when(len(episode.steps))} the expert raised {told(error)}",
                        place=place_of(error),
                        story=[*episode.story(), "environment.expert_action()"],
                    ) from error
                if episode.menu and action not in episode.menu:
                    raise Broken(
                        f"{when(len(episode.steps))} the expert names {action!r}, which is not "
                        "on the menu",
                        shown=[f"legal_actions: {episode.menu!r}"[:300]],
                        story=[*episode.story(), "environment.expert_action()"],
                    )
                look = subject.look("expert_reflection")
                utf8(reflection, "the expert's reflection", episode.story, look)
        same(subject.alone(plan), episode, ("without asking", "asking at every turn"))

    search(
        effort,
        plans(),
        check,
        drawn=drawn_plans(effort.max_examples, seed=effort.seed),
    )


@law(
    cause="the expert is wrong, or runs out of turns; where it is meant to fail now and then, "
    "say how often it succeeds: `expert_solves` in the contract",
    look="expert_action",
    needs=["expert-is-legal", "accepts"],
)
def expert_solves(subject: EnvironmentSubject, effort: Effort) -> str:
    """Its expert solves the real task."""
    _need_expert(subject)
    episodes = subject.by_expert(effort)
    failed = [each for each in episodes if not (each.over and each.steps[-1].success)]
    solved = 1 - len(failed) / len(episodes)
    if solved < subject.expert_solves:
        shortest = min(failed, key=lambda each: len(each.steps))
        raise Broken(
            f"it solves {len(episodes) - len(failed)} of {len(episodes)} episodes",
            shown=["the shortest of the others:"],
            story=shortest.story(),
        )
    return f"{len(episodes) - len(failed)} of {len(episodes)}"


def _need_expert(subject: EnvironmentSubject) -> None:
    with subject.fresh() as environment:
        if not isinstance(environment, Expert):
            raise Skipped("it has no expert")
