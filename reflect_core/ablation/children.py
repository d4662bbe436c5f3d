"""Processes that are not left behind: they end when the one that began them is stopped."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["Children"]

PATIENCE = 150.0
"""Seconds that a process has to end after it was asked to: one that waits for the answers of an
endpoint, which are paid for, needs as long as these take."""

STOPPED = -1
"""What :meth:`Children.call` answers where nothing may begin any more."""


class Children:
    """Begins processes, from several threads, and stops them all at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def call(self, words: Sequence[str], **options: Any) -> int:
        """As :func:`subprocess.call`; nothing begins once :meth:`stop` was called."""
        with self._lock:
            if self._stopped:
                return STOPPED
            process = subprocess.Popen(words, **options)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._lock:
                self._running.discard(process)

    def stop(self, *, patience: float = PATIENCE) -> None:
        """Ask all of them to end, and begin no more; who has not ended after a while is killed.

        So are all where the wait itself is broken off, by another Ctrl-C.
        """
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        until = time.monotonic() + patience
        try:
            for process in running:
                process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in running:
                process.kill()  # which those that have ended do not notice
