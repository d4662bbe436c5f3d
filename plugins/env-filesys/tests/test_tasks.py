"""The default tasks are not hollow, and splits have nothing in common."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.corpus import load_corpus
from reflect_env_filesys.environment import FilesysEnvironment
from reflect_env_filesys.plugin import reflect_policies
from reflect_env_filesys.snapshot import File, Folder
from reflect_env_filesys.split import LARGE, divide
from reflect_env_filesys.stdlib import stdlib_folder
from reflect_env_filesys.tasks import choose_targets, own_names
from reflect_env_filesys.tree import ShownTree, draw_shape

from reflect_core.baselines import RandomPolicy
from reflect_core.records import SPLITS, Draws, State, Task


def tree_of(environment: FilesysEnvironment) -> ShownTree:
    assert environment._session is not None
    return environment._session.tree


def test_the_default_test_tasks_are_not_hollow(default: FilesysEnvironment) -> None:
    tasks = default.tasks("test")
    levels = [task.level for task in tasks]
    deepest = max(len(task.data["path"]) for task in tasks)
    assert statistics.mean(level >= 2 for level in levels) >= 0.4
    lengths, first_turn = [], 0
    for number, task in enumerate(tasks):
        observation = default.reset(task, seed=number)
        name = task.data["path"][-1]
        first_turn += f"id {name}" in observation.legal_actions
        for folder in tree_of(default).folders:
            assert len(folder.files) + len(folder.children) >= 6
        while default._session and not default._session.over:
            observation = default.step(default.expert_action()).observation
        assert default._session is not None
        lengths.append(15 - default._session.turns_left)
    assert first_turn / len(tasks) <= 0.1
    if deepest >= 4:  # some distributions leave out the library's deep folders
        assert len(tasks) >= 200
        assert statistics.mean(lengths) >= 3


def test_the_explorer_needs_at_least_three_turns(searching: FilesysEnvironment) -> None:
    lengths = []
    for number, task in enumerate(searching.tasks("test")):
        searching.reset(task, seed=number)
        turns, over = 0, False
        while not over:
            over = searching.step(searching.expert_action()).over
            turns += 1
        lengths.append(turns)
    assert statistics.mean(lengths) >= 3


def test_the_name_asked_for_is_unique_in_the_shown_tree(default: FilesysEnvironment) -> None:
    for split in SPLITS:
        for number, task in enumerate(default.tasks(split)):
            default.reset(task, seed=number)
            names = Counter(name for folder in tree_of(default).folders for name in folder.files)
            assert names[task.data["path"][-1]] == 1
            assert max(names.values()) == 1


def test_everything_shown_comes_from_the_targets_split(default: FilesysEnvironment) -> None:
    corpus = default._corpus
    assert corpus is not None
    pools = {split: corpus.pools[split, ""] for split in SPLITS}
    owners: dict[int, str] = {}
    for split, pool in pools.items():
        for folder in pool.by_path.values():
            for file in (*folder.files, *folder.spare):
                assert owners.setdefault(id(file), split) == split
    for split in SPLITS:
        for number, task in enumerate(default.tasks(split)[:100]):
            default.reset(task, seed=number)
            for shown in tree_of(default).folders:
                assert {owners[id(file)] for file in shown.files.values()} <= {split}


def test_targets_are_disjoint_by_file_and_by_name(default: FilesysEnvironment) -> None:
    paths = [tuple(t.data["path"]) for split in SPLITS for t in default.tasks(split)]
    ids = [task.task_id for split in SPLITS for task in default.tasks(split)]
    assert len(set(paths)) == len(paths) == len(set(ids))
    assert len({path[-1] for path in paths}) == len(paths)


def test_shown_folders_do_not_give_the_way_away(default: FilesysEnvironment) -> None:
    """A folder of the root that has folders is on the way about as often as its neighbour."""
    with_folders: Counter[bool] = Counter()
    for number in range(400):
        task = default.tasks("test")[number % len(default.tasks("test"))]
        default.reset(task, seed=number)
        tree = tree_of(default)
        on_way, place = set(), tree.target_folder
        while place > 0:
            on_way.add(place)
            place = tree.folders[place].parent
        if not on_way:
            continue
        with_folders.update(
            f.index in on_way for f in tree.folders[1:] if f.parent == 0 and f.children
        )
    assert with_folders[True] / with_folders.total() < 0.75


def test_the_path_to_the_target_is_real(default: FilesysEnvironment) -> None:
    for number, task in enumerate(default.tasks("test")):
        default.reset(task, seed=number)
        tree = tree_of(default)
        shown = f"{tree.folders[tree.target_folder].path.rstrip('/')}/{tree.target}"
        assert shown == "/" + "/".join(task.data["path"])
        assert task.text == f"Find {task.data['path'][-1]}"
        assert task.level == len(task.data["path"])


def test_the_tasks_do_not_depend_on_the_seed() -> None:
    one, other = FilesysEnvironment(seed=1), FilesysEnvironment(seed=2)
    for split in SPLITS:
        assert one.tasks(split) == other.tasks(split)
    generated = FilesysConfig(corpus="synthetic")
    first, second = FilesysEnvironment(generated, seed=1), FilesysEnvironment(generated, seed=2)
    assert first.tasks("test") != second.tasks("test")


def test_nothing_installed_is_part_of_the_library(default: FilesysEnvironment) -> None:
    assert default._corpus is not None
    for pool in default._corpus.pools.values():
        for path in pool.by_path:
            assert not {"site-packages", "dist-packages", "__pycache__", "lib-dynload"} & set(path)
            assert not any(part.startswith("config-") for part in path)
        assert not any(f.name.endswith(".pyc") for fs in pool.files.values() for f in fs)


@pytest.mark.parametrize("name", ["random", "filesys-unseen-name", "filesys-shared-characters"])
def test_cheap_policies_fail(default: FilesysEnvironment, name: str) -> None:
    context: Any = SimpleNamespace(tasks=default.tasks)
    specs = {spec.name: spec for spec in reflect_policies()}
    policy = specs[name].factory(None, context) if name in specs else RandomPolicy()
    tasks, successes = default.tasks("test"), 0
    for number in range(240):
        task = tasks[number % len(tasks)]
        observation, turn, over = default.reset(task, seed=number), 0, False
        while not over:
            draws = Draws(0, ("test", number, turn))
            choice = policy.act([State(task, observation)], [""], [draws], greedy=False)[0]
            assert choice.probabilities[choice.index] == pytest.approx(np.exp(choice.logprob))
            assert sum(choice.probabilities) == pytest.approx(1)
            step = default.step(observation.legal_actions[choice.index])
            observation, turn, over = step.observation, turn + 1, step.over
        successes += step.success
    assert successes / 240 <= (0.1 if name == "random" else 0.15)


names = st.text("abc", min_size=1, max_size=2)


def folders(depth: int) -> st.SearchStrategy[Folder]:
    files = st.lists(names.map(lambda name: name + ".x"), max_size=5, unique=True)
    children: st.SearchStrategy[list[Folder]] = st.just([])
    if depth:
        children = st.lists(folders(depth - 1), max_size=3, unique_by=lambda f: f.name)
    return st.builds(
        lambda name, files, children: Folder(
            name,
            tuple(sorted(children, key=lambda f: f.name)),
            tuple(File(file, 1, b"x") for file in sorted(files)),
        ),
        names,
        files,
        children,
    )


@settings(max_examples=100, deadline=None)
@given(folders(2))
def test_any_tree_of_three_files_is_divided_by_subtree(root: Folder) -> None:
    paths = [(*path, file.name) for path, folder in root.walk() for file in folder.files]
    if len(paths) < 3:
        return
    division = divide(root, "the tree")
    assert sorted(division.split_of) == sorted(paths)
    assert set(division.split_of.values()) == set(SPLITS)
    for path, _ in root.walk():
        below = [place for place in paths if place[: len(path)] == path]
        if path not in division.divided and below:
            assert len({division.split_of[place] for place in below}) == 1
        if path in division.divided and path:
            assert len(below) > LARGE * len(paths)
    askable = own_names(division.split_of)
    assert {division.split_of[path] for path in askable} == set(SPLITS)


@settings(max_examples=200, deadline=None)
@given(level=st.integers(1, 8), more=st.integers(0, 6), seed=st.integers(0, 1000))
def test_shapes_have_a_place_for_the_target(level: int, more: int, seed: int) -> None:
    most = max(1, level - 1 + more)
    parents, goal = draw_shape(np.random.default_rng(seed), level, most)
    assert len(parents) - 1 <= most
    assert all(parent < node for node, parent in enumerate(parents))
    assert max(Counter(parents[1:]).values(), default=0) <= 3
    depth, node = 0, goal
    while node > 0:
        depth, node = depth + 1, parents[node]
    assert depth == level - 1


@settings(max_examples=200, deadline=None)
@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=7),
    weights=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any),
    most=st.integers(1, 100),
)
def test_targets_are_chosen_by_level(counts: list[int], weights: list[int], most: int) -> None:
    paths = [
        (*(f"d{depth}" for depth in range(level)), f"{number}.py")
        for level, count in enumerate(counts)
        for number in range(count)
    ]
    shares = [weight / sum(weights) for weight in weights]
    chosen = choose_targets(paths, weights=shares, most=most, deepest=6)
    assert len(set(chosen)) == len(chosen) <= most
    assert set(chosen) <= {path for path in paths if len(path) <= 6}
    assert bool(chosen) == any(counts[:6])


def test_the_stdlib_folder_is_this_pythons() -> None:
    from pathlib import Path

    assert (Path(stdlib_folder()) / "hmac.py").is_file()


def test_with_other_files_there_are_no_made_up_modules() -> None:
    environment = FilesysEnvironment(FilesysConfig(pattern="*.txt"))
    assert not [task for task in environment.tasks("train") if task.practice]


def named(tasks: Iterable[Task]) -> set[str]:
    return {task.data["path"][-1] for task in tasks}


def test_invented_names_are_for_training_and_nobody_elses() -> None:
    config = FilesysConfig(invented=300, invented_lessons=200)
    environment = FilesysEnvironment(config)
    train = environment.tasks("train")
    practice = [task for task in train if task.practice]
    lessons = [task for task in train if task.data["root"] and not task.practice]
    assert (len(practice), len(lessons)) == (300, 200)
    assert not any(t.data["root"] for s in ("valid", "test") for t in environment.tasks(s))
    real = named(t for s in SPLITS for t in environment.tasks(s) if not t.data["root"])
    pools = load_corpus(config, 0).pools
    kept = []
    for made in (practice, lessons):
        (root,) = {task.data["root"] for task in made}
        kept.append({file.name for files in pools["train", root].files.values() for file in files})
        assert named(made) <= kept[-1] and len(kept[-1]) > 1000
        for number, task in enumerate(made[:40]):
            environment.reset(task, seed=number)
            shown = {name for folder in tree_of(environment).folders for name in folder.files}
            assert shown <= kept[-1]
    # what RL meets no lesson has shown
    assert not (kept[0] & kept[1] or real & (kept[0] | kept[1]))


@pytest.mark.parametrize(("practice", "lessons"), [(0, 30), (30, 0), (0, 0)])
def test_each_kind_of_made_up_tasks_can_be_left_out(practice: int, lessons: int) -> None:
    both = FilesysEnvironment(FilesysConfig(invented=30, invented_lessons=30)).tasks("train")
    config = FilesysConfig(invented=practice, invented_lessons=lessons)
    left = FilesysEnvironment(config).tasks("train")
    wanted = {"": True, "invented": bool(practice), "lessons": bool(lessons)}
    assert list(left) == [task for task in both if wanted[task.data["root"]]]


def test_made_up_names_are_new_and_told_apart_at_either_end() -> None:
    from reflect_env_filesys.synthetic import invented_library, words_of

    words = words_of(["test_json.py", "test_base64.py", "http_server.py", "zip.py"])
    assert words == ["test", "json", "test", "base", "http", "server", "zip"]
    tree = invented_library(words, 0).root
    stems = [f.name.removesuffix(".py") for _, folder in tree.walk() for f in folder.files]
    assert len(set(stems)) == len(stems) > 1000
    ends = {0: 0, -1: 0}
    for _, folder in tree.walk():
        parts = [file.name.removesuffix(".py").split("_") for file in folder.files]
        for end in ends:
            ends[end] += len({part[end] for part in parts}) == 1
    assert min(ends.values()) > 5


def test_few_words_still_make_enough_names() -> None:
    from reflect_env_filesys.synthetic import invented_library

    tree = invented_library(["only"], 0).root
    names = [file.name for _, folder in tree.walk() for file in folder.files]
    assert len(set(names)) == len(names) > 1000
