"""What a run evaluates: its rows, played on the same held-out episodes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core import evaluation
from reflect_core.baselines import RandomPolicy, SilentReflector
from reflect_core.errors import CheckpointError, ReflectError, choices
from reflect_core.evaluation import Contestant
from reflect_core.files import as_json, read_json, write_json
from reflect_core.loop import success_rate
from reflect_core.neutral import deciding
from reflect_core.protocols import Policy
from reflect_core.records import Trajectory
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.seen import seen_before
from reflect_core.session import Session


def hold(session: Session) -> None:
    """Play the evaluation of the run's settings, unless it is done, and write it down.

    Raises:
        ReflectError: There is nothing to evaluate on, or a setting names nothing.
    """
    settings = session.settings.eval
    path = session.folder.evaluation_of(settings)
    # one made before a later stage had ended lacks that stage's row
    basis = as_json(
        {
            "environment": session.about_environment(),
            "settings": attrs.asdict(settings),
            "rollout": deciding(session.settings.rollout),
            "stages": [stage for stage in ("sft", "train") if session.folder.finished(stage)],
        }
    )
    if path.exists():
        held = _held(path)
        # one of an older version does not tell how it was played: as the run is
        if basis.items() <= {"rollout": basis["rollout"], **held}.items():
            _finish(session, held.get("alarms", {}))
            return
    if settings.decoding not in evaluation.DECODINGS:
        raise ReflectError(
            f"eval.decoding = {settings.decoding!r} is unknown",
            why=f"known: {', '.join(evaluation.DECODINGS)}",
        )
    episodes = evaluation_episodes(
        session.tasks(settings.split),
        settings.episodes,
        seed=session.settings.seed,
        stage=session.env_spec.stages[-1],
    )
    if not episodes:
        raise ReflectError(
            f"there is nothing to evaluate on: no {settings.split} tasks",
            then="choose another eval.split, or options that leave tasks for it",
        )
    if session.beside and settings.split == "test":
        tasks = session.tasks(settings.split)
        if seen := seen_before(session, tasks):
            session.progress.warn(
                f"{seen} of the {len(tasks)} test tasks are train's or valid's of this run: "
                "this is no evaluation on held-out tasks"
            )
    contestants = _chosen(_contestants(session), settings.players)
    games = sum(
        len(evaluation.DECODINGS[settings.decoding]) if contestant.decodes else 1
        for contestant in contestants
    )
    started = time.perf_counter()
    with session.progress.stage("eval", games * len(episodes)) as stage:

        def advance(name: str, done: Sequence[Trajectory]) -> None:
            stage.advance(len(done), **{f"{name}_success": success_rate(done)})

        rows = evaluation.evaluate(
            contestants,
            episodes,
            decoding=settings.decoding,
            failed_episodes=session.settings.rollout.failed_episodes,
            progress=advance,
            alarms=session.alarms,
        )
    alarms = session.alarms.counted()
    write_json(
        path,
        {
            "model": session.settings.model.name,
            "seed": session.settings.seed,
            "split": settings.split,
            "episodes": len(episodes),
            "alarms": alarms,
            **basis,
            "rows": rows,
        },
    )
    _finish(session, alarms, seconds=round(time.perf_counter() - started, 3))


def _finish(session: Session, alarms: Mapping[str, int], *, seconds: float | None = None) -> None:
    """Note that the run's own evaluation is done; one beside it leaves no trace.

    Nor does one before all is learnt.

    A run that was killed after the evaluation was written comes here with what it holds.
    """
    folder = session.folder
    if session.beside or folder.finished("eval") or session.learning_is_ahead:
        return
    folder.rewind()  # a row that a kill left without its end
    if seconds is not None:
        folder.time({"stage": "eval", "seconds": seconds})
    folder.log({"stage": "eval", "split": session.settings.eval.split, "alarms": dict(alarms)})
    folder.finish("eval")


def _held(path: Path) -> dict[str, Any]:
    """An evaluation that was held before."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not an evaluation", then="remove it, and evaluate again")
    return content


def _contestants(session: Session) -> list[Contestant]:
    def modelless(policy: Policy) -> Callable[[], Collector]:
        return lambda: session.collector(SilentReflector(), policy)

    rows = [Contestant("random", "random legal action", modelless(RandomPolicy()), decodes=False)]
    for name in session.env_spec.baselines:
        spec = session.registry.find("policy", name).spec
        policy = spec.factory(spec.config(), session.context())
        rows.append(Contestant(name, spec.summary or name, modelless(policy), decodes=False))

    def own(folder: Path) -> Collector:
        session.take_up(folder)
        return session.own_collector()

    if not session.policy_spec.trainable:
        if session.settings.policy.name in {row.name for row in rows}:
            return rows
        title = session.policy_spec.summary or session.settings.policy.name
        rows.append(
            Contestant(
                session.settings.policy.name, title, functools.partial(own, session.folder.warmup)
            )
        )
        return rows
    if session.folder.finished("sft"):
        make = functools.partial(own, session.folder.warmup)
        rows.append(Contestant("warmup", "warm-up only", make))
    if session.folder.finished("train"):
        make = functools.partial(own, session.folder.policy)
        title = f"after {session.settings.trainer.name.upper()}"
        rows.append(Contestant("trained", title, make))
    if len(rows) == 1 + len(session.env_spec.baselines):
        make = functools.partial(own, session.folder.warmup)
        rows.append(Contestant("untuned", "the model as it was loaded", make))
    return rows


def _chosen(rows: Sequence[Contestant], names: Sequence[str]) -> Sequence[Contestant]:
    """The rows of these names, in the table's order; all where none are named.

    Raises:
        ReflectError: A name is not a row of this run.
    """
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise ReflectError(
                f"eval.players: this run has no row {name!r}",
                details=choices(name, known, called="it has"),
            )
    return [row for row in rows if not names or row.name in names]
