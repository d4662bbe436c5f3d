"""A run repeats to the byte, also when it was killed and resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from toy import policy

from reflect_core.baselines import ExpertReflector
from reflect_core.records import Assignment
from reflect_core.rollout import Collector, training_episodes
from reflect_core.testing.lamps import Lamps

HERE = Path(__file__).parent
ITERATIONS = 6


@attrs.define
class Killed:
    out: Path
    codes: list[int]
    counts: dict[str, int]
    kills: list[tuple[str, int, int]]  # stage, signal, iterations saved


@pytest.fixture(scope="module")
def killed(model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "killed_run.py", model_folder("lfm2"), out, "5"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Killed(out, **json.loads(done.stdout))


def stages(folder):
    return list(json.loads((folder / "stages.json").read_text()))


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_like_one_never_killed(killed):
    assert killed.codes == [0, 0, 0]
    assert [code for _, code, _ in killed.kills] == [signal.SIGKILL] * 10
    # RL went on from its beginning and from its middle
    saved = {iterations for stage, _, iterations in killed.kills if stage == "train"}
    assert len({n for n in saved if 0 < n < ITERATIONS}) >= 2
    whole, resumed = killed.out / "whole", killed.out / "killed"
    done = ["teach", "sft reflector", "sft policy", "sft", "train", "eval"]
    assert stages(resumed) == stages(whole) == done
    for name in ("metrics.jsonl", "evaluation.json", "data/examples.jsonl",
                 "reflector/model.safetensors", "policy/model.safetensors",
                 "policy/value_head.safetensors"):  # fmt: skip
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(p.name for p in resumed.iterdir()) == sorted(p.name for p in whole.iterdir())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_twice(killed):
    once, twice = (killed.out / name / "metrics.jsonl" for name in ("whole", "again"))
    assert once.read_bytes() == twice.read_bytes()
    kinds = [json.loads(line)["stage"] for line in once.read_text().splitlines()]
    assert kinds[:4] == ["teach", "sft", "sft", "valid"]
    assert kinds[-1] == "eval"
    assert kinds[4:-1] == ["train", "train", "valid"] * (ITERATIONS // 2)


def test_another_number_of_environments_plays_the_same_episodes(model_folder):
    player = policy(model_folder("lfm2"))
    tasks = Lamps().tasks("train")
    plan = training_episodes([Assignment(tasks[i % 5]) for i in range(9)], seed=4, iteration=2)

    def play(num_envs):
        made = Collector(
            Lamps, ExpertReflector(), player, seed=4, num_envs=num_envs, needs_expert=True
        )
        return made.play(plan, greedy=False).trajectories

    few, many = play(2), play(9)
    assert [t.task.task_id for t in few] == [t.task.task_id for t in many]
    for a, b in zip(few, many, strict=True):
        for turn_a, turn_b in zip(a.transitions, b.transitions, strict=True):
            assert turn_a.observation == turn_b.observation
            assert turn_a.choice.prompt_ids.tolist() == turn_b.choice.prompt_ids.tolist()
            assert turn_a.choice.label_ids.tolist() == turn_b.choice.label_ids.tolist()
            assert turn_a.action == turn_b.action
            assert turn_a.choice.probabilities == pytest.approx(
                turn_b.choice.probabilities, abs=1e-4
            )
