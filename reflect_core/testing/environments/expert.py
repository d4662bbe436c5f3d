"""The laws of an environment's expert."""

from __future__ import annotations

from reflect_core.errors import NoAdvice
from reflect_core.protocols import Environment, Expert
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import same, until, utf8, when
from reflect_core.testing.explore import Episode, Plan, play, turns
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.places import place_of, told
from reflect_core.testing.randomness import seed_global_random
from reflect_core.testing.search import search
from reflect_core.testing.strategies import PAIRS, plans
from reflect_core.testing.walks import drawn_pairs, drawn_plans

__all__ = ["expert_forgets", "expert_is_legal", "expert_solves"]


@law(
    cause="the expert answers from a state that is not the present one, or makes up actions",
    look="expert_action",
    needs=["menu", "text", "repeats"],
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
                except NoAdvice:
                    continue
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
    cause="what the expert goes by is set in step alone, or forgotten only where an episode has "
    "ended: set it in reset",
    look="expert_reflection",
    needs=["forgets", "expert-is-legal"],
)
def expert_forgets(subject: EnvironmentSubject, effort: Effort) -> None:
    """Its expert says the same in the same state, whatever was played before."""
    _need_expert(subject)

    def words(environment: Environment, plan: Plan) -> tuple[list[tuple[str, str]], Episode]:
        said = []
        for episode in turns(environment, plan, subject.world):
            if episode.running:
                assert isinstance(environment, Expert)
                said.append(_word(environment))
        return said, episode

    def check(pair: tuple[Plan, Plan]) -> None:
        earlier, plan = pair
        seed_global_random(0)
        with subject.fresh() as environment:
            alone, _ = words(environment, plan)
        with subject.fresh() as environment:
            before = play(environment, earlier, subject.world)
            after, episode = words(environment, plan)
        for place, (one, other) in enumerate(zip(alone, after, strict=False)):
            if one != other:
                raise Broken(
                    f"{when(place)} the expert says something else",
                    shown=[f"alone        : {one}"[:400], f"after another: {other}"[:400]],
                    story=[*before.story(), *until(episode, place).story()],
                )

    search(effort, PAIRS, check, drawn=drawn_pairs(effort.max_examples, seed=effort.seed))


@law(
    cause="the expert is wrong, or runs out of turns; where it is meant to fail now and then, "
    "say how often it succeeds: `expert_solves` in the spec or the contract",
    look="expert_action",
    needs=["expert-is-legal", "accepts"],
)
def expert_solves(subject: EnvironmentSubject, effort: Effort) -> str:
    """Its expert solves the real task, where it does not give up."""
    _need_expert(subject)
    played = subject.by_expert(effort)
    episodes = [each for each in played if not each.given_up]
    given_up = len(played) - len(episodes)
    if not episodes:
        raise Broken(
            f"it gives up all of {given_up} episodes",
            story=min(played, key=lambda each: len(each.steps)).story(),
        )
    failed = [each for each in episodes if not (each.over and each.steps[-1].success)]
    solved = 1 - len(failed) / len(episodes)
    if solved < subject.expert_solves:
        shortest = min(failed, key=lambda each: len(each.steps))
        raise Broken(
            f"it solves {len(episodes) - len(failed)} of {len(episodes)} episodes",
            shown=["the shortest of the others:"],
            story=shortest.story(),
        )
    rest = f", {given_up} given up" if given_up else ""
    return f"{len(episodes) - len(failed)} of {len(episodes)}{rest}"


def _word(expert: Expert) -> tuple[str, str]:
    """What it would do and say; nothing where it has given up."""
    try:
        return expert.expert_action(), expert.expert_reflection()
    except NoAdvice:
        return "", ""


def _need_expert(subject: EnvironmentSubject) -> None:
    with subject.fresh() as environment:
        if not isinstance(environment, Expert):
            raise Skipped("it has no expert")
