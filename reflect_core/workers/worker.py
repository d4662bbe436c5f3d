"""A worker as its environments know it: a queue of calls, served by one process after another."""

from __future__ import annotations

import pickle
from collections import deque

import attrs

from reflect_core.errors import ReflectError
from reflect_core.workers.process import WorkerProcess
from reflect_core.workers.wire import Reply, Request

RETRIES = 3
"""How often what may have ended a process is tried again in a new one."""

START_SECONDS = 120.0
"""For an interpreter to start; a call's own limit may be shorter than that takes."""

LONGEST = 1e6
"""The longest limit in seconds: what waits counts milliseconds in 31 bits."""

LEAVE_SECONDS = 3.0
"""For a process to close its environments before it is killed."""


@attrs.define(eq=False)
class Ticket:
    """A call that was sent.

    Args:
        limit: Seconds that may pass while somebody waits for its answer and no other call is
            before it.
        reply: The answer, once it is here.
        lost: What became of the process that should have answered.
        guilty: It was this call that the process was at work on then.
    """

    limit: float
    reply: Reply | None = None
    lost: str | None = None
    guilty: bool = False


class Worker:
    """Calls go to its present process in order; when that is lost, a new one takes its place.

    Not safe in threads, but different workers may be used by different threads.

    Args:
        build: The pickled callable that makes an environment.
        timeout: Seconds that a call may take.
    """

    def __init__(self, build: bytes, *, timeout: float) -> None:
        self.timeout = timeout
        self.generation = 0
        """Counts the processes: what an earlier one held is gone."""
        self.restarts = 0
        self.submitted = 0
        self.memory = 0.0  # MiB, of the last answer
        self._build = build
        self._process: WorkerProcess | None = None
        self._leaving: list[WorkerProcess] = []
        self._pending: deque[Ticket] = deque()
        self._ready: Ticket | None = None
        self._failed_starts = 0
        self._hopeless: ReflectError | None = None
        self._closed = False

    @property
    def process(self) -> int | None:
        """The present process's id, None where there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """See that there is a process; does not wait until it is up."""
        if self._closed:
            raise RuntimeError("the pool of this worker is closed")
        if self._hopeless is not None:
            raise self._hopeless
        if self._process is None:
            self._leaving = [process for process in self._leaving if not process.reap()]
            self._process = WorkerProcess(self._build)
            self._ready = Ticket(min(max(START_SECONDS, self.timeout), LONGEST))
            self._pending.append(self._ready)

    def submit(self, request: Request, *, calls: int = 1) -> Ticket:
        """Send a request, which takes the time of so many calls; does not wait."""
        self.start()
        assert self._process is not None
        ticket = Ticket(min(calls * self.timeout, LONGEST))
        self.submitted += 1
        self._pending.append(ticket)
        # this process sees to the limit; the worker does only if this one is gone
        request = attrs.evolve(request, limit=2 * ticket.limit)
        self._process.send(pickle.dumps(request))
        return ticket

    def wait(self, ticket: Ticket) -> None:
        """Return when the ticket has its reply, or is lost.

        Raises:
            ReflectError: No process can be started.
        """
        while ticket.reply is None and ticket.lost is None:
            self._receive()
        if ticket.lost is not None and self._hopeless is not None:
            raise self._hopeless

    def replace(self) -> None:
        """Let the process end in its own time; the next call starts another."""
        if self._process is not None:
            self._process.leave()
            self._leaving.append(self._process)
            self._forget("it was replaced", guilty=False)

    def leave(self) -> None:
        """Begin to end; for good."""
        self._closed = True
        self.replace()

    def join(self) -> None:
        """Return when no process is left; those that will not end are killed."""
        for process in self._leaving:
            if not process.reap(patience=LEAVE_SECONDS):
                process.kill()
        self._leaving.clear()

    def _receive(self) -> None:
        """Take the next answer in, or find that there will be none."""
        assert self._process is not None
        head = self._pending[0]
        try:
            if not self._process.connection.poll(head.limit):
                return self._lose(f"it gave no answer within {head.limit:g} s")
            message = self._process.connection.recv_bytes()
        except (EOFError, OSError):
            return self._lose(self._process.ended())
        self._pending.popleft()
        head.reply = pickle.loads(message)
        self.memory = head.reply.memory
        if head is self._ready:
            self._ready = None
            self._failed_starts = 0
            if head.reply.failure is not None:
                self._give_up(head.reply.failure.text)
                self._lose("it could not begin")
        return None

    def _lose(self, what: str) -> None:
        assert self._process is not None
        self._process.kill()
        if self._ready is not None:
            self._failed_starts += 1
            if self._failed_starts > RETRIES:
                self._give_up(what)
        self._forget(what, guilty=self._ready is None)

    def _forget(self, what: str, *, guilty: bool) -> None:
        """The process is gone, and with it the answers that were to come."""
        for place, ticket in enumerate(self._pending):
            ticket.lost, ticket.guilty = what, guilty and place == 0
        self._pending.clear()
        self._process = self._ready = None
        self.memory = 0.0
        self.generation += 1
        self.restarts += not self._closed

    def _give_up(self, why: str) -> None:
        self._hopeless = ReflectError(
            "a worker process for environments cannot be started",
            why=why,
            then="see what it wrote on standard error, or play in this process: rollout.workers=0",
        )
