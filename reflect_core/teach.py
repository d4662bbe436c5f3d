"""Warm-up examples from an environment's expert: its own path, and the way back from errors.

A positive example is a turn on the expert's path. For a negative one, at a random turn the
expert's action is replaced by another legal action; what the expert says and does in the
state that follows becomes the example, the wrong action itself never does. Where a reflection
leaves a choice, its other actions are what a policy will try, so they can be drawn more often.
"""

from __future__ import annotations

import functools
import json
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import cattrs

from reflect_core.dropped import close_all, concerns_all, renewed, told_failure
from reflect_core.errors import CheckpointError, NoAdvice, ReflectError
from reflect_core.files import write_atomic
from reflect_core.grounding import names
from reflect_core.hints import index_of
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Example, PastTurn, State, Step, Task
from reflect_core.settings import TeachSettings
from reflect_core.streams import stream, stream_seed

Planned = tuple[int, Task, str, int]
"""An episode to teach: its number, task, stage and the environment's seed."""

TRIES = 8
"""Wrong actions that are tried before an episode is taken to have no way back."""


@attrs.define
class Lesson:
    """What teaching gave.

    Args:
        examples: Positive and negative turns.
        unsolved: Tasks that the expert did not solve; they are left out.
        without_negative: Negative examples that were wanted but could not be had, because
            every wrong move that was tried ended the episode, there was none, or the expert
            gave up after it.
        unanswered: Questions to which the teacher had no answer; those examples are left out.
        failures: What the environment or its expert raised, one text per episode that was
            dropped.
    """

    examples: list[Example]
    unsolved: list[str]
    without_negative: int
    unanswered: int = 0
    failures: list[str] = attrs.field(factory=list)

    def solved(self, done: int) -> float:
        """The share of ``done`` episodes that were solved."""
        return 1 - (len(self.unsolved) + len(self.failures)) / max(1, done)

    def add(self, other: Lesson) -> None:
        """Take in what another one gave."""
        self.examples += other.examples
        self.unsolved += other.unsolved
        self.without_negative += other.without_negative
        self.unanswered += other.unanswered
        self.failures += other.failures


class Walk:
    """An environment together with the history that the core keeps for it."""

    def __init__(self, environment: Environment, task: Task, *, seed: int, stage: str) -> None:
        self.environment = environment
        self.task = task
        self.history: list[PastTurn] = []
        self.observation = environment.reset(task, seed=seed, stage=stage)

    @property
    def expert(self) -> Expert:
        """The environment's expert, asked about the present state."""
        assert isinstance(self.environment, Expert)
        return self.environment

    def action(self) -> str:
        """What the expert would do.

        Raises:
            NoAdvice: It has given up.
            ReflectError: That is not legal.
        """
        named = self.expert.expert_action()
        index_of(named, self.observation.legal_actions, self.task.task_id)
        return named

    def asked(self) -> tuple[str, str]:
        """What the expert would do and says; raises as :meth:`action` does."""
        return self.action(), self.expert.expert_reflection()

    def state(self) -> State:
        """What the players see now."""
        return State(self.task, self.observation, tuple(self.history))

    def step(self, action: str) -> Step:
        """Take a turn."""
        step = self.environment.step(action)
        self.history.append(PastTurn(self.observation.text, action))
        self.observation = step.observation
        return step


def divide(
    tasks: Sequence[Task], share: float, *, seed: int
) -> tuple[Sequence[Task], Sequence[Task]]:
    """The train tasks that the teacher shows, and those that RL plays.

    On a task that it was taught, a reflector is right more often than on a new one: it
    remembers. A policy trained on such tasks never meets the mistakes that it must catch
    later, so the two stages get tasks of their own. Where an environment has tasks for
    practice, RL plays these and the teacher may show all others.

    Args:
        tasks: Of the train split.
        share: Of the tasks that are not for practice, how many are shown, from 0 to 1; at least
            one task falls to either stage. At 1 all are shown, and where there are none for
            practice RL plays them too.
        seed: Root of the random streams; which tasks fall to whom depends on it alone.

    >>> tasks = [Task(f"{i}", "train", "") for i in range(4)]
    >>> [len(part) for part in divide(tasks, 0.5, seed=0)]
    [2, 2]
    >>> made = [Task("made", "train", "", practice=True)]
    >>> [len(part) for part in divide([*tasks, *made], 1.0, seed=0)]
    [4, 1]
    """
    practice = [task for task in tasks if task.practice]
    others = [task for task in tasks if not task.practice]
    if share >= 1 or len(others) < 2:
        return others, practice or others
    count = min(len(others) - 1, max(1, round(share * len(others))))
    order = stream(seed, "teach", "share").permutation(len(others))
    shown = {int(i) for i in order[:count]}
    left = [task for i, task in enumerate(others) if i not in shown]
    return [task for i, task in enumerate(others) if i in shown], practice or left


def teach(
    make_environment: Callable[[], Environment],
    tasks: Sequence[Task],
    settings: TeachSettings,
    *,
    seed: int,
    stages: Sequence[str],
    side_by_side: int = 1,
    progress: Callable[..., None] = lambda done, **figures: None,
) -> Lesson:
    """Let the expert play ``settings.episodes`` episodes over the tasks in turn.

    Args:
        make_environment: Builds one, which must implement
            :class:`reflect_core.protocols.Expert`; called ``side_by_side`` times, and again in
            place of one that raised.
        tasks: Of the train split.
        settings: How many episodes, how many negative examples per episode, which stages.
        seed: Root of the random streams.
        stages: The environment's stages, the real task last. With ``settings.stages`` "all"
            episodes go through them in turn, else all are of the last.
        side_by_side: Episodes that are played at the same time; above 1 each environment is in a
            process of its own. The examples are the same.
        progress: Called after each episode, as :meth:`reflect_core.progress.Stage.advance` is,
            with the share of episodes that the expert has solved.

    Raises:
        ReflectError: The environment has no expert, or no task can be taught.
    """
    if not tasks:
        raise ReflectError("there are no train tasks to teach from")
    lesson = Lesson([], [], 0)
    environments = [make_environment() for _ in range(side_by_side)]
    try:
        if not isinstance(environments[0], Expert):
            raise ReflectError(
                "this environment has no expert that could teach",
                why="it does not implement expert_action and expert_reflection",
                then="run without warm-up (teach.episodes=0), or use an environment with an expert",
            )
        episode = functools.partial(_episode, settings, seed)
        planned = schedule(tasks, settings, seed, stages)
        lessons = _side_by_side(episode, environments, make_environment, planned)
        for done, part in enumerate(lessons, start=1):
            lesson.add(part)
            progress(1, success=lesson.solved(done))
    finally:
        close_all(environments)
    if settings.episodes and not lesson.examples:
        raise ReflectError(
            "the expert solved none of the tasks",
            why=f"{settings.episodes} episodes, none successful"
            + (f"; {lesson.failures[0]}" if lesson.failures else ""),
            then="let it show more (teach.episodes), or check the environment's expert",
        )
    return lesson


def _episode(
    settings: TeachSettings,
    seed: int,
    environment: Environment,
    planned: Planned,
) -> Lesson:
    """What one episode teaches; nothing where a plugin raises, which is told."""
    number, task, stage, environment_seed = planned
    try:
        path = _positive(environment, task, environment_seed, stage)
        if path is None:
            return Lesson([], [task.task_id], 0)
        wanted = negatives_of(settings.negatives, seed, number)
        moves = wrong_moves(environment, path, planned, settings, wanted=wanted, seed=seed)
        found = [each for walk, wrong in moves if (each := _negative(walk, wrong)) is not None]
        return Lesson([*path, *found], [], wanted - len(found))
    except Exception as error:  # any fault of a plugin; counted
        if concerns_all(error):
            raise
        return Lesson([], [], 0, failures=[told_failure(task, error)])


def _negative(walk: Walk, wrong: str) -> Example | None:
    """What the expert does and says after a wrong move; None where it gives up there."""
    try:
        action, reflection = walk.asked()
    except NoAdvice:
        return None
    return Example("negative", walk.state(), reflection, action, wrong_action=wrong)


def _side_by_side(
    episode: Callable[[Environment, Planned], Lesson],
    environments: list[Environment],
    make_environment: Callable[[], Environment],
    planned: Iterable[Planned],
) -> Iterator[Lesson]:
    """The episodes' lessons in their order; a thread waits for each environment."""

    def play_in(place: int, each: Planned) -> Lesson:
        lesson = episode(environments[place], each)
        if lesson.failures:
            environments[place] = renewed(environments[place], make_environment)
        return lesson

    if len(environments) == 1:
        yield from (play_in(0, each) for each in planned)
        return
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(environments)):
        free.put(place)

    def play(each: Planned) -> Lesson:
        place = free.get()
        try:
            return play_in(place, each)
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(environments)) as threads:
        playing = [threads.submit(play, each) for each in planned]
        try:
            for future in playing:
                yield future.result()
        finally:
            for future in playing:
                future.cancel()


def schedule(
    tasks: Sequence[Task], settings: TeachSettings, seed: int, stages: Sequence[str]
) -> Iterator[Planned]:
    """The episodes to teach: number, task, stage and the environment's seed of each.

    Passes over the tasks in one shuffled order. Where all stages are shown, a task's next visit
    is on its next stage.
    """
    order = stream(seed, "teach", "order").permutation(len(tasks))
    shown = stages if settings.stages == "all" else stages[-1:]
    for number in range(settings.episodes):
        visit, place = divmod(number, len(tasks))
        stage = shown[(place + visit) % len(shown)]
        yield number, tasks[int(order[place])], stage, stream_seed(seed, "teach", number)


def negatives_of(mean: float, seed: int, number: int) -> int:
    """A whole number whose mean over episodes is ``mean``."""
    whole = int(mean)
    return whole + int(stream(seed, "teach", number, "count").random() < mean - whole)


def _positive(environment: Environment, task: Task, seed: int, stage: str) -> list[Example] | None:
    """The expert's episode as examples; None where it does not solve the task."""
    walk = Walk(environment, task, seed=seed, stage=stage)
    path: list[Example] = []
    while True:
        try:
            action, reflection = walk.asked()
        except NoAdvice:
            return None
        path.append(Example("positive", walk.state(), reflection, action))
        step = walk.step(action)
        if step.over:
            return path if step.success else None


def wrong_moves(
    environment: Environment,
    path: Sequence[Example],
    planned: Planned,
    settings: TeachSettings,
    *,
    wanted: int,
    seed: int,
) -> Iterator[tuple[Walk, str]]:
    """At most ``wanted`` walks that left the path by one wrong move, and that move.

    A walk is good until the next one is asked for: all use the same environment.

    Args:
        environment: Where the path was gone.
        path: The turns of the episode's expert.
        planned: The episode.
        settings: Whether rather to try what the turn's reflection names besides.
        wanted: How many walks.
        seed: Root of the random streams.
    """
    number, task, stage, environment_seed = planned
    named = settings.named_negatives
    for count in range(wanted):
        generator = stream(seed, "teach", number, "negative", count)
        for _ in range(TRIES):
            turn = int(generator.integers(len(path)))
            right = path[turn].action
            others = [a for a in path[turn].state.observation.legal_actions if a != right]
            if not others:
                continue
            reflection = path[turn].reflection
            told = [each for each in others if named and names(reflection, each)]
            # where nothing else is named nothing is drawn, and all stays as it was
            if told and generator.random() < named:
                others = told
            wrong = others[int(generator.integers(len(others)))]
            walk = Walk(environment, task, seed=environment_seed, stage=stage)
            for example in path[:turn]:
                walk.step(example.action)
            if walk.step(wrong).over:
                continue
            yield walk, wrong
            break


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """One JSON object a line, written at once or not at all."""
    lines = [json.dumps(cattrs.unstructure(example)) for example in examples]
    write_atomic(path, "".join(line + "\n" for line in lines))


def read_examples(path: Path) -> list[Example]:
    """Read what :func:`write_examples` wrote.

    Raises:
        CheckpointError: The file is missing or not of this form.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            found = [cattrs.structure(json.loads(line), Example) for line in lines]
        if not found:
            raise ValueError("there are none")
        return found
    except FileNotFoundError as error:
        raise CheckpointError(
            f"no examples at {path}", then="run the teach stage first: reflect teach"
        ) from error
    except Exception as error:  # json and cattrs raise many kinds for a damaged file
        raise CheckpointError(
            f"the examples in {path} cannot be read",
            why=str(error).splitlines()[0],
            then="begin a new run: what was taught decides all that follows",
        ) from error
