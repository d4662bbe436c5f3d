"""The parts of one run, built from its settings when they are first needed."""

from __future__ import annotations

import datetime
import functools
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from reflect_core.alarms import Alarms
from reflect_core.context import Context, EnvironmentContext
from reflect_core.dropped import close_all
from reflect_core.errors import CheckpointError, ConfigError, ReflectError, choices
from reflect_core.hookspecs import EnvironmentSpec, PolicySpec, ReflectorSpec, TrainerSpec
from reflect_core.loop import Crew, check_groups
from reflect_core.plugins import Registry
from reflect_core.progress import Progress
from reflect_core.promises import check_promises
from reflect_core.protocols import (
    Curriculum,
    Described,
    Environment,
    Policy,
    Reflector,
    Teacher,
    TrainablePolicy,
    TrainableReflector,
)
from reflect_core.records import Task
from reflect_core.rollout import Collector
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings
from reflect_core.teach import divide
from reflect_core.workers import Registered, WorkerPool

if TYPE_CHECKING:
    from accelerate import Accelerator

    from reflect_core.lm.pool import ModelPool


PATIENCE = datetime.timedelta(days=7)
"""How long a process waits for the others."""


class Session:
    """The parts of one run, built when they are first needed."""

    def __init__(
        self,
        folder: RunFolder,
        settings: Settings,
        registry: Registry,
        progress: Progress,
        *,
        beside: bool = False,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.beside = beside
        """Whether these are not the run's own settings, but for one evaluation beside its own."""
        self.registry = registry
        self.progress = progress
        env = registry.find("environment", settings.env.name).spec
        self.env_spec = cast(EnvironmentSpec, env)
        self.reflector_spec = cast(
            ReflectorSpec, registry.find("reflector", settings.reflector.name).spec
        )
        self.policy_spec = cast(PolicySpec, registry.find("policy", settings.policy.name).spec)
        self.trainer_spec = cast(TrainerSpec, registry.find("trainer", settings.trainer.name).spec)
        self.alarms = Alarms(progress.warn)
        self._collectors: list[Collector] = []
        self._tasks: dict[str, Sequence[Task]] = {}

    @functools.cached_property
    def workers(self) -> WorkerPool | None:
        """The processes in which environments live; None where they live in this one."""
        rollout, env = self.settings.rollout, self.settings.env
        if not rollout.workers:
            return None
        return WorkerPool(
            Registered(env.name, env.options, EnvironmentContext(self.settings.seed)),
            workers=rollout.workers,
            timeout=rollout.worker_timeout,
            memory=rollout.worker_memory,
            name=env.name,
        )

    def make_environment(self) -> Environment:
        """One more instance of the run's environment."""
        if self.workers is not None:
            return self.workers.environment()
        return self.env_spec.factory(
            self.settings.env.options, EnvironmentContext(self.settings.seed)
        )

    @functools.cached_property
    def environment(self) -> Environment:
        """An instance for listing tasks."""
        return self.make_environment()

    def tasks(self, split: str) -> Sequence[Task]:
        """The environment's tasks of a split."""
        if split not in self._tasks:
            self._tasks[split] = self.environment.tasks(split)
        return self._tasks[split]

    def about_environment(self) -> dict[str, Any]:
        """What a result bears, so that it is not compared with another environment's."""
        env, offered = self.settings.env, self.environment
        return {
            "name": env.name,
            "version": self.env_spec.version,
            "options": attrs.asdict(env.options),
            "summary": offered.summary() if isinstance(offered, Described) else "",
        }

    @functools.cached_property
    def divided(self) -> tuple[Sequence[Task], Sequence[Task]]:
        """The train tasks of the teacher, and those of RL."""
        tasks, teaching = self.tasks("train"), self.settings.teach
        if not teaching.episodes:
            return (), divide(tasks, 1.0, seed=self.settings.seed)[1]
        return divide(tasks, teaching.share, seed=self.settings.seed)

    def left_to_rl(self, split: str) -> Sequence[Task]:
        """As :meth:`tasks`, but of the train split what the teacher does not show."""
        return self.divided[1] if split == "train" else self.tasks(split)

    @functools.cached_property
    def accelerator(self) -> Accelerator:
        """Device, precision and processes; one for the whole run."""
        from accelerate import Accelerator, InitProcessGroupKwargs

        # the others wait while the main process teaches or evaluates, for hours perhaps
        made = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
        if made.mixed_precision != "no":
            raise ConfigError(
                f"accelerate is told to use mixed precision ({made.mixed_precision})",
                why="updates would be computed in it and play would not, so that the "
                "probabilities of the actions taken would be others at once",
                then="launch with --mixed_precision no (or change accelerate's own "
                "configuration); model.dtype=bfloat16 has all in that precision",
            )
        return made

    @functools.cached_property
    def crew(self) -> Crew:
        """The processes of this run."""
        from reflect_core.lm.crew import AcceleratorCrew

        return AcceleratorCrew(self.accelerator)

    @functools.cached_property
    def models(self) -> ModelPool:
        """The run's model, loaded once."""
        from reflect_core.lm.pool import ModelPool

        return ModelPool(
            self.settings.model,
            self.accelerator.device,
            seed=self.settings.seed,
            processes=self.accelerator.num_processes,
        )

    def context(self, policy: Policy | None = None) -> Context:
        """What the factories of parts are given."""
        context = attrs.evolve(self._modelless_context(), policy=policy)
        if not (self.policy_spec.trainable or self.reflector_spec.trainable):
            return context
        return attrs.evolve(context, models=self.models, accelerator=self.accelerator)

    def _modelless_context(self) -> Context:
        return Context(
            seed=self.settings.seed,
            settings=self.settings,
            make_environment=self.make_environment,
            tasks=self.tasks,
            stages=self.env_spec.stages,
            critic=self.trainer_spec.needs_critic,
            folder=self.folder.path,
            shared_folder=self.folder.shared,
            alarms=self.alarms,
        )

    @functools.cached_property
    def reflector(self) -> Reflector:
        """The run's reflector."""
        made = self.reflector_spec.factory(self.settings.reflector.options, self.context())
        check_promises(self.reflector_spec, made)
        return made

    @functools.cached_property
    def teacher(self) -> Teacher:
        """Who makes the examples, where it is not the environment's expert.

        Raises:
            ReflectError: The reflector that was chosen does not teach.
        """
        offer = self.registry.find("reflector", self.settings.teacher.name)
        spec = cast(ReflectorSpec, offer.spec)
        if not spec.teaches:
            raise ReflectError(
                f"the reflector {spec.name!r} does not teach",
                details=choices(spec.name, self._teachers(), called="teachers"),
                then="choose another --teacher",
            )
        made = spec.factory(self.settings.teacher.options, self.context())
        check_promises(spec, made, leave_out=["reflect", "fit", "save", "load"])
        return cast(Teacher, made)

    @functools.cached_property
    def policy(self) -> Policy:
        """The run's policy."""
        made = self.policy_spec.factory(self.settings.policy.options, self.context())
        check_promises(self.policy_spec, made)
        return made

    def collector(
        self, reflector: Reflector, policy: Policy, *, needs_expert: bool = False
    ) -> Collector:
        """Plays this run's environment with the given players."""
        collector = Collector(
            self.make_environment,
            reflector,
            policy,
            seed=self.settings.seed,
            num_envs=self.settings.rollout.num_envs,
            needs_expert=needs_expert,
            reflect_probability=self.settings.rollout.reflect_probability,
            name_actions=self.settings.rollout.name_actions,
        )
        self._collectors.append(collector)
        return collector

    def own_collector(self) -> Collector:
        """Plays with the run's own reflector and policy."""
        needs_expert = self.reflector_spec.needs_expert or self.policy_spec.needs_expert
        return self.collector(self.reflector, self.policy, needs_expert=needs_expert)

    def close(self) -> None:
        """Close every environment, their workers, and the players that hold something open."""
        try:
            for collector in self._collectors:
                collector.close()
            if "environment" in self.__dict__:
                close_all([self.environment])
        finally:
            if "workers" in self.__dict__ and self.workers is not None:
                self.workers.close()
        for player in ("reflector", "teacher"):
            if player in self.__dict__ and (close := getattr(getattr(self, player), "close", None)):
                close()

    def check(self, stages: Collection[str]) -> None:
        """Find mistakes in the settings of these stages before hours were spent on a warm-up.

        Raises:
            ReflectError: The curriculum does not go with the environment, an iteration's
                episodes do not make whole groups, the trainer cannot update this policy, or would
                learn from greedy play, there is nothing to evaluate on, a row of the evaluation
                is misnamed, or the model, the teacher or the reflector cannot be had.
        """
        train = self.settings.train
        ahead = {stage for stage in stages if not self.folder.finished(stage)}
        self.folder.evaluation_of(self.settings.eval)
        if "train" in ahead and self.rl_is_ahead:
            self._check_warmed_up(stages)
        if self.rl_is_ahead:
            check_groups(train.episodes, getattr(self.settings.trainer.options, "group_size", 1))
            if self.trainer_spec.needs_lm and self.settings.policy.name != "lm":
                from reflect_core.lm.policy import lm_policy

                lm_policy(self.policy, self.settings)
            self.curriculum()
            if not self.settings.rollout.temperature:
                raise ConfigError(
                    "rollout.temperature = 0 leaves nothing to learn from",
                    why="RL compares actions that are sampled; greedy ones are always the same",
                    then="evaluations play greedily by themselves: eval.decoding=argmax",
                )
            if "train" in ahead:
                self.tasks("valid")  # where there are none, the last weights are kept
        if "eval" in ahead:
            self.check_evaluation(stages)
        if "teach" in ahead and self.warms_up and self.settings.teacher.name != "expert":
            _ = self.teacher
        if {"sft", "train"} & ahead and self.learns:
            _ = self.models  # which may be misspelt, or not fit to be tuned so
            if self.reflector_spec.trainable:
                _ = self.reflector
        if {"train", "eval"} & ahead and not self.reflector_spec.trainable:
            _ = self.reflector  # an endpoint without a model, or without a key

    def _check_warmed_up(self, stages: Collection[str]) -> None:
        """RL begins from the warm-up, and must not come before it."""
        if self.warms_up and "sft" not in stages and not self.folder.finished("sft"):
            raise ReflectError(
                f"{self.folder.path} has no finished warm-up for RL to begin from",
                why=f"teach.episodes is {self.settings.teach.episodes}: reflect sft comes first",
                then=f"reflect sft {shlex.quote(str(self.folder.path))}, "
                "or a new run with teach.episodes=0",
            )

    def check_evaluation(self, stages: Collection[str]) -> None:
        """The part of :meth:`check` that is about the evaluation after these stages."""
        wanted = self.settings.eval
        if not self.tasks(wanted.split):
            raise ReflectError(
                f"there are no {wanted.split} tasks to evaluate on",
                then="choose another eval.split, or options that leave tasks for it",
            )
        for name in self.env_spec.baselines:
            self.registry.find("policy", name)
        rows = self._rows_after(stages)
        for name in wanted.players:
            if name not in rows:
                raise ReflectError(
                    f"eval.players: this run will have no row {name!r}",
                    details=choices(name, rows, called="it will have"),
                )

    def _rows_after(self, stages: Collection[str]) -> list[str]:
        """Names of the rows that an evaluation after these stages has."""
        own = [self.settings.policy.name]
        if self.policy_spec.trainable:
            learnt = {
                "warmup": ("sft", self.warms_up),
                "trained": ("train", self.settings.train.iterations > 0),
            }
            own = [
                row
                for row, (stage, has_work) in learnt.items()
                if self.folder.finished(stage) or (has_work and stage in stages)
            ] or ["untuned"]
        return [*dict.fromkeys(["random", *self.env_spec.baselines, *own])]

    def curriculum(self) -> Curriculum:
        """The curriculum, with the tasks that are RL's."""
        offer = self.registry.find("curriculum", self.settings.curriculum.name)
        context = attrs.evolve(self._modelless_context(), tasks=self.left_to_rl)
        curriculum: Curriculum = offer.spec.factory(self.settings.curriculum.options, context)
        return curriculum

    @property
    def rl_is_ahead(self) -> bool:
        """Whether the run has RL still to do."""
        trains = self.policy_spec.trainable and self.settings.train.iterations > 0
        return trains and not self.folder.finished("train")

    @property
    def learns(self) -> bool:
        """Whether there is anyone to warm up."""
        return self.policy_spec.trainable or self.reflector_spec.trainable

    @property
    def warms_up(self) -> bool:
        """Whether the run has a warm-up."""
        return self.learns and self.settings.teach.episodes > 0

    @property
    def learning_is_ahead(self) -> bool:
        """Whether the run has a warm-up or RL still to do."""
        return self.rl_is_ahead or (self.warms_up and not self.folder.finished("sft"))

    def take_up(self, policy_folder: Path) -> None:
        """Load the warmed-up reflector and a policy from the run's folder.

        Raises:
            CheckpointError: A player has learnt and is gone; an untaught one would play.
        """
        folder = self.folder
        speaker = folder.reflector, "reflector", "sft reflector"
        player = policy_folder, "warmed-up policy", "sft policy"
        if policy_folder == folder.policy:
            player = policy_folder, "policy after RL", "train"
        if self.reflector_spec.trainable and self._kept(*speaker):
            cast(TrainableReflector, self.reflector).load(folder.reflector)
        if self.policy_spec.trainable and self._kept(*player):
            cast(TrainablePolicy, self.policy).load(policy_folder)

    def _kept(self, saved: Path, player: str, stage: str) -> bool:
        """Whether there is a player in a folder, as there is after this stage."""
        if saved.exists():
            return True
        if self.folder.finished(stage):
            raise CheckpointError(
                f"{self.folder.path} has lost its {player}",
                why=f"it has learnt, and there is no folder {saved}",
                then="copy that folder from where the run was made",
            )
        return False

    def _teachers(self) -> list[str]:
        offers = self.registry.offers("reflector").items()
        return [name for name, offer in offers if cast(ReflectorSpec, offer.spec).teaches]
