"""The table of an ablation: every arm against the whole method, over all seeds."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core import files, folders
from reflect_core.ablation.arms import REFERENCE, Arm
from reflect_core.ablation.costs import Costs, costs
from reflect_core.errors import CheckpointError
from reflect_core.report import Report, about_list, compare
from reflect_core.report_svg import success_svg
from reflect_core.runfolder import RunFolder
from reflect_core.settings import EvalSettings

SAME = 0.9
"""Share of tasks that all arms must have in common; failed episodes are dropped."""

__all__ = ["Table", "gather", "write"]


@attrs.frozen
class Table:
    """Success, differences and costs of all arms.

    Args:
        report: Success with intervals, paired with Reflect-RL by seed, task and episode.
        costs: Of each arm, the mean over its seeds.
        seeds: That were run.
        by_seed: Success of each arm and decoding, seed by seed.
    """

    report: Report
    costs: Mapping[str, Costs]
    seeds: Sequence[int]
    by_seed: Mapping[tuple[str, str], Sequence[float]]

    @property
    def headers(self) -> tuple[str, ...]:
        """Of the table's columns."""
        kept = self.report.headers
        return (*kept[:3], "by seed", kept[4], kept[5], "updates", "tokens", "minutes")

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The table's rows as text."""
        rows = []
        for row, cells in zip(self.report.rows, self.report.cells, strict=True):
            cost = self.costs[row.name]
            seeds = " ".join(f"{100 * share:.0f}" for share in self.by_seed[row.name, row.decoding])
            learning = (
                f"{cost.updates}",
                _millions(cost.tokens_learnt + cost.tokens_read),
                f"{cost.seconds / 60:.1f}",
            )
            rows.append((*cells[:3], seeds, cells[4], cells[5], *learning))
        return rows

    def markdown(self) -> str:
        """The table with what its columns mean."""
        lines = [self.headers, ("---",) * len(self.headers), *self.cells]
        table = ["| " + " | ".join(line) + " |" for line in lines]
        caption = f"# {self.report.caption}, seeds {', '.join(map(str, self.seeds))}"
        head = [caption, "", *about_list(self.report.about)]
        return "\n".join([*head, *table, "", self.footnote]) + "\n"

    @property
    def footnote(self) -> str:
        """What the columns mean."""
        return (
            "In brackets: 95% intervals, bootstrapped over tasks and, independently, over seeds "
            "(for success Wilson's, where no task repeats or all episodes end alike); differences "
            "are paired by seed and task, in percentage points. Where three to five seeds differ "
            "a lot such intervals are somewhat too narrow. Updates, tokens (read in rollouts and "
            "validations, and learnt from) and minutes are of one seed's learning, evaluation left "
            "out; a stage that arms share counts for each. Tasks for practice are RL's alone."
        )

    def plain(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        return {
            **self.report.plain(),
            "seeds": list(self.seeds),
            "costs": {name: attrs.asdict(cost) for name, cost in self.costs.items()},
        }


def gather(arms: Sequence[Arm], runs: Mapping[tuple[str, int], Path]) -> Table:
    """Read the evaluations of all runs.

    Args:
        arms: In the order of the table.
        runs: The folder of each arm's name and seed.

    Raises:
        CheckpointError: A run has no evaluation.
    """
    seeds = sorted({seed for _, seed in runs})
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    first: dict[str, Any] = {}
    for arm in arms:
        for seed in seeds:
            found = _evaluation(runs[arm.name, seed])
            first = first or found
            for row in found["rows"]:
                if row["name"] != arm.row:
                    continue
                new = {**row, "name": arm.name, "title": arm.title, "episodes": []}
                merged = rows.setdefault((arm.name, row["decoding"]), new)
                merged["episodes"] += [{**each, "seed": seed} for each in row["episodes"]]
    _same_episodes(rows)
    report = compare({**first, "rows": list(rows.values()), "reference": REFERENCE})
    spent = {arm.name: [costs(runs[arm.name, seed]) for seed in seeds] for arm in arms}
    return Table(
        report=report,
        costs={name: _mean(each) for name, each in spent.items()},
        seeds=seeds,
        by_seed={key: _by_seed(row["episodes"], seeds) for key, row in rows.items()},
    )


def write(table: Table, folder: Path) -> None:
    """Write ``ablation.md``, ``ablation.json`` and the picture ``ablation.svg``."""
    files.write_atomic(folder / "ablation.md", table.markdown())
    text = json.dumps(table.plain(), indent=2, ensure_ascii=False) + "\n"
    files.write_atomic(folder / "ablation.json", text)
    files.write_atomic(folder / "ablation.svg", success_svg(table.report.rows) + "\n")


def _evaluation(folder: Path) -> dict[str, Any]:
    """The run's own, whatever others lie beside it."""
    own = EvalSettings()
    if (folder / folders.CONFIG).exists():
        table = tomllib.loads((folder / folders.CONFIG).read_text(encoding="utf-8"))
        own = EvalSettings(split=table["eval"]["split"], label=table["eval"].get("label", ""))
    path = RunFolder(folder).evaluation_of(own)
    if not path.exists():
        raise CheckpointError(f"{folder} has no evaluation", then="call reflect ablate again")
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not an evaluation")
    return content


def _same_episodes(rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """See that all arms played the same episodes; those that failed may be missing.

    Raises:
        CheckpointError: An arm played tasks that another one never saw.
    """
    seen = {
        name: {(each["seed"], each["task_id"]) for each in row["episodes"]}
        for (name, _), row in rows.items()
    }
    most = max(map(len, seen.values()), default=0)
    for name, tasks in seen.items():
        common = min((len(tasks & others) for others in seen.values()), default=0)
        if common < SAME * most:
            raise CheckpointError(
                f"the arm {name!r} played other tasks than the others",
                why=f"{common} of {most} tasks are common to all",
                then="the environment changed during the study: begin it anew",
            )


def _by_seed(episodes: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[float]:
    won = {seed: [bool(e["success"]) for e in episodes if e["seed"] == seed] for seed in seeds}
    return [sum(each) / len(each) if each else float("nan") for each in won.values()]


def _mean(each: Sequence[Costs]) -> Costs:
    total = sum(each, Costs())
    count = max(1, len(each))
    return Costs(
        total.seconds / count,
        round(total.updates / count),
        round(total.tokens_learnt / count),
        round(total.tokens_read / count),
    )


def _millions(tokens: int) -> str:
    return f"{tokens / 1e6:.1f} M"
