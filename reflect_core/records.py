"""The values that flow through a run, from task to advantage, as frozen attrs classes.

Shapes in comments: ``T`` tokens, ``K`` legal actions, ``L`` turns of an episode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Tokens = npt.NDArray[np.int32]
    Hidden = npt.NDArray[np.float32]
else:
    Tokens = Hidden = Any  # numpy is not imported for an annotation's sake


SPLITS = ("train", "valid", "test")
"""What tasks are for: to learn from, to choose by, to report on."""


def _no_tokens() -> Tokens:
    import numpy as np  # here, so that the plugin API can be imported without it

    return np.zeros(0, np.int32)


# functions and not `tuple` and `dict` themselves: a type checker can read their signatures
def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(words)


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(table)


def _plain(value: Any) -> Any:
    """A number as Python has it: engines return numpy's, which JSON cannot hold."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


@attrs.frozen
class Task:
    """One thing to solve: what a curriculum hands out and an environment resets to.

    Args:
        task_id: Unique within the environment and its options, stable between processes.
        split: One of :data:`SPLITS`.
        text: The instruction as the models read it.
        level: Difficulty, 1 is easiest; what it counts is the environment's to say.
        practice: Made for RL alone: no teacher shows it. Only tasks of the train split.
        data: What the environment needs besides to build the episode, JSON-like.
    """

    task_id: str
    split: str
    text: str
    level: int = attrs.field(default=1, converter=_plain)
    practice: bool = attrs.field(default=False, converter=_plain)
    data: Mapping[str, Any] = attrs.field(factory=dict, converter=_table, eq=False, repr=False)


@attrs.frozen
class Observation:
    """What the environment shows now; only what is new, the core keeps the history.

    Args:
        text: Valid UTF-8 of bounded length.
        legal_actions: The menu: unique, non-blank, non-empty while the episode runs.
        state_key: Equal keys of one task promise equal states (step-level groups need it): the
            same menu, and the same may come of each action.
    """

    text: str
    legal_actions: tuple[str, ...] = attrs.field(converter=_words)
    state_key: str | None = None


@attrs.frozen
class Step:
    """The environment's answer to an action.

    Args:
        observation: The state reached (of the end, when the episode is over).
        reward: Of the task itself, higher is better.
        shaping: Extra reward of a training stage, never counted in evaluation.
        terminated: The task ended, solved or not; its horizon counts as this.
        truncated: A limit of the learner's cut the episode: its value is bootstrapped.
        success: The task was solved; true only in the last step.
        info: Diagnostics for logs and people, never seen by a model.
    """

    observation: Observation
    reward: float = attrs.field(converter=_plain)
    terminated: bool = attrs.field(default=False, converter=_plain)
    truncated: bool = attrs.field(default=False, converter=_plain)
    success: bool = attrs.field(default=False, converter=_plain)
    shaping: float = attrs.field(default=0.0, converter=_plain)
    info: Mapping[str, Any] = attrs.field(factory=dict, converter=_table, eq=False)

    @property
    def over(self) -> bool:
        """Whether the episode ended with this step."""
        return self.terminated or self.truncated


@attrs.frozen
class PastTurn:
    """A turn that lies behind: the observation acted on and the action taken."""

    observation: str
    action: str


@attrs.frozen
class Hint:
    """What an environment's expert knows at a state.

    Args:
        action: What it would do.
        reflection: What a teacher would say.
        given_up: It knows nothing: the action is any, and nothing is said.
    """

    action: str
    reflection: str
    given_up: bool = False


@attrs.frozen
class State:
    """All that the players may read at one turn, as plain text.

    Args:
        task: The task of the episode.
        observation: The present observation with the legal actions.
        history: Past turns, oldest first.
        hint: The expert's word; filled only for parts whose spec says ``needs_expert``.
    """

    task: Task
    observation: Observation
    history: tuple[PastTurn, ...] = ()
    hint: Hint | None = None

    @property
    def turn(self) -> int:
        """Index of the turn, 0 is the first."""
        return len(self.history)


@attrs.frozen
class Draws:
    """The random numbers of one turn of one episode, all named by (seed, episode, turn).

    Args:
        seed: The run's seed.
        name: Names the episode and the turn.
    """

    seed: int
    name: tuple[str | int, ...]

    def stream(self, purpose: str) -> np.random.Generator:
        """A fresh generator for one purpose (``menu``, ``action``, ``reflection``)."""
        from reflect_core.streams import stream

        return stream(self.seed, *self.name, purpose)

    def again(self, attempt: int) -> Draws:
        """Other random numbers of the same turn, for what is drawn anew."""
        return Draws(self.seed, (*self.name, "again", attempt))


@attrs.frozen
class Choice:
    """A policy's answer at one turn, with all that an update needs to recompute it.

    Args:
        index: Position of the action in ``observation.legal_actions``.
        logprob: Log-probability in nats under the sampler's own distribution.
        probabilities: Over the legal actions, in their order; shape (K,).
        value: The critic's estimate of the return from here, 0 without a critic.
        prompt_ids: The tokens that the model read; shape (T,). Empty for model-free policies.
        label_ids: Label token of each legal action, in the order of ``legal_actions``; (K,).
        temperature: Of the sampler; 0 means argmax.
        weights_version: Counts the updates of the weights that chose.
        truncated_turns: Past turns that were dropped to make the prompt fit.
        hidden: The last hidden state, shape (D,), where a trainer has asked the policy ``lm`` for
            it: what a critic reads.
    """

    index: int
    logprob: float = 0.0
    probabilities: tuple[float, ...] = ()
    value: float = 0.0
    prompt_ids: Tokens = attrs.field(factory=_no_tokens, eq=False, repr=False)
    label_ids: Tokens = attrs.field(factory=_no_tokens, eq=False, repr=False)
    temperature: float = 1.0
    weights_version: int = 0
    truncated_turns: int = 0
    hidden: Hidden | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen
class Transition:
    """One turn: what was read, said and done, and what came of it."""

    observation: Observation
    reflection: str
    choice: Choice
    reward: float
    shaping: float = 0.0

    @property
    def action(self) -> str:
        """The text of the chosen action."""
        return self.observation.legal_actions[self.choice.index]


@attrs.frozen
class Trajectory:
    """One episode.

    Args:
        episode: Index within its iteration or evaluation.
        task: What was to be solved.
        stage: The environment's stage, None for the final one.
        transitions: The L turns, in order.
        terminated, truncated, success: As in :class:`Step`, of the last turn.
        final_value: The critic's value of the state after the last turn; used only where
            the episode was truncated.
        group: Episodes of one group start from the same task (step-level baselines).
        learn_turns: Only so many turns, from the first, are learnt from; None for all.
        replayed: It was played by an earlier policy, solved, and is learnt from once more.
        weight: What a replayed episode counts as in an estimate of the success rate; see
            :class:`reflect_core.replay.ReplayBuffer`. Nothing is read from it in others.
    """

    episode: int
    task: Task
    stage: str | None
    transitions: tuple[Transition, ...]
    terminated: bool
    truncated: bool
    success: bool
    final_value: float = 0.0
    group: int = 0
    learn_turns: int | None = None
    replayed: bool = False
    weight: float = 1.0

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the task's rewards, without shaping."""
        return float(sum(t.reward for t in self.transitions))

    @property
    def turns(self) -> int:
        """Number of actions taken."""
        return len(self.transitions)


@attrs.frozen
class Assignment:
    """What a curriculum hands to the rollout.

    Args:
        task: What is to be solved.
        stage: One of the environment's stages, None for the final one.
        group_size: Episodes of this task; they share the environment's seed.
        learn_turns: As in :class:`Trajectory`.
    """

    task: Task
    stage: str | None = None
    group_size: int = 1
    learn_turns: int | None = None


@attrs.frozen
class Example:
    """One supervised turn, from which both players learn.

    Args:
        kind: ``positive`` (on the expert's path) or ``negative`` (after a wrong move).
        wrong_action: The move that was wrong, for negatives.
    """

    kind: str
    state: State
    reflection: str
    action: str
    wrong_action: str | None = None


@attrs.frozen
class Question:
    """What a teacher is asked about one turn.

    Args:
        state: What the players see.
        spoiler: The right action, which the answer may use but must not mention; None where
            the teacher is to find one itself.
        wrong_action: The last action, where it is known to have been wrong: why?
    """

    state: State
    spoiler: str | None = None
    wrong_action: str | None = None


@attrs.frozen
class Advice:
    """A teacher's answer.

    Args:
        reflection: What a reflector should learn to say in that state.
        action: The legal action that it would take; None where it was given the right one.
    """

    reflection: str
    action: str | None = None
