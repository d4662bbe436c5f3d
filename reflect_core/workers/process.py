"""One worker process, from its start to its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reflect_core.workers.child import GRACE

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from reflect_core.workers.child import main; main(int(sys.argv[2]), sys.argv[3])"
)


class WorkerProcess:
    """A fresh interpreter that serves environments over a socket.

    It is not ``multiprocessing``'s: that would run the main script once more in the worker,
    with all that it imports. It leads a process group and has a folder for temporary files
    of its own, so that with it everything ends that its engine started or left behind.

    Args:
        build: The pickled callable that makes an environment.
    """

    def __init__(self, build: bytes) -> None:
        self._scratch = tempfile.TemporaryDirectory(
            prefix="reflect-worker-", ignore_cleanup_errors=True
        )
        ours, theirs = socket.socketpair()
        path = [str(Path(entry).absolute()) for entry in sys.path]
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _BOOT,
                    json.dumps(path),
                    str(theirs.fileno()),
                    self._scratch.name,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "TMPDIR": self._scratch.name},
                start_new_session=True,
            )
        self.connection: Connection[Any, Any] = Connection(ours.detach())
        self.send(build)

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    def send(self, message: bytes) -> None:
        """Send to a process that may be gone, which is noticed when its answers are read."""
        try:
            self.connection.send_bytes(message)
        except OSError:
            return

    def ended(self) -> str:
        """How a process ended that closed its socket, in words."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it exited with code {code}"

    def leave(self) -> None:
        """Let it close its environments and end; :meth:`reap` waits for that."""
        if not self.connection.closed:
            self.connection.close()

    def reap(self, *, patience: float = 0.0) -> bool:
        """Whether it is gone, with all that it left.

        Args:
            patience: Seconds to wait for that.
        """
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """End it at once, with its group."""
        self.leave()
        # nobody may be left in the group; macOS says so of zombies in its own way
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._scratch.cleanup()
