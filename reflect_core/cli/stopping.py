"""A request to end, as schedulers send it, ends a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["EXIT_INTERRUPTED", "EXIT_TERMINATED", "Terminated", "exit_code", "terminable"]

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` here when SIGTERM comes, unless somebody handles it already.

    Not in one of several processes: while it waits for the others, inside a library, nothing can
    be raised, and the signal must end it.
    """
    ours = (
        int(os.environ.get("WORLD_SIZE") or 1) == 1
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not ours:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_code(stop: BaseException) -> int:
    """What a shell expects of a process that was stopped in this way."""
    # click raises its own error from the one that stopped it
    terminated = any(isinstance(each, Terminated) for each in (stop, stop.__cause__))
    return EXIT_TERMINATED if terminated else EXIT_INTERRUPTED


def _end(number: int, frame: FrameType | None) -> None:
    raise Terminated
