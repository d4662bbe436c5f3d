"""The laws of reflectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

from reflect_core.promises import missing_methods
from reflect_core.records import Draws, State
from reflect_core.testing.laws import Broken, Effort, law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.search import search
from reflect_core.testing.weights import unchanged_by

__all__ = ["REFLECTOR_LAWS"]

TURNS = 9
ROWS = st.lists(st.integers(0, TURNS - 1), min_size=1, max_size=TURNS, unique=True)


def _reflect(
    reflector: Any, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool = False
) -> list[str]:
    return list(reflector.reflect(states, draws, greedy=greedy))


@law(
    cause="a method is missing or misspelt, the spec says trainable or teaches of what is not, "
    "or the factory fails",
    look="__init__",
)
def builds(subject: PartSubject, effort: Effort) -> None:
    """It can be built, and has the method reflect, and those of trainable and teaches."""
    if missing := missing_methods(subject.spec, subject.build()):
        raise Broken(f"it has no method {', '.join(missing)}")


@law(
    cause="states for which there is nothing to say are passed over: answer them with ''",
    look="reflect",
    needs=["builds"],
)
def one_each(subject: PartSubject, effort: Effort) -> None:
    """There is one reflection, a text, for each state."""
    reflector = subject.build()
    states, _, draws = subject.bench.states(TURNS)
    for count in (1, TURNS):
        found = _reflect(reflector, states[:count], draws[:count])
        if len(found) != count:
            raise Broken(f"{count} states were shown and {len(found)} reflections came")
        for place, text in enumerate(found):
            if not isinstance(text, str):
                raise Broken(f"reflection {place} is {text!r}, which is no text"[:200])


@law(
    cause="a batch is built or padded without asking whether there is anything in it",
    look="reflect",
    needs=["builds"],
)
def nothing(subject: PartSubject, effort: Effort) -> None:
    """Where nothing is shown, nothing is said."""
    if found := _reflect(subject.build(), [], []):
        raise Broken(f"no state was shown and {len(found)} reflections came")


@law(
    cause="answers are not put back in order, padding is not masked, or draws are taken from a "
    "generator that goes on from call to call: draw from draws.stream('reflection')",
    look="reflect",
    needs=["one-each"],
)
def alone(subject: PartSubject, effort: Effort) -> None:
    """A reflection depends on its state and draws, not on the batch, its size or its order."""
    reflector = subject.build()
    states, _, draws = subject.bench.states(TURNS)
    for greedy in (True, False):
        together = _reflect(reflector, states, draws, greedy=greedy)

        def check(rows: list[int], greedy: bool = greedy, whole: list[str] = together) -> None:
            some = _reflect(
                reflector, [states[i] for i in rows], [draws[i] for i in rows], greedy=greedy
            )
            for row, text in zip(rows, some, strict=True):
                if text != whole[row]:
                    raise Broken(
                        f"state {row} has another reflection in the batch {rows} than among all",
                        shown=[f"here:  {text!r}"[:200], f"there: {whole[row]!r}"[:200]],
                    )

        search(attrs.evolve(effort, max_examples=min(effort.max_examples, 10)), ROWS, check)


@law(
    cause="reflecting trains, or counts in buffers: reflect under torch.no_grad and in eval mode",
    look="reflect",
    needs=["one-each"],
)
def unmoved(subject: PartSubject, effort: Effort) -> None:
    """Reflecting changes no weights."""
    reflector = subject.build()
    states, _, draws = subject.bench.states(TURNS)
    unchanged_by(reflector, lambda: _reflect(reflector, states, draws))


@law(
    cause="no limit on what is written, or bytes that are not UTF-8",
    look="reflect",
    needs=["one-each"],
)
def bounded(subject: PartSubject, effort: Effort) -> None:
    """Reflections are valid UTF-8 and not too long."""
    reflector = subject.build()
    states, _, draws = subject.bench.states(TURNS)
    for greedy in (True, False):
        for place, text in enumerate(_reflect(reflector, states, draws, greedy=greedy)):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise Broken(f"reflection {place} is not valid UTF-8: {error}") from error
            if len(text) > subject.max_text:
                raise Broken(
                    f"reflection {place} has {len(text)} characters, and the limit is "
                    f"{subject.max_text}"
                )


REFLECTOR_LAWS = (builds, one_each, nothing, alone, unmoved, bounded)
