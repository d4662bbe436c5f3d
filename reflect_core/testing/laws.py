"""What a law is, how it is broken, and how all laws of a part are examined.

A law is a function that plays with a part and raises :class:`Broken`; its docstring says what
must hold. Contracts (:mod:`reflect_core.testing.contracts`) and the command ``reflect check``
examine the same laws.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from reflect_core.testing.places import Place, place_of, told
from reflect_core.testing.randomness import kept_random

__all__ = ["Broken", "Effort", "Examiner", "Law", "Outcome", "Skipped", "law"]


@attrs.frozen
class Effort:
    """How hard to look.

    Args:
        max_examples: Examples for each law that is searched with Hypothesis.
        seed: Of the search; the same seed finds the same failures.
    """

    max_examples: int = 50
    seed: int = 0


class Broken(AssertionError):
    """A part breaks a law.

    Args:
        what: What was seen, on one line.
        shown: Further lines: both sides of a difference, for example.
        cause: The likely cause, where it is known better than the law's own.
        place: The line to look at, where it is known better than the method's own.
        story: How to see it again, line by line.
    """

    def __init__(
        self,
        what: str,
        *,
        shown: Sequence[str] = (),
        cause: str | None = None,
        place: Place | None = None,
        story: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what, self.shown, self.cause, self.place = what, tuple(shown), cause, place
        self.story = tuple(story)


class Skipped(Exception):
    """A law that cannot be examined here; the text says why."""


Check = Callable[[Any, Effort], str | None]
"""Examines a subject; raises :class:`Broken` or :class:`Skipped`, may return a remark."""


@attrs.frozen
class Law:
    """Something that every part of a kind must do.

    Args:
        name: A word or two.
        text: The law.
        cause: What is likely to be wrong where it is broken.
        look: The part's method in which to look.
        needs: Laws that must hold for this one to mean anything.
        check: How it is examined.
    """

    name: str
    text: str
    cause: str
    look: str
    needs: tuple[str, ...]
    check: Check


def law(*, cause: str, look: str, needs: Sequence[str] = ()) -> Callable[[Check], Law]:
    """Make a law of a function, named by it and told by the first line of its docstring."""

    def made(check: Check) -> Law:
        name = check.__name__.replace("_", "-")
        text = (inspect.getdoc(check) or "").partition("\n")[0].rstrip(".")
        return Law(name, text, cause, look, tuple(needs), check)

    return made


@attrs.frozen
class Outcome:
    """What came of examining a law.

    Args:
        law: Which.
        status: ``ok``, ``failed`` or ``skipped``.
        remark: Why it was skipped, or what was seen besides.
        broken: How it failed.
        place: The line to look at.
        blocked: It was skipped because a law that it needs is broken.
    """

    law: Law
    status: str
    remark: str = ""
    broken: Broken | None = None
    place: Place | None = None
    blocked: bool = False

    def explain(self) -> str:
        """The whole story of a failure; of anything else, its remark."""
        if self.broken is None:
            return self.remark
        lines = [f"{self.law.name}: {self.law.text}", f"  seen: {self.broken.what}"]
        lines += [f"    {line}" for line in self.broken.shown]
        lines.append(f"  likely cause: {self.broken.cause or self.law.cause}")
        if self.place:
            lines.append(f"  look at: {self.place}")
        if self.broken.story:
            lines += ["  to see it again:", *(f"    {line}" for line in self.broken.story)]
        return "\n".join(lines)


class Subject(Protocol):
    """What can be examined."""

    def build(self) -> Any:
        """Build the part, which raises where its options are wrong."""

    def look(self, method: str) -> Place | None:
        """Where it defines a method."""

    def close(self) -> None:
        """Release what was kept."""


class Examiner:
    """Examines the laws of one part, each once.

    Args:
        subject: What is examined.
        laws: In an order in which each comes after those that it needs.
        effort: How hard to look.
    """

    def __init__(self, subject: Subject, laws: Sequence[Law], effort: Effort) -> None:
        self.subject = subject
        self.laws = {each.name: each for each in laws}
        self.effort = effort
        self._outcomes: dict[str, Outcome] = {}

    def outcomes(self) -> Iterator[Outcome]:
        """Of every law, in order, each as soon as it is known."""
        for name in self.laws:
            yield self.outcome(name)

    def outcome(self, name: str) -> Outcome:
        """Of one law, after those that it needs."""
        if name not in self._outcomes:
            self._outcomes[name] = self._examine(self.laws[name])
        return self._outcomes[name]

    def _examine(self, law: Law) -> Outcome:
        for need in law.needs:
            needed = self.outcome(need)
            if needed.broken or needed.blocked:
                return Outcome(law, "skipped", f"says nothing without {need!r}", blocked=True)
        try:
            with _same_folder(), kept_random():
                remark = law.check(self.subject, self.effort)
        except Skipped as reason:
            return Outcome(law, "skipped", str(reason))
        except Broken as broken:
            place = broken.place or self.subject.look(law.look)
            return Outcome(law, "failed", broken=broken, place=place)
        except Exception as error:  # noqa: BLE001, a part may raise anything: that is the finding
            raised = Broken(f"it raised {told(error)}", cause=RAISED)
            place = place_of(error) or self.subject.look(law.look)
            return Outcome(law, "failed", broken=raised, place=place)
        return Outcome(law, "ok", remark or "")


RAISED = "an error that nothing in the contract allows; the line below is where it came from"


@contextlib.contextmanager
def _same_folder() -> Iterator[None]:
    """Come back to the working directory: a part that leaves it must not mislead other laws."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)
