"""The examples: installed as a stranger would, examined, and run at a small scale."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner
from small_runs import ROOT, SMALL, Site

from reflect_core import ReflectError
from reflect_core.ablation.children import Children
from reflect_core.cli import main

EXAMPLES = ROOT / "examples"
PACKAGES = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site") / "packages")
    for package in PACKAGES:
        made.install(package)
    return made


def test_there_is_an_environment_and_a_curriculum():
    assert {package.name.split("-")[1] for package in PACKAGES} >= {"env", "curriculum"}


def test_every_example_is_named_in_the_readme():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"({path.name}" in text, path.name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_example_passes_its_own_tests(package, site, tmp_path):
    path = os.pathsep.join([site.environment["PYTHONPATH"], str(ROOT / "tests")])
    words = ["-q", "-p", "no:cacheprovider", "-p", "small_contracts", package / "tests"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**site.environment, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_example_depends_on_nothing_but_the_core(package):
    names = tomllib.loads((package / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {name.partition(">")[0] for name in names} == {"attrs", "numpy", "reflect-core"}


def test_the_environment_and_the_curriculum_train_together(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with site.visible():
        words = ["--env", "hanoi", "--curriculum", "frontier", "disks=2", "floor=0.1", *SMALL]
        assert main(["run", *words, "--out", "r"]) == 0
    rows = json.loads((tmp_path / "r" / "evaluation.json").read_text())["rows"]
    assert {"random", "warmup", "trained"} <= {row["name"] for row in rows}
    logged = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").open()]
    assert any("frontier_level" in row for row in logged if row["stage"] == "train")


@pytest.fixture
def compare_trainers(monkeypatch, tmp_path):
    """The script; its runs are done in this process, which is quicker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Children, "call", lambda self, words, **_: main(words[3:]))
    path = EXAMPLES / "compare_trainers.py"
    spec = importlib.util.spec_from_file_location("compare_trainers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    small = [*SMALL, "train.episodes=8", "eval.episodes=2", "env.corpus=synthetic"]
    small += ["env.expert=explorer"]  # two episodes of one that fails may teach nothing

    def call(*words):
        return CliRunner().invoke(module.main, [*words, *small], catch_exceptions=False)

    return call


def test_trainers_are_compared_on_one_warm_up(compare_trainers, tmp_path):
    words = ("--env", "filesys", "--trainers", "grpo,ppo", "--seeds", "0", "--out", "cmp")
    told = compare_trainers(*words).output
    assert "| grpo |" in told and "| ppo |" in told and "ppo minus this" in told
    folder = tmp_path / "cmp"
    assert (folder / "ablation.md").read_text() in told
    first, second = (folder / "seed-0" / name for name in ("grpo", "reflect-rl"))
    for name in ("data/examples.jsonl", "reflector/model.safetensors", "warmup/model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    played = [
        json.loads((each / "evaluation.json").read_text())["rows"] for each in (first, second)
    ]
    tasks = [[each["task_id"] for row in rows for each in row["episodes"]] for rows in played]
    assert tasks[0] == tasks[1]
    with pytest.raises(ReflectError, match="other settings"):
        compare_trainers(*words, "rollout.history=3")
