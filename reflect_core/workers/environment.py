"""Environments that live in a worker, seen from the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from reflect_core.errors import EnvironmentLost
from reflect_core.records import Hint, Observation, Step, Task
from reflect_core.workers.pipelined import Pipelined
from reflect_core.workers.wire import Past, Reply, Request, Start
from reflect_core.workers.worker import RETRIES, Ticket, Worker

T = TypeVar("T")

EXPERT = ("expert_action", "expert_reflection")


class WorkerEnvironment(Pipelined):
    """Implements :class:`reflect_core.protocols.Environment`.

    It remembers its episode's seed and actions. When its process is lost, the episode is
    played again in the next one, up to where it was, and nobody notices; where that fails
    too often, the call raises.

    Args:
        worker: Where it lives.
        number: Which one it is there.
        name: Of the environment, for messages.
        before_reset: Called with the worker when an episode is to begin.
    """

    def __init__(
        self,
        worker: Worker,
        number: int,
        name: str,
        before_reset: Callable[[WorkerEnvironment], None],
    ) -> None:
        self.worker = worker
        self.running = False
        """Whether an episode is under way."""
        self.began = self.used = -1
        """When the episode began and the last call was made, in calls of the worker."""
        self.closed = False
        self._number = number
        self._name = name
        self._before_reset = before_reset
        self._generation = -1  # of the process that knows it
        self._start: Start | None = None
        self._actions: list[str] = []
        self._asked: set[int] = set()  # after how many actions the expert was
        self._seen: Observation | None = None
        self._hint: Hint | None = None

    def tasks(self, split: str) -> Sequence[Task]:
        """As the environment's."""
        return cast("Sequence[Task]", self._call("tasks", split))

    def summary(self) -> str:
        """As the environment's; nothing where it has none."""
        return cast(str, self._call("summary"))

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """As the environment's."""
        return self.begin_reset(task, seed=seed, stage=stage)()

    def step(self, action: str) -> Step:
        """As the environment's."""
        return self.begin_step(action)()

    def begin_reset(
        self, task: Task, *, seed: int, stage: str | None = None
    ) -> Callable[[], Observation]:
        """As ``reset``, which the result finishes."""
        self._before_reset(self)
        self._start = Start(task, seed, stage)
        self._actions.clear()
        self._asked.clear()
        self._seen = None
        self.running, self.began = True, self.worker.submitted

        def finish() -> Observation:
            try:
                self._seen = cast(Observation, answer())
            except Exception:
                self._start, self.running = None, False
                raise
            return self._seen

        answer = self._begin("reset", self._start)
        return finish

    def begin_step(self, action: str) -> Callable[[], Step]:
        """As ``step``, which the result finishes."""

        def finish() -> Step:
            step = cast(Step, answer())
            self._actions.append(action)
            self._seen = step.observation
            self.running = not step.over
            return step

        answer = self._begin("step", action)
        return finish

    def close(self) -> None:
        """Let the worker close it; does not wait for that, for the worker may be at work."""
        if self.closed:
            return
        self.closed = True
        self.renew()

    def renew(self) -> None:
        """Let the worker close it and forget the episode; does not wait for that."""
        self.running, self._start, self._hint = False, None, None
        if self.worker.process is not None and self._generation == self.worker.generation:
            self.worker.submit(Request(self._number, "close"))

    def begin_build(self) -> Callable[[], bool]:
        """Build it; the result waits for that, and says whether it has an :class:`Expert`."""
        return self._begin("build")

    def foretold(self, verb: str) -> str:
        """The expert's word, which came with the last answer if it was foreseen."""
        if self._hint is None:
            return cast(str, self._call(verb))
        return self._hint.action if verb == "expert_action" else self._hint.reflection

    def _call(self, verb: str, *args: Any) -> Any:
        return self._begin(verb, *args)()

    def _begin(self, verb: str, *args: Any) -> Callable[[], Any]:
        """Send a call; the result waits for its answer, in a new process if need be."""
        if self.closed:
            raise RuntimeError(f"this instance of environment {self._name!r} is closed")
        changes = verb in ("reset", "step")
        if changes:
            self._hint = None
        hint = changes and self.foresee
        ticket = self._submit(verb, args, hint)
        if hint or verb in EXPERT:
            # of a step the state that it leads to
            self._asked.add(len(self._actions) + (verb == "step"))

        def answer() -> Any:
            nonlocal ticket
            reply = self._wait(ticket, lambda: self._submit(verb, args, hint))
            if changes:
                self._hint = reply.hint
            return reply.value

        return answer

    def _submit(self, verb: str, args: tuple[Any, ...], hint: bool) -> Ticket:
        """Send a call to the present process, with what it must know of the past."""
        self.used = self.worker.submitted
        calls, past = 3 if hint else 1, None
        if self._generation != self.worker.generation:
            self._generation = self.worker.generation
            calls += 1  # to build it
            if verb != "reset" and self._start is not None:
                past = Past(self._start, tuple(self._actions), self._seen, frozenset(self._asked))
                calls += 1 + len(self._actions) + 2 * len(self._asked)
        return self.worker.submit(Request(self._number, verb, args, past, hint), calls=calls)

    def _wait(self, ticket: Ticket, again: Callable[[], Ticket]) -> Reply:
        causes: list[str] = []
        while True:
            self.worker.wait(ticket)
            if ticket.reply is not None:
                if ticket.reply.failure is not None:
                    raise ticket.reply.failure.error()
                return ticket.reply
            if ticket.guilty:
                causes.append(str(ticket.lost))
                if len(causes) > RETRIES:
                    raise self._lost(causes)
            ticket = again()

    def _lost(self, causes: Sequence[str]) -> EnvironmentLost:
        task = f" at task {self._start.task.task_id!r}" if self._start else ""
        times = f"in {len(causes)} processes one after the other"
        what = causes[0] if len(set(causes)) == 1 else f"{'; '.join(causes)}"
        return EnvironmentLost(
            f"environment {self._name!r} cannot go on{task}, turn {len(self._actions) + 1}",
            why=f"{times}: {what}",
            then="leave the task out, mend the environment, or if it is slow and not stuck, "
            "raise rollout.worker_timeout",
        )


class WorkerExpert(WorkerEnvironment):
    """One that implements :class:`reflect_core.protocols.Expert` as well."""

    def expert_action(self) -> str:
        """As the environment's."""
        return self.foretold("expert_action")

    def expert_reflection(self) -> str:
        """As the environment's."""
        return self.foretold("expert_reflection")
