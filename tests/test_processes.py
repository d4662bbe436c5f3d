"""Two processes under ``accelerate launch`` train one policy."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ITERATIONS = 2
OPTIONS = (
    "corpus=synthetic", "horizon=4", "env.folders=2", "entries=3", "levels=1",
    "teach.episodes=4", "reflector_updates=1", "policy_updates=2", "sft.batch_size=4",
    "num_envs=4", "max_reflection_tokens=4", f"iterations={ITERATIONS}", "train.episodes=5",
    "valid_every=1", "valid_episodes=3", "eval.episodes=4", "minibatch_size=8",
    "micro_batch_size=3", "model.context=512",
)  # fmt: skip


def start(model, folder, *more, processes=1, resume=False):
    hashes = folder.with_suffix(".hashes")
    hashes.mkdir(exist_ok=resume)
    words = ["--env", "filesys", "--trainer", "ppo", "--model", str(model), "--out", str(folder),
             *OPTIONS, *more]  # fmt: skip
    if resume:
        words = ["--resume", str(folder)]
    launch = []
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # with --cpu the launcher starts one process only, whatever it is told
        launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1",
                  "--num_processes", str(processes), "--mixed_precision", "no",
                  "--dynamo_backend", "no", "--main_process_port", str(port)]  # fmt: skip
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *launch, str(HERE / "watched_run.py"), str(hashes), "run", *words],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1",
             "ACCELERATE_USE_CPU": "true"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder.parent,
    )  # fmt: skip


def finish(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def told(folder):
    """What each process wrote down: lines of (episodes, hash of the weights)."""
    return {
        path.name: [line.split() for line in path.read_text().splitlines()]
        for path in sorted(folder.with_suffix(".hashes").iterdir())
    }


@pytest.mark.slow
@pytest.mark.parametrize("critic", ["gradient", "least-squares"])
def test_two_processes_train_one_policy_to_the_end(model_folder, tmp_path, critic):
    folder = tmp_path / "two"
    out = finish(start(model_folder("lfm2"), folder, f"trainer.critic={critic}", processes=2))
    assert out.count("Everything is in") == 1
    stages = [row["stage"] for row in rows(folder)]
    assert stages == ["teach", "sft", "sft", "valid", "train", "valid", "train", "valid", "eval"]
    assert list(json.loads((folder / "stages.json").read_text())) == [
        "teach", "sft reflector", "sft policy", "sft", "train", "eval",
    ]  # fmt: skip
    seen = told(folder)
    assert set(seen) == {"0", "1"}
    assert seen["0"] == seen["1"]
    # one update of the reflector and two of the policy, each of 4 examples for each process
    learnt = [
        (folder.with_suffix(".samples") / rank).read_text().splitlines() for rank in ("0", "1")
    ]
    assert [len(each) for each in learnt] == [4 * 3] * 2
    assert len({*learnt[0], *learnt[1]}) == 2 * 4 * 3
    by_step = [{" ".join(each.split()[:2]) for each in mine[4:8]} for mine in learnt]
    assert by_step == [{"policy 0"}] * 2
    assert [int(episodes) for episodes, _ in seen["0"]] == [5] * ITERATIONS
    assert len({digest for _, digest in seen["0"]}) == ITERATIONS
    assert json.loads((folder / "evaluation.json").read_text())["rows"][-1]["name"] == "trained"


@pytest.mark.slow
def test_two_processes_go_on_as_one_policy(model_folder, tmp_path):
    folder = tmp_path / "two"
    model = model_folder("lfm2")
    finish(start(model, folder, "teach.episodes=0", "checkpoint_every=1", "keep_checkpoints=9",
                 processes=2))  # fmt: skip
    (_, whole), (_, other) = (told(folder)[rank] for rank in ("0", "1"))
    assert whole == other
    metrics = (folder / "metrics.jsonl").read_bytes()
    # as if it had been stopped in its last iteration
    for name in (f"checkpoints/{ITERATIONS:06d}", "policy"):
        shutil.rmtree(folder / name)
    for name in ("evaluation.json", "stages.json"):
        (folder / name).unlink()
    finish(start(model, folder, processes=2, resume=True))
    assert told(folder)["0"][-1] == told(folder)["1"][-1] == whole
    assert (folder / "metrics.jsonl").read_bytes() == metrics


def test_mixed_precision_is_refused_before_anything_is_taught(model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    process = start(model_folder("lfm2"), tmp_path / "mixed")
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 2, out
    assert "mixed precision (bf16)" in out and "model.dtype=bfloat16" in out
    assert not (tmp_path / "mixed").exists()


@pytest.mark.slow
def test_two_processes_make_the_update_of_one(model_folder, tmp_path):
    # without a warm-up, whose batches are larger with more processes
    runs = {n: tmp_path / f"with-{n}" for n in (1, 2)}
    more = "teach.episodes=0", "replay.episodes=3", "train.episodes=13"
    for n, folder in runs.items():
        finish(start(model_folder("lfm2"), folder, *more, processes=n))
    one, two = (rows(folder) for folder in runs.values())
    assert [row["stage"] for row in one] == ["valid", "train", "valid", "train", "valid", "eval"]
    assert one[3]["replayed_episodes"] > 0
    for alone, together in zip(one, two, strict=True):
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            # a process without a row reads one again, and each reads all replayed turns
            if name not in {"tokens_learnt", "tokens_read"}:
                assert together[name] == pytest.approx(value, abs=1e-4), name
