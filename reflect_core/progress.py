"""What a person sees while a run works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    import rich.progress

__all__ = [
    "PlainProgress",
    "Progress",
    "QuietProgress",
    "RichProgress",
    "Stage",
    "make_progress",
]


class Stage(Protocol):
    """A stage that is under way."""

    def advance(self, n: int = 1, **figures: float) -> None:
        """``n`` more units are done; ``figures`` stay shown until they change.

        Names are shown with spaces; a name that ends in ``rate``, ``success`` or ``valid``
        is a share and shown in per cent.
        """


class Progress(Protocol):
    """Where a run reports what it does."""

    def stage(
        self, name: str, total: int | None = None, *, done: int = 0
    ) -> AbstractContextManager[Stage]:
        """Begin a stage of ``total`` units, of which ``done`` were done by an earlier run."""

    def note(self, text: str) -> None:
        """Say something worth a line of its own."""

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""


def make_progress(stream: TextIO | None = None) -> Progress:
    """The kind of progress that suits a stream, standard error by default."""
    stream = stream or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return RichProgress(stream)
    return PlainProgress(stream)


class QuietProgress:
    """Keeps what was said instead of showing it."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, *, done: int = 0) -> Iterator[Stage]:
        """A stage that shows nothing."""
        yield _Silent()

    def note(self, text: str) -> None:
        """Keep the text in ``notes``."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Keep the text in ``warnings``."""
        self.warnings.append(text)


class PlainProgress:
    """Writes plain lines: at every tenth of a stage or half minute, and at its end.

    Args:
        stream: Where to write.
        clock: Seconds that never run backwards.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, *, done: int = 0) -> Iterator[Stage]:
        """A stage whose progress goes to the stream; the last line says how it ended."""
        stage = _PlainStage(name, total, done, self._write, self._clock)
        try:
            yield stage
        except BaseException:
            stage.end("stopped")
            raise
        stage.end("done")

    def note(self, text: str) -> None:
        """Write the text."""
        self._write(text)

    def warn(self, text: str) -> None:
        """Write the text with a word in front."""
        self._write(f"Warning: {text}")

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class RichProgress:
    """Shows one live line per stage: name, bar, count, time left and figures, the newest first.

    Where the terminal is too narrow the figures are cut short, never the time left.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, *, done: int = 0) -> Iterator[Stage]:
        """A stage shown while the block runs; its last state stays on the screen."""
        from rich import progress
        from rich.table import Column

        def whole() -> Column:
            return Column(no_wrap=True, min_width=5)

        columns = (
            progress.TextColumn("{task.description:<8}", table_column=Column(no_wrap=True)),
            progress.BarColumn(bar_width=16),
            progress.MofNCompleteColumn(table_column=whole()),
            progress.TimeElapsedColumn(table_column=whole()),
            progress.TimeRemainingColumn(compact=True, table_column=whole()),
            progress.TextColumn(
                "{task.fields[figures]}",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
        )
        with progress.Progress(*columns, console=self._console, expand=True) as live:
            task = live.add_task(name, total=total, completed=done, figures="")
            yield _RichStage(live, task)

    def note(self, text: str) -> None:
        """Print the text above the live line."""
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print the text above the live line, in yellow."""
        self._console.print(f"Warning: {text}", style="yellow", markup=False)


class _Silent:
    def advance(self, n: int = 1, **figures: float) -> None:
        pass


class _PlainStage:
    SHORTEST = 2.0  # seconds between two lines, at least
    LONGEST = 30.0  # seconds between two lines of a stage that moves slowly

    def __init__(
        self,
        name: str,
        total: int | None,
        done: int,
        write: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._name, self._total, self._done = name, total, done
        self._write, self._clock = write, clock
        self._began = self._said = clock()
        self._first = self._said_done = done
        self._figures: dict[str, float] = {}

    def advance(self, n: int = 1, **figures: float) -> None:
        self._done += n
        self._figures |= figures
        waited = self._clock() - self._said
        tenth = self._total and 10 * (self._done - self._said_done) >= self._total
        if waited >= self.LONGEST or (tenth and waited >= self.SHORTEST):
            self._said, self._said_done = self._clock(), self._done
            self._say(self._left())

    def end(self, how: str) -> None:
        self._say(f"{how} in {_duration(self._clock() - self._began)}")

    def _say(self, last: str) -> None:
        count = f"{self._done}/{self._total}" if self._total else str(self._done)
        parts = [f"{self._name}: {count}", _figures(self._figures), last]
        self._write(" | ".join(part for part in parts if part))

    def _left(self) -> str:
        done_now = self._done - self._first
        if not self._total or not done_now:
            return ""
        pace = (self._clock() - self._began) / done_now
        return f"{_duration(pace * max(self._total - self._done, 0))} left"


class _RichStage:
    def __init__(self, live: rich.progress.Progress, task: rich.progress.TaskID) -> None:
        self._live, self._task = live, task
        self._figures: dict[str, float] = {}

    def advance(self, n: int = 1, **figures: float) -> None:
        self._figures = figures | {k: v for k, v in self._figures.items() if k not in figures}
        self._live.update(self._task, advance=n, figures=_figures(self._figures))


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {_figure(name, figures[name])}" for name in figures)


def _figure(name: str, value: float) -> str:
    if name.endswith(("rate", "success", "valid")) and name != "learning_rate":
        return f"{value:.0%}"
    return f"{value:d}" if isinstance(value, int) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> _duration(75), _duration(8), _duration(3700)
    ('1 min 15 s', '8 s', '1 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
