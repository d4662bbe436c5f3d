"""What parts are given when they are built, so that none reaches for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from reflect_core.alarms import Alarms
from reflect_core.protocols import Environment, Policy
from reflect_core.records import Task

if TYPE_CHECKING:
    from accelerate import Accelerator

    from reflect_core.lm.pool import ModelPool
    from reflect_core.settings import Settings


@attrs.frozen
class EnvironmentContext:
    """For environments: plain values only, so that it pickles to a worker process.

    Args:
        seed: The run's seed; splits and generated content may depend on it.
    """

    seed: int = 0


@attrs.frozen
class Context:
    """For reflectors, policies, trainers and curricula.

    Args:
        seed: The run's seed, the root of all named streams.
        settings: The resolved configuration of the run.
        make_environment: Builds one more instance of the run's environment.
        tasks: ``tasks(split)`` lists the environment's tasks. A curriculum is given those
            of the train split that ``teach.share`` leaves to RL.
        stages: Names of the environment's stages, the real task last.
        models: Loaded models, shared between players; None where no model is used.
        accelerator: Device, precision and processes; None where no model is used.
        policy: For trainers, the policy to train.
        critic: Whether the run's trainer needs a critic; for policies.
        folder: The run's folder, if there is one.
        shared_folder: Where to keep what the runs of one study may share, such as the answers
            of an endpoint; the run's own folder where it belongs to none.
        alarms: Where a part says that something goes wrong which does not stop the run.
    """

    seed: int
    settings: Settings
    make_environment: Callable[[], Environment]
    tasks: Callable[[str], Sequence[Task]]
    stages: tuple[str, ...] = ("full",)
    models: ModelPool | None = None
    accelerator: Accelerator | None = None
    policy: Policy | None = None
    critic: bool = True
    folder: Path | None = None
    shared_folder: Path | None = None
    alarms: Alarms = attrs.field(factory=Alarms)
