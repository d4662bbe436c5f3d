"""Processes that are not left behind: they end when the one that began them is stopped."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["Children"]

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

    def stop(self) -> None:
        """Ask all of them to end, and begin no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
