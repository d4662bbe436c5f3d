"""The five kinds of part, as structural types: a plugin need not inherit from anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from reflect_core.records import (
    Advice,
    Assignment,
    Choice,
    Draws,
    Example,
    Observation,
    Question,
    State,
    Step,
    Task,
    Trajectory,
)


@runtime_checkable
class Environment(Protocol):
    """A multi-turn text environment with Gymnasium's verbs and meanings."""

    def tasks(self, split: str) -> Sequence[Task]:
        """All tasks of ``train``, ``valid`` or ``test``; the same at every call."""

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode. ``seed`` decides everything that is random in it."""

    def step(self, action: str) -> Step:
        """Take a turn. Any text is answered; one that is not legal is a penalised no-op.

        Raises:
            EpisodeOver: The episode has ended, or ``reset`` was never called.
        """

    def close(self) -> None:
        """Release what is held; may be called twice."""


@runtime_checkable
class Expert(Protocol):
    """What an environment may offer besides: someone who knows what to do."""

    def expert_action(self) -> str:
        """A right action in the present state, one of the legal actions.

        Raises:
            EpisodeOver: No episode runs.
            NoAdvice: It has given up this episode: such a turn is never taught.
        """

    def expert_reflection(self) -> str:
        """What a teacher would say now: what the last action did, what to do next.

        Raises:
            EpisodeOver: No episode runs.
            NoAdvice: It has given up this episode.
        """


@runtime_checkable
class Described(Protocol):
    """What an environment may offer besides: what its figures depend on."""

    def summary(self) -> str:
        """A few lines that every result bears: engine and versions, whose data, how many tasks."""


@runtime_checkable
class Reflector(Protocol):
    """Reads states and writes one short reflection for each; frozen during RL.

    One that holds something open may have a method ``close``, which is called at the end.
    """

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> Sequence[str]:
        """One reflection per state, in order, independent of the batch's composition."""


class Saved(Protocol):
    """Something whose weights lie in a folder."""

    def save(self, folder: Path) -> None:
        """Write the weights."""

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""


class TrainableReflector(Reflector, Saved, Protocol):
    """What a reflector offers whose spec says ``trainable``: :class:`Saved`, and a warm-up."""

    def fit(
        self, examples: Sequence[Example], *, progress: Callable[[int, float], None]
    ) -> list[float]:
        """Warm up on the teacher's reflections; returns losses, and tells each with its update."""


@runtime_checkable
class Teacher(Protocol):
    """What a reflector offers whose spec says ``teaches``: examples for the warm-up."""

    def advise(
        self, questions: Sequence[Question], draws: Sequence[Draws]
    ) -> Sequence[Advice | None]:
        """One answer per question, in order; None where there is none to be had."""


@runtime_checkable
class Policy(Protocol):
    """Chooses one of the legal actions for each state; plain values in and out."""

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        """One choice per state, in order."""


class Weights(Protocol):
    """Something whose weights are in memory, as far as the loop saves and restores them."""

    def state_dict(self) -> dict[str, Any]:
        """Copies of the trainable tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


class TrainablePolicy(Policy, Weights, Saved, Protocol):
    """What a policy offers whose spec says ``trainable``: :class:`Weights` and :class:`Saved` too.

    A trainer finds it as ``context.policy``. The trainers that ship with reflect update ``lm``, or
    what is derived of its class (:class:`reflect_core.lm.policy.LmPolicy`), and refuse any other.
    """

    def fit(
        self,
        examples: Sequence[Example],
        *,
        reflect: float,
        progress: Callable[[int, float], None],
    ) -> list[float]:
        """Warm up on the teacher's turns, the share ``reflect`` of them with a reflection.

        Returns losses, and tells each with its update.
        """


@runtime_checkable
class Trainer(Protocol):
    """Improves the policy from episodes.

    One that compares episodes of the same task has an attribute ``group_size: int`` besides:
    each task that the curriculum assigns is then played so many times. Where it compares others
    than those, an attribute ``compared: int`` of 1 says so, and no alarm is sounded over groups
    whose episodes all end alike.
    """

    def update(self, trajectories: Sequence[Trajectory], *, iteration: int) -> Mapping[str, float]:
        """One update from one iteration's episodes; returns what to log.

        Raises:
            NonFiniteLoss: The loss or the gradient is NaN or infinite.
        """

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors and plain values that, loaded, continue the training exactly."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state_dict`` gave."""


@runtime_checkable
class Curriculum(Protocol):
    """Chooses which tasks and stages come next."""

    def assign(self, episodes: int, *, iteration: int) -> Sequence[Assignment]:
        """Assignments whose group sizes add up to ``episodes``."""

    def observe(self, trajectories: Sequence[Trajectory]) -> Mapping[str, float]:
        """Learn from an iteration's outcomes; returns what to log."""

    def state_dict(self) -> Mapping[str, Any]:
        """JSON-like state, for the checkpoint."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state_dict`` gave."""
