"""The expert that knows where things lie, but no way round a wall."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import STAGES, TaxiConfig
from reflect_env_taxi.taxi import TaxiEnvironment
from taxi_walks import all_tasks, harmless

from reflect_core.errors import NoAdvice
from reflect_core.records import Task
from reflect_core.settings import TeachSettings
from reflect_core.teach import teach


@pytest.fixture(scope="module")
def town() -> TaxiEnvironment:
    return TaxiEnvironment(TaxiConfig(expert="compass"))


def distance(environment: TaxiEnvironment) -> int:
    """Moves to the present target if there were no walls."""
    scene = environment._scenes[environment._state]
    return abs(scene.taxi[0] - scene.target[0]) + abs(scene.taxi[1] - scene.target[1])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 299),
    picks=st.lists(st.integers(0, 5), max_size=18),
    stage=st.sampled_from(STAGES),
)
def test_it_comes_nearer_and_never_harms_or_gives_up_before_walls(
    town: TaxiEnvironment, number: int, picks: list[int], stage: str
) -> None:
    town.reset(all_tasks(town)[number], seed=0, stage=stage)
    for pick in picks:
        if town.step(harmless(town, pick)).over:
            return
    scene, before = town._scenes[town._state], distance(town)
    try:
        action = town.expert_action()
    except NoAdvice:
        towards = {
            "north": scene.target[0] < scene.taxi[0],
            "south": scene.target[0] > scene.taxi[0],
            "west": scene.target[1] < scene.taxi[1],
            "east": scene.target[1] > scene.taxi[1],
        }
        assert before
        assert {side for side, is_so in towards.items() if is_so} <= scene.walls
        with pytest.raises(NoAdvice):
            town.expert_reflection()
        return
    assert town.expert_reflection().endswith(f": {action}")
    step = town.step(action)
    if before:
        assert distance(town) == before - 1
    else:
        assert action in ("pick up", "drop off")
        assert step.success or town._scenes[town._state].aboard


@pytest.mark.parametrize(
    ("start", "action"),
    [
        ("taxi:RB@3,1", "move north"),  # along the longer side
        ("taxi:RB@2,3", "move west"),
        ("taxi:RB@2,2", "move west"),  # both are as long
        ("taxi:RB@1,2", "move north"),  # a wall on the longer side
        ("taxi:RB@0,2", None),  # nothing but a wall
    ],
)
def test_where_it_points(town: TaxiEnvironment, start: str, action: str | None) -> None:
    town.reset(next(task for task in all_tasks(town) if task.task_id == start), seed=0)
    if action is None:
        with pytest.raises(NoAdvice):
            town.expert_action()
    else:
        assert town.expert_action() == action


@pytest.mark.parametrize(
    ("stage", "all_starts", "test_starts"),
    [("pickup", 165, 50), ("dropoff", 150, 25), ("full", 70, 10)],
)
def test_what_it_solves(
    town: TaxiEnvironment, stage: str, all_starts: int, test_starts: int
) -> None:
    assert solved(town, all_tasks(town), stage) == all_starts
    assert solved(town, town.tasks("test"), stage) == test_starts


def solved(town: TaxiEnvironment, tasks: Sequence[Task], stage: str) -> int:
    """How many it solves; the others it gives up."""
    successes = 0
    for task in tasks:
        town.reset(task, seed=0, stage=stage)
        try:
            while not (step := town.step(town.expert_action())).over:
                pass
        except NoAdvice:
            continue
        assert step.success
        successes += 1
    return successes


def test_a_way_round_a_wall_is_wrong_to_it_and_a_blind_alley_is_not(town: TaxiEnvironment) -> None:
    tasks = {task.task_id: task for task in all_tasks(town)}
    town.reset(tasks["taxi:RB@0,2"], seed=0)
    town.step("move south")
    assert town.expert_reflection().startswith("At 1,2")
    town.step("move south")
    assert town.expert_reflection().startswith("Wrong way. At 2,2")


def test_setting_him_down_in_a_blind_alley_is_a_wrong_stop(town: TaxiEnvironment) -> None:
    tasks = {task.task_id: task for task in all_tasks(town)}
    town.reset(tasks["taxi:YB@4,0"], seed=0)
    town.step("pick up")
    with pytest.raises(NoAdvice):
        town.expert_action()
    town.step("drop off")
    assert town.expert_reflection() == "Wrong stop. At 4,0, passenger here: pick up"


def test_teaching_leaves_out_what_it_does_not_solve(town: TaxiEnvironment) -> None:
    tasks = town.tasks("train")
    lesson = teach(town, tasks, TeachSettings(episodes=200, negatives=0), seed=0, stages=STAGES)
    assert len(lesson.unsolved) == 145
    assert {each.state.task.task_id for each in lesson.examples}.isdisjoint(lesson.unsolved)
