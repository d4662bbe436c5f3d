"""The expert that knows where things lie, but no way round a wall."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import PICKUP, STAGES, TaxiConfig
from reflect_env_taxi.pairs import STOPS
from reflect_env_taxi.taxi import ACTIONS, TaxiEnvironment
from taxi_walks import all_tasks, harmless

from reflect_core.errors import NoAdvice
from reflect_core.grounding import named_action
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


def turns_left(environment: TaxiEnvironment) -> int:
    episode = environment._episode
    assert episode is not None
    return episode.turns_left


def hopeless(environment: TaxiEnvironment) -> bool:
    """Whether the rest would take longer than the turns left, were there no walls."""
    episode, scene = environment._episode, environment._scenes[environment._state]
    assert episode is not None
    needed = distance(environment) + 1
    if episode.part != PICKUP and not scene.aboard:
        (row, column), (other_row, other_column) = scene.target, STOPS[scene.goal]
        needed += abs(row - other_row) + abs(column - other_column) + 1
    return needed > episode.turns_left


def at_a_loss(environment: TaxiEnvironment) -> bool:
    """Whether a wall stands east or west, where the target lies."""
    scene = environment._scenes[environment._state]
    east, west = scene.target[1] > scene.taxi[1], scene.target[1] < scene.taxi[1]
    return (east and "east" in scene.walls) or (west and "west" in scene.walls)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 299),
    seed=st.integers(0, 99),
    picks=st.lists(st.integers(0, 5), max_size=18),
    stage=st.sampled_from(STAGES),
)
def test_it_comes_nearer_or_says_that_there_is_a_wall_and_never_harms(
    town: TaxiEnvironment, number: int, seed: int, picks: list[int], stage: str
) -> None:
    town.reset(all_tasks(town)[number], seed=seed, stage=stage)
    for pick in picks:
        if town.step(harmless(town, pick)).over:
            return
    if hopeless(town):
        for ask in (town.expert_action, town.expert_reflection):
            with pytest.raises(NoAdvice, match="given up"):
                ask()
        # nor would any other way do
        assert town._ways[stage].distance[town._state] > turns_left(town)
        return
    scene, before, lost = town._scenes[town._state], distance(town), at_a_loss(town)
    said, action = town.expert_reflection(), town.expert_action()
    assert (said, action) == (town.expert_reflection(), town.expert_action())
    step = town.step(action)
    if lost:
        assert named_action(said, ACTIONS) is None
        assert ", wall " in said
        free = said.rpartition(", free ")[2].split()
        assert {*free} == {"north", "south", "east", "west"} - scene.walls
        assert action in [f"move {side}" for side in free]
        assert "crash" not in step.observation.text
    elif before:
        assert said.endswith(f": {action}")
        assert distance(town) == before - 1
    else:
        assert said.endswith(f": {action}")
        assert action in ("pick up", "drop off")
        assert step.success or town._scenes[town._state].aboard


@pytest.mark.parametrize(
    ("start", "action"),
    [
        ("taxi:RB@2,3", "move west"),  # first into the target's column
        ("taxi:RB@2,0", "move north"),
        ("taxi:RB@0,0", "pick up"),
    ],
)
def test_where_it_points(town: TaxiEnvironment, start: str, action: str) -> None:
    begin(town, start)
    assert town.expert_action() == action


def test_at_a_wall_it_tries_each_free_side_as_often(town: TaxiEnvironment) -> None:
    tried: Counter[str] = Counter()
    for seed in range(600):
        begin(town, "taxi:RB@1,2", seed=seed)
        tried[town.expert_action()] += 1
    assert set(tried) == {"move south", "move north", "move east"}
    assert all(150 < count < 250 for count in tried.values())


def test_at_the_same_wall_it_tries_again() -> None:
    town = TaxiEnvironment(TaxiConfig(expert="compass", horizon=40))
    tried = set()
    begin(town, "taxi:RB@0,2")
    for _ in range(6):
        tried.add(town.expert_action())
        town.step("move south")
        town.step("move north")
    assert len(tried) > 1


def test_a_way_round_a_wall_is_not_wrong_to_it(town: TaxiEnvironment) -> None:
    begin(town, "taxi:RB@0,2")
    assert town.expert_reflection() == "At 0,2, passenger 0,0 is west, wall west, free south east"
    town.step("move south")
    assert town.expert_reflection() == (
        "At 1,2, passenger 0,0 is north west, wall west, free south north east"
    )
    town.step("move south")
    assert town.expert_reflection() == "At 2,2, passenger 0,0 is north west: move west"


def test_setting_him_down_at_a_wall_is_a_wrong_stop(town: TaxiEnvironment) -> None:
    begin(town, "taxi:YB@4,0")
    town.step("pick up")
    assert town.expert_reflection() == "At 4,0, goal 4,3 is east, wall east, free north"
    town.step("drop off")
    assert town.expert_reflection() == "Wrong stop. At 4,0, passenger here: pick up"


@pytest.mark.parametrize("stage", STAGES)
def test_who_goes_to_the_middle_row_at_walls_arrives(town: TaxiEnvironment, stage: str) -> None:
    for task in all_tasks(town):
        town.reset(task, seed=0, stage=stage)
        while True:
            action = town.expert_action()
            if at_a_loss(town):
                row = town._scenes[town._state].taxi[0]
                action = "move south" if row < 2 else "move north"
            if (step := town.step(action)).over:
                break
        assert step.success


def test_it_solves_what_has_no_wall_in_the_way_always_and_the_rest_by_chance(
    town: TaxiEnvironment,
) -> None:
    assert always_solved(town, all_tasks(town)) == 52
    assert always_solved(town, town.tasks("test")) == 15
    assert 0.52 < share_solved(town) < 0.62


def always_solved(town: TaxiEnvironment, tasks: Sequence[Task]) -> int:
    """How many starts it solves without meeting a wall."""
    count = 0
    for task in tasks:
        town.reset(task, seed=0)
        while not at_a_loss(town):
            if (step := town.step(town.expert_action())).over:
                count += step.success
                break
    return count


def share_solved(town: TaxiEnvironment, seeds: int = 10) -> float:
    """Of the test starts; those that it does not solve it gives up."""
    successes = 0
    for number, task in enumerate(town.tasks("test")):
        for seed in range(seeds):
            town.reset(task, seed=number * seeds + seed)
            with contextlib.suppress(NoAdvice):
                while not (step := town.step(town.expert_action())).over:
                    pass
                assert step.success
                successes += 1
    return successes / seeds / len(town.tasks("test"))


def test_teaching_leaves_out_what_it_does_not_solve(town: TaxiEnvironment) -> None:
    lesson = teach(
        lambda: TaxiEnvironment(TaxiConfig(expert="compass")),
        town.tasks("train"),
        TeachSettings(episodes=200, negatives=0),
        seed=0,
        stages=STAGES,
    )
    assert 60 < len(lesson.unsolved) < 110
    assert {each.state.task.task_id for each in lesson.examples}.isdisjoint(lesson.unsolved)
    assert not lesson.without_negative


def begin(town: TaxiEnvironment, task_id: str, *, seed: int = 0) -> None:
    town.reset(next(task for task in all_tasks(town) if task.task_id == task_id), seed=seed)
