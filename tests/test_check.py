"""``reflect check``: reports, exit codes, mistakes of usage."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import attrs
import pytest
from fake_plugins import FakeEntryPoint, environments, module
from mutants.lamps import BlankAction, Right
from mutants.lamps_again import Remembers
from mutants.maze import Maze, MazeConfig

from reflect_core import CurriculumSpec, EnvironmentSpec, hookimpl
from reflect_core.cli import main
from reflect_core.curriculum import UniformCurriculum

FEW = ("--max-examples", "5")


@hookimpl
def reflect_curricula():
    yield CurriculumSpec(
        name="maze",
        factory=lambda config, context: UniformCurriculum(context.tasks("train"), seed=0),
    )


class NeverBuilt(Right):
    def __init__(self) -> None:
        raise LookupError("the map of the lamps is lost")


def spec(name: str, part, **more) -> EnvironmentSpec:
    return EnvironmentSpec(name=name, factory=lambda config, context: part(), **more)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Fake plugins, seen by this process alone, in an empty folder."""
    plugin = module(
        reflect_environments=environments(
            EnvironmentSpec(
                name="maze",
                factory=lambda config, context: Maze(config),
                config=MazeConfig,
                stages=("key", "door"),
            ),
            EnvironmentSpec(
                name="ice",
                factory=lambda config, context: Maze(config),
                config=MazeConfig,
                stages=("key", "door"),
                expert_solves=0.1,
            ),
            spec("lamps-blank", BlankAction),
            spec("lamps-remember", Remembers),
            spec("lamps-lost", NeverBuilt),
        ),
        reflect_curricula=reflect_curricula,
    )
    points = [FakeEntryPoint("mazes", lambda: plugin)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    monkeypatch.delenv("REFLECT_DISABLE_PLUGINS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@attrs.frozen
class Answer:
    code: int
    out: str
    err: str

    def row(self, law: str) -> str:
        return next(line for line in self.out.splitlines() if f" {law} " in line)


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> Answer:
        code = main(["check", *words])
        return Answer(code, *capsys.readouterr())

    return run


def test_what_keeps_the_laws_of_curricula_is_told_so_with_exit_code_0(check, installed) -> None:
    answer = check("uniform", *FEW)
    assert answer.code == 0, answer.out
    assert answer.out.startswith("curriculum 'uniform' from 'builtin' (reflect-core ")
    assert answer.row("round-trips").split()[0] == "ok"
    assert answer.out.endswith("\n7 ok\n")
    assert not answer.err
    assert list(installed.iterdir()) == []


def test_the_kind_tells_parts_of_one_name_apart(check) -> None:
    answer = check("maze", "--kind", "curriculum", *FEW)
    assert answer.out.startswith("curriculum 'maze' from 'mazes' (reflect-mazes 0.1.0)\n")
    assert answer.row("round-trips").split()[0] == "ok"
    # no other process knows a plugin that these tests have made up
    assert "no curriculum is called 'maze'" in answer.out


def test_an_environment_is_examined_by_the_same_laws(check) -> None:
    answer = check("maze", "--kind", "environment", "horizon=30", "slip=0", *FEW)
    # a process of its own does not know the fake plugin
    assert answer.row("spawns").split()[0] == "failed"
    assert answer.row("expert-solves").split()[0] == "ok"
    assert answer.code == 1


def test_a_spec_says_how_often_its_expert_succeeds(check) -> None:
    slippery = ("horizon=8", "slip=0.5", *FEW)
    maze = check("maze", "--kind", "environment", *slippery)
    assert maze.row("expert-solves").split()[0] == "failed"
    assert "`expert_solves` in the spec" in maze.out
    assert check("ice", *slippery).row("expert-solves").split()[0] == "ok"


@pytest.mark.parametrize(
    ("name", "law", "tells"),
    [
        ("lamps-blank", "menu", "an action is blank"),
        ("lamps-remember", "forgets", "set every field there"),
        ("lamps-lost", "builds", "LookupError: the map of the lamps is lost"),
    ],
)
def test_a_broken_law_is_told_with_its_cause_its_line_and_exit_code_1(
    check, name: str, law: str, tells: str
) -> None:
    answer = check(name)
    assert answer.code == 1
    assert answer.row(law).split()[0] == "failed"
    assert tells in answer.out
    story = answer.out.partition(f"\n{law}: ")[2]
    for part in ("  seen: ", "  likely cause: ", "  look at: "):
        assert part in story
    assert story.splitlines()[-1] == f"again: reflect check {name} --max-examples 50 --seed 0"


def test_the_seed_and_the_effort_are_repeated_as_they_were_given(check) -> None:
    answer = check("lamps-blank", "--max-examples", "7", "--seed", "3", "--kind", "environment")
    again = "reflect check lamps-blank --kind environment --max-examples 7 --seed 3"
    assert answer.out.splitlines()[-1] == f"again: {again}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Missing argument 'NAME'"),
        (("mazze",), "did you mean: maze"),
        (("maze",), "add --kind environment or --kind curriculum"),
        (("lamps-blank", "--kind", "trainer"), "no trainer is called 'lamps-blank'"),
        (("maze", "--kind", "environment", "horizont=3"), "horizon"),
        (("maze", "--kind", "environment", "horizon=0"), "horizon"),
        (("maze", "--max-examples", "0"), "0 is not in the range"),
        (("maze", "--seed", "-1"), "-1 is not in the range"),
    ],
)
def test_mistakes_of_usage_have_exit_code_2_and_examine_nothing(
    check, words: tuple[str, ...], told: str
) -> None:
    answer = check(*words)
    assert answer.code == 2
    assert told in answer.err
    assert not answer.out


def test_without_hypothesis_the_extra_is_named(check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    answer = check("maze", "--kind", "curriculum")
    assert answer.code == 2
    assert "pip install 'reflect-core[testing]'" in answer.err
