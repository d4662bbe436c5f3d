"""The supervised warm-up of the players on the teacher's turns."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from reflect_core.errors import CheckpointError, ConfigError
from reflect_core.memory import release
from reflect_core.protocols import Saved, TrainablePolicy, TrainableReflector
from reflect_core.records import Example
from reflect_core.session import Session
from reflect_core.teach import read_examples


def warm_up(session: Session) -> None:
    """Warm up the players one after the other; one that is done is not done again."""
    sft = session.settings.sft
    if session.reflector_spec.trainable:
        reflector = cast(TrainableReflector, session.reflector)
        _player(
            session,
            "reflector",
            sft.reflector_updates,
            reflector.fit,
            session.folder.reflector,
            reflector,
        )
    if session.policy_spec.trainable:
        policy = cast(TrainablePolicy, session.policy)

        def fit(examples: Sequence[Example], **more: Any) -> list[float]:
            if sft.policy_from == "reflector" and session.reflector_spec.trainable:
                _begin_as_the_reflector(policy, session.folder.reflector)
            return policy.fit(examples, reflect=session.settings.reflected_examples, **more)

        _player(session, "policy", sft.policy_updates, fit, session.folder.warmup, policy)


def _begin_as_the_reflector(policy: TrainablePolicy, folder: Path) -> None:
    try:
        policy.load(folder)
    except CheckpointError as error:
        raise ConfigError(
            "the policy cannot begin as the reflector",
            why=error.why or error.what,
            then="sft.policy_from=base, or players that are tuned from the same model",
        ) from error


def _player(
    session: Session,
    player: str,
    updates: int,
    fit: Callable[..., list[float]],
    target: Path,
    saved: Saved,
) -> None:
    part = f"sft {player}"
    if session.folder.finished(part):
        return
    examples = read_examples(session.folder.examples)
    _fit(session, player, updates, functools.partial(fit, examples))
    if session.crew.is_main:
        session.folder.write_folder(target, saved.save)
        session.folder.finish(part)
    session.crew.wait()


def _fit(session: Session, player: str, updates: int, fit: Callable[..., list[float]]) -> None:
    """Warm one player up, with a progress line and a row per reported loss."""
    losses: list[tuple[int, float]] = []
    learnt: list[int] = []
    before = session.models.meter.reading()
    with session.progress.stage(f"sft {player}", updates) as stage:

        def advance(update: int, loss: float) -> None:
            stage.advance(update - (losses[-1][0] if losses else 0), loss=loss)
            losses.append((update, loss))
            learnt.append((session.models.meter.reading() - before).learnt)

        started = time.perf_counter()
        fit(progress=advance)
        release()
        stage.advance(updates - (losses[-1][0] if losses else 0))
    # counted here and not in the next stage, which a resumed run begins anew; by the others too,
    # who have fitted the same examples
    alarms = session.alarms.counted()
    if session.crew.is_main:
        for (update, loss), tokens in zip(losses, learnt, strict=True):
            row = {"stage": "sft", "player": player, "update": update, "loss": loss}
            last = {"alarms": alarms} if update == losses[-1][0] else {}
            session.folder.log({**row, "tokens_learnt": tokens, **last})
        seconds = round(time.perf_counter() - started, 3)
        session.folder.time({"stage": f"sft {player}", "seconds": seconds})
