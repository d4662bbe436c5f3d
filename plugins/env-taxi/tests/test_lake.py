"""What holds in every episode of FrozenLake, and its expert."""

from __future__ import annotations

import random
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import generate_random_map
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import FrozenLakeConfig
from reflect_env_taxi.lake import ACTIONS, FrozenLakeEnvironment
from reflect_env_taxi.skater import best_actions

from reflect_core.errors import ConfigError, EpisodeOver, ReflectError
from reflect_core.grounding import named_action
from reflect_core.records import Step, Task

shared = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
numbers = st.integers(0, 1000)
seeds = st.integers(0, 2**63 - 1)
codes = st.lists(st.integers(0, 3), min_size=1, max_size=30)
SPLITS = ("train", "valid", "test")


def all_tasks(environment: FrozenLakeEnvironment) -> list[Task]:
    return [task for split in SPLITS for task in environment.tasks(split)]


def some_task(environment: FrozenLakeEnvironment, number: int) -> Task:
    tasks = all_tasks(environment)
    return tasks[number % len(tasks)]


def play(environment: FrozenLakeEnvironment, task: Task, seed: int, codes: list[int]) -> list[Any]:
    """The first observation and every step."""
    seen: list[Any] = [environment.reset(task, seed=seed)]
    for code in codes:
        seen.append(environment.step(ACTIONS[code]))
        if seen[-1].over:
            break
    return seen


def solve(environment: FrozenLakeEnvironment, task: Task, seed: int) -> tuple[bool, int]:
    """Let the expert play: whether it reached the goal, and in how many turns."""
    environment.reset(task, seed=seed)
    turns = 0
    while True:
        step = environment.step(environment.expert_action())
        turns += 1
        if step.over:
            return step.success, turns


@shared
@given(number=numbers, codes=codes)
def test_states_and_rewards_are_gymnasiums(
    lake: FrozenLakeEnvironment, number: int, codes: list[int]
) -> None:
    task = some_task(lake, number)
    bare: Any = gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=False).unwrapped
    bare.reset(seed=number)
    row, column = task.data["start"]
    bare.s = 4 * row + column
    lake.reset(task, seed=number)
    for turn, code in enumerate(codes, 1):
        state, reward, ended, _, _ = bare.step(code)
        step = lake.step(ACTIONS[code])
        assert lake._engine.s == state
        assert step.reward == reward
        assert step.success is (reward == 1)
        assert step.terminated is (ended or turn == 16)
        if step.over:
            break


@shared
@given(number=numbers, seed=seeds, codes=codes, is_slippery=st.booleans())
def test_any_legal_actions_keep_the_contract(
    lake: FrozenLakeEnvironment,
    slippery: FrozenLakeEnvironment,
    number: int,
    seed: int,
    codes: list[int],
    is_slippery: bool,
) -> None:
    environment = slippery if is_slippery else lake
    seen = play(environment, some_task(environment, number), seed, codes)
    for turn, shown in enumerate(seen):
        observation = shown.observation if isinstance(shown, Step) else shown
        over = isinstance(shown, Step) and shown.over
        assert observation.legal_actions == (() if over else ACTIONS)
        if not over:
            assert f"{environment.config.turns - turn} turn" in observation.text
            assert observation.text.count("Y") == 1
        assert observation.text.isascii() and len(observation.text) < 300
    assert seen == play(environment, some_task(environment, number), seed, codes)
    if isinstance(seen[-1], Step) and seen[-1].over:
        with pytest.raises(EpisodeOver):
            environment.step(ACTIONS[0])


@shared
@given(number=numbers, text=st.text(max_size=60))
def test_any_text_is_answered_and_costs_a_turn(
    slippery: FrozenLakeEnvironment, number: int, text: str
) -> None:
    assume(text not in ACTIONS)
    before = slippery.reset(some_task(slippery, number), seed=0)
    step = slippery.step(text)
    assert step.reward == pytest.approx(-0.1)
    assert not step.over
    error, shown = step.observation.text.split("\n", 1)
    assert error.startswith("error: no command ")
    assert shown == before.text.replace("100 turns", "99 turns")
    assert slippery.expert_reflection().startswith("No command. ")
    step.observation.text.encode("utf-8")


@shared
@given(number=numbers, seed=seeds, codes=codes, others=codes)
def test_equal_keys_mean_equal_states_slips_included(
    slippery: FrozenLakeEnvironment, number: int, seed: int, codes: list[int], others: list[int]
) -> None:
    task = some_task(slippery, number)

    def after(codes: list[int]) -> dict[str, tuple[str, str]]:
        found = {}
        for length in range(min(len(codes), 8)):
            last = play(slippery, task, seed, codes[:length])[-1]
            if isinstance(last, Step):
                if last.over:
                    break
                last = last.observation
            place = last.text.split("\n", length > 0)[-1]
            found[last.state_key] = (place, slippery.step("move down").observation.text)
        return found

    first, second = after(codes), after(others)
    for key in set(first) & set(second):
        assert first[key] == second[key]


def test_the_ice_slips_by_the_reset_seed_and_nothing_else(slippery: FrozenLakeEnvironment) -> None:
    task = all_tasks(slippery)[0]
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    ends = {play(slippery, task, seed, [2, 2, 1])[-1].observation.text for seed in range(20)}
    assert len(ends) > 3
    after = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert before == after


def test_slips_go_each_way_one_time_in_three(slippery: FrozenLakeEnvironment) -> None:
    """From 2,1 of the map a move to the right ends right of it, below, or above in a hole."""
    task = next(task for task in all_tasks(slippery) if task.data["start"] == [2, 1])
    results = []
    for seed in range(300):
        slippery.reset(task, seed=seed)
        results.append(slippery.step("move right").observation.text.split("\n")[0])
    counts = {result: results.count(result) for result in results}
    assert set(counts) == {"move right: ok", "move right: slipped", "move right: hole"}
    assert all(60 < count < 140 for count in counts.values())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"map": "8x8"},
        {"map": "random", "maps": 40},
        {"map": "random", "maps": 20, "size": 8},
        {"map": "random", "maps": 20, "size": 6, "horizon": 11},
    ],
)
def test_the_expert_solves_every_task_it_claims(options: dict[str, Any]) -> None:
    environment = FrozenLakeEnvironment(FrozenLakeConfig(**options))
    for task in all_tasks(environment):
        success, turns = solve(environment, task, 0)
        assert success
        assert (task.level - 1) * 4 < turns <= task.level * 4


def test_on_slippery_ice_it_mostly_arrives(slippery: FrozenLakeEnvironment) -> None:
    task = next(task for task in all_tasks(slippery) if task.data["start"] == [0, 0])
    solved = [solve(slippery, task, seed)[0] for seed in range(60)]
    assert 0.5 < sum(solved) / len(solved) < 0.95


def test_value_iteration_avoids_holes_where_it_can(
    slippery: FrozenLakeEnvironment,
) -> None:
    """Beside a hole the move that cannot slip into it is the best."""
    rows = ["SHF", "FFF", "HFG"]
    table = gymnasium.make("FrozenLake-v1", desc=rows, is_slippery=True).unwrapped.P  # type: ignore[attr-defined]
    best = best_actions(table)
    left, _, right, _ = range(4)
    assert best[0] == (
        left,
    )  # right of the start is a hole: only a move to the left never ends there
    assert best[5] == best[7] == (right,)


@shared
@given(number=numbers, seed=seeds, codes=codes, is_slippery=st.booleans())
def test_reflections_are_short_and_end_with_the_action(
    lake: FrozenLakeEnvironment,
    slippery: FrozenLakeEnvironment,
    number: int,
    seed: int,
    codes: list[int],
    is_slippery: bool,
) -> None:
    environment = slippery if is_slippery else lake
    environment.reset(some_task(environment, number), seed=seed)
    for code in codes:
        said, action = environment.expert_reflection(), environment.expert_action()
        assert said.endswith(f": {action}") and len(said.split()) <= 16
        place = named_action(said, ACTIONS)
        assert place is not None and ACTIONS[place] == action
        if environment.step(ACTIONS[code]).over:
            break


@pytest.mark.parametrize(
    ("start", "actions", "reflection"),
    [
        ([0, 0], (), "At 0,0, goal 3,3 is down right: move down"),
        ([1, 0], (), "At 1,0, goal 3,3 is down right, hole right: move down"),
        ([0, 0], ("move right",), "At 0,1, goal 3,3 is down right, hole down: move right"),
        ([0, 0], ("move left",), "Wrong way. At 0,0, goal 3,3 is down right: move down"),
        ([0, 0], ("jump",), "No command. At 0,0, goal 3,3 is down right: move down"),
        ([3, 2], (), "At 3,2, goal 3,3 is right: move right"),
    ],
)
def test_what_the_expert_says(
    lake: FrozenLakeEnvironment, start: list[int], actions: tuple[str, ...], reflection: str
) -> None:
    lake.reset(next(task for task in all_tasks(lake) if task.data["start"] == start), seed=0)
    for action in actions:
        lake.step(action)
    assert lake.expert_reflection() == reflection


def test_an_observation_by_hand(lake: FrozenLakeEnvironment) -> None:
    task = next(task for task in all_tasks(lake) if task.data["start"] == [0, 0])
    lake.reset(task, seed=0)
    assert lake.step("move down").observation.text == (
        "move down: ok\n"
        "At 1,0, goal 3,3, 15 turns left\n"
        "left edge, down ice, right hole, up ice\n"
        ". . . .\n"
        "Y H . H\n"
        ". . . H\n"
        "H . . G"
    )
    step = lake.step("move right")
    assert step.observation.text == "move right: hole"
    assert step.terminated and not step.success and step.reward == 0


def test_the_horizon_terminates(lake: FrozenLakeEnvironment) -> None:
    steps = play(lake, next(t for t in all_tasks(lake) if t.data["start"] == [0, 0]), 0, [0] * 16)
    assert len(steps) == 17
    assert steps[-1].terminated and not steps[-1].truncated and not steps[-1].success
    assert steps[-1].observation.text == "move left: edge. No turns left"


@pytest.mark.parametrize("name", ["4x4", "8x8"])
def test_every_start_of_a_map_is_in_one_split(name: str) -> None:
    environment = FrozenLakeEnvironment(FrozenLakeConfig(map=name))
    starts = [tuple(task.data["start"]) for task in all_tasks(environment)]
    rows = all_tasks(environment)[0].data["map"]
    ice = [(r, c) for r, row in enumerate(rows) for c, letter in enumerate(row) if letter in "SF"]
    assert sorted(starts) == ice
    assert [0, 0] in [task.data["start"] for task in environment.tasks("test")]


def test_every_random_map_is_in_one_split_and_gymnasiums() -> None:
    environment = FrozenLakeEnvironment(FrozenLakeConfig(map="random", maps=60))
    tasks = all_tasks(environment)
    assert [len(environment.tasks(split)) for split in SPLITS] == [39, 6, 15]
    assert len({tuple(task.data["map"]) for task in tasks}) == 60
    for task in tasks:
        seed = int(task.task_id.split(":")[-1])
        assert task.data["map"] == generate_random_map(4, seed=seed)
    task = tasks[0]
    rows = environment.reset(task, seed=0).text.split("\n")[-4:]
    drawn = ["".join(row.split()) for row in rows]
    assert drawn == [row.replace("S", "Y").replace("F", ".") for row in task.data["map"]]


def test_a_horizon_that_leaves_no_tasks_is_told() -> None:
    with pytest.raises(ConfigError, match="raise horizon"):
        FrozenLakeEnvironment(FrozenLakeConfig(map="random", horizon=2, maps=5))


def test_it_refuses_what_is_not_its_own(lake: FrozenLakeEnvironment) -> None:
    task = lake.tasks("train")[0]
    for call in (
        lambda: lake.reset(Task("frozenlake:4x4@1,1", "train", "x"), seed=0),
        lambda: lake.reset(Task(task.task_id, "test", task.text), seed=0),
        lambda: lake.reset(task, seed=0, stage="pickup"),
        lambda: lake.tasks("tests"),
    ):
        with pytest.raises(ReflectError):
            call()
    assert lake.reset(task, seed=0, stage="full") == lake.reset(task, seed=0)


def test_it_says_that_it_was_not_reset_or_is_closed() -> None:
    environment = FrozenLakeEnvironment()
    with pytest.raises(EpisodeOver):
        environment.step("move left")
    environment.close()
    environment.close()
    with pytest.raises(EpisodeOver):
        environment.tasks("train")
