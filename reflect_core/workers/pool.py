"""The workers of a run, and the environments that it has there."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import attrs

from reflect_core.context import EnvironmentContext
from reflect_core.errors import ReflectError
from reflect_core.protocols import Environment
from reflect_core.workers.environment import WorkerEnvironment, WorkerExpert
from reflect_core.workers.worker import Worker

FAR = 2.0
"""Times the memory limit at which a worker is replaced although episodes are under way."""


@attrs.define
class Registered:
    """Builds an environment by name, from the plugins that are installed where it is called.

    Args:
        name: Of the environment.
        config: An instance of its spec's ``config``.
        context: What its factory is given.
    """

    name: str
    config: Any
    context: EnvironmentContext = attrs.field(factory=EnvironmentContext)
    _factory: Callable[[Any, EnvironmentContext], Environment] | None = attrs.field(
        default=None, init=False, eq=False, repr=False
    )

    def __call__(self) -> Environment:
        """Build one.

        Raises:
            PluginError: There is no such environment.
        """
        if self._factory is None:  # the plugins are loaded once, not for each environment
            from reflect_core import plugins

            self._factory = plugins.load().find("environment", self.name).spec.factory
        return self._factory(self.config, self.context)


class WorkerPool:
    """Environments in processes of their own, several in each.

    >>> from reflect_core.testing.lamps import Lamps
    >>> with WorkerPool(Lamps, workers=1, name="lamps") as pool:
    ...     lamps = pool.environment()
    ...     lamps.reset(lamps.tasks("train")[0], seed=0).legal_actions[0]
    'push red'

    Args:
        build: Makes one environment there; must pickle, as :class:`Registered` does.
        workers: Processes.
        timeout: Seconds that a call may take before its process is ended.
        memory: MiB above which a process is replaced before the next episode begins; 0 for
            no limit.
        name: Of the environment, for messages.

    Raises:
        ReflectError: ``build`` does not pickle, or this system has no such processes.
    """

    def __init__(
        self,
        build: Callable[[], Environment],
        *,
        workers: int,
        timeout: float = 120.0,
        memory: float = 0.0,
        name: str = "",
    ) -> None:
        if not hasattr(os, "killpg"):
            raise ReflectError(
                "environments in worker processes need a POSIX system",
                then="play in this process: rollout.workers=0",
            )
        try:
            pickled = pickle.dumps(build)
        except Exception as error:  # whatever the attributes of a config raise
            raise ReflectError(
                f"the environment {name!r} cannot be sent to a worker process",
                why=f"{type(error).__name__}: {error}",
                then="let its options pickle, or play in this process: rollout.workers=0",
            ) from error
        self.memory = memory
        self.name = name
        self._workers = [Worker(pickled, timeout=timeout) for _ in range(workers)]
        self._environments: list[WorkerEnvironment] = []
        self._count = 0
        self._has_expert: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def restarts(self) -> int:
        """Processes that were lost or replaced."""
        return sum(worker.restarts for worker in self._workers)

    @property
    def processes(self) -> list[int]:
        """Ids of the present processes."""
        return [worker.process for worker in self._workers if worker.process is not None]

    def environment(self) -> WorkerEnvironment:
        """One more environment, in the worker that has the fewest.

        The first is built at once, to see whether it is an :class:`Expert`, as it is then
        itself; the others when they are first used.

        Raises:
            Exception: What building the first one raises.
            ReflectError: That alone takes more memory than a worker may have.
        """
        if self._has_expert is None:
            self._has_expert = self._look()
        return self._make(WorkerExpert if self._has_expert else WorkerEnvironment)

    def close(self) -> None:
        """End all processes; may be called twice. Nothing is left of them afterwards."""
        for worker in self._workers:
            worker.leave()
        for worker in self._workers:
            worker.join()

    def _look(self) -> bool:
        # one in each, for what the first of a process loads; only one answer is waited for
        probes = [self._make(WorkerEnvironment) for _ in self._workers]
        answers = [probe.begin_build() for probe in probes]
        expert = answers[0]()
        used = probes[0].worker.memory
        for probe in probes:
            probe.close()
        if self.memory and used > self.memory:
            raise ReflectError(
                f"environment {self.name!r} does not fit into a worker of {self.memory:g} MiB",
                why=f"its process has {used:.0f} MiB before the first episode",
                then=f"set rollout.worker_memory to {2 * used:.0f} or more, or to 0 for no limit",
            )
        return expert

    def _make(self, kind: type[WorkerEnvironment]) -> WorkerEnvironment:
        self._environments = [one for one in self._environments if not one.closed]
        at = [one.worker for one in self._environments]
        worker = min(self._workers, key=at.count)
        made = kind(worker, self._count, self.name, self._weigh)
        self._count += 1
        self._environments.append(made)
        return made

    def _weigh(self, environment: WorkerEnvironment) -> None:
        """Replace an environment's worker that has grown too large, if nothing is lost by it."""
        worker = environment.worker
        if not self.memory or worker.memory <= self.memory:
            return
        # one that was not used in all of this one's last episode has abandoned its own
        busy = any(
            one.running and one.used > environment.began
            for one in self._environments
            if one.worker is worker and one is not environment
        )
        if not busy or worker.memory > FAR * self.memory:
            worker.replace()
