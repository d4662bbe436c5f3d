"""What runs in a worker process: environments, called one after the other.

The main thread alone touches environments, for engines are not safe in threads. A second
thread reads, so that the end of the run is noticed while an environment is at work, and a third
writes, so that an environment never waits for a run that is busy with its model.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs

from reflect_core.errors import ReflectError
from reflect_core.protocols import Described, Environment, Expert
from reflect_core.records import Hint, Observation, Step
from reflect_core.workers.wire import Failure, Past, Reply, Request, Start

GRACE = 2.0
"""Seconds that environments have to close once the run is gone."""


def main(handle: int, scratch: str) -> None:
    """Serve the run at the other end of a socket until it closes.

    Args:
        handle: The socket's file descriptor. The first message builds an environment; all others
            are requests, which are answered in order.
        scratch: The folder of this process's temporary files, which goes with it.
    """
    # first, hence called last: libraries tidy up before
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.set_inheritable(handle, False)
    os.dup2(2, 1)  # what an engine prints does not get into what the run prints
    connection: Connection[Any, Any] = Connection(handle)
    inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    outbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    ended = threading.Event()
    try:
        build: Callable[[], Environment] = pickle.loads(connection.recv_bytes())
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - told to the run, which raises it
        connection.send_bytes(pickle.dumps(Reply(failure=Failure.of(error))))
        return
    outbox.put(pickle.dumps(Reply(memory=resident())))
    threading.Thread(target=_read, args=(connection, inbox, ended, scratch), daemon=True).start()
    threading.Thread(target=_write, args=(connection, outbox), daemon=True).start()
    server = Server(build)
    try:
        while (request := inbox.get()) is not None and not ended.is_set():
            outbox.put(server.answer(request))
    finally:
        server.close()


def _read(
    connection: Connection[Any, Any],
    inbox: queue.SimpleQueue[Request | None],
    ended: threading.Event,
    scratch: str,
) -> None:
    """Take requests in; when there can be no more, see that this process ends."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        ended.set()
        inbox.put(None)
    # nothing sets it again: this only lets the main thread finish, if it can
    threading.Event().wait(GRACE)
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # also what an engine may have started


def _write(connection: Connection[Any, Any], outbox: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            connection.send_bytes(outbox.get())
    except OSError:
        return  # the reader sees the same


@attrs.define
class Server:
    """The environments of this process, by number.

    Args:
        build: Makes one.
    """

    build: Callable[[], Environment]
    environments: dict[int, Environment] = attrs.field(factory=dict)

    def answer(self, request: Request) -> bytes:
        """Do what is asked; whatever is raised, and what cannot be sent, is the answer."""
        # ends the process even where an engine never returns to the interpreter
        signal.setitimer(signal.ITIMER_REAL, request.limit)
        try:
            value, hint = self._do(request)
            return pickle.dumps(Reply(value, hint, memory=resident()))
        except Exception as error:  # noqa: BLE001 - the run raises it where it was called
            return pickle.dumps(Reply(failure=Failure.of(error), memory=resident()))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self) -> None:
        """Close all environments; one that fails keeps none from closing."""
        while self.environments:
            _, environment = self.environments.popitem()
            try:
                environment.close()
            except Exception:  # noqa: BLE001 - nobody is left who could be told
                traceback.print_exc(file=sys.stderr)

    def _do(self, request: Request) -> tuple[Any, Hint | None]:
        if request.verb == "close":
            if environment := self.environments.pop(request.environment, None):
                environment.close()
            return None, None
        if request.environment not in self.environments:
            self.environments[request.environment] = self.build()
        environment = self.environments[request.environment]
        if request.past is not None:
            replay(environment, request.past)
        if request.verb == "build":
            return isinstance(environment, Expert), None
        if request.verb == "summary":
            return environment.summary() if isinstance(environment, Described) else "", None
        if request.verb == "reset":
            seen: Observation | Step = begin(environment, request.args[0])
        else:
            seen = getattr(environment, request.verb)(*request.args)
        return seen, _hint(environment, seen) if request.hint else None


def begin(environment: Environment, start: Start) -> Observation:
    """Reset as it was asked for."""
    return environment.reset(start.task, seed=start.seed, stage=start.stage)


def replay(environment: Environment, past: Past) -> None:
    """Bring an environment to where another instance was.

    Raises:
        ReflectError: It shows something else there than the other did.
    """
    seen: Observation | Step = begin(environment, past.start)
    for turn, action in enumerate(past.actions):
        if turn in past.asked:
            _hint(environment, seen)
        seen = environment.step(action)
    shown = seen.observation if isinstance(seen, Step) else seen
    if past.observation is not None and shown != past.observation:
        raise ReflectError(
            f"an episode of task {past.start.task.task_id} could not be repeated",
            why=f"after {len(past.actions)} turns with the same seed and actions the environment "
            "showed something else than before",
            then="make the environment depend on nothing but task, seed and actions",
        )
    if len(past.actions) in past.asked:
        _hint(environment, seen)


def resident() -> float:
    """Memory of this process in MiB: what it has now, or where that is not told, its peak."""
    import resource  # not everywhere; nor is this called everywhere

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    return pages * resource.getpagesize() / 2**20


def _hint(environment: Environment, seen: Observation | Step) -> Hint | None:
    """The expert's word on a state that can be played on; None where there is none."""
    if isinstance(seen, Step) and (seen.terminated or not seen.observation.legal_actions):
        return None
    if not isinstance(environment, Expert):
        return None
    try:
        return Hint(environment.expert_action(), environment.expert_reflection())
    except Exception:  # noqa: BLE001 - who needs the hint asks again, and is told
        return None
