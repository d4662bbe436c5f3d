"""The stages of a run, one after another: teach, sft, train, eval, report.

A stage that is done is skipped; one that was interrupted begins anew, except ``train``,
which goes on from its last checkpoint.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs

from reflect_core import checkpoint, evaluation, report
from reflect_core.alarms import Alarms
from reflect_core.baselines import RandomPolicy, SilentReflector
from reflect_core.context import Context, EnvironmentContext
from reflect_core.errors import ReflectError, choices
from reflect_core.evaluation import Contestant
from reflect_core.files import read_json, write_json
from reflect_core.grounding import without_actions
from reflect_core.hookspecs import EnvironmentSpec, PolicySpec, ReflectorSpec, TrainerSpec
from reflect_core.loop import Crew, Training, Weights, check_groups, success_rate
from reflect_core.memory import release
from reflect_core.plugins import Registry
from reflect_core.progress import Progress
from reflect_core.protocols import Curriculum, Environment, Policy, Reflector, Teacher
from reflect_core.records import Example, Task, Trajectory
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings
from reflect_core.teach import Lesson, divide, read_examples, teach, write_examples
from reflect_core.tutor import tutor

if TYPE_CHECKING:
    from accelerate import Accelerator

    from reflect_core.lm.pool import ModelPool

STAGES = ("teach", "sft", "train", "eval", "report")


class Saved(Protocol):
    """Something whose weights lie in a folder."""

    def save(self, folder: Path) -> None:
        """Write the weights."""

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""


class TrainablePolicy(Policy, Weights, Saved, Protocol):
    """What a policy offers whose spec says ``trainable``."""

    def fit(
        self,
        examples: Sequence[Example],
        *,
        reflect: float,
        progress: Callable[[int, float], None],
    ) -> list[float]:
        """Warm up on the teacher's turns."""


class TrainableReflector(Reflector, Saved, Protocol):
    """What a reflector offers whose spec says ``trainable``."""

    def fit(
        self, examples: Sequence[Example], *, progress: Callable[[int, float], None]
    ) -> list[float]:
        """Warm up on the teacher's reflections."""


def execute(
    folder: Path,
    settings: Settings,
    stages: Sequence[str],
    registry: Registry,
    progress: Progress,
) -> None:
    """Run the stages that are not done yet, in order.

    Args:
        folder: The run's folder.
        settings: The resolved configuration.
        stages: Some of :data:`STAGES`.
        registry: The plugins.
        progress: Tells people what happens.

    Raises:
        ReflectError: Anything that a user can mend.
    """
    session = Session(RunFolder(folder), settings, registry, progress)
    try:
        if {"teach", "sft", "train"} & set(stages):
            session.check()
        for stage in STAGES:
            if stage in stages:
                session.do(stage)
    finally:
        session.close()


class Session:
    """The parts of one run, built when they are first needed."""

    def __init__(
        self, folder: RunFolder, settings: Settings, registry: Registry, progress: Progress
    ) -> None:
        self.folder = folder
        self.settings = settings
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

    # -- parts ----------------------------------------------------------------------------

    def make_environment(self) -> Environment:
        """One more instance of the run's environment."""
        return self.env_spec.factory(
            self.settings.env.options, EnvironmentContext(self.settings.seed)
        )

    @functools.cached_property
    def environment(self) -> Environment:
        """An instance for listing tasks and for teaching."""
        return self.make_environment()

    @functools.cache  # noqa: B019 - a session lives as long as its run
    def tasks(self, split: str) -> Sequence[Task]:
        """The environment's tasks of a split."""
        return self.environment.tasks(split)

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
        from accelerate import Accelerator

        return Accelerator()

    @functools.cached_property
    def crew(self) -> Crew:
        """The processes of this run."""
        from reflect_core.lm.crew import AcceleratorCrew

        return AcceleratorCrew(self.accelerator)

    @functools.cached_property
    def models(self) -> ModelPool:
        """The run's model, loaded once."""
        from reflect_core.lm.pool import ModelPool

        return ModelPool(self.settings.model, self.accelerator.device, seed=self.settings.seed)

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
        return self.reflector_spec.factory(self.settings.reflector.options, self.context())

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
        return cast(Teacher, spec.factory(self.settings.teacher.options, self.context()))

    @functools.cached_property
    def policy(self) -> Policy:
        """The run's policy."""
        return self.policy_spec.factory(self.settings.policy.options, self.context())

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
        """Close every environment, and the players that hold something open."""
        for collector in self._collectors:
            collector.close()
        if "environment" in self.__dict__:
            self.environment.close()
        for player in ("reflector", "teacher"):
            if player in self.__dict__ and (close := getattr(getattr(self, player), "close", None)):
                close()

    def check(self) -> None:
        """Find mistakes in the settings of RL before hours were spent on a warm-up.

        Raises:
            ReflectError: The curriculum does not go with the environment, or an iteration's
                episodes do not make whole groups.
        """
        train = self.settings.train
        if self.policy_spec.trainable and train.iterations and not self.folder.finished("train"):
            check_groups(train.episodes, getattr(self.settings.trainer.options, "group_size", 1))
            self.curriculum()

    def curriculum(self) -> Curriculum:
        """The curriculum, with the tasks that are RL's."""
        offer = self.registry.find("curriculum", self.settings.curriculum.name)
        context = attrs.evolve(self._modelless_context(), tasks=self.left_to_rl)
        curriculum: Curriculum = offer.spec.factory(self.settings.curriculum.options, context)
        return curriculum

    # -- stages ---------------------------------------------------------------------------

    def do(self, stage: str) -> None:
        """Run one stage, unless it is done."""
        if stage == "report":
            if self.crew.is_main:
                self._report()
            return
        if stage == "eval":
            if self.crew.is_main:
                self._eval()
            self.crew.wait()
            return
        if self.folder.finished(stage):
            return
        work, needed = {
            "teach": (self._teach, self._learns and self.settings.teach.episodes > 0),
            "sft": (self._sft, self._learns and self.settings.teach.episodes > 0),
            "train": (
                self._train,
                self.policy_spec.trainable and self.settings.train.iterations > 0,
            ),
        }[stage]
        if not needed:
            return
        # RL cuts the logs itself, to its last checkpoint
        if self.crew.is_main and not (stage == "train" and checkpoint.latest(self.folder)):
            self.folder.rewind()
        self.crew.wait()
        started = time.perf_counter()
        work()
        if self.crew.is_main:
            if stage not in ("sft", "train"):  # their parts say what they took
                seconds = round(time.perf_counter() - started, 3)
                self.folder.time({"stage": stage, "seconds": seconds})
            self.folder.finish(stage)
        release()
        self.crew.wait()

    @property
    def _learns(self) -> bool:
        return self.policy_spec.trainable or self.reflector_spec.trainable

    def _teach(self) -> None:
        if not self.crew.is_main:
            return
        settings = self.settings.teach
        with self.progress.stage("teach", settings.episodes) as stage:
            lesson = self._lesson(stage.advance)
        if not self.settings.rollout.name_actions:
            lesson.examples = [_unnamed(example) for example in lesson.examples]
        self.folder.examples.parent.mkdir(exist_ok=True)
        write_examples(self.folder.examples, lesson.examples)
        negative = sum(example.kind == "negative" for example in lesson.examples)
        if lesson.unsolved:
            self.progress.warn(
                f"the expert failed on {len(lesson.unsolved)} of {settings.episodes} episodes; "
                "they are left out"
            )
        self.folder.log(
            {
                "stage": "teach",
                "episodes": settings.episodes,
                "positive_examples": len(lesson.examples) - negative,
                "negative_examples": negative,
                "unsolved": len(lesson.unsolved),
                "without_negative": lesson.without_negative,
                "unanswered": lesson.unanswered,
                "alarms": self.alarms.counted(),
            }
        )

    def _lesson(self, advance: Callable[..., None]) -> Lesson:
        """What the teacher shows: the environment's expert, or one who is asked."""
        common: dict[str, Any] = {"seed": self.settings.seed, "stages": self.env_spec.stages}
        tasks, settings = self.divided[0], self.settings.teach
        if self.settings.teacher.name == "expert":
            return teach(self.environment, tasks, settings, progress=advance, **common)
        return tutor(
            self.make_environment,
            tasks,
            settings,
            self.teacher,
            side_by_side=self.settings.rollout.num_envs,
            progress=advance,
            **common,
        )

    def _teachers(self) -> list[str]:
        offers = self.registry.offers("reflector").items()
        return [name for name, offer in offers if cast(ReflectorSpec, offer.spec).teaches]

    def _sft(self) -> None:
        """Warm up the players one after the other; one that is done is not done again."""
        sft = self.settings.sft
        if self.reflector_spec.trainable:
            reflector = cast(TrainableReflector, self.reflector)
            self._warm_up(
                "reflector", sft.reflector_updates, reflector.fit, self.folder.reflector, reflector
            )
        if self.policy_spec.trainable:
            policy = cast(TrainablePolicy, self.policy)
            silent = self.settings.reflector.name == "none"
            share = 0.0 if silent else self.settings.rollout.reflect_probability
            fit = functools.partial(policy.fit, reflect=share)
            self._warm_up("policy", sft.policy_updates, fit, self.folder.warmup, policy)

    def _warm_up(
        self,
        player: str,
        updates: int,
        fit: Callable[..., list[float]],
        target: Path,
        saved: Saved,
    ) -> None:
        part = f"sft {player}"
        if self.folder.finished(part):
            return
        examples = read_examples(self.folder.examples)
        self._fit(player, updates, functools.partial(fit, examples))
        if self.crew.is_main:
            self.folder.write_folder(target, saved.save)
            self.folder.finish(part)
        self.crew.wait()

    def _fit(self, player: str, updates: int, fit: Callable[..., list[float]]) -> None:
        """Warm one player up, with a progress line and a row per reported loss."""
        losses: list[tuple[int, float]] = []
        learnt: list[int] = []
        before = self.models.meter.reading()
        with self.progress.stage(f"sft {player}", updates) as stage:

            def advance(update: int, loss: float) -> None:
                stage.advance(update - (losses[-1][0] if losses else 0), loss=loss)
                losses.append((update, loss))
                learnt.append((self.models.meter.reading() - before).learnt)

            started = time.perf_counter()
            fit(progress=advance)
            release()
            stage.advance(updates - (losses[-1][0] if losses else 0))
        if self.crew.is_main:
            for (update, loss), tokens in zip(losses, learnt, strict=True):
                row = {"stage": "sft", "player": player, "update": update, "loss": loss}
                # counted here and not in the next stage, which a resumed run begins anew
                last = {"alarms": self.alarms.counted()} if update == losses[-1][0] else {}
                self.folder.log({**row, "tokens_learnt": tokens, **last})
            seconds = round(time.perf_counter() - started, 3)
            self.folder.time({"stage": f"sft {player}", "seconds": seconds})

    def _take_up(self, policy_folder: Path) -> None:
        """Load the warmed-up reflector and a policy from the run's folder."""
        if self.reflector_spec.trainable and self.folder.reflector.exists():
            cast(TrainableReflector, self.reflector).load(self.folder.reflector)
        if self.policy_spec.trainable and policy_folder.exists():
            cast(TrainablePolicy, self.policy).load(policy_folder)

    def _train(self) -> None:
        # from the files also where this process wrote them: a resumed run starts alike
        self._take_up(self.folder.warmup)
        policy = cast(TrainablePolicy, self.policy)
        options = self.settings.trainer.options
        trainer = self.trainer_spec.factory(options, self.context(self.policy))
        training = Training(
            folder=self.folder,
            settings=self.settings,
            collector=self.own_collector(),
            trainer=trainer,
            curriculum=self.curriculum(),
            weights=policy,
            valid=self.tasks("valid"),
            final_stage=self.env_spec.stages[-1],
            crew=self.crew,
            tokens=lambda: self.models.meter.reading().figures(),
            alarms=self.alarms,
        )
        if self.crew.is_main:
            self._check_machine()
        training.resume()
        iterations = self.settings.train.iterations
        name = f"train {self.settings.trainer.name}"
        with self.progress.stage(name, iterations, done=training.iteration) as stage:
            training.run(stage.advance)
        if self.crew.is_main:
            self.folder.write_folder(self.folder.policy, policy.save)

    def _check_machine(self) -> None:
        """Warn when a run goes on where its last bits may come out differently."""
        import torch

        here = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "processes": self.accelerator.num_processes,
            "device": str(self.accelerator.device.type),
        }
        path = self.folder.path / "machine.json"
        if not path.exists():
            write_json(path, here)
            return
        before = read_json(path)
        changed = [f"{k} {before.get(k)} to {v}" for k, v in here.items() if before.get(k) != v]
        if changed:
            self.progress.warn(
                f"resumed under other conditions ({', '.join(changed)}): "
                "figures may differ in their last digits from an uninterrupted run's"
            )

    # -- evaluation -----------------------------------------------------------------------

    def _eval(self) -> None:
        settings = self.settings.eval
        path = self.folder.evaluation_of(settings.split)
        # one made before a later stage had ended lacks that stage's row
        basis = {
            "settings": attrs.asdict(settings),
            "stages": [stage for stage in ("sft", "train") if self.folder.finished(stage)],
        }
        if path.exists() and basis.items() <= read_json(path).items():
            return
        if settings.decoding not in evaluation.DECODINGS:
            raise ReflectError(
                f"eval.decoding = {settings.decoding!r} is unknown",
                why=f"known: {', '.join(evaluation.DECODINGS)}",
            )
        episodes = evaluation_episodes(
            self.tasks(settings.split),
            settings.episodes,
            seed=self.settings.seed,
            stage=self.env_spec.stages[-1],
        )
        if not episodes:
            raise ReflectError(
                f"there is nothing to evaluate on: no {settings.split} tasks",
                then="choose another eval.split, or options that leave tasks for it",
            )
        contestants = _chosen(self._contestants(), settings.players)
        games = sum(
            len(evaluation.DECODINGS[settings.decoding]) if contestant.decodes else 1
            for contestant in contestants
        )
        started = time.perf_counter()
        with self.progress.stage("eval", games * len(episodes)) as stage:

            def advance(name: str, done: Sequence[Trajectory]) -> None:
                stage.advance(len(done), **{f"{name}_success": success_rate(done)})

            rows = evaluation.evaluate(
                contestants,
                episodes,
                decoding=settings.decoding,
                failed_episodes=self.settings.rollout.failed_episodes,
                progress=advance,
            )
        write_json(
            path,
            {
                "environment": {
                    "name": self.settings.env.name,
                    "version": self.env_spec.version,
                    "options": attrs.asdict(self.settings.env.options),
                },
                "model": self.settings.model.name,
                "seed": self.settings.seed,
                "split": settings.split,
                "episodes": len(episodes),
                "alarms": self.alarms.counted(),
                **basis,
                "rows": rows,
            },
        )
        if not self.folder.finished("eval"):
            seconds = round(time.perf_counter() - started, 3)
            self.folder.time({"stage": "eval", "seconds": seconds})
            self.folder.finish("eval")

    def _contestants(self) -> list[Contestant]:
        def modelless(policy: Policy) -> Callable[[], Collector]:
            return lambda: self.collector(SilentReflector(), policy)

        rows = [
            Contestant("random", "random legal action", modelless(RandomPolicy()), decodes=False)
        ]
        for name in self.env_spec.baselines:
            spec = self.registry.find("policy", name).spec
            policy = spec.factory(spec.config(), self.context())
            rows.append(Contestant(name, spec.summary or name, modelless(policy), decodes=False))

        def own(folder: Path) -> Collector:
            self._take_up(folder)
            return self.own_collector()

        if not self.policy_spec.trainable:
            if self.settings.policy.name in {row.name for row in rows}:
                return rows
            title = self.policy_spec.summary or self.settings.policy.name
            rows.append(
                Contestant(
                    self.settings.policy.name, title, functools.partial(own, self.folder.warmup)
                )
            )
            return rows
        if self.folder.finished("sft"):
            make = functools.partial(own, self.folder.warmup)
            rows.append(Contestant("warmup", "warm-up only", make))
        if self.folder.finished("train"):
            make = functools.partial(own, self.folder.policy)
            title = f"after {self.settings.trainer.name.upper()}"
            rows.append(Contestant("trained", title, make))
        if len(rows) == 1 + len(self.env_spec.baselines):
            make = functools.partial(own, self.folder.warmup)
            rows.append(Contestant("untuned", "the model as it was loaded", make))
        return rows

    def _report(self) -> None:
        split = self.settings.eval.split
        report.build(self.folder.path, self.folder.evaluation_of(split).name)


def _chosen(rows: Sequence[Contestant], names: Sequence[str]) -> Sequence[Contestant]:
    """The rows of these names, in the table's order; all where none are named.

    Raises:
        ReflectError: A name is not a row of this run.
    """
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise ReflectError(
                f"eval.players: this run has no row {name!r}",
                details=choices(name, known, called="it has"),
            )
    return [row for row in rows if not names or row.name in names]


def _unnamed(example: Example) -> Example:
    """The example with a reflection that names no legal action."""
    legal = example.state.observation.legal_actions
    return attrs.evolve(example, reflection=without_actions(example.reflection, legal))
