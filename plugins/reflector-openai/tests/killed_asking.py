"""Asks that are killed: ``python killed_asking.py URL FOLDER ROOMS``.

Each line of standard input, ``{"fatal": N, "options": {...}}``, starts a process that asks
about all rooms and, where N is not 0, ends itself with SIGKILL at the N-th event: before or
after a reservation, a request or the storing of an answer. Everything is imported once and
each attempt forked from here. Prints what happened, one JSON object a line.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import reflect_reflector_openai.reflector  # noqa: F401, imported before anything is forked
from endpoint_kit import context, draws, reflector, room
from reflect_reflector_openai.client import Client
from reflect_reflector_openai.store import Store

COHORT = 100


def watch(fatal: int) -> itertools.count[int]:
    """Count events, and end this process at one of them."""
    events = itertools.count(1)

    def count() -> None:
        if next(events) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in ((Store, "reserve"), (Store, "settle"), (Client, "send")):
        real = getattr(owner, name)

        def watched(*args: Any, real: Any = real, **more: Any) -> Any:
            count()
            result = real(*args, **more)
            count()
            return result

        setattr(owner, name, watched)
    return events


def ask(url: str, folder: Path, rooms: int, fatal: int, options: dict[str, Any]) -> dict[str, Any]:
    events = watch(fatal)
    where = context(folder)
    part = reflector(SimpleNamespace(url=url), where, **options)
    said: list[str] = []
    for start in range(0, rooms, COHORT):
        numbers = range(start, min(start + COHORT, rooms))
        said += part.reflect([room(n) for n in numbers], [draws(n) for n in numbers], greedy=False)
    part.close()
    return {"said": said, "alarms": dict(where.alarms.counted()), "events": next(events) - 1}


def attempt(url: str, folder: Path, rooms: int, asked: dict[str, Any]) -> dict[str, Any]:
    """What one forked process did, by the file that it leaves where it ends by itself."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        code = 1
        try:
            made = ask(url, folder, rooms, asked["fatal"], asked["options"])
            result.write_text(json.dumps(made))
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"signal": 0, **json.loads(result.read_text())}


def main(url: str, folder: Path, rooms: int) -> None:
    for line in sys.stdin:
        print(json.dumps(attempt(url, folder, rooms, json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
