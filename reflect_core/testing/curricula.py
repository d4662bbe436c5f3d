"""The laws of curricula."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from hypothesis import strategies as st

from reflect_core.records import Assignment, Choice, Observation, Trajectory, Transition
from reflect_core.testing.bench import STAGES
from reflect_core.testing.elsewhere import assigned_elsewhere
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.places import told
from reflect_core.testing.randomness import seed_global_random
from reflect_core.testing.search import search

__all__ = ["CURRICULUM_LAWS", "histories", "iterate"]

EPISODES = 128
"""Of an iteration, where a curriculum is to come to its end."""
LONG = [(6, 3), (6, 10), (3, 0), (12, 10), (12, 10), (12, 7), (12, 10), (6, 10)]
"""A history in which most that a curriculum does comes about."""


@functools.cache
def histories() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Iterations as (episodes, how many in ten of them are solved)."""
    return st.lists(st.tuples(st.integers(1, 12), st.integers(0, 10)), min_size=1, max_size=8)


PAIRS = st.tuples(histories(), histories())


def _played(assigned: Sequence[Assignment], solved: int) -> list[Trajectory]:
    """Episodes of one turn, which pays 1 where the task was solved."""
    made: list[Trajectory] = []
    for group, each in enumerate(assigned):
        for _ in range(each.group_size):
            number = len(made)
            success = number * 7 % 10 < solved
            turn = Transition(
                Observation(each.task.text, ("go on",)), "", Choice(0, 0.0), float(success)
            )
            made.append(
                Trajectory(
                    number, each.task, each.stage, (turn,), True, False, success,
                    group=group, learn_turns=each.learn_turns,
                )
            )  # fmt: skip
    return made


def iterate(curriculum: Any, history: Sequence[tuple[int, int]], first: int = 0) -> list[str]:
    """What is assigned and told in each iteration, as text."""
    seen = []
    for iteration, (episodes, solved) in enumerate(history, first):
        assigned = curriculum.assign(episodes, iteration=iteration)
        told = curriculum.observe(_played(assigned, solved))
        short = [(a.task.task_id, a.stage, a.group_size, a.learn_turns) for a in assigned]
        seen.append(f"{short} {dict(told)}")
    return seen


@law(cause="a method is missing or misspelt, or the factory fails", look="__init__")
def builds(subject: PartSubject, effort: Effort) -> None:
    """It can be built, and has the methods assign, observe, state_dict and load_state_dict."""
    curriculum = subject.build()
    names = ("assign", "observe", "state_dict", "load_state_dict")
    missing = [name for name in names if not callable(getattr(curriculum, name, None))]
    if missing:
        raise Broken(f"it has no method {', '.join(missing)}")


@law(
    cause="tasks of its own making or of another split, or a stage that the environment does not "
    "declare: choose from context.tasks('train') and context.stages",
    look="assign",
    needs=["builds"],
)
def existing(subject: PartSubject, effort: Effort) -> None:
    """It assigns train tasks and stages that exist, of as many episodes as were asked for."""
    known = {task.task_id: task for task in subject.bench.environment.tasks("train")}

    def check(history: list[tuple[int, int]]) -> None:
        curriculum = subject.build()
        for iteration, (episodes, solved) in enumerate(history):
            assigned = list(curriculum.assign(episodes, iteration=iteration))
            story = _story(history[: iteration + 1])
            for each in assigned:
                if known.get(each.task.task_id) != each.task:
                    raise Broken(f"there is no train task {each.task!r}"[:200], story=story)
                if each.stage is not None and each.stage not in STAGES:
                    raise Broken(f"there is no stage {each.stage!r}", story=story)
            total = sum(each.group_size for each in assigned)
            if total != episodes or any(each.group_size < 1 for each in assigned):
                raise Broken(
                    f"{episodes} episodes were asked for and {total} assigned",
                    cause="group sizes do not add up, or tasks ran out: begin another pass",
                    story=story,
                )
            curriculum.observe(_played(assigned, solved))

    search(effort, histories(), check)


@law(
    cause="a tensor or text among the figures, or a mean of no episodes",
    look="observe",
    needs=["existing"],
)
def figures(subject: PartSubject, effort: Effort) -> None:
    """Observe returns finite numbers by name, also where all episodes have failed."""
    curriculum = subject.build()
    for iteration, lost in enumerate((False, True, False)):
        assigned = curriculum.assign(4, iteration=iteration)
        for name, number in curriculum.observe([] if lost else _played(assigned, 5)).items():
            if not isinstance(number, Real) or not math.isfinite(number):
                raise Broken(f"figure {name!r} is {number!r}"[:200])


@law(
    cause="draws from a generator that the seed does not decide: "
    "use reflect_core.curriculum.Passes or reflect_core.streams.stream(context.seed, ...)",
    look="assign",
    needs=["existing"],
)
def deterministic(subject: PartSubject, effort: Effort) -> None:
    """The seed and the outcomes decide what is assigned."""

    def check(history: list[tuple[int, int]]) -> None:
        seen = []
        for seed in (1, 2):
            seed_global_random(seed)
            seen.append(iterate(subject.build(), history))
        _same(seen[0], seen[1], history)

    search(effort, histories(), check)


@law(
    cause="an order of a set, or hash(): sort sets, and use reflect_core.streams.stream_seed in "
    "place of hash()",
    look="assign",
    needs=["deterministic"],
)
def fresh_process(subject: PartSubject, effort: Effort) -> None:
    """It assigns the same in a fresh process: runs are resumed, and several processes agree."""
    if subject.recipe is None:
        raise Skipped("only known by a function; name it by `spec` or in a contract class")
    here = iterate(subject.build(), LONG)
    _same(here, assigned_elsewhere(subject.recipe, LONG), LONG)


@law(
    cause="something that decides the next assignment is not in state_dict, or not put back",
    look="state_dict",
    needs=["deterministic"],
)
def round_trips(subject: PartSubject, effort: Effort) -> None:
    """Its state is JSON, and one that takes it up goes on as if nothing had happened."""

    def check(pair: tuple[list[tuple[int, int]], list[tuple[int, int]]]) -> None:
        before, after = pair
        curriculum = subject.build()
        iterate(curriculum, before)
        try:
            text = json.dumps(curriculum.state_dict())
        except (TypeError, ValueError) as error:
            raise Broken(
                f"its state is not JSON: {told(error)}",
                cause="a set, a tuple as a key, or an object among the values",
            ) from error
        other = subject.build()
        other.load_state_dict(json.loads(text))
        first = len(before)
        whole = iterate(curriculum, after, first)
        _same(whole, iterate(other, after, first), [*before, *after], state=text)

    search(effort, PAIRS, check)


@law(
    cause="a stage that nothing ends, or a threshold that no success rate passes",
    look="assign",
    needs=["existing"],
)
def arrives(subject: PartSubject, effort: Effort) -> None:
    """Where every episode is solved, it comes to the environment's real task."""
    curriculum = subject.build()
    assigned: Sequence[Assignment] = ()
    iterations = subject.bench.settings.train.iterations
    for iteration in range(iterations):
        assigned = curriculum.assign(EPISODES, iteration=iteration)
        curriculum.observe(_played(assigned, 10))
    left = {each.stage for each in assigned} - {None, STAGES[-1]}
    if left:
        raise Broken(
            f"the last of {iterations} iterations, with all episodes solved, still plays "
            f"{' and '.join(map(repr, left))}"
        )


def _same(
    one: Sequence[str], other: Sequence[str], history: Sequence[tuple[int, int]], state: str = ""
) -> None:
    for place, (first, second) in enumerate(zip(one, other, strict=True)):
        if first != second:
            raise Broken(
                f"iteration {len(history) - len(one) + place} is another one",
                shown=[
                    f"first:  {first}"[:300],
                    f"second: {second}"[:300],
                    *([f"state: {state}"[:300]] if state else []),
                ],
                story=_story(history),
            )


def _story(history: Sequence[tuple[int, int]]) -> list[str]:
    return [
        f"assign({episodes}, iteration={iteration}), {solved} in 10 solved, observe(...)"
        for iteration, (episodes, solved) in enumerate(history)
    ]


CURRICULUM_LAWS = (
    builds, existing, figures, deterministic, fresh_process, round_trips, arrives,
)  # fmt: skip
