"""Playing episodes: many environments in lock-step, one batched model call per player a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from reflect_core.errors import EnvironmentFailure, ReflectError
from reflect_core.grounding import without_actions
from reflect_core.protocols import Environment, Expert, Policy, Reflector
from reflect_core.records import (
    Assignment,
    Draws,
    Hint,
    Observation,
    PastTurn,
    State,
    Task,
    Trajectory,
    Transition,
)
from reflect_core.streams import stream, stream_seed


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


@attrs.define
class _Live:
    """An episode in progress."""

    environment: Environment
    episode: Episode
    observation: Observation
    history: list[PastTurn] = attrs.field(factory=list)
    transitions: list[Transition] = attrs.field(factory=list)
    over: bool = False
    terminated: bool = False
    truncated: bool = False
    success: bool = False

    def draws(self, seed: int) -> Draws:
        return Draws(seed, (*self.episode.name, "turn", len(self.history)))


class Collector:
    """Plays episodes with a reflector and a policy.

    Episodes run in cohorts of ``num_envs`` by their index, never by arrival, so that the
    batches of the model calls, and with them the last bits of the results, repeat.

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
        for environment in self._environments:
            environment.close()
        self._environments.clear()

    def _cohort(
        self, episodes: Sequence[Episode], greedy: bool, failures: list[str]
    ) -> list[Trajectory]:
        while len(self._environments) < len(episodes):
            self._environments.append(self.make_environment())
        live: list[_Live] = []
        for place, episode in enumerate(episodes):
            environment = self._environments[place]
            try:
                observation = environment.reset(
                    episode.task, seed=episode.environment_seed, stage=episode.stage
                )
            except Exception as error:  # noqa: BLE001 - any fault of a plugin; counted
                self._failed(place, episode, error, failures)
            else:
                live.append(_Live(environment, episode, observation))
        finished: dict[int, Trajectory] = {}
        while running := [one for one in live if not one.over]:
            for one in self._turn(running, greedy, failures):
                finished[one.episode.index] = self._trajectory(one, greedy)
        return [finished[index] for index in sorted(finished)]

    def _turn(self, running: Sequence[_Live], greedy: bool, failures: list[str]) -> Iterator[_Live]:
        """One turn of every running episode; yields those that ended well."""
        states = [self._state(one) for one in running]
        draws = [one.draws(self.seed) for one in running]
        reflections = self._reflect(states, draws, greedy)
        choices = self.policy.act(states, reflections, draws, greedy=greedy)
        for one, reflection, choice in zip(running, reflections, choices, strict=True):
            action = one.observation.legal_actions[choice.index]
            try:
                step = one.environment.step(action)
            except Exception as error:  # noqa: BLE001 - any fault of a plugin; counted
                one.over = True
                self._failed(
                    self._environments.index(one.environment), one.episode, error, failures
                )
                continue
            one.transitions.append(
                Transition(one.observation, reflection, choice, step.reward, step.shaping)
            )
            one.history.append(PastTurn(one.observation.text, action))
            one.observation = step.observation
            if step.over:
                one.over = True
                one.terminated, one.truncated = step.terminated, step.truncated
                one.success = step.success
                yield one

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

    def _state(self, one: _Live) -> State:
        hint = None
        if self.needs_expert:
            if not isinstance(one.environment, Expert):
                raise ReflectError(
                    "this environment has no expert to ask",
                    why="it does not implement expert_action and expert_reflection",
                    then="choose a reflector and a policy that need none",
                )
            hint = Hint(one.environment.expert_action(), one.environment.expert_reflection())
        return State(one.episode.task, one.observation, tuple(one.history), hint)

    def _trajectory(self, one: _Live, greedy: bool) -> Trajectory:
        final_value = 0.0
        if one.truncated and one.observation.legal_actions:
            # the learner's limit cut the episode: what would have followed is estimated
            state, draws = self._state(one), one.draws(self.seed)
            reflections = self._reflect([state], [draws], greedy)
            final_value = self.policy.act([state], reflections, [draws], greedy=greedy)[0].value
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

    def _failed(self, place: int, episode: Episode, error: Exception, failures: list[str]) -> None:
        failures.append(f"{episode.task.task_id}: {type(error).__name__}: {error}")
        try:
            self._environments[place].close()
        except Exception as closing:  # noqa: BLE001 - it is thrown away in any case
            failures[-1] += f" (and close raised {type(closing).__name__})"
        self._environments[place] = self.make_environment()


def asked(draws: Draws, probability: float) -> bool:
    """Whether a turn has a reflection; 0 and 1 draw nothing."""
    if probability in (0.0, 1.0):
        return probability == 1.0
    return bool(draws.stream("ask").random() < probability)


def check_failures(played: Played, limit: float) -> None:
    """Stop when too large a share of the episodes failed.

    Raises:
        EnvironmentFailure: More than ``limit`` of the episodes were dropped.
    """
    total = len(played.trajectories) + len(played.failures)
    if played.failures and len(played.failures) > limit * total:
        raise EnvironmentFailure(
            f"{len(played.failures)} of {total} episodes failed in the environment",
            why=played.failures[0],
            then="mend the environment and resume, or raise rollout.failed_episodes",
        )
