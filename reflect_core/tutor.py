"""Warm-up examples from a teacher who is asked turn by turn, such as a large language model.

Many episodes are played side by side, so that the teacher can answer their questions together.
The right action comes from the environment's expert, which the teacher is told and must not
mention, or from the teacher itself. Only solved episodes become positive examples; how a teacher
that plays by itself corrects a wrong move is taken at its word.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

import attrs

from reflect_core.dropped import close_all, concerns_all, renewed, told_failure
from reflect_core.errors import NoAdvice, ReflectError
from reflect_core.protocols import Environment, Expert, Teacher
from reflect_core.records import Advice, Draws, Example, Question, Task
from reflect_core.settings import TeachSettings
from reflect_core.teach import Lesson, Walk, negatives_of, schedule, wrong_moves

__all__ = ["tutor"]


@attrs.define
class _Pupil:
    """One episode."""

    number: int
    task: Task
    stage: str
    seed: int
    environment: Environment
    walk: Walk = attrs.field(init=False)
    path: list[Example] = attrs.field(factory=list)
    unanswered: set[int] = attrs.field(factory=set)
    failed: bool = False
    solved: bool = False
    over: bool = False

    def begin(self) -> None:
        """Reset the environment to its task."""
        self.walk = Walk(self.environment, self.task, seed=self.seed, stage=self.stage)


@contextlib.contextmanager
def _dropped_if_it_fails(pupil: _Pupil, lesson: Lesson) -> Iterator[None]:
    """End an episode in which a plugin raises, and tell it; what concerns all is raised on."""
    try:
        yield
    except Exception as error:
        if concerns_all(error):
            raise
        lesson.failures.append(told_failure(pupil.task, error))
        pupil.over = pupil.failed = True


def tutor(
    make_environment: Callable[[], Environment],
    tasks: Sequence[Task],
    settings: TeachSettings,
    teacher: Teacher,
    *,
    seed: int,
    stages: Sequence[str],
    side_by_side: int,
    progress: Callable[..., None] = lambda done, **figures: None,
) -> Lesson:
    """Let the teacher comment on, or play, ``settings.episodes`` episodes over the tasks in turn.

    Args:
        make_environment: Builds one environment; called up to ``side_by_side`` times.
        tasks: Of the train split.
        settings: How many episodes and negative examples, and whether the teacher is told
            the right action.
        teacher: Is asked; an answer of None leaves the turn out, and where the teacher plays by
            itself the whole episode.
        seed: Root of the random streams, which name every question, so that a repeated call
            asks the same.
        stages: The environment's stages, the real task last.
        side_by_side: Episodes whose questions are asked together.
        progress: Called with the number of episodes that ended, as
            :meth:`reflect_core.progress.Stage.advance` is, and the share of those solved so far.

    Raises:
        ReflectError: There is no task, the expert that is to be asked for the right action
            does not exist, or no episode was solved.
    """
    if not tasks:
        raise ReflectError("there are no train tasks to teach from")
    environments = [make_environment() for _ in range(min(side_by_side, settings.episodes))]
    try:
        if settings.spoiler and not all(isinstance(each, Expert) for each in environments):
            raise ReflectError(
                "this environment has no expert that could tell the teacher the right action",
                why="it does not implement expert_action and expert_reflection",
                then="let the teacher play by itself: teach.spoiler=false",
            )
        lesson, done = Lesson([], [], 0), 0
        episodes = schedule(tasks, settings, seed, stages)
        while group := list(itertools.islice(episodes, len(environments))):
            pupils = [
                _Pupil(*planned, environment)
                for planned, environment in zip(group, environments, strict=False)
            ]
            _play(pupils, teacher, settings, seed, lesson)
            _go_wrong(pupils, teacher, settings, seed, lesson)
            for place, pupil in enumerate(pupils):
                if pupil.failed:
                    environments[place] = renewed(pupil.environment, make_environment)
            done += len(group)
            progress(len(group), success=lesson.solved(done))
    finally:
        close_all(environments)
    if settings.episodes and not lesson.examples:
        raise ReflectError(
            "the teacher solved none of the tasks",
            why=f"{len(lesson.unsolved)} episodes, {lesson.unanswered} questions without an answer",
            then="tell it the right actions (teach.spoiler=true), or take a stronger model",
        )
    return lesson


def _play(
    pupils: Sequence[_Pupil], teacher: Teacher, settings: TeachSettings, seed: int, lesson: Lesson
) -> None:
    """All episodes to their end, one turn of all at a time."""
    for pupil in pupils:
        with _dropped_if_it_fails(pupil, lesson):
            pupil.begin()
    while live := [pupil for pupil in pupils if not pupil.over]:
        asking: list[tuple[_Pupil, Question]] = []
        for pupil in live:
            pupil.over = True
            with _dropped_if_it_fails(pupil, lesson):
                question = _question(pupil.walk, settings)
                if question is not None:
                    pupil.over = False
                    asking.append((pupil, question))
        draws = [
            Draws(seed, ("teach", pupil.number, "turn", len(pupil.walk.history)))
            for pupil, _ in asking
        ]
        answers = teacher.advise([question for _, question in asking], draws) if asking else ()
        for (pupil, question), advice in zip(asking, answers, strict=True):
            action = _action(question, advice)
            lesson.unanswered += advice is None or action is None
            if action is None:
                pupil.over = True
                continue
            if advice is None:
                pupil.unanswered.add(len(pupil.path))
            said = "" if advice is None else advice.reflection
            pupil.path.append(Example("positive", question.state, said, action))
            with _dropped_if_it_fails(pupil, lesson):
                step = pupil.walk.step(action)
                pupil.over, pupil.solved = step.over, step.success
    for pupil in pupils:
        if pupil.solved:
            # a turn without an answer is no example, and the others are
            lesson.examples.extend(
                example for turn, example in enumerate(pupil.path) if turn not in pupil.unanswered
            )
        elif not pupil.failed:
            lesson.unsolved.append(pupil.task.task_id)


def _go_wrong(
    pupils: Sequence[_Pupil], teacher: Teacher, settings: TeachSettings, seed: int, lesson: Lesson
) -> None:
    """Ask, after one wrong move off each solved path, why it was wrong and what to do now."""
    questions: list[Question] = []
    draws: list[Draws] = []
    for pupil in pupils:
        if not pupil.solved:
            continue
        wanted = negatives_of(settings.negatives, seed, pupil.number)
        before = len(questions)
        planned = (pupil.number, pupil.task, pupil.stage, pupil.seed)
        moves = wrong_moves(
            pupil.environment, pupil.path, planned, settings, wanted=wanted, seed=seed
        )
        with _dropped_if_it_fails(pupil, lesson):
            for walk, wrong in moves:
                question = _question(walk, settings, wrong)
                if question is None:
                    continue
                number = len(questions) - before
                draws.append(Draws(seed, ("teach", pupil.number, "negative", number)))
                questions.append(question)
        lesson.without_negative += wanted - (len(questions) - before)
    if not questions:
        return
    for question, advice in zip(questions, teacher.advise(questions, draws), strict=True):
        action = _action(question, advice)
        if advice is None or action is None:
            lesson.unanswered += 1
            continue
        lesson.examples.append(
            Example("negative", question.state, advice.reflection, action, question.wrong_action)
        )


def _action(question: Question, advice: Advice | None) -> str | None:
    """The action to learn; None where the teacher names none that is legal."""
    if question.spoiler is not None or advice is None:
        return question.spoiler
    return advice.action if advice.action in question.state.observation.legal_actions else None


def _question(walk: Walk, settings: TeachSettings, wrong: str | None = None) -> Question | None:
    """What to ask in the present state; None where the expert, who should help, has given up."""
    try:
        spoiler = walk.action() if settings.spoiler else None
    except NoAdvice:
        return None
    return Question(walk.state(), spoiler, wrong)
