"""Whose mistake it was: a run's players beside the environment's expert, turn by turn.

A table of success does not tell which of the two players fails. Here every turn is compared with
what the expert would do: whether the reflection names its action, and whether the policy takes it.
The expert shows one right way of perhaps several; to part from it is not always a mistake, which
is why the episodes that failed are counted apart, by the last turn that did. Where the expert
itself names no action it took any, and those turns are a kind of their own. Where a reflection
leaves a choice between actions, it is right if the expert's is among them; what the policy makes
of such choices is counted too, since a habit shows there.

Either player can be taken out: a policy that hears the expert shows its own mistakes alone, a
reflector whose words are followed shows its own.
"""

from __future__ import annotations

import enum
import itertools
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs

from reflect_core.baselines import ExpertReflector, FollowPolicy
from reflect_core.dropped import check_failures, sound_failures
from reflect_core.errors import ReflectError
from reflect_core.grounding import alternatives
from reflect_core.protocols import Expert, Policy
from reflect_core.records import Choice, Draws, State, Trajectory
from reflect_core.rollout import Episode, evaluation_episodes
from reflect_core.session import Session

__all__ = ["Diagnosis", "Did", "Said", "Turn", "diagnose"]


class Said(enum.Enum):
    """Which legal action the reflection names."""

    RIGHT = "the expert's"
    ANOTHER = "another"
    NONE = "none"
    SILENT = "(no reflection)"


class Did(enum.Enum):
    """Which action the policy takes."""

    RIGHT = "the expert's"
    NAMED = "a named one"
    ANOTHER = "another"
    OPEN = "left open"


@attrs.frozen
class Turn:
    """One turn of an episode.

    Args:
        task_id: Of its task.
        number: Its place in the episode, from 0.
        observation: What was seen.
        expert: What the expert would have done.
        advice: What it would have said.
        reflection: What the reflector said.
        named: The legal action that this names; several where it leaves a choice between them,
            in its order, none where it names none.
        taken: What the policy did.
        left_open: The expert, who names actions elsewhere, named none here: it took any, and to
            take the same would be luck.
    """

    task_id: str
    number: int
    observation: str
    expert: str
    advice: str
    reflection: str
    named: Sequence[str]
    taken: str
    left_open: bool = False

    @property
    def said(self) -> Said:
        """Which legal action the reflection names."""
        if not self.reflection:
            return Said.SILENT
        if not self.named:
            return Said.NONE
        is_right = self.expert in self.named and not self.left_open
        return Said.RIGHT if is_right else Said.ANOTHER

    @property
    def did(self) -> Did:
        """Which action the policy takes."""
        if self.left_open:
            return Did.OPEN
        if self.taken == self.expert:
            return Did.RIGHT
        return Did.NAMED if self.taken in self.named else Did.ANOTHER


@attrs.frozen
class Diagnosis:
    """What the comparison found.

    Args:
        episodes: The turns of each episode.
        successes: Whether each succeeded.
        alone: Turns that are not among these, as the expert had given up.
    """

    episodes: Sequence[Sequence[Turn]]
    successes: Sequence[bool]
    alone: int = 0

    def counts(self) -> Counter[tuple[Said, Did]]:
        """Number of turns by what was said and what was done."""
        return Counter((turn.said, turn.did) for episode in self.episodes for turn in episode)

    def choices(self) -> dict[int, list[int]]:
        """What the policy takes where a reflection leaves the choice between two actions or more.

        Returns:
            By how many are named, K: the number of turns at which the first was taken, the second
            and so on, and last at which it was none of them; K + 1 counts.
        """
        found: dict[int, list[int]] = {}
        for turn in itertools.chain.from_iterable(self.episodes):
            ways = len(turn.named)
            if ways < 2:
                continue
            counts = found.setdefault(ways, [0] * (ways + 1))
            counts[turn.named.index(turn.taken) if turn.taken in turn.named else ways] += 1
        return found

    def partings(self) -> list[Turn | None]:
        """Of each failed episode the last turn that was not the expert's.

        One that the expert left open only where there is no other. None where there is none at
        all: the episode was lost although, or because, the expert was followed.
        """
        failed = (
            episode
            for episode, success in zip(self.episodes, self.successes, strict=True)
            if not success
        )
        return [
            _last(episode, Did.NAMED, Did.ANOTHER) or _last(episode, Did.OPEN) for episode in failed
        ]


def _last(episode: Sequence[Turn], *kinds: Did) -> Turn | None:
    return next((turn for turn in reversed(episode) if turn.did in kinds), None)


class _Watched:
    """A policy whose hints are kept, by the names of the turns' random numbers."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.states: dict[tuple[str | int, ...], State] = {}

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> Sequence[Choice]:
        self.states.update({each.name: state for each, state in zip(draws, states, strict=True)})
        return self._policy.act(states, reflections, draws, greedy=greedy)


def diagnose(
    session: Session,
    *,
    split: str,
    episodes: int,
    player: str,
    greedy: bool,
    reflector: str = "own",
) -> Diagnosis:
    """Play episodes, and compare every turn with the expert.

    Args:
        session: Of a run whose players have learnt.
        split: train, valid or test.
        episodes: How many are played; they are those of an evaluation.
        player: Whose policy: ``trained`` is that after RL, ``warmup`` that before. One that
            does not learn is the same in both. ``follow`` takes the named action.
        greedy: Argmax for both players instead of sampling.
        reflector: ``own`` is that of the run; ``expert`` says what the environment's expert says.

    Raises:
        ReflectError: The environment has no expert, the split no tasks, or a player has not
            learnt yet.
    """
    policy_folder = _policy_folder(session, player, reflector)
    if not isinstance(session.environment, Expert):
        raise ReflectError(
            f"the environment {session.settings.env.name!r} has no expert to compare with",
            why="it does not implement expert_action and expert_reflection",
            then="diagnose a run of an environment that has one",
        )
    session.take_up(policy_folder)
    planned = evaluation_episodes(
        session.tasks(split),
        episodes,
        seed=session.settings.seed,
        stage=session.env_spec.stages[-1],
    )
    if not planned:
        raise ReflectError(f"there are no {split} tasks", then="another --split")
    watched = _Watched(FollowPolicy() if player == "follow" else session.policy)
    speaker = ExpertReflector() if reflector == "expert" else session.reflector
    collector = session.collector(speaker, watched, needs_expert=True)
    played = collector.play(planned, greedy=greedy)
    check_failures(played.failures, played.episodes, session.settings.rollout.failed_episodes)
    sound_failures(played.failures, session.alarms)
    by_index = {episode.index: episode for episode in planned}
    found = [_turns(by_index[each.episode], each, watched) for each in played.trajectories]
    if all(turn.left_open for turn in itertools.chain.from_iterable(found)):
        # it never names an action, and means one all the same
        found = [[attrs.evolve(turn, left_open=False) for turn in turns] for turns in found]
    return Diagnosis(
        found,
        [each.success for each in played.trajectories],
        sum(each.turns for each in played.trajectories) - sum(map(len, found)),
    )


def _policy_folder(session: Session, player: str, reflector: str) -> Path:
    """Where the policy lies, if all that will play have learnt."""
    folder = session.folder
    path, stage = (folder.policy, "train") if player == "trained" else (folder.warmup, "sft")
    wanted = []
    if session.policy_spec.trainable and player != "follow":
        wanted.append((path, f"policy {player!r}", stage))
    if session.reflector_spec.trainable and reflector == "own":
        wanted.append((folder.reflector, "reflector", "sft"))
    for weights, what, its_stage in wanted:
        if not (weights.exists() or folder.finished(its_stage)):
            raise ReflectError(
                f"{folder.path} has no {what} yet",
                why=f"its stage {its_stage} is not done",
                then=f"reflect {its_stage} {shlex.quote(str(folder.path))}",
            )
    return path


def _turns(episode: Episode, trajectory: Trajectory, watched: _Watched) -> list[Turn]:
    turns = []
    for number, turn in enumerate(trajectory.transitions):
        state = watched.states[episode.turn_name(number)]
        assert state.hint is not None
        if state.hint.given_up:
            continue  # there is nobody to compare with
        legal = turn.observation.legal_actions
        turns.append(
            Turn(
                trajectory.task.task_id,
                number,
                turn.observation.text,
                state.hint.action,
                state.hint.reflection,
                turn.reflection,
                [legal[index] for index in alternatives(turn.reflection, legal)],
                turn.action,
                left_open=not alternatives(state.hint.reflection, legal),
            )
        )
    return turns
