"""The reference of metrics.jsonl: every key that is written, and none that is not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import ROOT
from toy import lamps_registry, settings

from reflect_core import Context
from reflect_core.plugins import load
from reflect_core.progress import QuietProgress
from reflect_core.records import Task
from reflect_core.run import execute
from reflect_core.settings import ReplaySettings

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
LINES, _, REST = PAGE.partition("\n## Alarms\n")
ALARMS = REST.partition("\n## ")[0]
TASKS = [Task(str(level), "train", "", level=level) for level in (1, 2)]
TRAINERS = {"ppo": {}, "grpo": {"group_size": 3, "step_coef": 1.0}, "reinforce": {}}


def first_column(text: str) -> set[str]:
    """The words in backquotes that begin the rows of a table."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`(\w+)`", row)}


@pytest.fixture(scope="module")
def rows(model_folder, tmp_path_factory) -> list[dict[str, object]]:
    """What short runs with every trainer write, the last with replayed episodes."""
    found = []
    for name, options in TRAINERS.items():
        made = settings(
            model_folder("lfm2"),
            trainer=(name, options),
            train={"iterations": 2, "episodes": 6, "valid_every": 2, "valid_episodes": 1},
            eval={"episodes": 1},
            replay=ReplaySettings(episodes=2 if name == "reinforce" else 0),
        )
        folder = tmp_path_factory.mktemp(name)
        execute(folder, made, ("teach", "sft", "train"), lamps_registry(), QuietProgress())
        found += [json.loads(line) for line in (folder / "metrics.jsonl").open(encoding="utf-8")]
    return found


def curricula() -> set[str]:
    """What the built-in curricula tell, with every choice of what grows harder."""
    found: set[str] = set()
    for name, offer in load().curricula.items():
        if offer.distribution != "reflect-core":
            continue
        words = [("by", way) for way in ("level", "stage")] if name == "adaptive" else [()]
        for word in words:
            made = settings(Path("tiny"), curriculum=(name, dict([word]) if word else {}))
            context = Context(
                seed=0, settings=made, make_environment=lambda: None,  # type: ignore[arg-type]
                tasks=lambda split: TASKS, stages=("near", "full"),
            )  # fmt: skip
            part = offer.spec.factory(made.curriculum.options, context)
            part.assign(2, iteration=0)
            found |= part.observe([]).keys()
    return found


def test_every_key_is_documented(rows):
    keys = {key for row in rows for key in row} | curricula()
    stages = {row["stage"] for row in rows}
    assert {"grad_norm", "replay_ratio", "flat_groups", "curriculum_level"} <= keys
    undocumented = {key for key in keys | stages if f"`{key}`" not in LINES}
    assert not undocumented, "docs/reference/metrics.md does not tell of these"


def test_no_key_is_documented_that_nobody_writes(rows):
    documented = first_column(LINES.partition("A `train` row")[2])
    assert len(documented) > 20
    written = {key for row in rows if row["stage"] == "train" for key in row}
    assert not documented - written - curricula()


def kinds(source: str) -> Iterator[str]:
    """The kinds of alarms that a module sounds."""
    tree = ast.parse(source)
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Dict)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "sound":
            kind, text = node.args
            if isinstance(kind, ast.Constant):
                yield kind.value
            else:  # the kind looks up its text
                assert isinstance(text, ast.Subscript) and isinstance(text.value, ast.Name)
                yield from (ast.literal_eval(each) for each in tables[text.value.id].keys)


def test_every_alarm_is_documented_and_no_other():
    modules = [*ROOT.glob("reflect_core/**/*.py"), *ROOT.glob("plugins/*/reflect_*/**/*.py")]
    found = {kind for each in modules for kind in kinds(each.read_text(encoding="utf-8"))}
    assert len(found) > 5
    assert found == first_column(ALARMS)
