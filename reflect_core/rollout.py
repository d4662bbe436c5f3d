"""Playing episodes: many environments in lock-step, one batched model call per player a turn."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence

import attrs

from reflect_core.dropped import close_all, concerns_all, renewed, told_failure
from reflect_core.errors import EpisodeOver, ReflectError
from reflect_core.grounding import without_actions
from reflect_core.hints import hint_of
from reflect_core.protocols import Environment, Expert, Policy, Reflector
from reflect_core.records import (
    Assignment,
    Choice,
    Draws,
    Observation,
    PastTurn,
    State,
    Step,
    Task,
    Trajectory,
    Transition,
)
from reflect_core.streams import stream, stream_seed
from reflect_core.workers import Pipelined


@attrs.frozen
class Episode:
    """An episode to be played.

    Args:
        index: Its place in the iteration or evaluation.
        task, stage, group, learn_turns: As in :class:`reflect_core.records.Trajectory`.
        name: Names the random numbers of its players.
        environment_seed: What the environment is reset with.
    """

    index: int
    task: Task
    stage: str | None
    group: int
    name: tuple[str | int, ...]
    environment_seed: int
    learn_turns: int | None = None

    def turn_name(self, number: int) -> tuple[str | int, ...]:
        """Names the random numbers of one of its turns, counted from 0."""
        return (*self.name, "turn", number)


@attrs.define
class Played:
    """What came of a list of episodes, in their order.

    Args:
        trajectories: Those that were played to their end.
        failures: What environments raised, one text per episode that was dropped.
    """

    trajectories: list[Trajectory]
    failures: list[str]

    @property
    def episodes(self) -> int:
        """How many there were, with those that were dropped."""
        return len(self.trajectories) + len(self.failures)

    @property
    def turns(self) -> int:
        """Actions taken in all."""
        return sum(trajectory.turns for trajectory in self.trajectories)

    @property
    def truncated_prompts(self) -> int:
        """Turns whose prompt lost some of its history."""
        return sum(
            turn.choice.truncated_turns > 0
            for trajectory in self.trajectories
            for turn in trajectory.transitions
        )


def training_episodes(
    assignments: Sequence[Assignment], *, seed: int, iteration: int
) -> list[Episode]:
    """The episodes of an iteration; those of one group share task and environment seed."""
    episodes: list[Episode] = []
    for group, assignment in enumerate(assignments):
        environment_seed = stream_seed(seed, "train", iteration, "group", group)
        for _ in range(assignment.group_size):
            index = len(episodes)
            episodes.append(
                Episode(
                    index,
                    assignment.task,
                    assignment.stage,
                    group,
                    ("train", iteration, index),
                    environment_seed,
                    assignment.learn_turns,
                )
            )
    return episodes


def evaluation_episodes(
    tasks: Sequence[Task], episodes: int, *, seed: int, stage: str
) -> list[Episode]:
    """Episodes over the tasks in turn; named by task, so that every policy plays the same.

    The order is shuffled, the same for every seed: environments list tasks by kind or level,
    and the first few would not stand for all.
    """
    planned = []
    order = stream(0, "eval", "order").permutation(len(tasks))
    for index in range(episodes if tasks else 0):
        task, visit = tasks[int(order[index % len(tasks)])], index // len(tasks)
        name = ("eval", task.split, task.task_id, visit)
        planned.append(
            Episode(index, task, stage, index, name, stream_seed(seed, *name, "environment"))
        )
    return planned


@attrs.define(eq=False)
class _Live:
    """An episode in progress.

    Args:
        place: Of its environment among the collector's.
        awaited: The call that was begun and whose answer is still to be had.
    """

    place: int
    environment: Environment
    episode: Episode
    awaited: Callable[[], Observation | Step]
    observation: Observation = attrs.field(init=False)
    reflection: str = ""
    choice: Choice | None = None
    history: list[PastTurn] = attrs.field(factory=list)
    transitions: list[Transition] = attrs.field(factory=list)
    over: bool = False
    terminated: bool = False
    truncated: bool = False
    success: bool = False

    def draws(self, seed: int) -> Draws:
        return Draws(seed, self.episode.turn_name(len(self.history)))

    def act(self, reflection: str, choice: Choice) -> None:
        """Begin a turn."""
        self.reflection, self.choice = reflection, choice
        self.awaited = begin_step(self.environment, self.observation.legal_actions[choice.index])

    def take(self, answer: Observation | Step) -> None:
        """The environment's answer to the reset or to the turn that was begun."""
        if isinstance(answer, Observation):
            self.observation = answer
            return
        assert self.choice is not None
        turn = Transition(
            self.observation, self.reflection, self.choice, answer.reward, answer.shaping
        )
        self.transitions.append(turn)
        self.history.append(PastTurn(self.observation.text, turn.action))
        self.observation = answer.observation
        self.over = answer.over
        self.terminated, self.truncated = answer.terminated, answer.truncated
        self.success = answer.success


def begin_reset(environment: Environment, episode: Episode) -> Callable[[], Observation]:
    """Begin an episode; the result waits for what is seen. In this process, it does the work."""
    task, seed, stage = episode.task, episode.environment_seed, episode.stage
    if isinstance(environment, Pipelined):
        return environment.begin_reset(task, seed=seed, stage=stage)
    return functools.partial(environment.reset, task, seed=seed, stage=stage)


def begin_step(environment: Environment, action: str) -> Callable[[], Step]:
    """Begin a turn, in the same way."""
    if isinstance(environment, Pipelined):
        return environment.begin_step(action)
    return functools.partial(environment.step, action)


class Collector:
    """Plays episodes with a reflector and a policy.

    Episodes run in cohorts of ``num_envs`` by their index, never by arrival, so that the
    batches of the model calls, and with them the last bits of the results, repeat. Where the
    environments work in other processes, a cohort is played in two halves: one is with the
    players while the other steps.

    Args:
        make_environment: Builds one environment; called up to ``num_envs`` times.
        reflector, policy: The players.
        seed: Root of the random streams.
        num_envs: Episodes side by side.
        needs_expert: Ask the environment's expert at each turn.
        reflect_probability: Chance that the reflector is asked at a turn.
        name_actions: Whether reflections may name legal actions; else these are cut out.
    """

    def __init__(
        self,
        make_environment: Callable[[], Environment],
        reflector: Reflector,
        policy: Policy,
        *,
        seed: int,
        num_envs: int,
        needs_expert: bool = False,
        reflect_probability: float = 1.0,
        name_actions: bool = True,
    ) -> None:
        self.make_environment = make_environment
        self.reflector = reflector
        self.policy = policy
        self.seed = seed
        self.num_envs = num_envs
        self.needs_expert = needs_expert
        self.reflect_probability = reflect_probability
        self.name_actions = name_actions
        self.waited = 0.0
        """Seconds in which environments were at work, or waited for, and no model was."""
        self._environments: list[Environment] = []

    def play(
        self,
        episodes: Sequence[Episode],
        *,
        greedy: bool,
        progress: Callable[[Sequence[Trajectory]], None] = lambda done: None,
    ) -> Played:
        """Play all episodes to their end.

        Args:
            episodes: Which ones.
            greedy: Argmax for both players instead of sampling.
            progress: Called with the trajectories of each finished cohort.

        An environment that raises is rebuilt and its episode dropped and counted; it never
        becomes an episode of reward 0.
        """
        played = Played([], [])
        for start in range(0, len(episodes), self.num_envs):
            done = self._cohort(episodes[start : start + self.num_envs], greedy, played.failures)
            played.trajectories.extend(done)
            progress(done)
        return played

    def close(self) -> None:
        """Close all environments."""
        close_all(self._environments)
        self._environments.clear()

    def _cohort(
        self, episodes: Sequence[Episode], greedy: bool, failures: list[str]
    ) -> list[Trajectory]:
        while len(self._environments) < len(episodes):
            with self._waiting():
                self._environments.append(self._new_environment())
        live = [
            _Live(place, environment, episode, begin_reset(environment, episode))
            for place, (environment, episode) in enumerate(
                zip(self._environments, episodes, strict=False)
            )
        ]
        # the environments of one half are at work while the model is on the other
        apart = any(isinstance(one.environment, Pipelined) for one in live)
        middle = (len(live) + 1) // 2 if apart else len(live)
        halves = [half for half in (live[:middle], live[middle:]) if half]
        finished: dict[int, Trajectory] = {}
        while not all(one.over for one in live):
            for half in halves:
                for one in self._answered(half, failures):
                    if one.over and (ended := self._trajectory(one, greedy, failures)):
                        finished[one.episode.index] = ended
                self._act([one for one in half if not one.over], greedy, failures)
        return [finished[index] for index in sorted(finished)]

    def _answered(self, part: Sequence[_Live], failures: list[str]) -> Iterator[_Live]:
        """Wait for the environments; yields the episodes that were not dropped."""
        for one in part:
            if one.over:
                continue
            try:
                with self._waiting():
                    answer = one.awaited()
            except Exception as error:  # noqa: BLE001 - any fault of a plugin; counted
                one.over = True
                self._failed(one, error, failures)
            else:
                one.take(answer)
                yield one

    def _act(self, live: Sequence[_Live], greedy: bool, failures: list[str]) -> None:
        """Let the players choose, and begin what they chose."""
        seen = [(one, state) for one in live if (state := self._state(one, failures))]
        if not seen:
            return
        running, states = [one for one, _ in seen], [state for _, state in seen]
        draws = [one.draws(self.seed) for one in running]
        reflections = self._reflect(states, draws, greedy)
        choices = self.policy.act(states, reflections, draws, greedy=greedy)
        for one, reflection, choice in zip(running, reflections, choices, strict=True):
            one.act(reflection, choice)

    def _reflect(self, states: Sequence[State], draws: Sequence[Draws], greedy: bool) -> list[str]:
        """One reflection per state, empty where the reflector is not asked."""
        reflections = [""] * len(states)
        rows = [i for i, draw in enumerate(draws) if asked(draw, self.reflect_probability)]
        if rows:
            written = self.reflector.reflect(
                [states[i] for i in rows], [draws[i] for i in rows], greedy=greedy
            )
            for row, text in zip(rows, written, strict=True):
                legal = states[row].observation.legal_actions
                reflections[row] = text if self.name_actions else without_actions(text, legal)
        return reflections

    def _state(self, one: _Live, failures: list[str]) -> State | None:
        """What the players see; None where the expert raised, and the episode is dropped.

        Raises:
            EpisodeOver: The episode was cut, and its expert has nothing to say any more.
        """
        hint = None
        if self.needs_expert:
            if not isinstance(one.environment, Expert):
                raise ReflectError(
                    "this environment has no expert to ask",
                    why="it does not implement expert_action and expert_reflection",
                    then="choose a reflector and a policy that need none",
                )
            try:
                with self._waiting():
                    hint = hint_of(one.environment, one.observation)
            except Exception as error:  # any fault of a plugin; counted
                if concerns_all(error) or (one.truncated and isinstance(error, EpisodeOver)):
                    raise
                one.over = True
                self._failed(one, error, failures)
                return None
        return State(one.episode.task, one.observation, tuple(one.history), hint)

    def _final_value(self, one: _Live, greedy: bool, failures: list[str]) -> float | None:
        """What would have followed where the learner's limit cut an episode, by the policy.

        0 for others, and where nothing shows it; None where the episode is dropped after all.
        """
        if not one.truncated or not one.observation.legal_actions:
            return 0.0
        try:
            state = self._state(one, failures)
        except EpisodeOver:
            return 0.0
        if state is None:
            return None
        draws = one.draws(self.seed)
        reflections = self._reflect([state], [draws], greedy)
        return self.policy.act([state], reflections, [draws], greedy=greedy)[0].value

    def _trajectory(self, one: _Live, greedy: bool, failures: list[str]) -> Trajectory | None:
        """The episode; None where it is dropped after all."""
        final_value = self._final_value(one, greedy, failures)
        if final_value is None:
            return None
        return Trajectory(
            episode=one.episode.index,
            task=one.episode.task,
            stage=one.episode.stage,
            transitions=tuple(one.transitions),
            terminated=one.terminated,
            truncated=one.truncated,
            success=one.success,
            final_value=final_value,
            group=one.episode.group,
            learn_turns=one.episode.learn_turns,
        )

    def _failed(self, one: _Live, error: Exception, failures: list[str]) -> None:
        failures.append(told_failure(one.episode.task, error))
        with self._waiting():
            self._environments[one.place] = renewed(one.environment, self._new_environment)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - started

    def _new_environment(self) -> Environment:
        environment = self.make_environment()
        if isinstance(environment, Pipelined):
            environment.foresee = self.needs_expert
        return environment


def asked(draws: Draws, probability: float) -> bool:
    """Whether a turn has a reflection; 0 and 1 draw nothing."""
    if probability in (0.0, 1.0):
        return probability == 1.0
    return bool(draws.stream("ask").random() < probability)
