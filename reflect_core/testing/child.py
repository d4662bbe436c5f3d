"""A process of its own, in which sets have another order and nothing was loaded before."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

__all__ = ["Ended", "run_child"]

PATIENCE = 600
"""Seconds."""


@attrs.frozen
class Ended:
    """How a process ended.

    Args:
        result: What it left in its file; None where it failed.
        failure: Why there is none, on one line.
        last_lines: Of what it wrote before it failed.
    """

    result: str | None = None
    failure: str = ""
    last_lines: list[str] = attrs.field(factory=list)


def run_child(code: str, job: bytes) -> Ended:
    """Run Python code, which reads ``job`` and writes a file whose path is its only argument.

    The process has another hash seed, and a temporary folder of its own, in which its cache
    (``XDG_CACHE_HOME``) lies too.
    """
    with tempfile.TemporaryDirectory(prefix="reflect-probe-") as scratch:
        result = Path(scratch) / "result.json"
        temporary = Path(scratch) / "tmp"
        temporary.mkdir()
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path),
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
            # what can be made again may be kept in the user's cache: here that is empty
            "XDG_CACHE_HOME": str(temporary / "cache"),
        }
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, str(result)],
                input=job,
                env=environment,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ended(failure=f"it was not done after {PATIENCE} seconds")
        if result.exists():
            return Ended(result.read_text(encoding="utf-8"))
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {done.returncode}"
        return Ended(failure=last, last_lines=lines[-8:-1])
