"""``reflect play``: a person's episode in the terminal, alone or beside the players of a run."""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from fake_plugins import FakeEntryPoint, environments, module
from hypothesis import given
from hypothesis import strategies as st
from toy import lamps_registry, settings

from reflect_core import ConfigError, EnvironmentSpec, Observation, ReflectError, Step, option
from reflect_core import config as configuration
from reflect_core.cli import main
from reflect_core.errors import CheckpointError
from reflect_core.play import Game, table
from reflect_core.plugins import GROUP, Registry
from reflect_core.progress import QuietProgress
from reflect_core.rollout import evaluation_episodes
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.testing.lamps import Lamps


@attrs.frozen
class LampsConfig:
    horizon: int = option(2, "Turns of an episode.", minimum=1)
    truncate: bool = option(False, "End by truncation.")


@attrs.define
class Answer:
    code: int
    out: str
    err: str


class Watched(Lamps):
    """Lamps that note what becomes of them."""

    alive = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        type(self).alive += 1
        self.open = True

    def close(self) -> None:
        type(self).alive -= self.open
        self.open = False


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``lamps`` is installed, and all that is opened is closed again."""

    def build(config: LampsConfig, context: object) -> Watched:
        return Watched(**attrs.asdict(config))

    spec = EnvironmentSpec(name="lamps", factory=build, config=LampsConfig, stages=("easy", "full"))
    own = FakeEntryPoint("lamps", lambda: module(reflect_environments=environments(spec)))
    others = importlib.metadata.entry_points(group=GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [*others, own])
    monkeypatch.setattr(Watched, "alive", 0)
    yield
    assert Watched.alive == 0


@pytest.fixture
def play(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """``play("push red", "q", words=[...])`` types the lines and ends the input."""

    def call(*lines: str, words: tuple[str, ...] = ()) -> Answer:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = main(["play", *(words if "lamps" in words else ("lamps", *words))])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


def lit(text: str) -> list[str]:
    return re.findall("The ([a-z]+) lamp is lit", text)


ONE = ("--task", "test-3", "--seed", "5")


@pytest.fixture
def right(installed: None, play: Callable[..., Answer]) -> list[str]:
    """The right buttons of the episode :data:`ONE`."""
    seen: list[str] = []
    for _ in range(2):
        seen = lit(play(*(f"push {colour}" for colour in seen), words=ONE).out)
    return [f"push {colour}" for colour in seen]


# -- alone ---------------------------------------------------------------------------------


def test_a_whole_episode_with_its_rewards(right: list[str], play: Callable[..., Answer]) -> None:
    answer = play(*right, words=ONE)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("lamps, test tasks, seed 5\n\nTask: push the lit lamp\n")
    assert "  1  push red\n  2  push blue\n  3  push green\n  4  push white\n" in answer.out
    assert answer.out.count("reward +0.50") == 2
    assert answer.out.endswith("Solved after 2 turns, return 1.00 (--task test-3)\n")


def test_numbers_and_texts_choose_the_same(right: list[str], play: Callable[..., Answer]) -> None:
    menu = ["push red", "push blue", "push green", "push white"]
    numbers = [str(menu.index(action) + 1) for action in right]
    taken = [line for line in play(*numbers, words=ONE).out.splitlines() if line.startswith(">")]
    assert taken == [f"> {action}" for action in right]


def test_an_episode_that_fails(right: list[str], play: Callable[..., Answer]) -> None:
    wrong = next(button for button in ("push red", "push blue") if button != right[0])
    answer = play(wrong, right[1], words=ONE)
    assert "reward +0.00" in answer.out
    assert "Not solved after 2 turns, return 0.50" in answer.out


def test_an_episode_that_is_cut_off(installed: None, play: Callable[..., Answer]) -> None:
    ends = [
        play(number, words=("horizon=1", "truncate=true", "--task", "test-0")).out
        for number in "1234"
    ]
    assert sum("Cut off after 1 turn" in end for end in ends) == 3
    assert sum("Solved after 1 turn" in end for end in ends) == 1


@pytest.mark.parametrize("lines", [(), ("q",), (" q ",), ("0", "5", "-1", "push", "²")])
def test_leaving_is_no_failure_and_a_slip_costs_nothing(
    lines: tuple[str, ...], installed: None, play: Callable[..., Answer]
) -> None:
    answer = play(*lines)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("There is no action") == (len(lines) if len(lines) > 1 else 0)
    assert re.search(r"\nLeft after 0 turns, return 0\.00 \(--task test-\d\)\n\Z", answer.out)


def test_a_number_without_end_is_a_slip(right: list[str], play: Callable[..., Answer]) -> None:
    answer = play("9" * 5000, *right, words=ONE)
    assert answer.code == 0
    assert "There is no action '9999" in answer.out
    assert "Solved after 2 turns" in answer.out


def test_what_is_no_text_is_told(
    right: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8"))
    assert main(["play", "lamps", *ONE]) == 0
    said = capsys.readouterr()
    assert "not text in this terminal's encoding" in said.out
    assert "Left after 0 turns" in said.out
    assert said.err == ""


def test_options_of_the_environment(installed: None, play: Callable[..., Answer]) -> None:
    assert "5 turns left" in play(words=("horizon=5",)).out
    answer = play(words=("horizon=0",))
    assert answer.code == 2
    assert "env.horizon cannot be 0" in answer.err


def test_the_seed_decides_task_and_episode(installed: None, play: Callable[..., Answer]) -> None:
    seeds = [play(words=("--seed", str(seed))).out for seed in range(12)]
    assert seeds == [play(words=("--seed", str(seed))).out for seed in range(12)]
    assert len({re.search("--task (.*)\\)", said)[1] for said in seeds}) > 1  # type: ignore[index]
    assert "--task train-" in play(words=("--split", "train")).out
    assert "--task valid-2)" in play(words=("--task", "valid-2")).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--task", "test-99"), "has no task 'test-99'"),
        (("--task", "test-1", "--split", "train"), "the split train has no task 'test-1'"),
        (("--stage", "esay"), "did you mean: easy"),
        (("nonsense=1",), "no option is called 'nonsense'"),
        (("--policy", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_mistakes_are_told(
    words: tuple[str, ...], told: str, installed: None, play: Callable[..., Answer]
) -> None:
    answer = play(words=words)
    assert answer.code == 2
    assert told in answer.err


def test_an_environment_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "lumps"]) == 2
    assert "no environment is called 'lumps'" in capsys.readouterr().err


def test_a_stage_shows_its_shaping(play: Callable[..., Answer], monkeypatch: Any) -> None:
    class Shaped(Lamps):
        def step(self, action: str) -> Step:
            return attrs.evolve(super().step(action), shaping=-0.25)

    spec = EnvironmentSpec(name="lamps", factory=lambda config, context: Shaped())
    own = FakeEntryPoint("lamps", lambda: module(reflect_environments=environments(spec)))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [own])
    said = play("1", "1").out
    assert said.count("and shaping -0.25") == 2
    assert not re.search("return -", said)


def test_an_empty_menu_is_told_and_not_asked_from(
    play: Callable[..., Answer], monkeypatch: Any
) -> None:
    class Empty(Lamps):
        def reset(self, *words: Any, **more: Any) -> Observation:
            return attrs.evolve(super().reset(*words, **more), legal_actions=())

    spec = EnvironmentSpec(name="lamps", factory=lambda config, context: Empty())
    own = FakeEntryPoint("lamps", lambda: module(reflect_environments=environments(spec)))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [own])
    answer = play("1")
    assert answer.code == 2
    assert "reflect check" in answer.err


@given(actions=st.lists(st.integers(0, 3), max_size=4), seed=st.integers(0, 50))
def test_a_game_adds_up_what_the_environment_gives(actions: list[int], seed: int) -> None:
    lamps = Lamps(horizon=4)
    game = Game(lamps, lamps.tasks("test")[0], stage="full", seed=seed, players=None)
    rewards = []
    for number in actions:
        rewards.append(game.step(game.menu[number]).reward)
    assert (game.turns, game.over) == (len(actions), len(actions) == 4)
    assert game.episode_return == pytest.approx(sum(rewards))


# -- beside the players of a run -------------------------------------------------------------


@pytest.fixture(scope="module")
def run(model_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy run that has come to its RL."""
    folder = tmp_path_factory.mktemp("run")
    made = settings(model_folder("gpt2"), train={"iterations": 1})
    registry = lamps_registry()
    (folder / "run.toml").write_text(configuration.dump(made))
    execute(folder, made, ["teach", "sft", "train"], registry, QuietProgress())
    return folder


@pytest.fixture
def lamps() -> Registry:
    return lamps_registry(make=Watched)


def files_of(folder: Path) -> list[tuple[Path, int]]:
    return [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]


def test_the_players_counsel_is_what_they_do_in_the_evaluation(run: Path, lamps: Registry) -> None:
    """Same task, seed, labels and prompt: the same reflections, probabilities and choices."""
    task = Lamps().tasks("test")[2]
    session = Session(
        RunFolder(run), configuration.load(lamps, run / "run.toml"), lamps, QuietProgress()
    )
    session.take_up(session.folder.policy)
    [played] = (
        session.own_collector()
        .play(evaluation_episodes([task], 1, seed=0, stage="full"), greedy=True)
        .trajectories
    )
    session.close()
    with table(lamps, "lamps", run=run) as made:
        game = made.game(task_id=task.task_id)
        for turn in played.transitions:
            counsel = game.counsel()
            assert counsel is not None
            assert counsel.reflection == turn.reflection
            assert counsel.index == turn.choice.index
            assert counsel.probabilities == pytest.approx(turn.choice.probabilities, abs=1e-6)
            game.step(turn.action)
        assert game.over
        assert game.episode_return == played.episode_return
    assert Watched.alive == 0


def test_reflection_and_probabilities_are_shown_and_enter_follows(
    run: Path, lamps: Registry, play: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(run)
    monkeypatch.setattr("reflect_core.plugins.load", lambda: lamps)
    answer = play("", "", words=("--policy", str(run), "--task", "test-2"))
    assert (answer.code, answer.err) == (0, "")
    assert f"players of {run}: after RL\n" in answer.out
    assert answer.out.count("\nReflection: ") == 2
    menus = re.findall(r"(?:  \d  push [a-z]+ +[\d.]+%(?:  <)?\n){4}", answer.out)
    assert len(menus) == 2
    taken = re.findall(r"^> (.*)$", answer.out, re.MULTILINE)
    for menu, action in zip(menus, taken, strict=True):
        chances = [float(chance) for chance in re.findall(r"([\d.]+)%", menu)]
        assert sum(chances) == pytest.approx(100, abs=0.1)
        [(marked, its)] = re.findall(r"\d  (push [a-z]+) +([\d.]+)%  <", menu)
        assert (marked, float(its)) == (action, max(chances))
    assert files_of(run) == before
    assert Watched.alive == 0


def test_players_travel_without_the_rest_of_their_run(
    run: Path, lamps: Registry, tmp_path: Path
) -> None:
    for name in ("run.toml", "stages.json"):
        shutil.copy(run / name, tmp_path)
    for name in ("policy", "reflector"):
        shutil.copytree(run / name, tmp_path / name)
    counsels = []
    for folder in (run, tmp_path):
        with table(lamps, "lamps", run=folder) as made:
            assert made.players is not None
            counsels.append((made.players.stage, made.game(seed=4).counsel()))
    assert counsels[0] == counsels[1]
    assert counsels[0][0] == "after RL"


def test_a_run_whose_reflector_was_left_behind(run: Path, lamps: Registry, tmp_path: Path) -> None:
    for name in ("run.toml", "stages.json"):
        shutil.copy(run / name, tmp_path)
    shutil.copytree(run / "policy", tmp_path / "policy")
    with (
        pytest.raises(CheckpointError, match="has lost its reflector") as caught,
        table(lamps, "lamps", run=tmp_path),
    ):
        raise AssertionError("an untaught reflector would speak")
    assert str(tmp_path / "reflector") in str(caught.value)


def test_a_run_that_has_only_warmed_up(run: Path, lamps: Registry, tmp_path: Path) -> None:
    early = tmp_path / "early"
    shutil.copytree(run, early)
    stages = json.loads((early / "stages.json").read_text())
    del stages["train"]
    (early / "stages.json").write_text(json.dumps(stages))
    with table(lamps, "lamps", run=early) as made:
        assert made.players is not None
        assert made.players.stage == "after the warm-up"


def test_a_run_that_has_learnt_nothing(run: Path, lamps: Registry, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes((run / "run.toml").read_bytes())
    with (
        pytest.raises(ReflectError, match="has no policy yet"),
        table(lamps, "lamps", run=tmp_path),
    ):
        raise AssertionError("nobody to play with")
    assert Watched.alive == 0


def test_a_run_of_another_environment(run: Path, lamps: Registry) -> None:
    with (
        pytest.raises(ConfigError, match="have learnt lamps, not filesys") as caught,
        table(lamps, "filesys", run=run),
    ):
        raise AssertionError("players of another environment")
    assert f"reflect play lamps --policy {run}" in str(caught.value)


def test_players_without_a_model(lamps: Registry, tmp_path: Path) -> None:
    made = configuration.resolve(
        lamps, flags={"env": "lamps", "policy": "expert", "reflector": "expert"}
    )
    (tmp_path / "run.toml").write_text(configuration.dump(made))
    with table(lamps, "lamps", run=tmp_path) as expert:
        game = expert.game(seed=1)
        while not game.over:
            counsel = game.counsel()
            assert counsel is not None
            assert counsel.reflection.endswith(game.menu[counsel.index])
            game.step(game.menu[counsel.index])
        assert game.last is not None and game.last.success


def test_playing_alone_loads_no_torch() -> None:
    code = (
        "import sys; from reflect_core.cli import main; "
        "code = main(['play', 'filesys', 'corpus=synthetic']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
