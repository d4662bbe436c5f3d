"""What tests and the benchmark of the endpoint share: rooms, parts, and runs that are killed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

from faulty_server import FaultyServer, prompt
from reflect_reflector_openai.config import OpenAIConfig
from reflect_reflector_openai.plugin import make_reflector

from reflect_core import Context, Draws, Observation, PastTurn, State, Task
from reflect_core.alarms import Alarms
from reflect_core.settings import RolloutSettings

ACTIONS = ("go north", "go south", "open the door")
QUICK: dict[str, Any] = {"backoff": 0.002, "max_wait": 5.0, "retries": 30, "max_tokens": 64}
"""Options under which a test need not wait long for anything."""


def room(number: int, *, turns: int = 1) -> State:
    """A state that no other number has."""
    return State(
        Task(f"room-{number}", "train", "Find the way out"),
        Observation(f"You are in room {number}.", ACTIONS),
        (PastTurn("You are in the hall.", "open the door"),) * turns,
    )


def draws(number: int, *, seed: int = 0) -> Draws:
    return Draws(seed, ("train", number, "turn", 1))


def context(folder: Path | None, *, history: int = -1) -> Context:
    return Context(
        seed=0,
        settings=SimpleNamespace(rollout=RolloutSettings(history=history)),  # type: ignore[arg-type]
        make_environment=lambda: None,  # type: ignore[arg-type,return-value]
        tasks=lambda split: (),
        folder=folder,
        alarms=Alarms(),
    )


def reflector(server: FaultyServer, where: Context, **options: Any) -> Any:
    """The plugin's part, pointed at a server."""
    given = {"base_url": server.url, "model": "m", "key_env": None, **QUICK, **options}
    return make_reflector(OpenAIConfig(**given), where)


def stored(path: Path) -> dict[str, str]:
    """The stored answers by what was asked, read past the plugin."""
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    try:
        return {
            prompt(json.loads(request)): answer
            for request, answer in connection.execute("SELECT request, answer FROM answers")
        }
    finally:
        connection.close()


class Attempts:
    """Runs of ``killed_asking.py``, one after another, on the same folder.

    Args:
        url: The endpoint.
        folder: Where answers and results go.
        rooms: How many questions a run asks.
        options: More options of the part.
    """

    def __init__(self, url: str, folder: Path, rooms: int, **options: Any) -> None:
        script = Path(__file__).with_name("killed_asking.py")
        self.folder, self.options = folder, options
        self._process = subprocess.Popen(
            [sys.executable, str(script), url, str(folder), str(rooms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Attempts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def attempt(self, *, fatal: int = 0, **options: Any) -> dict[str, Any]:
        """One run in a process of its own, killed at the event of number ``fatal``.

        Returns:
            ``signal`` that ended it, 0 for none; and ``events``, ``said`` (the reflections)
            and ``alarms``, where it came to its end.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"fatal": fatal, "options": {**self.options, **options}}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
