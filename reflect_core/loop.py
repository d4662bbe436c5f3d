"""Online reinforcement learning: collect, update, observe, validate, save, report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from reflect_core import checkpoint
from reflect_core.alarms import Alarms, truncated
from reflect_core.checkpoint import Checkpoint
from reflect_core.dropped import check_failures, sound_failures
from reflect_core.errors import CheckpointError, ConfigError, NonFiniteLoss
from reflect_core.files import write_json
from reflect_core.protocols import Curriculum, Trainer, Weights
from reflect_core.records import Assignment, Task, Trajectory
from reflect_core.replay import ReplayBuffer
from reflect_core.rollout import (
    Collector,
    Episode,
    Played,
    evaluation_episodes,
    training_episodes,
)
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings


class Crew(Protocol):
    """The processes that train together; one process is a crew of one."""

    is_main: bool

    def share(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """This process's part of the episodes."""

    def merge(self, played: Played) -> Played:
        """What all processes played, in order, the same in every process."""

    def total(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """The counts of all processes, added up by kind; all processes must call it."""

    def wait(self) -> None:
        """Return when all processes are here."""


@attrs.define
class Training:
    """The parts of an RL stage, and the loop that runs them.

    Args:
        folder: Where logs and checkpoints go.
        settings: The run's configuration.
        collector: Plays episodes with the run's reflector and policy.
        trainer, curriculum: The plugins' parts.
        weights: The policy that the trainer updates.
        valid: Tasks of the validation split.
        final_stage: The environment's real task, used for validation.
        crew: The processes.
        tokens: What the models have read so far, by kind; logged per iteration.
        alarms: Where every part says what goes wrong without stopping the run.
        restarts: How many worker processes were lost or replaced since the run began.
        replay: Solved episodes of earlier iterations, for the update alone: the curriculum
            and the figures of success see fresh ones only.
    """

    folder: RunFolder
    settings: Settings
    collector: Collector
    trainer: Trainer
    curriculum: Curriculum
    weights: Weights
    valid: Sequence[Task]
    final_stage: str
    crew: Crew
    tokens: Callable[[], Mapping[str, int]] = dict
    alarms: Alarms = attrs.field(factory=Alarms)
    restarts: Callable[[], int] = int
    iteration: int = 0
    best_iteration: int = 0
    best_success: float = -1.0
    replay: ReplayBuffer = attrs.Factory(
        lambda self: ReplayBuffer(self.settings.replay, seed=self.settings.seed), takes_self=True
    )

    def run(self, advance: Callable[..., None]) -> None:
        """Train from where we are to the last iteration, then take up the best weights.

        Raises:
            ConfigError: An iteration's episodes do not make whole groups.
        """
        train = self.settings.train
        check_groups(train.episodes, group_size(self.trainer))
        if self.iteration == 0 and self.best_success < 0:
            self._validate()
            self._save()
        while self.iteration < train.iterations:
            started, before = time.perf_counter(), self.tokens()
            idle = self.collector.waited
            episodes = training_episodes(
                self._assignments(), seed=self.settings.seed, iteration=self.iteration
            )
            played = self._play(episodes, greedy=False)
            collected, idle = time.perf_counter(), self.collector.waited - idle
            replayed, replay_figures = self.replay.draw(iteration=self.iteration)
            figures = self._update([*played.trajectories, *replayed])
            figures |= replay_figures
            figures |= self._spent(before)
            if self.crew.is_main:  # what was played together is counted once
                compared = getattr(self.trainer, "compared", group_size(self.trainer))
                watch(played, figures, self.alarms, compared=compared)
            alarms = self._alarms()
            figures |= self.curriculum.observe(played.trajectories)
            self.replay.add(played.trajectories, iteration=self.iteration)
            self.iteration += 1
            if self.crew.is_main:
                self._report(played, {**figures, "alarms": alarms})
                self.folder.time(
                    {
                        "stage": "train",
                        "iteration": self.iteration,
                        "collect_seconds": round(collected - started, 4),
                        "update_seconds": round(time.perf_counter() - collected, 4),
                        "waited": round(idle, 4),
                        "worker_restarts": self.restarts(),
                    }
                )
            if due := self.iteration % train.valid_every == 0 or self.iteration == train.iterations:
                self._validate()
            if due or self.iteration % train.checkpoint_every == 0:
                self._save()
            advance(success=success_rate(played.trajectories), best_valid=self.best_success)
        best = self._best()
        self.weights.load_state_dict(dict(best.policy))

    def _best(self) -> Checkpoint:
        """The checkpoint whose policy the run ends with."""
        path = checkpoint.path_of(self.folder, self.best_iteration)
        try:
            return checkpoint.load(path)
        except CheckpointError as error:
            raise CheckpointError(
                error.what,
                why=error.why,
                then=f"it was the best one: remove it and the later ones in {path.parent}, "
                "and the run goes on from the one before",
            ) from error

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one, and cut the logs to it.

        Raises:
            CheckpointError: It is damaged, or another run's; the logs stay as they are.
        """
        path = checkpoint.latest(self.folder)
        if path is None:
            return
        saved = checkpoint.load(path)
        self.folder.check_logs(saved.logs, saved.log_hashes, of=path)
        with checkpoint.fitting(path):
            self.weights.load_state_dict(dict(saved.policy))
            self.trainer.load_state_dict(saved.trainer)
            self.curriculum.load_state_dict(saved.curriculum)
            self.replay.load_state_dict(saved.replay)
        self.iteration = saved.iteration
        self.best_iteration, self.best_success = saved.best_iteration, saved.best_success
        if self.crew.is_main:
            self.folder.cut(saved.logs)
        self.crew.wait()

    def _assignments(self) -> list[Assignment]:
        """The next tasks, each as often as the trainer compares its episodes."""
        size = group_size(self.trainer)
        tasks = self.settings.train.episodes // size
        assigned = self.curriculum.assign(tasks, iteration=self.iteration)
        return [attrs.evolve(one, group_size=one.group_size * size) for one in assigned]

    def _play(self, episodes: Sequence[Episode], *, greedy: bool) -> Played:
        mine = self.collector.play(self.crew.share(episodes), greedy=greedy)
        played = self.crew.merge(mine)
        check_failures(played.failures, played.episodes, self.settings.rollout.failed_episodes)
        return played

    def _update(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        try:
            return dict(self.trainer.update(trajectories, iteration=self.iteration))
        except NonFiniteLoss:
            if self.crew.is_main:
                # what it was learning from, for whoever looks into it
                write_json(
                    self.folder.path / f"failed-{self.iteration:06d}.json",
                    [
                        {
                            "task_id": trajectory.task.task_id,
                            "actions": [turn.action for turn in trajectory.transitions],
                            "rewards": [_written(turn.reward) for turn in trajectory.transitions],
                            "logprobs": [
                                _written(turn.choice.logprob) for turn in trajectory.transitions
                            ],
                        }
                        for trajectory in trajectories
                    ],
                )
            raise

    def _spent(self, before: Mapping[str, int]) -> dict[str, float]:
        """Tokens of all processes since then."""
        spent = {kind: count - before.get(kind, 0) for kind, count in self.tokens().items()}
        return dict(self.crew.total(spent))

    def _alarms(self) -> dict[str, int]:
        """Of all processes, since the last call; all of them must call it."""
        counts = dict(self.crew.total(self.alarms.counted()))
        self.alarms.heed(counts)
        return counts

    def _report(self, played: Played, figures: Mapping[str, Any]) -> None:
        self.folder.log(
            {
                "stage": "train",
                "iteration": self.iteration,
                **summary(played.trajectories),
                "failed_episodes": len(played.failures),
                "truncated_prompts": played.truncated_prompts,
                **figures,
            }
        )

    def _validate(self) -> None:
        """Play the valid tasks, the same every time, and remember the best weights."""
        started, before = time.perf_counter(), self.tokens()
        idle = self.collector.waited
        episodes = evaluation_episodes(
            self.valid,
            self.settings.train.valid_episodes,
            seed=self.settings.seed,
            stage=self.final_stage,
        )
        played = self._play(episodes, greedy=False)
        took = time.perf_counter() - started
        spent = self._spent(before)
        if self.crew.is_main:
            truncated(played.truncated_prompts, self.alarms)
            sound_failures(played.failures, self.alarms)
        alarms = self._alarms()
        success = success_rate(played.trajectories)
        if success >= self.best_success:
            self.best_iteration, self.best_success = self.iteration, success
        if self.crew.is_main:
            self.folder.time(
                {
                    "stage": "train",
                    "iteration": self.iteration,
                    "valid_seconds": round(took, 4),
                    "waited": round(self.collector.waited - idle, 4),
                    "worker_restarts": self.restarts(),
                }
            )
            self.folder.log(
                {
                    "stage": "valid",
                    "iteration": self.iteration,
                    **summary(played.trajectories),
                    "failed_episodes": len(played.failures),
                    **spent,
                    "alarms": alarms,
                }
            )

    def _save(self) -> None:
        if self.crew.is_main:
            checkpoint.save(
                self.folder,
                Checkpoint(
                    iteration=self.iteration,
                    policy=self.weights.state_dict(),
                    trainer=self.trainer.state_dict(),
                    curriculum=self.curriculum.state_dict(),
                    logs=self.folder.positions(),
                    best_iteration=self.best_iteration,
                    best_success=self.best_success,
                    replay=self.replay.state_dict(),
                ),
            )
            checkpoint.prune(
                self.folder,
                keep=self.settings.train.keep_checkpoints,
                best=self.best_iteration,
            )
        self.crew.wait()


def group_size(trainer: Trainer) -> int:
    """Episodes of each task that a trainer asks for; see :class:`Trainer`."""
    return int(getattr(trainer, "group_size", 1))


def check_groups(episodes: int, size: int) -> None:
    """See that an iteration's episodes make whole groups.

    Raises:
        ConfigError: They do not.
    """
    if episodes % size:
        raise ConfigError(
            f"train.episodes = {episodes} cannot be played in groups of {size}",
            why="the trainer compares episodes of the same task (trainer.group_size)",
            then=f"choose a multiple: train.episodes={-(-episodes // size) * size}",
        )


COLLAPSED = 0.005
"""Share of a uniform choice's entropy below which a policy explores nothing."""


def watch(
    played: Played, figures: Mapping[str, float], alarms: Alarms, *, compared: int = 1
) -> None:
    """Sound what makes an iteration's update worth little.

    Args:
        played: The iteration's fresh episodes.
        figures: What the trainer logs; ``entropy`` in nats, if it is there.
        alarms: Counts, and tells the first of each kind.
        compared: Episodes of a group that the trainer compares with one another; 1 if it
            compares all.
    """
    trajectories = played.trajectories
    groups: dict[int | None, set[float]] = {}
    for trajectory in trajectories:
        returned = sum(turn.reward + turn.shaping for turn in trajectory.transitions)
        groups.setdefault(trajectory.group if compared > 1 else None, set()).add(returned)
    if len(trajectories) > 1 and all(len(returns) == 1 for returns in groups.values()):
        where = "of each group" if compared > 1 else "of an iteration"
        alarms.sound(
            "no_reward_variance",
            f"all episodes {where} had the same return: there is nothing to learn from; other "
            "tasks, a longer warm-up or more episodes to compare would help",
        )
    truncated(played.truncated_prompts, alarms)
    sound_failures(played.failures, alarms)
    menus = [
        len(turn.observation.legal_actions)
        for trajectory in trajectories
        for turn in trajectory.transitions
    ]
    uniform = sum(math.log(size) for size in menus) / max(1, len(menus))
    entropy = figures.get("entropy")
    if entropy is not None and uniform and entropy < COLLAPSED * uniform:
        alarms.sound(
            "entropy_collapsed",
            f"the policy's entropy is {entropy:.2g} nats, {uniform:.2g} would be random: "
            "it explores no more; raise trainer.ent_coef or rollout.temperature",
        )


def _written(number: float) -> float | str:
    """A number as JSON can hold it; one that is not finite as a word."""
    return number if math.isfinite(number) else str(number)


def success_rate(trajectories: Sequence[Trajectory]) -> float:
    """Share of solved episodes; 0 where there are none."""
    return sum(t.success for t in trajectories) / max(1, len(trajectories))


def summary(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Episodes, success rate, mean return (unshaped) and mean turns."""
    count = max(1, len(trajectories))
    return {
        "episodes": len(trajectories),
        "success_rate": success_rate(trajectories),
        "mean_return": sum(t.episode_return for t in trajectories) / count,
        "mean_turns": sum(t.turns for t in trajectories) / count,
    }
