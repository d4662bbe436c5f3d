"""What an ablation says in the end: success, paired differences and costs."""

import json

import pytest

from reflect_core.ablation.arms import REFERENCE, arms_of, choose
from reflect_core.ablation.costs import Costs, costs
from reflect_core.ablation.table import gather, write
from reflect_core.errors import CheckpointError


def evaluation(folder, row, wins):
    folder.mkdir(parents=True)
    episodes = [
        {"episode": i, "task_id": f"t{i}", "level": 1, "success": won, "return": 0.0, "turns": 2}
        for i, won in enumerate(wins)
    ]
    rows = [
        {"name": name, "title": name, "decoding": "sampled", "episodes": episodes}
        for name in (row, "other")
    ]
    content = {"environment": {"name": "e", "version": 1}, "split": "test", "rows": rows}
    (folder / "evaluation.json").write_text(json.dumps(content))


def test_arms_that_played_other_tasks_are_not_compared(base, tmp_path):
    chosen = choose(arms_of(base), ["warmup"])
    runs = {(each.name, 0): tmp_path / each.name for each in chosen}
    for each, count in zip(chosen, (4, 8), strict=True):
        evaluation(runs[each.name, 0], each.row, [1] * count)
    with pytest.raises(CheckpointError, match="played other tasks"):
        gather(chosen, runs)


def test_the_table_pairs_by_seed_and_task(base, tmp_path):
    chosen = choose(arms_of(base), ["warmup"])
    runs = {}
    for seed in (0, 1):
        for each, wins in zip(chosen, ([1, 0, 0, 0], [1, 1, 1, 0]), strict=True):
            runs[each.name, seed] = tmp_path / f"{each.name}-{seed}"
            evaluation(runs[each.name, seed], each.row, wins)
            spent = {"stage": "train", "optimizer_steps": 10.0 * (1 + seed)}
            tokens = {"tokens_learnt": 2_000_000, "tokens_read": 1_400_000 * (1 + seed)}
            took = {"stage": "train", "iteration": 1, "update_seconds": 60.0 * (1 + seed)}
            (runs[each.name, seed] / "metrics.jsonl").write_text(json.dumps(spent | tokens) + "\n")
            (runs[each.name, seed] / "timings.jsonl").write_text(json.dumps(took) + "\n")
    table = gather(chosen, runs)
    warm, whole = table.report.rows
    assert (warm.name, whole.name, warm.episodes) == ("warmup", REFERENCE, 8)
    assert warm.success.estimate == 0.25 and whole.success.estimate == 0.75
    assert warm.gain.estimate == 0.5 and whole.gain is None
    assert table.by_seed["warmup", "sampled"] == [0.25, 0.25]
    write(table, tmp_path)
    text = (tmp_path / "ablation.md").read_text()
    assert "| warm-up only | sampled | 25.0% " in text and "Reflect-RL minus this" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| Reflect-RL |")]
    # the means of the two seeds: 10 and 20 steps, 3.4 and 4.8 million tokens, 1 and 2 minutes
    assert row.endswith("| 15 | 4.1 M | 1.5 |")
    assert json.loads((tmp_path / "ablation.json").read_text())["seeds"] == [0, 1]
    assert (tmp_path / "ablation.svg").read_text().startswith("<svg")


def test_costs_add_up_what_was_logged(tmp_path):
    timings = [
        {"stage": "teach", "seconds": 1.0},
        {"stage": "sft reflector", "seconds": 10.0},
        {"stage": "sft policy", "seconds": 4.0},
        {"stage": "train", "iteration": 1, "collect_seconds": 3.0, "update_seconds": 1.0},
        {"stage": "train", "iteration": 1, "valid_seconds": 1.0},
        {"stage": "eval", "seconds": 100.0},
    ]
    metrics = [
        {"stage": "sft", "player": "reflector", "update": 10, "loss": 1.0, "tokens_learnt": 70},
        {"stage": "sft", "player": "reflector", "update": 20, "loss": 1.0, "tokens_learnt": 150},
        {"stage": "sft", "player": "policy", "update": 5, "loss": 1.0, "tokens_learnt": 30},
        {"stage": "train", "optimizer_steps": 3.0, "tokens_learnt": 10, "tokens_read": 1000},
        {"stage": "train", "optimizer_steps": 2.0, "tokens_learnt": 10, "tokens_read": 1000},
        {"stage": "valid", "tokens_learnt": 0, "tokens_read": 500},
    ]
    for name, rows in (("timings", timings), ("metrics", metrics)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    assert costs(tmp_path) == Costs(20.0, 30, 200, 2500)
