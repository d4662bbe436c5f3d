"""Repeat the published numbers of the demo and write them to ``benchmarks/demo.md``.

    python benchmarks/demo.py [--seeds 0 1 2] [--folder runs/bench-demo] [KEY=VALUE ...]

For each seed: the whole run, then a warm-up that is given the same wall time as teaching,
warm-up and RL took together, all evaluated on the same held-out tasks. Stopped, it goes on
where it was. Beside the table it writes ``demo.json`` and the picture ``demo.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from reflect_core import files, report
from reflect_core.report_svg import success_svg

HERE = Path(__file__).parent
RUN = ["--env", "filesys", "--trainer", "ppo"]


def reflect(*words: str) -> None:
    """Call the command line in a process of its own; its failure is ours."""
    code = subprocess.call([sys.executable, "-m", "reflect_core", *words])
    if code:
        sys.exit(code)


def seconds(folder: Path, stages: Iterable[str]) -> float:
    """Wall time that these stages of a run took."""
    rows = files.read_rows(folder / "timings.jsonl")
    wanted = [row for row in rows if row.get("stage") in set(stages)]
    return sum(float(row.get("seconds", 0.0)) for row in wanted)


def whole_run(folder: Path, seed: int, overrides: Sequence[str]) -> None:
    """Teach, warm up, train, evaluate."""
    if (folder / "run.toml").exists():
        reflect("run", "--resume", str(folder))
    else:
        reflect("run", *RUN, "--seed", str(seed), "--out", str(folder), *overrides)


def longer_warmup(folder: Path, model: Path, seed: int, overrides: Sequence[str]) -> None:
    """A warm-up as long as all of ``model``'s learning: more examples and more updates.

    Its teacher shows all train tasks, since no RL wants any of them for itself.
    """
    if not (folder / "run.toml").exists():
        warm = seconds(model, ["teach", "sft"])
        times = (warm + seconds(model, ["train"])) / warm
        settings = tomllib.loads((model / "run.toml").read_text())
        scaled = [
            f"{section}.{option}={round(settings[section][option] * times)}"
            for section, option in (
                ("teach", "episodes"),
                ("sft", "reflector_updates"),
                ("sft", "policy_updates"),
            )
        ]
        words = ["--seed", str(seed), "--out", str(folder), *overrides, "teach.share=1", *scaled]
        reflect("teach", *RUN, *words)
    reflect("sft", str(folder))
    reflect("eval", str(folder))


def merge(pairs: Sequence[tuple[int, Path, Path]]) -> dict[str, Any]:
    """One evaluation of all seeds, the longer warm-up's rows before the trained policy's."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    first: dict[str, Any] = {}
    for seed, run, longer in pairs:
        evaluation = files.read_json(run / "evaluation.json")
        first = first or evaluation
        again = files.read_json(longer / "evaluation.json")["rows"]
        extra = [
            {**row, "name": "warmup-equal", "title": "warm-up only, given the same wall time"}
            for row in again
            if row["name"] == "warmup"
        ]
        trained = [row for row in evaluation["rows"] if row["name"] == "trained"]
        others = [row for row in evaluation["rows"] if row["name"] != "trained"]
        for row in [*others, *extra, *trained]:
            merged = rows.setdefault((row["name"], row["decoding"]), {**row, "episodes": []})
            merged["episodes"] += [{**episode, "seed": seed} for episode in row["episodes"]]
    return {**first, "rows": list(rows.values())}


def describe(pairs: Sequence[tuple[int, Path, Path]]) -> list[str]:
    """What the runs cost, and where."""
    lines = ["| seed | teach | warm-up | RL | evaluation | longer warm-up |", "|---" * 6 + "|"]
    for seed, run, longer in pairs:
        costs = [seconds(run, [stage]) for stage in ("teach", "sft", "train", "eval")]
        costs.append(seconds(longer, ["teach", "sft"]))
        lines.append(f"| {seed} | " + " | ".join(f"{cost:.0f} s" for cost in costs) + " |")
    # ru_maxrss counts kibibytes on Linux and bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return [
        "Wall time of each stage:",
        "",
        *lines,
        "",
        f"Most memory of a process: {peak:.2f} GB. Python {platform.python_version()} on "
        f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}.",
    ]


def main() -> int:
    """Run everything that is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-demo"))
    parser.add_argument("--output", type=Path, default=HERE / "demo.md")
    options, overrides = parser.parse_known_args()
    pairs = []
    for seed in options.seeds:
        run, longer = options.folder / f"seed-{seed}", options.folder / f"seed-{seed}-longer"
        whole_run(run, seed, overrides)
        longer_warmup(longer, run, seed, overrides)
        pairs.append((seed, run, longer))
    result = report.compare(merge(pairs))
    text = result.markdown() + "\n" + "\n".join(describe(pairs)) + "\n"
    files.write_atomic(options.output, text)
    files.write_atomic(options.output.with_suffix(".svg"), success_svg(result.rows) + "\n")
    plain = json.dumps(result.plain(), indent=2) + "\n"
    files.write_atomic(options.output.with_suffix(".json"), plain)
    print(f"{result.text()}\n\nwritten to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
