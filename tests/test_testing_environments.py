"""The contract of environments passes what is right and finds what is wrong, that and no more."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutants import hanoi, lamps_again, postman
from mutants.common import Mutant
from mutants.environments import MUTANTS, examine
from mutants.lamps import OPTIONS, Right
from mutants.maze import Maze, MazeConfig

from reflect_core import EnvironmentSpec, NoAdvice
from reflect_core.testing import EnvironmentContract, Lamps
from reflect_core.testing.environments import ENVIRONMENT_LAWS, EnvironmentSubject
from reflect_core.testing.environments.unlisted import near_misses
from reflect_core.testing.laws import Effort, Examiner, Outcome
from reflect_core.testing.recipes import FromFile

FROM_PROCESS = {"spawns", "fresh-process", "light", "files", "folder", "releases"}
LITTLE = Effort(max_examples=10)


@pytest.fixture(scope="module", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Some here leave temporary files behind on purpose; they are removed afterwards."""
    tmp_path_factory.getbasetemp()  # made now: it is to outlive this module
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


class TestFilesys(EnvironmentContract):
    spec = "filesys"
    options = {"corpus": "synthetic", "train_tasks": 40}  # noqa: RUF012
    max_examples = 20


class TestImpatient(TestFilesys):
    options = {**TestFilesys.options, "expert": "impatient"}  # noqa: RUF012
    max_examples = 5
    expert_solves = 0.3  # it mostly gives up a folder after one look below it


class TestLamps(EnvironmentContract):
    horizon = 2
    max_examples = 20

    def make(self):
        return Lamps()


class TestMaze(EnvironmentContract):
    spec = EnvironmentSpec(
        name="maze",
        factory=lambda config, context: Maze(config),
        config=MazeConfig,
        stages=("door", "full"),
    )


MAZE = {"stages": ("door", "full"), "horizon": MazeConfig().horizon}


class KeyedMaze(Maze):
    """Gives its states keys; who goes somewhere may slip, so that equal states go on unlike."""

    def observe(self, *words):
        shown = super().observe(*words)
        held = "held" if self.held else "not"
        return attrs.evolve(shown, state_key=f"{self.room} {held} {self.turn}")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("make", "known"),
    [
        (Right, OPTIONS),
        (Maze, MAZE),
        (KeyedMaze, MAZE),
        (hanoi.Right, hanoi.OPTIONS),
        (postman.Right, postman.OPTIONS),
    ],
)
def test_there_is_no_false_alarm_whatever_the_seed(make, known, seed: int) -> None:
    found = examine(Mutant(make, "", "", "", more=known), Effort(seed=seed))
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]


def test_who_says_that_episodes_may_be_cut_may_cut_them() -> None:
    cut = MUTANTS["OutOfTimeIsTruncated"]
    found = examine(Mutant(cut.make, "", "", "", more={**cut.more, "truncates": True}), LITTLE)
    assert found["terminates"].status == "skipped"
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]


def test_without_state_keys_the_law_on_them_says_so() -> None:
    found = examine(Mutant(Maze, "", "", "", more=MAZE), LITTLE)
    assert found["state-keys"].status == "skipped"
    assert found["state-keys"].remark == "it gives no state keys"


class HalfKeyed(MUTANTS["KeyIsThePosition"].make):
    """Gives keys for train tasks alone, and wrong ones."""

    def reset(self, task, *, seed, stage=None):
        self.keyed = task.split == "train"
        return super().reset(task, seed=seed, stage=stage)

    def _observe(self):
        shown = super()._observe()
        return shown if self.keyed else attrs.evolve(shown, state_key=None)


def test_keys_are_looked_at_where_only_some_tasks_have_them() -> None:
    wrong = MUTANTS["KeyIsThePosition"]
    for seed in range(4):
        found = examine(Mutant(HalfKeyed, "", "", "", more=wrong.more), Effort(seed=seed))
        assert found["state-keys"].status == "failed"


class Litter(Right):
    """Leaves a small file for each episode, under names that rise."""

    number = 0

    def reset(self, task, *, seed, stage=None):
        Litter.number += 1
        Path(tempfile.gettempdir(), f"lamps-{self.number:04}").write_text(task.task_id)
        return super().reset(task, seed=seed)


def test_temporary_files_are_seen_among_older_ones() -> None:
    found = examine(Mutant(Litter, "", "", "", fresh=True, more=OPTIONS), LITTLE)
    assert {name for name in found if found[name].broken} == {"releases"}
    assert "it left lamps-" in found["releases"].explain()


@given(st.lists(st.text("ab 01", min_size=1, max_size=8), max_size=5))
def test_a_near_miss_is_not_on_the_menu(menu: list[str]) -> None:
    assert not set(near_misses(menu)) & set(menu)


def test_near_misses_have_other_numbers_or_parts_of_two_items() -> None:
    assert near_misses(["move 1 to B", "wait 3 times"]) == [
        *("move 0 to B", "move 2 to B", "wait 0 times", "wait 4 times"),
        *("move 3 times", "wait 1 to B"),
    ]


class Tidy(Right):
    """Writes where it may, and tidies up."""

    def reset(self, task, *, seed, stage=None):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamps"
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "lit").write_text(task.task_id)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "deep").mkdir()
            Path(folder, "deep", "lamps.log").write_text(task.task_id)
        return super().reset(task, seed=seed)


def test_files_that_may_be_written_are_no_alarm() -> None:
    found = examine(Mutant(Tidy, "", "", "", fresh=True, more=OPTIONS), LITTLE)
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]
    assert found["files"].status == "ok"


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_wrong_is_found_and_nothing_else_is_blamed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lamps_again.BuiltHereOnly, "here", ["lamps.toml"])
    mutant = MUTANTS[name]
    found = examine(mutant)
    assert mutant.missed(found) is None
    assert Path.cwd() == tmp_path
    if not mutant.fresh:
        assert all(found[law].status == "skipped" for law in FROM_PROCESS)


def test_each_law_of_environments_has_a_mutant_that_breaks_it() -> None:
    assert {mutant.law for mutant in MUTANTS.values()} == {law.name for law in ENVIRONMENT_LAWS}


@attrs.frozen
class Config:
    size: object = 1


@pytest.mark.parametrize("size", [lambda: 1, object()], ids=["no pickle", "another one"])
def test_a_config_that_does_not_pickle_is_found(size: object) -> None:
    more = {**OPTIONS, "config": Config(size)}
    mutant = Mutant(Right, "spawns", "a lambda", "__init__", fresh=True, more=more)
    assert mutant.missed(examine(mutant, LITTLE)) is None


def told(make, **more) -> dict[str, Outcome]:
    """What came of each law, with few examples."""
    return examine(Mutant(make, "", "", "", more={**OPTIONS, **more}), LITTLE)


class Fuse(Right):
    """It blows when white is pushed twice running."""

    last = ""

    def reset(self, task, *, seed, stage=None):
        self.last = ""
        return super().reset(task, seed=seed)

    def step(self, action):
        if self.last == action == "push white":
            raise RuntimeError("a fuse blew")
        self.last = action
        return super().step(action)


def test_a_failure_is_told_by_the_shortest_episode_and_the_calls_that_repeat_it() -> None:
    found = examine(Mutant(Fuse, "", "", "", more=OPTIONS))["accepts"]
    text = found.explain()
    steps = [line for line in text.splitlines() if "environment.step(" in line]
    assert [step.partition("  #")[0].strip() for step in steps] == [
        "environment.step('push white')"
    ] * 2
    assert steps[-1].endswith("# raised")
    assert 'raise RuntimeError("a fuse blew")' in str(found.place)
    # and the calls do repeat it
    environment = Fuse()
    calls = [line.strip() for line in text.partition("again:")[2].splitlines() if line]
    with pytest.raises(RuntimeError, match="a fuse blew"):
        exec("\n".join(calls), {"environment": environment})


def test_calls_in_an_odd_order_are_told_by_the_shortest_list_of_calls() -> None:
    text = examine(MUTANTS["ClosesForAll"])["any-order"].explain()
    calls = [line.strip() for line in text.partition("again:")[2].splitlines() if line]
    kinds = [call.partition("(")[0].split(" = ")[0] for call in calls]
    assert kinds[-3:] == ["environment.reset", "other.close", "environment.step"], text


def test_the_same_search_finds_the_same() -> None:
    texts = {told(MUTANTS["Remembers"].make)["forgets"].explain() for _ in range(2)}
    assert len(texts) == 1


def test_an_environment_that_raises_what_nobody_expects_fails_with_the_line() -> None:
    class Closed(Right):
        def tasks(self, split):
            raise OSError("the disk is gone")

    found = told(Closed)
    assert found["splits"].status == "failed"
    assert "OSError: the disk is gone" in found["splits"].explain()
    assert 'raise OSError("the disk is gone")' in str(found["splits"].place)
    assert all(found[law.name].blocked for law in ENVIRONMENT_LAWS if "resets" in law.needs)


def test_an_environment_without_an_expert_or_a_file_skips_what_needs_them() -> None:
    class Mute:
        def __init__(self):
            lamps = Right()
            self.tasks, self.reset = lamps.tasks, lamps.reset
            self.step, self.close = lamps.step, lamps.close

    found = told(Mute)
    skipped = {name for name, outcome in found.items() if outcome.status == "skipped"}
    assert skipped == FROM_PROCESS | {"expert-is-legal", "expert-forgets", "expert-solves"}
    assert all(found[name].status == "ok" for name in set(found) - skipped)


def test_an_expert_may_fail_as_often_as_is_said() -> None:
    found = told(MUTANTS["ExpertFails"].make, expert_solves=0.01)
    assert found["expert-solves"].status == "ok"


def test_an_expert_may_give_up_and_says_so() -> None:
    class Lost(Right):
        def expert_action(self):
            if self.right < self.turn:
                raise NoAdvice("lost")
            return super().expert_action()

    found = told(Lost)
    assert {outcome.status for outcome in found.values()} == {"ok", "skipped"}


def test_an_expert_may_give_up_some_tasks_but_not_all() -> None:
    class Picky(Right):
        given_up = 0

        def reset(self, task, *, seed, stage=None):
            self.gives_up = seed % 2 == 0 or self.given_up
            return super().reset(task, seed=seed, stage=stage)

        def expert_action(self):
            if self.gives_up:
                raise NoAdvice("too hard")
            return super().expert_action()

    found = told(Picky)["expert-solves"]
    assert found.status == "ok"
    assert found.remark.endswith("given up")

    class Idle(Picky):
        given_up = 1

    assert "it gives up all of" in told(Idle)["expert-solves"].explain()


def test_an_environment_without_tasks_is_told_so_by_one_law() -> None:
    class Bare(Right):
        def tasks(self, split):
            return []

    found = told(Bare)
    assert found["splits"].broken is not None
    assert "the split train has no tasks" in found["splits"].explain()
    assert not [name for name in found if found[name].broken and name != "splits"]


def test_a_process_of_its_own_that_fails_is_told_with_its_last_words() -> None:
    recipe = FromFile(str(Path(__file__)), "nothing_of_this_name")
    subject = EnvironmentSubject(Right, recipe=recipe, **OPTIONS)
    examiner = Examiner(subject, ENVIRONMENT_LAWS, LITTLE)
    assert "nothing_of_this_name" in examiner.outcome("spawns").explain()
    assert examiner.outcome("light").blocked


class InMemory(Right):
    """Keeps what it needs in a database that is no file."""

    def __init__(self):
        super().__init__()
        for name in (":memory:", "", "file:notes?mode=memory"):
            sqlite3.connect(name, uri=name.startswith("file:")).close()


def test_a_database_in_memory_is_no_file() -> None:
    subject = EnvironmentSubject(InMemory, recipe=FromFile.of(InMemory), **OPTIONS)
    outcome = Examiner(subject, ENVIRONMENT_LAWS, LITTLE).outcome("files")
    assert outcome.status == "ok", outcome.explain()


@pytest.mark.parametrize("importable", [True, False])
def test_a_test_file_is_imported_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, importable: bool
) -> None:
    folder = tmp_path / "their_tests"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helper.py").write_text("from mutants.lamps import Right\n")
    head = "from .helper import Right\n" if importable else "from mutants.lamps import Right\n"
    (folder / "test_it.py").write_text(f"{head}\n\ndef make():\n    return Right()\n")
    if importable:
        monkeypatch.syspath_prepend(tmp_path)
    recipe = FromFile(str(folder / "test_it.py"), "make", "their_tests.test_it")
    assert recipe.load()().tasks("train") == Right().tasks("train")
