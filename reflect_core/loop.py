"""Online reinforcement learning: collect, update, observe, validate, save, report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from reflect_core import checkpoint
from reflect_core.checkpoint import Checkpoint
from reflect_core.errors import NonFiniteLoss
from reflect_core.files import write_json
from reflect_core.protocols import Curriculum, Trainer
from reflect_core.records import Task, Trajectory
from reflect_core.rollout import (
    Collector,
    Episode,
    Played,
    check_failures,
    evaluation_episodes,
    training_episodes,
)
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings


class Weights(Protocol):
    """A trainable policy, as far as the loop saves and restores it."""

    def state_dict(self) -> dict[str, Any]:
        """Copies of the trainable tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


class Crew(Protocol):
    """The processes that train together; one process is a crew of one."""

    is_main: bool

    def share(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """This process's part of the episodes."""

    def merge(self, played: Played) -> Played:
        """What all processes played, in order, the same in every process."""

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
    iteration: int = 0
    best_iteration: int = 0
    best_success: float = -1.0

    def run(self, advance: Callable[..., None]) -> None:
        """Train from where we are to the last iteration, then take up the best weights."""
        train = self.settings.train
        if self.iteration == 0 and self.best_success < 0:
            self._validate()
            self._save()
        while self.iteration < train.iterations:
            started = time.perf_counter()
            assignments = self.curriculum.assign(train.episodes, iteration=self.iteration)
            episodes = training_episodes(
                assignments, seed=self.settings.seed, iteration=self.iteration
            )
            played = self._play(episodes, greedy=False)
            collected = time.perf_counter()
            figures = self._update(played.trajectories)
            figures |= self.curriculum.observe(played.trajectories)
            self.iteration += 1
            if self.crew.is_main:
                self._report(played, figures)
                self.folder.time(
                    {
                        "stage": "train",
                        "iteration": self.iteration,
                        "collect_seconds": round(collected - started, 4),
                        "update_seconds": round(time.perf_counter() - collected, 4),
                    }
                )
            if due := self.iteration % train.valid_every == 0 or self.iteration == train.iterations:
                self._validate()
            if due or self.iteration % train.checkpoint_every == 0:
                self._save()
            advance(success=success_rate(played.trajectories), best_valid=self.best_success)
        best = checkpoint.load(checkpoint.path_of(self.folder, self.best_iteration))
        self.weights.load_state_dict(dict(best.policy))

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one, and cut the logs to it."""
        path = checkpoint.latest(self.folder)
        if path is None:
            return
        saved = checkpoint.load(path)
        self.weights.load_state_dict(dict(saved.policy))
        self.trainer.load_state_dict(saved.trainer)
        self.curriculum.load_state_dict(saved.curriculum)
        self.iteration = saved.iteration
        self.best_iteration, self.best_success = saved.best_iteration, saved.best_success
        if self.crew.is_main:
            self.folder.cut(saved.logs)
        self.crew.wait()

    def _play(self, episodes: Sequence[Episode], *, greedy: bool) -> Played:
        mine = self.collector.play(self.crew.share(episodes), greedy=greedy)
        played = self.crew.merge(mine)
        check_failures(played, self.settings.rollout.failed_episodes)
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

    def _report(self, played: Played, figures: dict[str, float]) -> None:
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
        episodes = evaluation_episodes(
            self.valid,
            self.settings.train.valid_episodes,
            seed=self.settings.seed,
            stage=self.final_stage,
        )
        played = self._play(episodes, greedy=False)
        success = success_rate(played.trajectories)
        if success >= self.best_success:
            self.best_iteration, self.best_success = self.iteration, success
        if self.crew.is_main:
            self.folder.log(
                {"stage": "valid", "iteration": self.iteration, **summary(played.trajectories)}
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
                ),
            )
            checkpoint.prune(
                self.folder,
                keep=self.settings.train.keep_checkpoints,
                best=self.best_iteration,
            )
        self.crew.wait()


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
