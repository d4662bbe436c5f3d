"""What an environment offers: its methods, its tasks, the records that it hands out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import attrs

from reflect_core.records import Observation, Step, Task
from reflect_core.testing.environments.subject import EnvironmentSubject, described
from reflect_core.testing.environments.telling import until, when
from reflect_core.testing.explore import SPLITS, Move, Plan, play, turns
from reflect_core.testing.laws import Broken, Effort, law
from reflect_core.testing.places import place_of, told
from reflect_core.testing.search import search
from reflect_core.testing.strategies import plans
from reflect_core.testing.walks import drawn_plans

__all__ = ["builds", "closes", "one_split", "records", "splits"]

LOOKED_AT = 5
"""Episodes of two tasks that are compared."""


@law(cause="a method is missing or misspelt, or the constructor fails", look="__init__")
def builds(subject: EnvironmentSubject, effort: Effort) -> None:
    """It can be built, and has the methods tasks, reset, step and close."""
    with subject.fresh() as environment:
        missing = [
            name
            for name in ("tasks", "reset", "step", "close")
            if not callable(getattr(environment, name, None))
        ]
    if missing:
        raise Broken(f"it has no method {', '.join(missing)}")


@law(
    cause="task ids are made of something that two splits have in common, or the tasks are drawn "
    "anew at each call: draw them once, from reflect_core.streams.stream(seed, ...)",
    look="tasks",
    needs=["builds"],
)
def splits(subject: EnvironmentSubject, effort: Effort) -> None:
    """The splits are disjoint, and the same at every call and in every instance."""
    with subject.fresh() as one, subject.fresh() as two:
        first = {split: list(one.tasks(split)) for split in SPLITS}
        again = {split: list(one.tasks(split)) for split in SPLITS}
        other = {split: list(two.tasks(split)) for split in reversed(SPLITS)}
    seen: dict[str, str] = {}
    for split, tasks in first.items():
        if not tasks and split == "train":
            raise Broken("the split train has no tasks", cause="there is nothing to train on")
        for task in tasks:
            if not isinstance(task, Task) or task.split != split:
                raise Broken(f"tasks({split!r}) gave {task!r}", cause="Task.split is not the split")
            if task.practice and split != "train":
                raise Broken(f"task {task.task_id!r} of {split} is for practice")
            if task.task_id in seen:
                both = " and ".join(dict.fromkeys((seen[task.task_id], split)))
                raise Broken(
                    f"task id {task.task_id!r} stands in {both}"
                    + (" twice" if seen[task.task_id] == split else "")
                )
            seen[task.task_id] = split
        for where, found in (("a second call", again), ("a second instance", other)):
            if _described(found[split]) != _described(tasks):
                raise Broken(f"{where} of tasks({split!r}) gave other tasks or another order")


def _described(tasks: Sequence[Task]) -> list[str]:
    return [described(task) for task in tasks]


@law(
    cause="tasks were added to a split, turned round or renamed for example, without asking "
    "whether they are another split's",
    look="tasks",
    needs=["forgets"],
)
def one_split(subject: EnvironmentSubject, effort: Effort) -> None:
    """No task is in two splits under two names."""
    alike: dict[tuple[str, str], list[Task]] = {}
    world = subject.world
    for task in world.tasks:
        alike.setdefault((task.text, repr(task.data)), []).append(task)
    with subject.fresh() as environment:

        def episodes(task: Task) -> list[list[str]]:
            alone = attrs.evolve(world, tasks=(task,))
            drawn = drawn_plans(LOOKED_AT, seed=effort.seed)
            return [play(environment, attrs.evolve(plan, stage=0), alone).keys() for plan in drawn]

        for some in alike.values():
            if len({task.split for task in some}) == 1:
                continue
            # tasks that differ in neither may still differ: the id may decide
            played: dict[str, Task] = {}
            for task in some:
                first = played.setdefault(repr(episodes(task)), task)
                if first.split != task.split:
                    raise Broken(
                        f"task {first.task_id!r} of {first.split} and {task.task_id!r} of "
                        f"{task.split} have the same text, data and episodes"
                    )


@law(
    cause="a list or dict that the environment goes on using was handed out: hand out a copy",
    look="step",
    needs=["resets"],
)
def records(subject: EnvironmentSubject, effort: Effort) -> None:
    """What was handed out cannot be changed and does not change later."""
    world = subject.world
    with subject.fresh() as environment:

        def check(plan: Plan) -> None:
            was: list[tuple[object, Any]] = []
            for episode in turns(environment, plan, world):
                shown: Any = episode.steps[-1] if episode.steps else episode.first
                if len(was) == len(episode.shown) - 1:
                    was.append((shown, _snapshot(shown)))
            for place, (shown, before) in enumerate(was):
                if _snapshot(shown) != before:
                    raise Broken(
                        f"what was shown {when(place)} has changed since",
                        shown=[f"then: {before!r}"[:300], f"now:  {_snapshot(shown)!r}"[:300]],
                        story=episode.story(),
                    )
                for record in (shown, getattr(shown, "observation", shown)):
                    if _can_be_written(record):
                        raise Broken(
                            f"the {type(record).__name__} of {when(place)} can be written to",
                            cause="a class of your own in place of reflect_core's",
                            story=until(episode, place).story(),
                        )

        search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))
    for task, before in zip(world.tasks, subject.tasks_were, strict=True):
        if described(task) != before:
            raise Broken(
                f"task {task.task_id!r} has changed since it was handed out",
                shown=[f"then: {before}"[:300], f"now:  {described(task)}"[:300]],
                cause="reset or step writes into task.data: take a copy",
                place=subject.look("reset"),
            )


def _snapshot(shown: Any) -> Any:
    info = copy.deepcopy(dict(shown.info)) if isinstance(shown, Step) else {}
    return repr(shown), info


def _can_be_written(record: object) -> bool:
    field = "text" if isinstance(record, Observation) else "reward"
    try:
        setattr(record, field, getattr(record, field))
    except AttributeError:
        return False
    return True


@law(cause="close releases what is no longer there: forget it once it is released", look="close",
     needs=["builds"])  # fmt: skip
def closes(subject: EnvironmentSubject, effort: Effort) -> None:
    """It can be closed twice, used or not."""
    for used in (False, True):
        environment = subject.make()
        if used:
            play(environment, Plan(moves=(Move(),)), subject.world)
        for time in ("first", "second"):
            try:
                environment.close()
            except Exception as error:
                raise Broken(
                    f"the {time} close of {'a used' if used else 'an unused'} environment "
                    f"raised {told(error)}",
                    place=place_of(error),
                ) from error
