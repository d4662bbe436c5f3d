"""An episode in a person's hands, with what the players of a run would do, if one is given."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core import config
from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError, ReflectError, choices
from reflect_core.folders import open_run
from reflect_core.grounding import without_actions
from reflect_core.hints import hint_of
from reflect_core.hookspecs import TrainerSpec
from reflect_core.plugins import Offer, Registry
from reflect_core.progress import QuietProgress
from reflect_core.protocols import Environment, Expert
from reflect_core.records import SPLITS, Draws, State, Step, Task
from reflect_core.rollout import asked
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.settings import Settings
from reflect_core.streams import stream, stream_seed
from reflect_core.teach import Walk

__all__ = ["SPLITS", "Counsel", "Game", "Players", "Table", "table"]


@attrs.frozen
class Counsel:
    """What a run's players make of a state.

    Args:
        reflection: The reflector's words, empty where it says nothing.
        probabilities: The policy's, of the legal actions in their order.
        index: Of the action that it would take.
    """

    reflection: str
    probabilities: Sequence[float]
    index: int


class Players:
    """The reflector and the policy of a run, as far as it has come.

    Args:
        session: The run.

    Raises:
        ReflectError: Its policy has not learnt anything yet.
    """

    def __init__(self, session: Session) -> None:
        folder = session.folder
        weights, self.stage = folder.policy, "after RL"
        if not folder.finished("train"):
            weights, self.stage = folder.warmup, "after the warm-up"
        if not session.policy_spec.trainable:
            self.stage = session.settings.policy.name
        elif not (weights.exists() or folder.finished("train") or folder.finished("sft policy")):
            raise ReflectError(
                f"{folder.path} has no policy yet",
                why="neither its warm-up nor its RL is done",
                then=f"reflect run --resume {shlex.quote(str(folder.path))}",
            )
        session.take_up(weights)
        self._session = session
        self._needs_expert = session.policy_spec.needs_expert or session.reflector_spec.needs_expert

    def counsel(self, state: State, environment: Environment, draws: Draws) -> Counsel:
        """What they would say and do, both taking the likeliest."""
        if self._needs_expert:
            if not isinstance(environment, Expert):
                raise ReflectError(
                    "this environment has no expert to ask",
                    why="the players of this run follow one",
                    then="leave out --policy, or take another run",
                )
            hint = hint_of(environment, state.observation)
            state = attrs.evolve(state, hint=hint)
        rollout = self._session.settings.rollout
        said = ""
        if asked(draws, rollout.reflect_probability):
            [said] = self._session.reflector.reflect([state], [draws], greedy=True)
        if not rollout.name_actions:
            said = without_actions(said, state.observation.legal_actions)
        [choice] = self._session.policy.act([state], [said], [draws], greedy=True)
        return Counsel(said, choice.probabilities, choice.index)


class Game:
    """One episode.

    Args:
        environment: It is played in.
        task: What is to be solved.
        stage: Of the environment.
        seed: Decides what is random, as a run's seed does in its evaluation.
        players: Who give counsel, None where nobody does.

    Attributes:
        task, seed: As given.
        last: The last step, None before any.
        episode_return: Sum of the task's rewards so far.
    """

    def __init__(
        self,
        environment: Environment,
        task: Task,
        *,
        stage: str,
        seed: int,
        players: Players | None,
    ) -> None:
        # an evaluation's first visit to the task
        self._name = ("eval", task.split, task.task_id, 0)
        self._players = players
        environment_seed = stream_seed(seed, *self._name, "environment")
        self._walk = Walk(environment, task, seed=environment_seed, stage=stage)
        self.task, self.seed = task, seed
        self.last: Step | None = None
        self.episode_return = 0.0

    @property
    def text(self) -> str:
        """The present observation."""
        return self._walk.observation.text

    @property
    def menu(self) -> Sequence[str]:
        """The legal actions."""
        return self._walk.observation.legal_actions

    @property
    def turns(self) -> int:
        """Turns that were taken."""
        return len(self._walk.history)

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self.last is not None and self.last.over

    def counsel(self) -> Counsel | None:
        """What the players would say and do now; None where there are none."""
        if self._players is None:
            return None
        draws = Draws(self.seed, (*self._name, "turn", self.turns))
        return self._players.counsel(self._walk.state(), self._walk.environment, draws)

    def step(self, action: str) -> Step:
        """Take a turn."""
        self.last = self._walk.step(action)
        self.episode_return += self.last.reward
        return self.last


@attrs.frozen
class Table:
    """An environment to be played, and who gives counsel.

    Args:
        environment: It is played in.
        stages: That it has, the real task last.
        seed: Of the run, where there is one.
        players: Who give counsel, None where nobody does.
    """

    environment: Environment
    stages: Sequence[str]
    seed: int
    players: Players | None = None

    def game(
        self,
        *,
        task_id: str | None = None,
        split: str | None = None,
        seed: int | None = None,
        stage: str | None = None,
    ) -> Game:
        """Begin an episode.

        Args:
            task_id: Which task; by default the seed draws one.
            split: Whose tasks; by default test, and all where the task is named.
            seed: Of the episode; by default the table's.
            stage: By default the real task.

        Raises:
            ReflectError: There is no such task or stage.
        """
        seed = self.seed if seed is None else seed
        stage = self.stages[-1] if stage is None else stage
        if stage not in self.stages:
            raise ReflectError(
                f"this environment has no stage {stage!r}",
                details=choices(stage, self.stages, called="stages"),
            )
        task = self._named(task_id, split) if task_id else self._drawn(split or SPLITS[-1], seed)
        return Game(self.environment, task, stage=stage, seed=seed, players=self.players)

    def _named(self, task_id: str, split: str | None) -> Task:
        splits = (split,) if split else SPLITS
        known = {task.task_id: task for each in splits for task in self.environment.tasks(each)}
        if task_id in known:
            return known[task_id]
        where = f"the split {split}" if split else "this environment"
        [listed, *near] = choices(task_id, known, called="tasks")
        if len(listed) > 200:  # environments may have thousands
            listed = f"tasks: {len(known)}, {next(iter(known))} for example"
        raise ReflectError(f"{where} has no task {task_id!r}", details=[listed, *near])

    def _drawn(self, split: str, seed: int) -> Task:
        tasks = self.environment.tasks(split)
        if not tasks:
            raise ReflectError(
                f"this environment has no {split} tasks", then="choose another --split"
            )
        return tasks[int(stream(seed, "play", split).integers(len(tasks)))]


@contextlib.contextmanager
def table(
    registry: Registry,
    name: str,
    *,
    overrides: Sequence[str] = (),
    run: Path | None = None,
    seed: int | None = None,
) -> Iterator[Table]:
    """Build an environment to be played; everything is closed at the end.

    Args:
        registry: The plugins.
        name: The environment's.
        overrides: Its options, as ``KEY=VALUE`` words.
        run: The folder of a run whose players give counsel. Its options are the defaults.
        seed: What the environment is built with, where there is no run.

    Raises:
        ReflectError: The environment, an option or the run is not known, or is of another kind.
    """
    if run is None:
        with _alone(registry, name, overrides, seed or 0) as made:
            yield made
        return
    settings = open_run(run, registry)
    if settings.env.name != name:
        raise ConfigError(
            f"the players of {run} have learnt {settings.env.name}, not {name}",
            then=f"reflect play {settings.env.name} --policy {shlex.quote(str(run))}",
        )
    settings = config.override(registry, settings, overrides)
    # in this process: nobody is in a hurry, and what it raises is told with its place
    rollout = attrs.evolve(settings.rollout, workers=0)
    settings = attrs.evolve(settings, rollout=rollout)
    session = Session(RunFolder(run), settings, registry, QuietProgress())
    with contextlib.closing(session):
        players = Players(session)
        yield Table(session.environment, session.env_spec.stages, settings.seed, players)


@contextlib.contextmanager
def _alone(registry: Registry, name: str, overrides: Sequence[str], seed: int) -> Iterator[Table]:
    spec = registry.find("environment", name).spec
    options = _settings(registry, name, overrides).env.options
    environment: Environment = spec.factory(options, EnvironmentContext(seed))
    with contextlib.closing(environment):
        yield Table(environment, spec.stages, seed)


def _settings(registry: Registry, name: str, overrides: Sequence[str]) -> Settings:
    """A configuration with the environment's options; its other parts play no role."""
    nobody = Offer(TrainerSpec(name="ppo", factory=_nobody), "builtin", "reflect-core", "")
    whole = attrs.evolve(registry, trainers={"ppo": nobody, **registry.trainers})
    return config.resolve(whole, overrides=overrides, flags={"env": name, "reflector": "none"})


def _nobody(config: Any, context: Any) -> Any:
    raise AssertionError("stands for a trainer that is never built")
