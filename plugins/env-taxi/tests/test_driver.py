"""The expert of DangerousTaxi that plans: that it knows the way, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import STAGES, TaxiConfig
from reflect_env_taxi.taxi import ACTIONS, TaxiEnvironment
from taxi_walks import all_tasks, harmless

from reflect_core.grounding import named_action
from reflect_core.settings import TeachSettings
from reflect_core.teach import teach

shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def patient() -> TaxiEnvironment:
    """One with time for ways there and back."""
    return TaxiEnvironment(TaxiConfig(expert="planner", horizon=60))


def solve(environment: TaxiEnvironment) -> int:
    """Let the expert finish the episode; the number of its turns."""
    for turn in range(1, 100):
        step = environment.step(environment.expert_action())
        if step.over:
            assert step.success
            return turn
    raise AssertionError("the expert drives in circles")


def test_it_solves_every_task_by_a_shortest_way(taxi: TaxiEnvironment) -> None:
    lengths = []
    for task in all_tasks(taxi):
        taxi.reset(task, seed=0)
        lengths.append(solve(taxi))
    assert len(lengths) == 300
    assert sum(lengths) / 300 == pytest.approx(13.07, abs=0.01)
    assert max(lengths) == 18


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("boarding", ["passenger", "anywhere"])
def test_it_solves_every_stage(stage: str, boarding: str) -> None:
    environment = TaxiEnvironment(TaxiConfig(expert="planner", boarding=boarding, held_out="none"))
    for task in all_tasks(environment):
        environment.reset(task, seed=0, stage=stage)
        assert solve(environment) <= 18


@shared
@given(
    number=st.integers(0, 299),
    picks=st.lists(st.integers(0, 5), max_size=25),
    stage=st.sampled_from(STAGES),
)
def test_it_finds_back_from_wherever_one_went_and_says_so(
    patient: TaxiEnvironment, number: int, picks: list[int], stage: str
) -> None:
    environment = patient
    environment.reset(all_tasks(environment)[number], seed=0, stage=stage)
    for pick in picks:
        engine = environment._engine
        right = environment.expert_action()
        action = harmless(environment, pick)
        ways = environment._ways[stage].distance
        before = engine.s
        if environment.step(action).over:
            return
        said = environment.expert_reflection()
        farther = ways[engine.s] > ways[before]
        assert said.startswith("Wrong ") is farther
        assert not (farther and action == right)
    assert solve(environment) <= 18


@pytest.mark.parametrize("stage", STAGES)
def test_reflections_are_short_and_end_with_the_action(taxi: TaxiEnvironment, stage: str) -> None:
    for task in all_tasks(taxi):
        taxi.reset(task, seed=0, stage=stage)
        over = False
        while not over:
            said, action = taxi.expert_reflection(), taxi.expert_action()
            assert said.endswith(f": {action}")
            assert len(said.split()) <= 16
            place = named_action(said, ACTIONS)
            assert place is not None and ACTIONS[place] == action
            over = taxi.step(action).over


def said(start: str, *actions: str) -> str:
    """The reflection after these actions."""
    environment = TaxiEnvironment(TaxiConfig(expert="planner"))
    task = next(task for task in all_tasks(environment) if task.task_id == start)
    environment.reset(task, seed=0)
    for action in actions:
        environment.step(action)
    return environment.expert_reflection()


@pytest.mark.parametrize(
    ("start", "actions", "reflection"),
    [
        ("taxi:RB@2,2", (), "At 2,2, passenger 0,0 is north west: move west"),
        ("taxi:RB@0,2", (), "At 0,2, passenger 0,0 is west, wall west: move south"),
        ("taxi:RB@1,0", (), "At 1,0, passenger 0,0 is north: move north"),
        ("taxi:RB@0,0", (), "At 0,0, passenger here: pick up"),
        ("taxi:RB@0,0", ("pick up",), "At 0,0, goal 4,3 is south east: move south"),
        (
            "taxi:RB@1,0",
            ("move south",),
            "Wrong way. At 2,0, passenger 0,0 is north: move north",
        ),
        (
            "taxi:RB@0,0",
            ("pick up", "drop off"),
            "Wrong stop. At 0,0, passenger here: pick up",
        ),
        ("taxi:RB@1,0", ("go",), "No command. At 1,0, passenger 0,0 is north: move north"),
        ("taxi:RY@3,0", ("move south",), "Wrong way. At 4,0, passenger 0,0 is north: move north"),
    ],
)
def test_what_it_says(start: str, actions: tuple[str, ...], reflection: str) -> None:
    assert said(start, *actions) == reflection


def test_at_the_goal_it_drops_him_off() -> None:
    way = ("pick up", *("move south",) * 4)
    assert said("taxi:RY@0,0", *way) == "At 4,0, goal here: drop off"


def test_a_teacher_gets_positive_and_negative_examples(taxi: TaxiEnvironment) -> None:
    lesson = teach(
        lambda: TaxiEnvironment(TaxiConfig(expert="planner")),
        taxi.tasks("train"),
        TeachSettings(episodes=20, negatives=2),
        seed=0,
        stages=STAGES,
    )
    assert not lesson.unsolved
    negatives = [example for example in lesson.examples if example.kind == "negative"]
    # most wrong moves end the episode, and teaching gives up after some tries
    assert len(negatives) == 40 - lesson.without_negative > 30
    assert any(example.reflection.startswith("Wrong way.") for example in negatives)
