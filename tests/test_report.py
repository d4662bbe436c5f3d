from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reflect_core import report, report_html
from reflect_core.errors import CheckpointError
from reflect_core.stats import wilson


def episodes(won: int, count: int = 40, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "episode": number,
            "task_id": f"task-{number}",
            "level": 1 + number % 3,
            "success": number < won,
            "return": 1.0 if number < won else -1.0,
            "turns": 4,
            **more,
        }
        for number in range(count)
    ]


def row(name: str, title: str, decoding: str, won: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "title": title, "decoding": decoding, "episodes": won}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    evaluation = {
        "environment": {"name": "filesys", "version": 1, "summary": "stdlib | 3.11\n2 < 3 tasks"},
        "split": "test",
        "episodes": 40,
        "rows": [
            row("random", "random legal action", "-", episodes(2)),
            row("warmup", "warm-up only", "sampled", episodes(20)),
            row("warmup", "warm-up only", "argmax", episodes(24)),
            row("trained", "after PPO", "sampled", episodes(36)),
            row("trained", "after PPO", "argmax", episodes(38)),
        ],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    metrics = [
        {"stage": "teach", "episodes": 9},
        {"stage": "valid", "iteration": 0, "success_rate": 0.4},
        {"stage": "train", "iteration": 1, "success_rate": 0.5},
        {"stage": "train", "iteration": 2, "success_rate": 0.75},
        {"stage": "valid", "iteration": 2, "success_rate": 0.8},
        {"stage": "train", "iteration": 3, "success_rate": 0.9},
        {"stage": "valid", "iteration": 3, "success_rate": 0.85},
    ]
    lines = "".join(json.dumps(each) + "\n" for each in metrics)
    (tmp_path / "metrics.jsonl").write_text(lines)
    return tmp_path


def test_rows(folder: Path) -> None:
    made = report.build(folder)
    assert [each.success.estimate for each in made.rows] == [0.05, 0.5, 0.6, 0.9, 0.95]
    assert made.rows[0].success == wilson(2, 40)
    assert made.rows[1].mean_return == 0.0
    assert made.rows[1].mean_turns == 4.0
    assert made.rows[1].levels[1] == pytest.approx(7 / 14)
    assert made.reference == "after PPO"


def test_gains_compare_the_same_decoding(folder: Path) -> None:
    random, sampled, argmax, trained, best = report.build(folder).rows
    assert trained.gain is None
    assert best.gain is None
    assert sampled.gain is not None
    assert argmax.gain is not None
    assert random.gain is not None
    assert sampled.gain.estimate == pytest.approx(0.9 - 0.5)
    assert argmax.gain.estimate == pytest.approx(0.95 - 0.6)
    assert random.gain.estimate == pytest.approx(0.9 - 0.05)
    assert 0 < sampled.gain.low < sampled.gain.estimate < sampled.gain.high


def test_only_episodes_that_both_played_are_compared(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    content["rows"][1]["episodes"] = content["rows"][1]["episodes"][30:]  # lost, all of them
    (folder / "evaluation.json").write_text(json.dumps(content))
    gain = report.build(folder).rows[1].gain
    assert gain is not None
    assert gain.estimate == pytest.approx(6 / 10)


def repeated(name: str, outcomes: Sequence[bool], *, runs: int, visits: int) -> dict[str, Any]:
    """A row of several runs, which all play the same tasks, and each task several times."""
    return {
        "name": name, "title": name, "decoding": "-",
        "episodes": [
            {"seed": seed, "task_id": str(task), "episode": visit, "level": 1, "success": won,
             "return": 0.0, "turns": 1}
            for seed in range(runs) for visit in range(visits) for task, won in enumerate(outcomes)
        ],
    }  # fmt: skip


@pytest.mark.parametrize("won", [False, True])
@pytest.mark.parametrize(("runs", "visits"), [(3, 1), (1, 4), (3, 2)])
def test_where_all_end_alike_there_are_as_many_trials_as_tasks(
    won: bool, runs: int, visits: int
) -> None:
    evaluation = {
        "environment": {},
        "split": "test",
        "rows": [repeated("a", [won] * 50, runs=runs, visits=visits)],
    }
    assert report.compare(evaluation).rows[0].success == wilson(50 * won, 50)


@pytest.mark.parametrize(("runs", "visits"), [(3, 1), (1, 4), (3, 2)])
def test_a_task_that_is_played_again_is_no_further_task(runs: int, visits: int) -> None:
    outcomes = [task % 3 == 0 for task in range(60)]
    rows = [
        repeated("a", outcomes, runs=runs, visits=visits),
        repeated("b", [not each for each in outcomes], runs=runs, visits=visits),
    ]
    first, _ = report.compare({"environment": {}, "split": "test", "rows": rows}).rows
    alone = wilson(20, 60)
    assert first.success.low == pytest.approx(alone.low, abs=0.02)
    assert first.success.high == pytest.approx(alone.high, abs=0.02)
    assert first.gain is not None
    # gains of +1 and -1: twice as wide, around 1/3
    assert first.gain.high - first.gain.low == pytest.approx(2 * (alone.high - alone.low), abs=0.04)


def test_text_and_markdown(folder: Path) -> None:
    made = report.build(folder)
    text = made.text()
    assert "filesys (version 1): 40 test episodes" in text
    assert "after PPO minus this" in text
    assert "50.0% [35.2, 64.8]" in text
    assert "+40.0 [" in text
    markdown = (folder / "report.md").read_text()
    assert "| warm-up only | sampled | 50.0% [35.2, 64.8] |" in markdown
    assert "| player | decoding | level 1 | level 2 | level 3 |" in markdown


def test_json(folder: Path) -> None:
    report.build(folder)
    content = json.loads((folder / "report.json").read_text())
    assert content["rows"][0]["success"]["estimate"] == 0.05
    # what an iteration plays is played by the policy before its update
    assert content["curve"] == [
        {"iteration": 0, "success": 0.5, "valid": 0.4},
        {"iteration": 1, "success": 0.75, "valid": None},
        {"iteration": 2, "success": 0.9, "valid": 0.8},
        {"iteration": 3, "success": None, "valid": 0.85},
    ]


def test_the_page_needs_nothing_else(folder: Path) -> None:
    report.build(folder)
    page = (folder / "report.html").read_text()
    namespace = "http://www.w3.org/2000/svg"  # a name, not an address to read
    for foreign in ("http:", "https:", "<script", "<link", "url("):
        assert foreign not in page.replace(namespace, "")
    _, curve = pictures(page)
    lines = {line.get("class"): line for line in curve.iter(f"{{{namespace}}}polyline")}
    assert len((lines["train"].get("points") or "").split()) == 3
    assert len((lines["valid"].get("points") or "").split()) == 3


def test_three_tasks_alike_are_no_certain_difference(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    for each, won in zip(content["rows"], (0, 0, 0, 1, 1), strict=True):
        each["episodes"] = [
            {**one, "task_id": f"t{i % 3}", "success": bool(won)}
            for i, one in enumerate(each["episodes"])
        ]
    (folder / "evaluation.json").write_text(json.dumps(content))
    gains = [each.gain for each in report.build(folder).rows if each.gain is not None]
    assert gains
    for gain in gains:
        assert gain.low < gain.high
        assert gain.low <= gain.estimate <= gain.high


def pictures(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_picture_of_success_has_a_dot_on_an_interval_for_every_row(folder: Path) -> None:
    made = report.build(folder)
    picture = pictures((folder / "report.html").read_text())[0]
    namespace = "{http://www.w3.org/2000/svg}"
    assert ElementTree.tostring(picture) == ElementTree.tostring(
        pictures((folder / "report.svg").read_text())[0]
    )
    dots = [float(dot.get("cx", "")) for dot in picture.iter(f"{namespace}circle")]
    lines = [line for line in picture.iter(f"{namespace}line") if line.get("class") != "grid"]
    assert len(dots) == len(lines) == len(made.rows)
    for dot, line in zip(dots, lines, strict=True):
        assert float(line.get("x1", "")) <= dot <= float(line.get("x2", ""))
    order = sorted(range(len(dots)), key=lambda i: made.rows[i].success.estimate)
    assert dots[order[0]] < dots[order[-1]]


def test_titles_are_escaped(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    content["rows"][0]["title"] = "<b>a|b</b>"
    (folder / "evaluation.json").write_text(json.dumps(content))
    report.build(folder)
    assert "<b>" not in (folder / "report.html").read_text()
    assert "a\\|b" in (folder / "report.md").read_text()


def test_a_run_that_was_not_trained_has_no_curve(folder: Path) -> None:
    (folder / "metrics.jsonl").unlink()
    report.build(folder)
    assert "polyline" not in (folder / "report.html").read_text()


def test_runs_of_several_seeds_are_clustered(folder: Path) -> None:
    def both(first: int, second: int) -> list[dict[str, Any]]:
        return episodes(first, seed=0) + episodes(second, seed=1)

    content = json.loads((folder / "evaluation.json").read_text())
    content["rows"] = [
        row("warmup", "warm-up only", "sampled", both(20, 36)),
        row("trained", "after PPO", "sampled", both(36, 36)),
    ]
    (folder / "evaluation.json").write_text(json.dumps(content))
    gain = report.build(folder).rows[0].gain
    assert gain is not None
    assert gain.estimate == pytest.approx(0.2)
    assert gain.low == 0.0  # one of the two runs gained nothing


@pytest.mark.parametrize("text", ["{}", "[]", '{"rows": []}', "no", '{"rows": [{"name": 1}]}'])
def test_what_is_not_an_evaluation_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(CheckpointError):
        report.build(tmp_path)


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reflect eval"):
        report.build(tmp_path)


def test_several_runs_are_less_certain_than_their_episodes_say() -> None:
    def row(seeds: int) -> dict[str, Any]:
        # of two runs one solves all, the other none
        episodes = [
            {"task_id": f"t{i}", "level": 1, "success": i % 2 == 0, "return": 0.0, "turns": 1,
             "seed": i % seeds}
            for i in range(100)
        ]  # fmt: skip
        return {"name": "a", "title": "a", "decoding": "-", "episodes": episodes}

    def width(seeds: int) -> float:
        found = (
            report.compare({"environment": {}, "split": "test", "rows": [row(seeds)]})
            .rows[0]
            .success
        )
        return found.high - found.low

    assert width(1) < 0.25
    assert width(2) == 1.0


def test_every_form_of_the_report_says_what_the_environment_was(folder: Path) -> None:
    built = report.build(folder)
    assert built.text().splitlines()[1:3] == ["stdlib | 3.11", "2 < 3 tasks"]
    assert "- stdlib \\| 3.11\n- 2 < 3 tasks\n\n| player |" in built.markdown()
    assert "<p>2 &lt; 3 tasks</p>" in report_html.render(built)
