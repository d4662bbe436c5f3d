"""Environments in worker processes, for engines that are slow, leak or crash."""

from reflect_core.workers.environment import WorkerEnvironment, WorkerExpert
from reflect_core.workers.pipelined import Pipelined
from reflect_core.workers.pool import Registered, WorkerPool
from reflect_core.workers.wire import EnvironmentRaised

__all__ = [
    "EnvironmentRaised",
    "Pipelined",
    "Registered",
    "WorkerEnvironment",
    "WorkerExpert",
    "WorkerPool",
]
