"""What goes over the pipe between a run and a worker, as plain picklable values."""

from __future__ import annotations

import os
import traceback
from typing import Any

import attrs

from reflect_core.errors import EpisodeOver, NoAdvice, ReflectError
from reflect_core.records import Hint, Observation, Task


class EnvironmentRaised(Exception):
    """An environment in a worker raised; ``str`` is ``ErrorType: text``, as it was there."""


@attrs.frozen
class Start:
    """How an episode begins: the arguments of ``reset``."""

    task: Task
    seed: int
    stage: str | None


@attrs.frozen
class Past:
    """An episode under way, enough to bring another process to the same state.

    Args:
        start: How it began.
        actions: What was done since.
        observation: What was seen last; None where the answer to ``reset`` got lost.
        asked: After how many actions the expert was asked: what it says may depend on that.
    """

    start: Start
    actions: tuple[str, ...]
    observation: Observation | None
    asked: frozenset[int] = frozenset()


@attrs.frozen
class Request:
    """One call of an environment.

    Args:
        environment: Its number; one that the worker does not know is built.
        verb: A method of :class:`Environment` or :class:`Expert`, ``build`` or ``close``.
        args: Its arguments; of ``reset`` a :class:`Start`.
        past: Replayed before the call, where the process does not hold the episode.
        hint: Ask the expert about the state reached, in the same answer.
        limit: Seconds after which the worker ends itself, if nobody else has done so.
    """

    environment: int
    verb: str
    args: tuple[Any, ...] = ()
    past: Past | None = None
    hint: bool = False
    limit: float = 0.0


@attrs.frozen
class Failure:
    """What an environment raised, without the exception itself, which may not pickle.

    Args:
        kind: Name of its class.
        text: What it says.
        trace: Where, as Python prints it.
        over: It was :class:`EpisodeOver`.
        lost: It was :class:`NoAdvice`.
        parts: ``what``, ``why``, ``then`` and ``details`` of a :class:`ReflectError`.
        system: Number, text and file of what the operating system refused, here or further up
            the chain of causes.
    """

    kind: str
    text: str
    trace: str
    over: bool = False
    lost: bool = False
    parts: tuple[str, str | None, str | None, tuple[str, ...]] | None = None
    system: tuple[int, str, str | None] | None = None

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Take an exception down."""
        parts = None
        if isinstance(error, ReflectError):
            parts = (error.what, error.why, error.then, error.details)
        return cls(
            type(error).__name__,
            str(error),
            "".join(traceback.format_exception(error)),
            isinstance(error, EpisodeOver),
            isinstance(error, NoAdvice),
            parts,
            _refused(error),
        )

    def error(self) -> Exception:
        """An exception that says the same here."""
        raised: Exception
        if self.over:
            raised = EpisodeOver(self.text)
        elif self.parts is not None:
            what, why, then, details = self.parts
            kind = NoAdvice if self.lost else ReflectError
            raised = kind(what, why=why, then=then, details=details)
        else:
            raised = EnvironmentRaised(f"{self.kind}: {self.text}")
        if self.system is not None:
            raised.__cause__ = OSError(*self.system)
        raised.add_note(f"in a worker:\n{self.trace}")
        return raised


def _refused(error: BaseException | None) -> tuple[int, str, str | None] | None:
    """What the operating system said, if that is what an exception comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            place = error.filename
            named = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else None
            return error.errno, str(error.strerror), named
        error = error.__cause__ or error.__context__
    return None


@attrs.frozen
class Reply:
    """The answer to a :class:`Request`.

    Args:
        value: What the method returned; of ``build`` whether the environment has an expert.
        hint: The expert's word, if it was asked and had one.
        failure: What was raised instead.
        memory: Of the process, MiB.
    """

    value: Any = None
    hint: Hint | None = None
    failure: Failure | None = None
    memory: float = 0.0
