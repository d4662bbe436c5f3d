"""The three experts: what they know, what they say, how they fare."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment
from reflect_env_filesys.experts import EXPERTS, Explorer, Impatient
from reflect_env_filesys.session import Session
from reflect_env_filesys.snapshot import File
from reflect_env_filesys.tree import ShownFolder, ShownTree

from reflect_core.errors import NoAdvice
from reflect_core.grounding import named_action
from reflect_core.records import Task
from reflect_core.streams import stream


def play(environment: FilesysEnvironment, task: Task, seed: int) -> tuple[bool, list[str]]:
    environment.reset(task, seed=seed)
    actions: list[str] = []
    while True:
        actions.append(environment.expert_action())
        step = environment.step(actions[-1])
        if step.over:
            return step.success, actions


def test_oracle_and_explorer_solve_every_task_within_the_horizon(
    knowing: FilesysEnvironment, searching: FilesysEnvironment
) -> None:
    for split in ("train", "valid", "test"):
        for number, task in enumerate(knowing.tasks(split)):
            success, actions = play(knowing, task, number)
            assert success and len(actions) == task.level
            success, actions = play(searching, task, number)
            assert success and task.level <= len(actions) <= 13
            assert not any(action.startswith("cat ") for action in actions)


@pytest.mark.parametrize("mode", EXPERTS)
def test_where_nothing_fits_and_no_file_is_at_hand_they_give_up(mode: str, tmp_path: Path) -> None:
    # one file in each split, and a head that does not show what it is about
    about = {
        "a/x": "Weigh apples and pears.",
        "b/y": "Count sheep at night.",
        "c/z": "Boil eggs soft.",
    }
    for name, sentence in about.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir()
        path.write_text(f'# {"all rights are reserved " * 6}\n"""{sentence}"""\n')
    environment = FilesysEnvironment(
        FilesysConfig(root=str(tmp_path), kind="describe", expert=mode)
    )
    gave_up = 0
    for split in ("train", "valid", "test"):
        for task in environment.tasks(split):
            try:
                success, _ = play(environment, task, 0)
                assert success
            except NoAdvice:
                gave_up += 1
    assert gave_up == (0 if mode == "oracle" else 3)


@pytest.mark.parametrize("mode", ["oracle", "explorer"])
def test_they_recover_from_wrong_moves_while_turns_last(mode: str) -> None:
    """After a few random moves the expert's action is legal and still leads to the file."""
    environment = FilesysEnvironment(FilesysConfig(corpus="synthetic", expert=mode, horizon=40))
    for number, task in enumerate(environment.tasks("train")[:80]):
        generator = stream(number, "wrong")
        observation = environment.reset(task, seed=number)
        for _ in range(6):
            legal = [a for a in observation.legal_actions if not a.startswith("id ")]
            observation = environment.step(legal[int(generator.integers(len(legal)))]).observation
        while True:
            action = environment.expert_action()
            assert action in observation.legal_actions
            step = environment.step(action)
            observation = step.observation
            if step.over:
                break
        assert step.success


@pytest.mark.parametrize("mode", ["oracle", "explorer"])
def test_reflections_are_short_and_end_with_the_action(mode: str) -> None:
    environment = FilesysEnvironment(FilesysConfig(expert=mode))
    for number, task in enumerate(environment.tasks("train")[:100]):
        generator = stream(number, "reflections")
        observation = environment.reset(task, seed=number)
        while True:
            reflection = environment.expert_reflection()
            action = environment.expert_action()
            assert reflection.endswith(f" {action}")
            assert len(reflection.split()) <= 14
            menu = observation.legal_actions
            assert menu[named_action(reflection, menu)] == action  # type: ignore[index]
            moves = [action, *(a for a in menu if not a.startswith("id ")), "no command"]
            step = environment.step(moves[int(generator.integers(len(moves)))])
            observation = step.observation
            if step.over:
                break


def small_tree() -> ShownTree:
    """a holds aa and ab, b holds ba; the target lies in b/ba."""

    def folder(index: int, path: str, parent: int, children: dict[str, int], *files: str):
        made = {name: File(name, 4, b"text") for name in files}
        return ShownFolder(index, path.rpartition("/")[2], path, parent, children, made)

    return ShownTree(
        (
            folder(0, "/", -1, {"a": 1, "b": 2}, "top.py"),
            folder(1, "/a", 0, {"aa": 3, "ab": 4}, "x.py"),
            folder(2, "/b", 0, {"ba": 5}, "y.py"),
            folder(3, "/a/aa", 1, {}, "z.py"),
            folder(4, "/a/ab", 1, {}, "v.py"),
            folder(5, "/b/ba", 2, {}, "goal.py", "w.py"),
        ),
        target_folder=5,
        target="goal.py",
    )


def after(*actions: str, seed: int = 0) -> Session:
    """The small tree after these actions."""
    session = Session(
        small_tree(), wanted="goal.py", sentence="", horizon=15, cat_chars=80, seed=seed
    )
    for action in actions:
        if action in session.menu():
            session.act(action)
        else:
            session.fail()
    return session


def said(mode: str, *actions: str) -> str:
    """The reflection after these actions in the small tree."""
    return EXPERTS[mode]().reflection(after(*actions))


def action_after(mode: str, *actions: str, seed: int) -> str:
    """What is done after them in an episode of this seed."""
    return EXPERTS[mode]().action(after(*actions, seed=seed))


def test_the_impatient_one_mostly_gives_up_a_folder_after_one_look_below() -> None:
    """There it names two ways and takes one of them; elsewhere it is the explorer."""
    environment = FilesysEnvironment(FilesysConfig(expert="impatient"))
    explorer = Explorer()
    solved, back, tired = 0, 0, 0
    tasks = environment.tasks("test")
    for number, task in enumerate(tasks):
        environment.reset(task, seed=number)
        while True:
            session = environment._session
            assert session is not None
            action, on = environment.expert_action(), explorer.action(session)
            assert environment.expert_action() == action
            _, _, way = environment.expert_reflection().rpartition(": ")
            below = session.tree.folders[session.here].children.values()
            looked = any(session.mark(child) == "done:" for child in below)
            if session.here and session.known() is None and on != "cd .." and looked:
                assert way == f"cd .. or {on}" and action in ("cd ..", on)
                tired += 1
                back += action == "cd .."
            else:
                assert action == way == on
            step = environment.step(action)
            if step.over:
                solved += step.success
                break
    assert tired > 300 and 0.86 < back / tired < 0.94
    assert 0.5 < solved / len(tasks) < 0.7


def test_what_the_impatient_one_does_hangs_on_the_episode_and_not_on_the_folder() -> None:
    """In the small tree it looks further in some episodes."""
    moves = ("cd a", "cd aa", "cd ..")
    taken = {action_after("impatient", *moves, seed=seed) for seed in range(40)}
    assert taken == {"cd ..", "cd ab"}
    assert {action_after("impatient", *moves, seed=7) for _ in range(3)} < taken


SAYS = {
    "oracle": [
        ((), "Not here: cd b"),
        (("cd b",), "Not here: cd ba"),
        (("cd b", "cd ba"), "Here: id goal.py"),
        (("cd a",), "Wrong move. Not here: cd .."),
        (("cd a", "cd aa"), "Wrong move. Not here: cd .."),
        (("cd a", "cd aa", "cd .."), "Not here: cd .."),
        (("cd b", "cd .."), "Wrong move. Not here: cd b"),
        (("cat top.py",), "No help. Not here: cd b"),
        (("ls",), "No command. Not here: cd b"),
    ],
    "explorer": [
        ((), "Not here: cd a"),
        (("cd a",), "Not here: cd aa"),
        (("cd a", "cd aa"), "Not here: cd .."),
        (("cd a", "cd aa", "cd .."), "Not here: cd ab"),
        (("cd a", "cd aa", "cd ..", "cd ab", "cd .."), "Not here: cd .."),
        (("cd a", "cd .."), "Wrong move. Not here: cd a"),
        (
            ("cd a", "cd aa", "cd ..", "cd aa"),
            "Wrong move. Not here: cd ..",
        ),
        (("cd b", "cd ba"), "Here: id goal.py"),
        (("cd b", "cd ba", "cd .."), "Wrong move. Seen elsewhere: cd ba"),
        (("cd b", "cd ba", "cat w.py"), "No help. Here: id goal.py"),
    ],
    "impatient": [
        ((), "Not here: cd a"),
        (("cd a",), "Not here: cd aa"),
        (("cd a", "cd aa"), "Not here: cd .."),
        (("cd a", "cd aa", "cd .."), "Not here: cd .. or cd ab"),
        (("cd a", "cd aa", "cd ..", "cat x.py"), "No help. Not here: cd .. or cd ab"),
        (("cd a", "cd aa", "cd ..", "ls"), "No command. Not here: cd .. or cd ab"),
        (("cd a", "cd aa", "cd ..", "cd .."), "Not here: cd a"),
        (("cd a", "cd aa", "cd ..", "cd ab", "cd .."), "Not here: cd .."),
        (("cd a", "cd aa", "cd ..", "cd aa"), "Wrong move. Not here: cd .."),
        (("cd b", "cd ba"), "Here: id goal.py"),
        (("cd b", "cd ba", "cd .."), "Wrong move. Seen elsewhere: cd ba"),
    ],
}
"""What each says in the small tree after these actions."""


@pytest.mark.parametrize(
    ("mode", "actions", "reflection"),
    [(mode, *case) for mode, cases in SAYS.items() for case in cases],
)
def test_what_they_say(mode: str, actions: tuple[str, ...], reflection: str) -> None:
    assert said(mode, *actions) == reflection


@pytest.mark.parametrize("searcher", [Explorer, Impatient])
def test_searchers_use_only_what_they_have_seen(
    synthetic: FilesysEnvironment, searcher: type[Explorer]
) -> None:
    """Folders that were not entered may hold anything: they act and speak the same."""
    explorer = searcher()
    for number, task in enumerate(synthetic.tasks("test")[:60]):
        generator = stream(number, "hidden")
        observation = synthetic.reset(task, seed=number)
        for _ in range(12):
            session = synthetic._session
            assert session is not None
            before = explorer.action(session), explorer.reflection(session)
            hidden = [f for f in session.tree.folders if f.index not in session.entered]
            real = session.tree
            emptied = tuple(
                attrs.evolve(f, files={"other.py": File("other.py", 0, b"")}, children={})
                if f in hidden
                else f
                for f in real.folders
            )
            session.tree = ShownTree(emptied, 0, "elsewhere.py")
            session.target = (0, "elsewhere.py")
            assert (explorer.action(session), explorer.reflection(session)) == before
            session.tree, session.target = real, (real.target_folder, real.target)
            legal = [a for a in observation.legal_actions if not a.startswith("id ")]
            observation = synthetic.step(legal[int(generator.integers(len(legal)))]).observation


def test_describe_is_solved_by_the_oracle_and_in_part_by_the_explorer() -> None:
    oracle = FilesysEnvironment(FilesysConfig(kind="describe", expert="oracle"))
    explorer = FilesysEnvironment(FilesysConfig(kind="describe", expert="explorer"))
    tasks = oracle.tasks("test")[:60]
    for number, task in enumerate(tasks):
        stem = task.data["path"][-1].removesuffix(".py")
        assert stem.strip("_").lower() not in task.text.removeprefix("Which file is this? ").lower()
        assert play(oracle, task, number)[0]
    solved = [play(explorer, task, number) for number, task in enumerate(tasks)]
    assert 0.1 < sum(success for success, _ in solved) / len(solved) < 1
    assert all(len(actions) <= 15 and actions[-1].startswith("id ") for _, actions in solved)
