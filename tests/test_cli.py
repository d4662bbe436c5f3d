from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import os
import signal
import sys
import threading
import time
import tomllib
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from fake_plugins import FakeEntryPoint, fake_point

from reflect_core import ReflectError, config, folders, plugins
from reflect_core.cli import main
from reflect_core.folders import MACHINE
from reflect_core.settings import Settings


def broken_loader() -> object:
    raise ModuleNotFoundError("No module named 'alfworld'")


@attrs.define
class Answer:
    code: int
    out: str
    err: str


@attrs.define
class Runs:
    """What a fake ``reflect_core.run`` was asked to do."""

    calls: list[tuple[Path, Settings, Sequence[str]]] = attrs.field(factory=list)
    behave: Callable[[Path], object] = lambda folder: None
    beside: bool = False

    def execute(
        self,
        folder: Path,
        settings: Settings,
        stages: Sequence[str],
        registry: Any,
        progress: Any,
        *,
        beside: bool = False,
    ) -> None:
        self.calls.append((folder, settings, list(stages)))
        self.beside = beside
        self.behave(folder)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    """The command line in an empty folder, with fake plugins and a fake run."""
    made = Runs(behave=evaluated)
    fake = types.ModuleType("reflect_core.run")
    fake.execute = made.execute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reflect_core.run", fake)
    points = [fake_point(), FakeEntryPoint("env-alfworld", broken_loader)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    monkeypatch.delenv("REFLECT_DISABLE_PLUGINS", raising=False)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def reflect(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def call(*words: str) -> Answer:
        code = main(words)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


def evaluated(folder: Path) -> None:
    """What the stage ``eval`` leaves behind."""
    episode = {"task_id": "t", "level": 1, "success": True, "return": 1.0, "turns": 3}
    row = {"name": "ppo", "title": "after PPO", "decoding": "argmax", "episodes": [episode]}
    text = {"environment": {"name": "maze", "version": 1}, "split": "test", "rows": [row]}
    for name in ("evaluation.json", "evaluation-valid.json"):
        (folder / name).write_text(json.dumps(text))


def test_run_makes_a_folder_and_does_every_stage(runs: Runs, reflect: Any) -> None:
    answer = reflect("run", "--env", "maze", "--seed", "3", "root=.", "train.iterations=5")
    assert answer.code == 0, answer.err
    [(folder, settings, stages)] = runs.calls
    assert folder == Path("runs/maze-ppo-3-1")
    assert stages == ["teach", "sft", "train", "eval", "report"]
    assert (settings.env.options.root, settings.train.iterations) == (str(Path.cwd()), 5)
    written = tomllib.loads((folder / "run.toml").read_text())
    assert written["train"]["iterations"] == 5
    assert written["versions"]["reflect-fake"] == "0.1.0"
    assert "after PPO" in answer.out
    assert f"Everything is in {folder}" in answer.out


def test_a_second_run_takes_the_next_number(runs: Runs, reflect: Any) -> None:
    reflect("run", "--env", "maze")
    reflect("run", "--env", "maze")
    assert [folder.name for folder, _, _ in runs.calls] == ["maze-ppo-0-1", "maze-ppo-0-2"]


def test_resume_takes_the_settings_of_the_run(runs: Runs, reflect: Any) -> None:
    reflect("run", "--env", "maze", "--out", "mine", "train.iterations=5")
    assert reflect("run", "--resume", "mine").code == 0
    assert runs.calls[0] == runs.calls[1]


def test_resume_takes_no_new_settings(runs: Runs, reflect: Any) -> None:
    reflect("run", "--env", "maze", "--out", "mine")
    answer = reflect("run", "--resume", "mine", "train.iterations=5")
    assert answer.code == 2
    assert "fixed when it begins" in answer.err
    assert "--config mine/run.toml" in answer.err


def test_a_run_can_be_repeated_from_its_file(runs: Runs, reflect: Any) -> None:
    reflect("run", "--env", "maze", "--out", "one", "train.iterations=5", "size=9")
    reflect("run", "--config", "one/run.toml", "--out", "two")
    assert runs.calls[0][1] == runs.calls[1][1]


def test_stages_one_by_one(runs: Runs, reflect: Any) -> None:
    reflect("teach", "--env", "maze", "--out", "mine", "teach.episodes=7")
    for stage in ("sft", "train", "eval", "report"):
        assert reflect(stage, "mine").code == 0
    assert [stages for _, _, stages in runs.calls] == [
        ["teach"],
        ["sft"],
        ["train"],
        ["eval"],
        ["report"],
    ]
    assert {folder for folder, _, _ in runs.calls} == {Path("mine")}
    assert all(settings.teach.episodes == 7 for _, settings, _ in runs.calls)


def test_eval_may_look_elsewhere(runs: Runs, reflect: Any) -> None:
    reflect("teach", "--env", "maze", "--out", "mine")
    answer = reflect("eval", "mine", "--split", "valid", "--episodes", "9", "--decoding", "argmax")
    assert "after PPO" in answer.out
    changed = runs.calls[-1][1].eval
    assert (changed.split, changed.episodes, changed.decoding) == ("valid", 9, "argmax")
    assert tomllib.loads(Path("mine/run.toml").read_text())["eval"]["split"] == "test"


def test_eval_on_other_tasks_has_a_file_of_its_own(runs: Runs, reflect: Any) -> None:
    reflect("teach", "--env", "maze", "--out", "mine")
    for word in ("env.size=9", "rollout.history=3"):
        answer = reflect("eval", "mine", word)
        assert answer.code == 2
        assert "needs a label" in answer.err and "--label WORD" in answer.err
    assert len(runs.calls) == 1

    def elsewhere(folder: Path) -> None:
        evaluated(folder)
        (folder / "evaluation.json").rename(folder / "evaluation-large.json")

    runs.behave = elsewhere
    answer = reflect("eval", "mine", "env.size=9", "rollout.num_envs=3", "--label", "large")
    assert answer.code == 0, answer.err
    assert runs.beside
    assert "after PPO" in answer.out
    changed = runs.calls[-1][1]
    assert (changed.env.options.size, changed.rollout.num_envs) == (9, 3)
    assert tomllib.loads(Path("mine/run.toml").read_text())["env"]["size"] == 4


@pytest.mark.parametrize("word", ["trainer.lr=1", "model.dtype=bfloat16", "seed=4", "sft.lr=1"])
def test_eval_leaves_alone_what_the_run_has_learnt_by(runs: Runs, reflect: Any, word: str) -> None:
    reflect("teach", "--env", "maze", "--out", "mine")
    answer = reflect("eval", "mine", word, "--label", "other")
    assert answer.code == 2
    assert f"cannot change {word.partition('.')[0].partition('=')[0]}" in answer.err


def test_a_run_on_another_split_reports_on_that(runs: Runs, reflect: Any) -> None:
    def validated(folder: Path) -> None:
        evaluated(folder)
        (folder / "evaluation.json").unlink()

    runs.behave = validated
    answer = reflect("run", "--env", "maze", "eval.split=valid")
    assert answer.code == 0, answer.err
    assert "after PPO" in answer.out


def test_a_dry_run_shows_and_does_nothing(
    runs: Runs, reflect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "reflect_core.cli.run._show_plan", lambda *_: sys.stdout.write("# teach: 3 episodes\n")
    )
    answer = reflect("run", "--env", "maze", "--dry-run")
    assert answer.code == 0
    assert tomllib.loads(answer.out)["env"]["name"] == "maze"
    assert "# teach: 3 episodes" in answer.out
    assert not runs.calls
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["run", "--env", "mase"], ["no environment is called 'mase'", "did you mean: maze"]),
        (["run", "--env", "alfworld"], ["No module named 'alfworld'", "REFLECT_DISABLE_PLUGINS"]),
        (["run"], ["no environment was chosen"]),
        (["run", "--env", "maze", "train.iterations=abc"], ["train.iterations cannot be 'abc'"]),
        (["run", "--env", "maze", "--trianer", "ppo"], ["--trainer"]),
        (["run", "--env", "maze", "--seed", "x"], ["--seed", "'x' is not a valid integer"]),
        (["rum"], ["Did you mean 'run'"]),
        (
            ["run", "--resume", "nowhere"],
            ["there is no folder nowhere", "a folder that reflect run made"],
        ),
        (["sft", "empty"], ["empty is not a run", "it has no run.toml", "that reflect run made"]),
        (["run", "--env", "maze", "--out", "full"], ["full is not empty"]),
        (["run", "--env", "maze", "--out", "full/file/run"], ["Not a directory", "--out"]),
        (["run", "--env", "maze", "--out", "full/file"], ["is a file"]),
        (["run", "--env", "maze", "--config", "none.toml"], ["there is no file none.toml"]),
        (["plugins", "lme"], ["no part is called 'lme'", "did you mean: lm"]),
        (["eval", "empty", "--split", "tset"], ["'tset' is not one of"]),
    ],
)
def test_mistakes_end_with_code_2_and_no_traceback(
    runs: Runs, reflect: Any, words: list[str], lines: list[str]
) -> None:
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    answer = reflect(*words)
    assert answer.code == 2
    assert "Error: " in answer.err
    for line in lines:
        assert line in answer.err
    assert "Traceback" not in answer.err
    assert Path("full/file").read_text() == "mine"
    assert not runs.calls


def test_a_run_is_never_written_over(runs: Runs, reflect: Any) -> None:
    reflect("run", "--env", "maze", "--out", "mine")
    answer = reflect("run", "--env", "maze", "--out", "mine")
    assert answer.code == 2
    assert "reflect run --resume mine" in answer.err


def raising(error: BaseException) -> Callable[[Path], object]:
    def behave(folder: Path) -> None:
        raise error

    return behave


def chained() -> BaseException:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as cause:
            raise RuntimeError("could not save") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReflectError("the loss is NaN", then="lower lr"), "next: lower lr"),
        (OSError(errno.ENOSPC, "x", "/data/w"), f"{os.strerror(errno.ENOSPC)}: /data/w"),
        (PermissionError(errno.EACCES, "x"), os.strerror(errno.EACCES)),
        (OSError(errno.EROFS, "x"), os.strerror(errno.EROFS)),
        (chained(), os.strerror(errno.ENOSPC)),
        (Exception("I/O error: No space left on device (os error 28)"), "make room"),
        (OSError(errno.EFBIG, "x", "/data/w"), "ulimit -f"),
        (FileNotFoundError(errno.ENOENT, "x", "gone"), "moved or removed meanwhile"),
        (MemoryError(), "there is not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            "there is not enough memory",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "there is not enough memory"),
    ],
)
def test_obstacles_are_told_with_the_way_on(
    runs: Runs, reflect: Any, error: BaseException, words: str
) -> None:
    runs.behave = raising(error)
    answer = reflect("run", "--env", "maze", "--out", "mine")
    assert answer.code == 2
    assert words in answer.err
    if not isinstance(error, ReflectError):
        assert "reflect run --resume mine" in answer.err


def test_a_mistake_found_before_anything_was_made_leaves_no_folder(
    runs: Runs, reflect: Any
) -> None:
    def early(folder: Path) -> None:
        (folder / MACHINE).write_text("{}\n")
        raise ReflectError("the model is not to be found")

    for behave in (raising(ReflectError("the root is not a folder")), early):
        runs.behave = behave
        assert reflect("run", "--env", "maze", "--out", "mine").code == 2
        assert not Path("mine").exists()

    def later(folder: Path) -> None:
        (folder / "metrics.jsonl").write_text("{}\n")
        raise ReflectError("the loss is NaN")

    runs.behave = later
    assert reflect("run", "--env", "maze", "--out", "mine").code == 2
    assert (Path("mine") / "metrics.jsonl").exists()


@pytest.mark.parametrize("named", ["link", "."])
def test_a_mistake_is_told_where_the_folder_cannot_be_removed(
    runs: Runs, reflect: Any, named: str
) -> None:
    Path("empty").mkdir()
    Path("link").symlink_to("empty")
    words = ["run", "--env", "maze", "--out", named]
    if named == ".":
        os.chdir("empty")
    for _ in range(2):  # nothing of the first is in the way of the second
        runs.behave = raising(ReflectError("the root is not a folder"))
        answer = reflect(*words)
        assert answer.code == 2
        assert "the root is not a folder" in answer.err
    assert list(Path(named).iterdir()) == []


def test_a_folder_whose_name_is_no_text_is_refused(runs: Runs, reflect: Any) -> None:
    answer = reflect("run", "--env", "maze", "--out", os.fsdecode(b"o\xff"))
    assert answer.code == 2
    assert "choose another --out" in answer.err
    assert list(Path().iterdir()) == []


def test_of_many_commands_that_name_one_folder_one_gets_it(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, make = threading.Barrier(8), folders.make

    def made_by_all(folder: Path) -> None:
        make(folder)
        together.wait()

    monkeypatch.setattr(folders, "make", made_by_all)
    registry = plugins.load()
    made = [config.resolve(registry, flags={"env": "maze", "seed": seed}) for seed in range(8)]
    out, got = tmp_path / "race", []

    def claim(settings: Settings) -> None:
        with contextlib.suppress(ReflectError):
            folders.create(out, settings, registry)
            got.append(settings.seed)

    threads = [threading.Thread(target=claim, args=[each]) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert folders.open_run(out, registry).seed == got[0]


def test_a_run_that_is_resumed_keeps_its_folder_whatever_stops_it(runs: Runs, reflect: Any) -> None:
    assert reflect("run", "--env", "maze", "--out", "mine").code == 0
    runs.behave = raising(ReflectError("no"))
    assert reflect("run", "--resume", "mine").code == 2
    assert (Path("mine") / "run.toml").exists()


def test_a_folder_in_which_a_process_is_at_work_is_refused(runs: Runs, reflect: Any) -> None:
    second: list[Any] = []

    def at_work(folder: Path) -> None:
        evaluated(folder)
        if not second:
            second.append(None)  # asked for once, also were it let in
            second[0] = reflect("run", "--resume", str(folder))

    runs.behave = at_work
    assert reflect("run", "--env", "maze", "--out", "mine").code == 0
    assert second[0].code == 2
    assert "another process is at work" in second[0].err
    assert len(runs.calls) == 1


def test_a_defect_keeps_its_traceback(runs: Runs, reflect: Any) -> None:
    runs.behave = raising(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        reflect("run", "--env", "maze")


def test_an_interruption_says_how_to_go_on(runs: Runs, reflect: Any) -> None:
    runs.behave = raising(KeyboardInterrupt())
    answer = reflect("run", "--env", "maze", "--out", "mine")
    assert answer.code == 130
    assert "To go on: reflect run --resume mine" in answer.err
    answer = reflect("run", "--env", "maze", "--out", "my run")
    assert "To go on: reflect run --resume 'my run'" in answer.err


def test_an_interrupted_evaluation_beside_a_run_is_asked_for_again(
    runs: Runs, reflect: Any
) -> None:
    assert reflect("run", "--env", "maze", "--out", "mine").code == 0
    runs.behave = raising(KeyboardInterrupt())
    answer = reflect("eval", "mine", "--label", "other")
    assert answer.code == 130
    assert "To go on: give the command again" in answer.err


def test_a_scheduler_that_ends_a_run_is_told_how_to_go_on(runs: Runs, reflect: Any) -> None:
    def behave(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    runs.behave = behave
    answer = reflect("run", "--env", "maze", "--out", "mine")
    assert answer.code == 143
    assert "To go on: reflect run --resume mine" in answer.err


def test_plugins_lists_parts_and_broken_plugins(runs: Runs, reflect: Any) -> None:
    answer = reflect("plugins")
    assert answer.code == 0
    for words in ("environments:\n  maze", "reflect-fake 0.1.0", "uniform", "not usable:"):
        assert words in answer.out
    assert "because: ModuleNotFoundError: No module named 'alfworld'" in answer.out


def test_plugins_shows_options(runs: Runs, reflect: Any) -> None:
    answer = reflect("plugins", "maze")
    assert answer.code == 0
    assert "env.size=4" in answer.out
    assert "a whole number, at least 1, at most 64" in answer.out
    assert "Side of the maze in cells." in answer.out
    assert "env.root=none" in answer.out


def test_plugins_shows_what_an_environment_would_rather_have(
    runs: Runs, reflect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [fake_point(defaults={"env.size": 9, "trainer.lr": 0.5})]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    told = reflect("plugins", "maze").out
    own, wished = told.split("with it these are the defaults")
    assert "env.size=4" in own
    assert wished.split()[-2:] == ["env.size=9", "trainer.lr=0.5"]


def test_plugins_explains_a_broken_one(runs: Runs, reflect: Any) -> None:
    answer = reflect("plugins", "env-alfworld")
    assert answer.code == 0
    assert "could not be loaded" in answer.out


def test_plugins_by_distribution_and_by_kind(runs: Runs, reflect: Any) -> None:
    answer = reflect("plugins", "reflect-fake")
    assert "environment maze" in answer.out
    assert "trainer ppo" in answer.out
    both = reflect("plugins", "expert").out
    assert "policy expert" in both
    assert "reflector expert" in both


def test_several_processes_share_one_folder(
    runs: Runs, reflect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "needs --out" in reflect("run", "--env", "maze").err
    assert reflect("run", "--env", "maze", "--out", "mine").code == 0
    monkeypatch.setenv("RANK", "1")
    second = reflect("run", "--env", "maze", "--out", "mine")
    assert (second.code, second.out, second.err) == (0, "", "")
    assert [folder for folder, _, _ in runs.calls] == [Path("mine")] * 2


def test_help_and_version(reflect: Any) -> None:
    assert "Usage: reflect " in reflect("--help").out
    assert "train.iterations=" in reflect("run", "--help").out
    assert reflect("--version").out.startswith("reflect, version ")


def test_the_command_line_knows_the_stages_of_a_run() -> None:
    from reflect_core import run
    from reflect_core.cli.run import STAGES

    assert run.STAGES == STAGES
