"""Errors that a user can act on: what happened, why, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class ReflectError(Exception):
    """A mistake or obstacle outside the program, told without a traceback.

    Args:
        what: One line, what went wrong.
        why: The cause, where it is known.
        then: What the user can do next.
        details: Further lines with labels of their own, between the cause and the way on.

    The command line prints ``str(error)`` and exits with code 2.

    >>> print(ReflectError("no run is here", why="runs/a is empty", then="reflect run"))
    no run is here
      because: runs/a is empty
      next: reflect run
    """

    def __init__(
        self,
        what: str,
        *,
        why: str | None = None,
        then: str | None = None,
        details: Iterable[str] = (),
    ) -> None:
        super().__init__(what, why, then)
        self.what, self.why, self.then, self.details = what, why, then, tuple(details)

    @classmethod
    def unknown(cls, kind: str, name: object, known: Iterable[str]) -> Self:
        """The error for a name that nothing has.

        >>> print(ReflectError.unknown("split", "tset", ["train", "valid", "test"]))
        no split is called 'tset'
          known: test, train, valid
          did you mean: test
        """
        return cls(
            f"no {kind} is called {name!r}", details=choices(str(name), known, called="known")
        )

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  because: {self.why}")
        lines += [f"  {line}" for detail in self.details for line in detail.splitlines()]
        if self.then:
            lines.append(f"  next: {self.then}")
        return "\n".join(lines)


class ConfigError(ReflectError):
    """An option is unknown, of a wrong type or out of range."""


class PluginError(ReflectError):
    """A plugin is missing, broken, ambiguous or built for another API."""


class EnvironmentFailure(ReflectError):
    """Too many episodes failed because the environment raised."""


class NoAdvice(ReflectError):
    """An expert does not know what is right in the present state: it has given up."""


class EnvironmentLost(ReflectError):
    """An environment's process ended again and again in one episode, which is dropped."""


class EpisodeOver(RuntimeError):
    """``step`` was called on an episode that has ended or not begun.

    This is a caller's bug, not a user's mistake, hence not a :class:`ReflectError`.
    """


class CheckpointError(ReflectError):
    """A checkpoint or run folder is missing, corrupt or belongs to something else."""


class ModelError(ReflectError):
    """A model cannot be loaded, or cannot serve as the player it is asked to be."""


class PromptTooLong(ReflectError):
    """A prompt does not fit although all of its history was dropped."""


class NonFiniteLoss(ReflectError):
    """A loss or gradient became NaN or infinite; the run stops and keeps its checkpoint."""


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known name nearest to ``word``, or None when none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def choices(name: str, known: Iterable[str], *, called: str = "installed") -> list[str]:
    """The ``details`` of an unknown-name error: what exists, and the nearest name.

    >>> choices("fliesys", ["taxi", "filesys"])
    ['installed: filesys, taxi', 'did you mean: filesys']
    """
    names = sorted(known)
    close = suggest(name, names)
    return [f"{called}: {', '.join(names) or 'none'}"] + (
        [f"did you mean: {close}"] if close else []
    )
