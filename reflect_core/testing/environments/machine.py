"""A state machine of Hypothesis that calls an environment in every order that a run may."""

from __future__ import annotations

import sys

import attrs
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from reflect_core.streams import stream_seed
from reflect_core.testing.environments.orders import (
    Call,
    Table,
    broken_by,
    drawn_calls,
    simpler_calls,
)
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.explore import NUMBERS
from reflect_core.testing.laws import Broken, Effort, law
from reflect_core.testing.search import settings_of
from reflect_core.testing.strategies import other_texts
from reflect_core.testing.walks import shrunk

__all__ = ["any_order"]

CALLS = 30
"""Of one example."""
SEAT = st.integers(0, 1)
NUMBER = st.integers(0, 9999)
SEED = st.integers(0, NUMBERS)
STAGE = st.integers(0, 9)


class Calls(RuleBasedStateMachine):
    """Two instances, each called without regard to the other.

    Args:
        subject: The environment.
        found: Where the calls are put that break the law.
    """

    def __init__(self, subject: EnvironmentSubject, found: list[tuple[Call, ...]]) -> None:
        super().__init__()
        self.table, self.found = Table(subject), found

    @initialize(numbers=st.tuples(NUMBER, NUMBER), seeds=st.tuples(SEED, SEED))
    def begin_both(self, numbers: tuple[int, int], seeds: tuple[int, int]) -> None:
        """Begin an episode on each."""
        for seat, (number, seed) in enumerate(zip(numbers, seeds, strict=True)):
            self._call(Call("begin", seat, number, seed))

    @rule(seat=SEAT, number=NUMBER, seed=SEED, stage=STAGE)
    def begin(self, seat: int, number: int, seed: int, stage: int) -> None:
        """Begin an episode, maybe in the midst of another."""
        self._call(Call("begin", seat, number, seed, stage))

    @rule(seat=SEAT, number=st.integers(0, 99))
    def step(self, seat: int, number: int) -> None:
        """Take a turn by the menu; where no episode runs, be told so."""
        self._call(Call("step", seat, number))

    @rule(seat=SEAT, text=other_texts())
    def say(self, seat: int, text: str) -> None:
        """Say something that is hardly on the menu."""
        self._call(Call("say", seat, text=text))

    @rule(seat=SEAT, kind=st.sampled_from(("tasks", "expert", "close")), number=NUMBER)
    def between(self, seat: int, kind: str, number: int) -> None:
        """Call what leaves all episodes as they are, but for the one that it closes."""
        self._call(Call(kind, seat, number))

    def teardown(self) -> None:
        """Look back, unless the calls have failed already or Hypothesis gave them up."""
        try:
            if sys.exc_info()[0] is None:
                self.table.finish()
        except Broken:
            self.found.append(tuple(self.table.calls))
            raise
        finally:
            self.table.close()

    def _call(self, call: Call) -> None:
        try:
            self.table.call(call)
        except Broken:
            self.found.append(tuple(self.table.calls))
            raise


def _explored(subject: EnvironmentSubject, effort: Effort) -> tuple[Call, ...] | None:
    """Calls that break the law, as a state machine finds them; None where it finds none."""
    found: list[tuple[Call, ...]] = []

    @hypothesis.seed(effort.seed)
    class Seeded(Calls):
        def __init__(self) -> None:
            super().__init__(subject, found)

    # what it finds is shrunk by leaving out calls, which does not depend on how it was found
    chosen = hypothesis.settings(
        settings_of(effort), phases=(hypothesis.Phase.generate,), stateful_step_count=CALLS
    )
    try:
        run_state_machine_as_test(Seeded, settings=chosen)
    except Broken:
        return found[-1]
    return None


@law(
    cause="tasks, the expert or close touch what belongs to the episode that runs, or to another "
    "instance",
    look="reset",
    # the last to be examined: what breaks one of these is told better there
    needs=[
        *("splits", "menu", "accepts", "answers", "finite", "success", "ends", "over", "text"),
        *("records", "closes", "forgets", "interleaved", "expert-is-legal"),
    ],
)
def any_order(subject: EnvironmentSubject, effort: Effort) -> None:
    """Calls in any order, to one instance or another, change no episode."""

    def fails(calls: tuple[Call, ...]) -> bool:
        return broken_by(subject, calls) is not None

    subject.build()
    drawn = [
        drawn_calls(CALLS, seed=stream_seed(effort.seed, number))
        for number in range(effort.max_examples)
    ]
    found = next(filter(fails, drawn), None)
    if found is None:
        found = _explored(subject, attrs.evolve(effort, max_examples=-(-effort.max_examples // 4)))
    if found is None:
        return
    broken = broken_by(subject, shrunk(found, simpler_calls, fails))
    raise broken or Broken("calls were answered otherwise, but not at every try")
