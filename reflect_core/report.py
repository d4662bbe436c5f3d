"""The report of a run: a table with intervals, and the learning curve.

It reads ``evaluation.json`` (the episodes of every row) and ``metrics.jsonl`` (what was logged
while training), so it can be made again at any time, and writes ``report.json``,
``report.md``, ``report.html`` and the picture ``report.svg``.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core import files, stats
from reflect_core.errors import CheckpointError
from reflect_core.stats import Interval

__all__ = ["Point", "Report", "Row", "about_list", "build", "compare", "load"]


@attrs.frozen
class Row:
    """How one player did.

    Args:
        name: The player (``random``, ``sft``, ...).
        title: For people.
        decoding: ``sampled``, ``argmax``, or ``-`` where it makes no difference.
        episodes: How many were played.
        success: Share of tasks solved, with Wilson's 95% interval; where tasks repeat, in several
            runs or in one, it is bootstrapped over runs and tasks.
        mean_return: Undiscounted, unshaped.
        mean_turns: Actions per episode.
        gain: How much more often the report's reference player succeeds on the same tasks,
            with a paired 95% interval; None for the reference itself.
        levels: Success by the level of the task.
    """

    name: str
    title: str
    decoding: str
    episodes: int
    success: Interval
    mean_return: float
    mean_turns: float
    gain: Interval | None
    levels: Mapping[int, float]


@attrs.frozen
class Point:
    """The policy after so many iterations, on the learning curve.

    Args:
        iteration: How many of them it has learnt from.
        success: In the training episodes that it played, if it played any.
        valid: In the validation, where one was made.
    """

    iteration: int
    success: float | None = None
    valid: float | None = None


@attrs.frozen
class Report:
    """All that the report shows.

    Args:
        environment: What ``evaluation.json`` tells about it.
        split: Whose tasks were played.
        reference: The row that the others are compared with: its title, or its name where
            the title is too long for the head of a column.
        rows: In the order of ``evaluation.json``.
        curve: Success while training.
    """

    environment: Mapping[str, Any]
    split: str
    reference: str
    rows: Sequence[Row]
    curve: Sequence[Point]

    @property
    def headers(self) -> tuple[str, ...]:
        """Of the table's columns."""
        return (
            "player",
            "decoding",
            "success",
            "mean return",
            "mean turns",
            f"{self.reference} minus this",
        )

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The table's rows as text."""
        return [
            (
                row.title,
                row.decoding,
                _percent(row.success),
                f"{row.mean_return:.2f}",
                f"{row.mean_turns:.1f}",
                _percent(row.gain, signed=True) if row.gain else "",
            )
            for row in self.rows
        ]

    @property
    def caption(self) -> str:
        """One sentence about the table."""
        count = max((row.episodes for row in self.rows), default=0)
        name = self.environment.get("name", "?")
        version = self.environment.get("version", "?")
        return f"{name} (version {version}): {count} {self.split} episodes, the same for every row"

    @property
    def about(self) -> list[str]:
        """What the environment tells about itself: engine, versions, data; a line each."""
        return [line for line in self.environment.get("summary", "").splitlines() if line.strip()]

    @property
    def footnote(self) -> str:
        """What the brackets and differences mean."""
        return (
            "In brackets: 95% intervals, Wilson's for success (where tasks repeat and do not all "
            "end alike, bootstrapped over tasks), paired bootstrap over tasks for differences, "
            "which are in percentage points."
        )

    def text(self) -> str:
        """The table for a terminal."""
        lines = [self.headers, *self.cells]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headers))]
        rule = tuple("-" * width for width in widths)
        rows = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (self.headers, rule, *self.cells)
        ]
        return "\n".join([self.caption, *self.about, "", *rows, "", self.footnote])

    def markdown(self) -> str:
        """The table for a README."""
        lines = [self.headers, ("---",) * len(self.headers), *self.cells]
        table = ["| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines]
        head = [f"# {self.caption}", "", *about_list(self.about)]
        return "\n".join([*head, *table, "", self.footnote, *self._levels()]) + "\n"

    def plain(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        table: dict[str, Any] = _finite(attrs.asdict(self))
        return table

    def _levels(self) -> list[str]:
        """A second table: success by level."""
        levels = sorted({level for row in self.rows for level in row.levels})
        if len(levels) < 2:
            return []
        head = ["player", "decoding", *(f"level {level}" for level in levels)]
        body = [
            [row.title, row.decoding]
            + [f"{row.levels[level]:.0%}" if level in row.levels else "" for level in levels]
            for row in self.rows
        ]
        lines = [head, ["---"] * len(head), *body]
        return ["", "Success by level of the task:", ""] + [
            "| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines
        ]


def build(folder: Path, evaluation: str = "evaluation.json") -> Report:
    """Make the report of a run and write its files.

    Args:
        folder: A run folder.
        evaluation: The file in it; those of other splits than test have names of their own.

    Raises:
        CheckpointError: The evaluation is missing or is not one.
    """
    from reflect_core import report_html, report_svg

    report = load(folder, evaluation)
    files.write_json(folder / "report.json", report.plain())
    files.write_atomic(folder / "report.md", report.markdown())
    files.write_atomic(folder / "report.html", report_html.render(report))
    files.write_atomic(folder / "report.svg", report_svg.success_svg(report.rows) + "\n")
    return report


def load(folder: Path, evaluation: str = "evaluation.json") -> Report:
    """As :func:`build`, writing nothing."""
    path = folder / evaluation
    if not path.exists():
        raise CheckpointError(
            f"there is nothing to report in {folder}",
            why=f"it has no {evaluation}",
            then=f"reflect eval {shlex.quote(str(folder))}",
        )
    content = files.read_json(path)
    try:
        return compare(content, _curve(files.read_rows(folder / "metrics.jsonl")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not an evaluation",
            why=f"{type(error).__name__}: {error}",
            then=f"remove it and make it again: reflect eval {shlex.quote(str(folder))}",
        ) from error


def compare(evaluation: Mapping[str, Any], curve: Sequence[Point] = ()) -> Report:
    """The report on an evaluation, or on several that were put together.

    Args:
        evaluation: The content of an ``evaluation.json``: ``environment``, ``split`` and
            ``rows``, each with ``name``, ``title``, ``decoding`` and ``episodes``. An episode
            has ``task_id``, ``level``, ``success``, ``return`` and ``turns``; ``episode``
            (its number) and ``seed`` (of its run) tell which ones are pairs. ``reference``
            names the row that the others are compared with, by default the last.
        curve: Success while training.
    """
    rows: Sequence[Mapping[str, Any]] = evaluation["rows"]
    if not rows:
        raise ValueError("it has no rows")
    reference = evaluation.get("reference", rows[-1]["name"])
    references = [row for row in rows if row["name"] == reference]
    if not references:
        raise ValueError(f"no row is called {reference!r}")
    return Report(
        environment=evaluation["environment"],
        split=evaluation["split"],
        reference=_short(references[0]),
        rows=[_row(row, references) for row in rows],
        curve=curve,
    )


def about_list(lines: Sequence[str]) -> list[str]:
    """What the environment tells about itself, as a list in Markdown."""
    return [*(f"- {_escape(line)}" for line in lines), ""] if lines else []


def _row(row: Mapping[str, Any], references: Sequence[Mapping[str, Any]]) -> Row:
    episodes: Sequence[Mapping[str, Any]] = row["episodes"]
    same = [each for each in references if each["decoding"] == row["decoding"]]
    other = (same or references)[0]
    levels: dict[int, list[bool]] = {}
    for episode in episodes:
        levels.setdefault(int(episode["level"]), []).append(bool(episode["success"]))
    return Row(
        name=row["name"],
        title=row["title"],
        decoding=row["decoding"],
        episodes=len(episodes),
        success=_success(episodes),
        mean_return=_mean(each["return"] for each in episodes),
        mean_turns=_mean(each["turns"] for each in episodes),
        gain=None if row["name"] == other["name"] else _gain(other["episodes"], episodes),
        levels={level: _mean(won) for level, won in sorted(levels.items())},
    )


def _success(episodes: Sequence[Mapping[str, Any]]) -> Interval:
    """Share of solved episodes.

    Wilson's interval where each is of a task of its own in one run, else one over runs and tasks.
    Where all end alike nothing can be resampled: Wilson's again, of as many trials as there are
    tasks.
    """
    won = [bool(each["success"]) for each in episodes]
    tasks = [str(each["task_id"]) for each in episodes]
    runs = [str(each.get("seed", "")) for each in episodes]
    if len(set(tasks)) == len(tasks) and len(set(runs)) < 2:
        return stats.wilson(sum(won), len(won))
    if len(set(won)) == 1:
        trials = len(set(tasks))
        return stats.wilson(trials * won[0], trials)
    return stats.paired_difference(
        [float(each) for each in won],
        [0.0] * len(won),
        runs=runs,
        tasks=tasks,
    )


def _short(row: Mapping[str, Any]) -> str:
    title, name = str(row["title"]), str(row["name"])
    return title if len(title) <= 20 else name


def _gain(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Interval:
    """The difference over the tasks that both played, run by run.

    Where it is the same in all, nothing can be resampled, see :func:`stats.constant_difference`.
    """
    left, right = _by_key(ours), _by_key(theirs)
    common = [key for key in left if key in right]
    if len(gains := {left[key] - right[key] for key in common}) == 1:
        return stats.constant_difference(gains.pop(), len({key[1] for key in common}))
    return stats.paired_difference(
        [left[key] for key in common],
        [right[key] for key in common],
        runs=[key[0] for key in common],
        tasks=[key[1] for key in common],
    )


def _by_key(episodes: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, int], float]:
    """Success by (seed, task, episode).

    Where episodes are not numbered, those of one task are paired in their order.
    """
    found: dict[tuple[str, str, int], float] = {}
    times: dict[tuple[str, str], int] = {}
    for each in episodes:
        run = (str(each.get("seed", "")), str(each["task_id"]))
        times[run] = times.get(run, -1) + 1
        found[*run, int(each.get("episode", times[run]))] = float(each["success"])
    return found


def _curve(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Success by updates; the episodes of an iteration were played before its update."""
    found: dict[str, dict[int, float]] = {"train": {}, "valid": {}}
    for row in rows:
        if (stage := row.get("stage")) in found:
            updates = int(row["iteration"]) - (stage == "train")
            found[stage][updates] = float(row["success_rate"])
    train, valid = found["train"], found["valid"]
    return [Point(at, train.get(at), valid.get(at)) for at in sorted({*train, *valid})]


def _mean(values: Iterable[float]) -> float:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed) if listed else math.nan


def _percent(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.estimate):
        return "-"
    sign, unit = ("+", "") if signed else ("", "%")
    estimate, low, high = (
        f"{100 * value:{sign}.1f}" for value in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate}{unit} [{low}, {high}]"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not known becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
