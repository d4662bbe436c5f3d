"""What of a state of Taxi is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import TaxiConfig
from reflect_env_taxi.pairs import STOPS
from reflect_env_taxi.taxi import TaxiEnvironment
from reflect_env_taxi.view import View

shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REACHABLE = [
    state
    for state in range(500)
    if (state // 4) % 5 != state % 4  # the passenger is not where he wants to go
]


def shown(config: TaxiConfig, start: str, *actions: str) -> str:
    """The observation after these actions."""
    environment = TaxiEnvironment(config)
    tasks = [task for split in ("train", "test") for task in environment.tasks(split)]
    task = next(task for task in tasks if task.task_id == start)
    observation = environment.reset(task, seed=0)
    for action in actions:
        observation = environment.step(action).observation
    return observation.text


def test_facts_and_a_drawing_by_hand() -> None:
    assert shown(TaxiConfig(), "taxi:RB@0,1", "move south") == (
        "move south: ok\n"
        "At 1,1, passenger 0,0, goal 4,3, 19 turns left\n"
        "south free, north free, east wall, west free\n"
        "|P: | : : |\n"
        "| :T| : : |\n"
        "| : : : : |\n"
        "| | : | : |\n"
        "| | : |D: |"
    )


def test_the_papers_drawing_by_hand() -> None:
    assert shown(TaxiConfig(drawing="paper", facts=False), "taxi:RB@0,0") == (
        "20 turns left\n"
        "+---------+\n"
        "|O: | : : |\n"
        "| : | : : |\n"
        "| : : : : |\n"
        "| | : | : |\n"
        "| | : |D: |\n"
        "+---------+"
    )


def test_facts_alone() -> None:
    assert shown(TaxiConfig(drawing="none"), "taxi:RB@0,0", "pick up") == (
        "pick up: ok\n"
        "At 0,0, passenger aboard, goal 4,3, 19 turns left\n"
        "south free, north wall, east free, west wall"
    )


@pytest.mark.parametrize(
    ("drawing", "alone", "with_him"), [("paper", "T", "X"), ("marked", "t", "x")]
)
def test_a_taxi_on_the_goal_is_marked_unless_drawn_as_in_the_paper(
    drawing: str, alone: str, with_him: str
) -> None:
    config = TaxiConfig(drawing=drawing, facts=False)
    south = ("move south",) * 4
    texts = [
        shown(config, "taxi:RY@3,0", "move south"),
        shown(config, "taxi:RY@0,0", "pick up", *south),
    ]
    drawings = [text.partition(" left\n")[2] for text in texts]
    signs = [set(drawn) & set("TtXxOPD") for drawn in drawings]
    assert signs == [{alone, "P"}, {with_him}]


@pytest.mark.parametrize(
    "options",
    [{}, {"facts": False}, {"drawing": "none"}, {"facts": False, "drawing": "paper"}],
    ids=str,
)
def test_no_two_states_look_alike(taxi: TaxiEnvironment, options: dict[str, Any]) -> None:
    """Over all states that an episode can be in; in the paper's drawing a missing D tells."""
    config = TaxiConfig(**options)
    town = [b"".join(line).decode() for line in taxi._engine.desc]
    view = View(town, drawing=config.drawing, facts=config.facts)
    texts = {view.text(taxi._scenes[s], again=False, turns_left=9) for s in REACHABLE}
    assert len(texts) == len(REACHABLE) == 400


@shared
@given(state=st.sampled_from(REACHABLE))
def test_walls_told_and_drawn_are_those_that_stop_the_taxi(
    taxi: TaxiEnvironment, state: int
) -> None:
    scene = taxi._scenes[state]
    mask = taxi._engine.action_mask(state)
    sides = dict(zip(("south", "north", "east", "west"), mask, strict=False))
    assert scene.walls == {side for side, open_ in sides.items() if not open_}
    row, column = scene.taxi
    town = [b"".join(line).decode() for line in taxi._engine.desc]
    line = View(town, drawing="marked", facts=False).text(scene, again=False, turns_left=1)
    drawn = line.split("\n")[1 + row]
    assert drawn[2 * column + 1] in "TtXxO"
    assert (drawn[2 * column] == "|") == ("west" in scene.walls)
    assert (drawn[2 * column + 2] == "|") == ("east" in scene.walls)


def test_stops_are_gymnasiums(taxi: TaxiEnvironment) -> None:
    assert list(STOPS) == taxi._engine.locs
