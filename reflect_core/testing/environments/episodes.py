"""What must hold in every episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import attrs
from hypothesis import strategies as st

from reflect_core.errors import EpisodeOver
from reflect_core.protocols import Environment
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import faulty, until, utf8, when
from reflect_core.testing.explore import Episode, Move, Plan, before_end, play
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.places import place_of, told
from reflect_core.testing.search import search
from reflect_core.testing.strategies import NASTY, other_texts, plans
from reflect_core.testing.walks import drawn_plans

__all__ = [
    "accepts",
    "answers",
    "ends",
    "finite",
    "menu",
    "over",
    "resets",
    "success",
    "terminates",
    "text",
]

TRIED = 12
"""Items of one menu that are tried out one by one."""
SHORT = plans(others=False, longest=10)
ADDRESSED = st.tuples(SHORT, other_texts())


@law(
    cause="a task or stage that is offered but cannot be built",
    look="reset",
    needs=["builds", "splits"],
)
def resets(subject: EnvironmentSubject, effort: Effort) -> None:
    """Any task can be begun, with any seed, on any stage that is declared."""

    def check(episode: Episode) -> None:
        if episode.fault and episode.fault.during == "reset":
            raise faulty(episode)

    subject.explore(effort, check, others=False)


@law(
    cause="an action is on the menu that step does not know or allow in this state",
    look="step",
    needs=["resets"],
)
def accepts(subject: EnvironmentSubject, effort: Effort) -> None:
    """Every legal action is accepted: step answers it with a Step."""
    world = subject.world

    with subject.fresh() as environment:

        def check(plan: Plan) -> None:
            plan, episode = before_end(environment, plan, world)
            for number in range(min(len(episode.menu), TRIED)):
                if episode.fault:
                    break
                tried = attrs.evolve(plan, moves=(*plan.moves, Move(number)))
                episode = play(environment, tried, world)
            if episode.fault and episode.fault.during == "step":
                raise faulty(episode)

        search(
            effort,
            SHORT,
            check,
            drawn=drawn_plans(effort.max_examples, seed=effort.seed, others=False),
        )


@law(
    cause="step parses the text without being ready for what a model may say: answer anything "
    "that is not on the menu with an observation that says so",
    look="step",
    needs=["accepts", "success"],
)
def answers(subject: EnvironmentSubject, effort: Effort) -> None:
    """Any other text is answered and never raised, and solves nothing."""
    world = subject.world
    with subject.fresh() as environment:

        def check(example: tuple[Plan, str]) -> None:
            plan, text = example
            _, episode = before_end(environment, plan, world)
            if not episode.running or text in episode.menu:
                return
            episode.take(environment, text)
            if episode.fault:
                raise faulty(episode)
            if episode.steps[-1].success:
                raise Broken(
                    f"{text!r} is not on the menu and solved the task",
                    cause="step does not look at the menu",
                    story=episode.story(),
                )

        for nasty in NASTY:
            check((Plan(), nasty))
        search(effort, ADDRESSED, check)


@law(
    cause="the menu is built from a list that may repeat, or be empty before the end",
    look="step",
    needs=["resets"],
)
def menu(subject: EnvironmentSubject, effort: Effort) -> None:
    """While an episode runs, its legal actions are non-empty, unique and not blank."""

    def check(episode: Episode) -> None:
        for place, shown in enumerate(episode.shown):
            if episode.over and place == len(episode.steps):
                continue
            actions = shown.legal_actions
            if not actions:
                wrong = "there are no legal actions"
            elif any(not isinstance(each, str) or not each.strip() for each in actions):
                wrong = "an action is blank or no text"
            elif len(set(actions)) < len(actions):
                wrong = "an action stands there twice"
            else:
                continue
            raise Broken(
                f"{when(place)} the episode runs and {wrong}",
                shown=[f"legal_actions: {actions!r}"[:300]],
                story=until(episode, place).story(),
                place=subject.look("step" if place else "reset"),
            )

    subject.explore(effort, check)


@law(
    cause="a division by zero, a logarithm of zero, or a reward that grows without bound",
    look="step",
    needs=["resets"],
)
def finite(subject: EnvironmentSubject, effort: Effort) -> None:
    """Rewards and shaping are finite numbers."""

    def check(episode: Episode) -> None:
        for place, step in enumerate(episode.steps, 1):
            for name in ("reward", "shaping"):
                number = getattr(step, name)
                if not isinstance(number, Real) or not math.isfinite(number):
                    raise Broken(
                        f"{when(place)} {name} is {number!r}",
                        story=until(episode, place).story(),
                    )

    subject.explore(effort, check)


@law(
    cause="success is told before the episode has terminated, or with a truncation",
    look="step",
    needs=["resets"],
)
def success(subject: EnvironmentSubject, effort: Effort) -> None:
    """Success is told with the step that ends the episode, and with no other."""
    with_expert = subject.by_expert(effort)

    def check(episode: Episode) -> None:
        for place, step in enumerate(episode.steps, 1):
            if step.success and not step.over:
                raise Broken(
                    f"{when(place)} success is true and the episode goes on",
                    story=until(episode, place).story(),
                )

    # random moves hardly ever succeed where tasks are hard
    for episode in with_expert:
        check(episode)
    subject.explore(effort, check)


@law(
    cause="no limit on the number of turns: count them, and end as terminated at the last",
    look="step",
    needs=["resets"],
)
def ends(subject: EnvironmentSubject, effort: Effort) -> None:
    """Every episode ends within its horizon."""
    horizon = subject.world.horizon

    def check(episode: Episode) -> None:
        if episode.running and len(episode.steps) >= horizon:
            raise Broken(f"after {horizon} turns it still runs", story=episode.story())

    subject.explore(effort, check, to_end=True)


@law(
    cause="the horizon is part of the task: at its last turn terminated=True, success=False. "
    "Where another limit cuts episodes, so that their value goes on, say truncates=True in "
    "the EnvironmentSpec",
    look="step",
    needs=["ends"],
)
def terminates(subject: EnvironmentSubject, effort: Effort) -> None:
    """Episodes end as terminated; truncated is for limits that are not the task's."""
    if subject.truncates:
        raise Skipped("it says that its episodes may be cut")

    def check(episode: Episode) -> None:
        if episode.over and episode.steps[-1].truncated:
            raise Broken(
                f"{when(len(episode.steps))} the episode was truncated", story=episode.story()
            )

    subject.explore(effort, check, to_end=True)


@law(
    cause="step does not remember that the episode has ended: "
    "raise reflect_core.EpisodeOver there, and before the first reset",
    look="step",
    needs=["answers"],
)
def over(subject: EnvironmentSubject, effort: Effort) -> None:
    """A step before the first reset or after the end raises EpisodeOver."""
    world = subject.world
    with subject.fresh() as environment:
        _raises_over(environment, "x", "before the first reset", [])
    with subject.fresh() as environment:

        def check(plan: Plan) -> None:
            episode = play(environment, plan, world, to_end=True)
            if episode.over:
                for text in (*episode.shown[-2].legal_actions[:1], "x"):
                    story = [*episode.story(), f"environment.step({text!r})  # must raise"]
                    _raises_over(environment, text, "after the end", story)

        search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))


def _raises_over(environment: Environment, text: str, when: str, story: Sequence[str]) -> None:
    try:
        answer = environment.step(text)
    except EpisodeOver:
        return
    except Exception as error:
        raise Broken(
            f"{when} step({text!r}) raised {told(error)}", place=place_of(error), story=story
        ) from error
    raise Broken(f"{when} step({text!r}) was answered with {answer!r}"[:300], story=story)


@law(
    cause="bytes that are not UTF-8 were read with surrogateescape, or the action is repeated in "
    "the observation as it came: text.encode('utf-8', 'replace').decode(), and a limit",
    look="step",
    needs=["resets"],
)
def text(subject: EnvironmentSubject, effort: Effort) -> None:
    """Observations, actions and tasks are valid UTF-8, and observations are not too long."""
    for task in subject.world.tasks:
        for told_as in (task.task_id, task.text):
            utf8(told_as, f"task {task.task_id!r}", list, subject.look("tasks"))

    # what is said may come back: not as it was said
    said = (Move(text="\udcff"), Move(text="a" * (2 * subject.max_text)))

    def check(plan: Plan) -> None:
        plan = attrs.evolve(plan, moves=(*plan.moves, *said))
        episode = play(environment, plan, subject.world)
        for place, shown in enumerate(episode.shown):
            story = until(episode, place).story
            look = subject.look("step" if place else "reset")
            utf8(shown.text, f"{when(place)} the observation", story, look)
            for action in shown.legal_actions:
                if isinstance(action, str):
                    utf8(action, f"{when(place)} a legal action", story, look)
            if len(shown.text) > subject.max_text:
                raise Broken(
                    f"{when(place)} the observation has {len(shown.text)} characters, "
                    f"and the limit is {subject.max_text}",
                    cause="text that grows with what is shown or said: cut it",
                    story=story(),
                )

    with subject.fresh() as environment:
        search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))
