"""The stages of a run, one after another: teach, sft, train, eval, report.

A stage that is done is skipped; one that was interrupted begins anew, except ``train``,
which goes on from its last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from reflect_core import checkpoint, machine, report
from reflect_core.contest import hold
from reflect_core.dropped import check_failures
from reflect_core.grounding import without_actions
from reflect_core.loop import Training
from reflect_core.memory import release
from reflect_core.plugins import Registry
from reflect_core.progress import Progress
from reflect_core.protocols import TrainablePolicy
from reflect_core.records import Example
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.settings import Settings
from reflect_core.teach import Lesson, teach, write_examples
from reflect_core.tutor import tutor
from reflect_core.warmup import warm_up

STAGES = ("teach", "sft", "train", "eval", "report")


def execute(
    folder: Path,
    settings: Settings,
    stages: Sequence[str],
    registry: Registry,
    progress: Progress,
    *,
    beside: bool = False,
) -> None:
    """Run the stages that are not done yet, in order.

    Args:
        folder: The run's folder.
        settings: The resolved configuration.
        stages: Some of :data:`STAGES`.
        registry: The plugins.
        progress: Tells people what happens.
        beside: The settings are not the run's own, but of an evaluation beside its own.

    Raises:
        ReflectError: Anything that a user can mend.
    """
    session = Session(RunFolder(folder), settings, registry, progress, beside=beside)
    try:
        if learning := {"teach", "sft", "train"} & set(stages):
            session.check(stages)
            if session.crew.is_main and not all(map(session.folder.finished, learning)):
                machine.compare(session)
        for stage in STAGES:
            if stage in stages:
                run_stage(session, stage)
    finally:
        session.close()


def run_stage(session: Session, stage: str) -> None:
    """Run one stage, unless it is done."""
    if stage == "report":
        if session.crew.is_main:
            report.build(
                session.folder.path, session.folder.evaluation_of(session.settings.eval).name
            )
        return
    if stage == "eval":
        if session.crew.is_main:
            hold(session)
        session.crew.wait()
        return
    if session.folder.finished(stage):
        return
    work, needed = {
        "teach": (_teach, session.warms_up),
        "sft": (warm_up, session.warms_up),
        "train": (
            _train,
            session.policy_spec.trainable and session.settings.train.iterations > 0,
        ),
    }[stage]
    if not needed:
        return
    # RL cuts the logs itself, to its last checkpoint
    if session.crew.is_main and not (stage == "train" and checkpoint.latest(session.folder)):
        session.folder.rewind()
    session.crew.wait()
    started = time.perf_counter()
    work(session)
    if session.crew.is_main:
        if stage not in ("sft", "train"):  # their parts say what they took
            seconds = round(time.perf_counter() - started, 3)
            session.folder.time({"stage": stage, "seconds": seconds})
        session.folder.finish(stage)
    release()
    session.crew.wait()


def _teach(session: Session) -> None:
    if not session.crew.is_main:
        return
    settings = session.settings.teach
    with session.progress.stage("teach", settings.episodes) as stage:
        lesson = _lesson(session, stage.advance)
    rollout = session.settings.rollout
    check_failures(lesson.failures, settings.episodes, rollout.failed_episodes)
    if not rollout.name_actions:
        lesson.examples = [_unnamed(example) for example in lesson.examples]
    session.folder.examples.parent.mkdir(exist_ok=True)
    write_examples(session.folder.examples, lesson.examples)
    negative = sum(example.kind == "negative" for example in lesson.examples)
    if lesson.unsolved:
        session.progress.warn(
            f"the expert failed on {len(lesson.unsolved)} of {settings.episodes} episodes; "
            "they are left out"
        )
    if lesson.failures:
        session.progress.warn(
            f"{len(lesson.failures)} of {settings.episodes} episodes failed in the environment; "
            f"they are left out; the first: {lesson.failures[0]}"
        )
    session.folder.log(
        {
            "stage": "teach",
            "episodes": settings.episodes,
            "positive_examples": len(lesson.examples) - negative,
            "negative_examples": negative,
            "unsolved": len(lesson.unsolved),
            "without_negative": lesson.without_negative,
            "unanswered": lesson.unanswered,
            "failed_episodes": len(lesson.failures),
            "alarms": session.alarms.counted(),
        }
    )


def _lesson(session: Session, advance: Callable[..., None]) -> Lesson:
    """What the teacher shows: the environment's expert, or one who is asked."""
    common: dict[str, Any] = {"seed": session.settings.seed, "stages": session.env_spec.stages}
    tasks, settings = session.divided[0], session.settings.teach
    if session.settings.teacher.name == "expert":
        return teach(
            session.make_environment,
            tasks,
            settings,
            side_by_side=max(1, session.settings.rollout.workers),
            progress=advance,
            **common,
        )
    return tutor(
        session.make_environment,
        tasks,
        settings,
        session.teacher,
        side_by_side=session.settings.rollout.num_envs,
        progress=advance,
        **common,
    )


def _train(session: Session) -> None:
    # from the files also where this process wrote them: a resumed run starts alike
    session.take_up(session.folder.warmup)
    policy = cast(TrainablePolicy, session.policy)
    options = session.settings.trainer.options
    trainer = session.trainer_spec.factory(options, session.context(session.policy))
    training = Training(
        folder=session.folder,
        settings=session.settings,
        collector=session.own_collector(),
        trainer=trainer,
        curriculum=session.curriculum(),
        weights=policy,
        valid=session.tasks("valid"),
        final_stage=session.env_spec.stages[-1],
        crew=session.crew,
        tokens=lambda: session.models.meter.reading().figures(),
        alarms=session.alarms,
        restarts=lambda: session.workers.restarts if session.workers else 0,
    )
    training.resume()
    iterations = session.settings.train.iterations
    name = f"train {session.settings.trainer.name}"
    with session.progress.stage(name, iterations, done=training.iteration) as stage:
        training.run(stage.advance)
    if session.crew.is_main:
        session.folder.write_folder(session.folder.policy, policy.save)


def _unnamed(example: Example) -> Example:
    """The example with a reflection that names no legal action."""
    legal = example.state.observation.legal_actions
    return attrs.evolve(example, reflection=without_actions(example.reflection, legal))
