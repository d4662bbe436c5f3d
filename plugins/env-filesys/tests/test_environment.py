"""What holds in every episode."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment
from reflect_env_filesys.plugin import make_environment

from reflect_core.context import EnvironmentContext
from reflect_core.errors import EpisodeOver, ReflectError
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Observation, Step, Task
from reflect_core.streams import stream

shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
picks = st.lists(st.floats(0, 1, exclude_max=True), min_size=15, max_size=15)
numbers = st.integers(0, 2**63 - 1)


def walk(environment: FilesysEnvironment, task: Task, seed: int, picks: list[float]) -> list[Any]:
    """Play the menu's items at these relative places; every observation and step."""
    observation = environment.reset(task, seed=seed)
    seen: list[Any] = [observation]
    for pick in picks:
        legal = observation.legal_actions
        step = environment.step(legal[int(pick * len(legal))])
        seen.append(step)
        observation = step.observation
        if step.over:
            break
    return seen


def some_task(environment: FilesysEnvironment, number: int) -> Task:
    tasks = environment.tasks(("train", "valid", "test")[number % 3])
    return tasks[number // 3 % len(tasks)]


def test_it_has_the_protocols(default: FilesysEnvironment) -> None:
    assert isinstance(default, Environment)
    assert isinstance(default, Expert)


@shared
@given(number=numbers, seed=numbers, picks=picks)
def test_the_same_seed_and_actions_give_the_same_episode(
    default: FilesysEnvironment, number: int, seed: int, picks: list[float]
) -> None:
    task = some_task(default, number)
    other = FilesysEnvironment()
    assert walk(default, task, seed, picks) == walk(other, task, seed, picks)


@shared
@given(number=numbers, seed=numbers, picks=picks)
def test_menus_are_usable_and_every_item_is_accepted(
    default: FilesysEnvironment, number: int, seed: int, picks: list[float]
) -> None:
    for shown in walk(default, some_task(default, number), seed, picks):
        observation = shown.observation if isinstance(shown, Step) else shown
        legal = observation.legal_actions
        assert len(set(legal)) == len(legal)
        assert all(action.strip() == action and action.isprintable() for action in legal)
        assert all(re.fullmatch(r"(cd|cat|id) \S+", action) for action in legal)
        observation.text.encode("utf-8")
        assert len(observation.text) < 1000
        if isinstance(shown, Step):
            assert not shown.observation.text.startswith("error: ")
            assert bool(legal) != shown.over
            assert shown.truncated is False


@shared
@given(seed=numbers, text=st.text(max_size=60))
def test_any_text_is_answered_and_changes_nothing_but_the_turns(
    default: FilesysEnvironment, seed: int, text: str
) -> None:
    before = default.reset(default.tasks("train")[0], seed=seed)
    if text in before.legal_actions:
        return
    step = default.step(text)
    assert step.reward == pytest.approx(-2 / 15)
    assert not step.over
    assert step.observation.legal_actions == before.legal_actions
    error, place = step.observation.text.split("\n")
    assert error.startswith("error: no command ")
    assert place == before.text.replace("15 turns", "14 turns")
    step.observation.text.encode("utf-8")


@pytest.mark.parametrize("text", ["", " ", "cd", "cd ..", "id", "\udcff", "x" * 10_000, "cd /etc"])
def test_texts_that_are_nearly_commands_are_errors(default: FilesysEnvironment, text: str) -> None:
    default.reset(default.tasks("train")[0], seed=1)
    step = default.step(text)
    assert step.reward == pytest.approx(-2 / 15)
    assert len(step.observation.text) < 1000
    step.observation.text.encode("utf-8")


def test_the_rewards_are_the_papers_by_hand(default: FilesysEnvironment) -> None:
    task = next(task for task in default.tasks("test") if task.level == 3)
    default.reset(task, seed=0)
    rewards, steps = [], []
    for _ in range(3):
        steps.append(default.step(default.expert_action()))
        rewards.append(steps[-1].reward)
    assert rewards == pytest.approx([-1 / 15, -1 / 15, 14 / 15])
    assert [step.success for step in steps] == [False, False, True]
    assert steps[-1].terminated

    observation = default.reset(task, seed=0)
    wrong = next(action for action in observation.legal_actions if action.startswith("id "))
    step = default.step(wrong)
    assert step.reward == pytest.approx(-16 / 15)
    assert step.terminated and not step.success
    assert step.observation.text == f"{wrong}: wrong"


@pytest.mark.parametrize("last", ["legal", "illegal"])
def test_the_horizon_terminates_and_costs(default: FilesysEnvironment, last: str) -> None:
    task = next(task for task in default.tasks("test") if task.level > 1)
    observation = default.reset(task, seed=3)
    for turn in range(14):
        assert f"{15 - turn} turns left" in observation.text
        step = default.step("nothing")
        assert not step.over
        observation = step.observation
    assert "1 turn left" in observation.text
    folder = next(action for action in observation.legal_actions if action.startswith("cd "))
    step = default.step(folder if last == "legal" else "nothing")
    assert step.terminated and not step.truncated and not step.success
    assert step.reward == pytest.approx((-16 if last == "legal" else -17) / 15)
    assert "Out of turns" in step.observation.text
    with pytest.raises(EpisodeOver):
        default.step("cd ..")
    with pytest.raises(EpisodeOver):
        default.expert_action()


def test_a_file_that_was_read_is_not_offered_again(default: FilesysEnvironment) -> None:
    observation = default.reset(default.tasks("test")[0], seed=0)
    read = next(action for action in observation.legal_actions if action.startswith("cat "))
    after = default.step(read).observation
    assert set(observation.legal_actions) - set(after.legal_actions) == {read}
    assert after.text.startswith(f"{read}: ")
    assert len(after.text.split("\n")) == 2


def test_marks_say_what_is_left_below(synthetic: FilesysEnvironment) -> None:
    """An entered folder is open until all below was listed, then done."""
    checked = 0
    for number, task in enumerate(synthetic.tasks("test")[:40]):
        observation = synthetic.reset(task, seed=number)
        for first in [a for a in observation.legal_actions if a.startswith("cd ")]:
            synthetic.reset(task, seed=number)
            inside = synthetic.step(first).observation
            if f"id {task.data['path'][-1]}" in inside.legal_actions:
                continue
            below = [a for a in inside.legal_actions if a.startswith("cd ") and a != "cd .."]
            name = first.removeprefix("cd ")
            outside = synthetic.step("cd ..").observation
            assert f"{'open' if below else 'done'}: {name} " in outside.text
            checked += 1
    assert checked > 20


def test_equal_state_keys_mean_equal_states(synthetic: FilesysEnvironment) -> None:
    """Two orders of reading two files lead to one state, one file to another."""
    task = synthetic.tasks("test")[1]

    def after(*indices: int, seed: int = 0) -> Observation:
        observation = synthetic.reset(task, seed=seed)
        reads = [a for a in observation.legal_actions if a.startswith("cat ")]
        for index in indices:
            observation = synthetic.step(reads[index]).observation
        return observation

    one, other = after(0, 1), after(1, 0)
    assert one.state_key == other.state_key
    assert one.legal_actions == other.legal_actions
    assert one.text.split("\n")[1] == other.text.split("\n")[1]
    keys = {after(0, 1).state_key, after(0, 2).state_key, after(0).state_key, after().state_key}
    assert len(keys | {after(0, 1, seed=1).state_key}) == 5


def test_another_seed_shows_another_tree_of_the_same_task(default: FilesysEnvironment) -> None:
    task = default.tasks("test")[5]
    assert len({default.reset(task, seed=seed).text for seed in range(10)}) > 5


def test_it_refuses_what_is_not_its_own(default: FilesysEnvironment) -> None:
    task = default.tasks("train")[0]
    foreign = Task("find:no/such.py", "train", "Find such.py", data={"path": ["no", "such.py"]})
    for call in (
        lambda: default.reset(foreign, seed=0),
        lambda: default.reset(Task("x", "train", "x"), seed=0),
        lambda: default.reset(task, seed=0, stage="half"),
        lambda: default.tasks("tests"),
    ):
        with pytest.raises(ReflectError):
            call()
    assert default.reset(task, seed=0, stage="full") == default.reset(task, seed=0)


def test_it_says_that_it_was_not_reset_or_is_closed() -> None:
    environment = FilesysEnvironment(FilesysConfig(corpus="synthetic"))
    with pytest.raises(EpisodeOver):
        environment.step("cd ..")
    environment.close()
    environment.close()
    with pytest.raises(EpisodeOver):
        environment.tasks("train")


def test_it_only_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is opened for writing, no process started, no folder changed, anything."""
    events: list[tuple[str, Any]] = []
    listening = True
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    bad = ("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.chdir", "os.re")
    bad += ("os.mkdir", "os.link", "os.symlink", "os.chmod", "os.utime", "os.truncate", "socket.")

    def hook(event: str, arguments: Any) -> None:
        if not listening:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & flags
        if writes or event.startswith(bad):
            events.append((event, arguments))

    import random

    random_state, place = random.getstate(), Path.cwd()
    sys.addaudithook(hook)
    try:
        environment = FilesysEnvironment(FilesysConfig(longest_name=39))
        for number, task in enumerate(environment.tasks("valid")[:20]):
            walk(environment, task, number, stream(number, "x").random(15).tolist())
    finally:
        listening = False
    assert events == []
    assert random.getstate() == random_state
    assert Path.cwd() == place


def _play_elsewhere(made: bytes) -> tuple[list[str], list[Any]]:
    config, context = pickle.loads(made)
    environment = make_environment(config, context)
    tasks = [task.task_id for split in ("train", "test") for task in environment.tasks(split)]
    return tasks, walk(environment, environment.tasks("test")[7], 11, [0.0, 0.3, 0.9, 0.5] * 4)


def test_a_spawned_process_builds_the_same_environment() -> None:
    made = pickle.dumps((FilesysConfig(), EnvironmentContext(seed=3)))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(_play_elsewhere, made).result(timeout=60)
    assert there == _play_elsewhere(made)
