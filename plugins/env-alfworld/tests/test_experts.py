"""What the experts know, and what becomes of games that they fail on."""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("alfworld", reason="alfworld makes the games that are solved")

from reflect_env_alfworld import experts
from reflect_env_alfworld.explorer import advise
from reflect_env_alfworld.games import FAMILIES, Game
from reflect_env_alfworld.goals import Goal
from reflect_env_alfworld.memory import Memory
from reflect_env_alfworld.planner import Riddle
from reflect_env_alfworld.planner import solve as solve_riddle

from reflect_core.errors import NoAdvice, ReflectError
from reflect_core.records import Task
from reflect_core.settings import TeachSettings
from reflect_core.teach import teach


def solve(environment: Any, task: Task) -> tuple[bool, list[str]]:
    environment.reset(task, seed=0)
    said = []
    while True:
        said.append(environment.expert_reflection())
        step = environment.step(environment.expert_action())
        if step.over:
            return step.success, said


def goal(family: int, kind: str = "Mug", target: str = "Desk", lamp: str = "") -> Goal:
    data = {"object": kind, "receptacle": target, "lamp": lamp}
    return Goal.of(Game("x", "train", FAMILIES[family], "x", "generated", data=data))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_explorer_solves_every_generated_game(small: Any, split: str) -> None:
    tasks = small.tasks(split)
    assert {task.data["family"] for task in tasks} == set(FAMILIES)
    for task in tasks:
        success, said = solve(small, task)
        assert success, task.task_id
        assert not any("Lost" in each or "Wrong" in each for each in said)


def test_the_planner_solves_with_fewer_turns(make: Callable[..., Any], small: Any) -> None:
    planner = make(expert="planner", train_tasks=3)
    for task in planner.tasks("train"):
        success, said = solve(planner, task)
        assert success
        assert len(said) <= len(solve(small, task)[1])


def test_the_planner_makes_another_plan_where_its_own_was_left(make: Callable[..., Any]) -> None:
    planner = make(expert="planner", train_tasks=1)
    task = planner.tasks("train")[0]
    planner.reset(task, seed=0)
    assert planner.expert_action() != "inventory"
    planner.step("inventory")
    assert planner.expert_reflection().startswith("Wrong move. ")
    while True:
        step = planner.step(planner.expert_action())
        if step.over:
            break
    assert step.success


def test_a_search_that_takes_too_long_is_broken_off(make: Callable[..., Any]) -> None:
    environment = make(train_tasks=1)
    environment.reset(environment.tasks("train")[0], seed=0)
    riddle = environment._episode.engine.riddle()
    assert solve_riddle(riddle, seconds=0.001) is None
    assert solve_riddle(riddle, seconds=60)


def test_a_game_without_a_plan_is_given_up_counted_and_not_taught(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[object] = []
    monkeypatch.setattr(experts, "solve", lambda riddle, **_: searches.append(riddle))
    planner = make(expert="planner", train_tasks=2, horizon=4)
    task = planner.tasks("train")[0]
    planner.reset(task, seed=0)
    for ask in (planner.expert_action, planner.expert_reflection):
        with pytest.raises(NoAdvice, match="has given up"):
            ask()
    assert planner.notes == (f"the planner expert gave up 1 games: {task.task_id}",)
    with pytest.raises(ReflectError, match="solved none"):
        teach(lambda: planner, [task], TeachSettings(episodes=1), seed=0, stages=("full",))
    assert len(searches) == 2, "one for each episode"


def test_a_wrong_move_after_which_there_is_no_plan_is_not_taught(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = experts.solve
    monkeypatch.setattr(
        experts, "solve", lambda riddle, **more: None if riddle.done else found(riddle, **more)
    )
    planner = make(expert="planner", train_tasks=1)
    settings = TeachSettings(episodes=1, negatives=2)
    lesson = teach(lambda: planner, planner.tasks("train"), settings, seed=0, stages=("full",))
    assert {example.kind for example in lesson.examples} == {"positive"}
    assert lesson.without_negative == 2


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 22"])
def test_a_search_that_ends_its_process_has_found_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{end}\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    assert solve_riddle(Riddle("", "", ()), seconds=60) is None


def test_a_search_that_cannot_begin_is_no_failed_search() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        solve_riddle(Riddle("not a problem", "", ()), seconds=60)


def test_nobody_plans_where_nobody_asks(make: Callable[..., Any], monkeypatch: Any) -> None:
    planner = make(expert="planner", train_tasks=1)
    monkeypatch.setattr(experts, "solve", lambda *_, **__: pytest.fail("a plan was made"))
    observation = planner.reset(planner.tasks("train")[0], seed=0)
    for _ in range(4):
        observation = planner.step(observation.legal_actions[0]).observation


def test_alfworlds_own_expert_draws_nothing_from_the_program(make: Callable[..., Any]) -> None:
    handcoded = make(expert="handcoded", families="pick_and_place_simple", train_tasks=3)
    before = random.getstate()
    first = [solve(handcoded, task) for task in handcoded.tasks("train")]
    assert random.getstate() == before
    random.seed(1)
    assert [solve(handcoded, task) for task in handcoded.tasks("train")] == first
    assert all(success for success, _ in first)


@pytest.mark.parametrize("expert", ["explorer", "visitor"])
def test_only_the_command_of_a_reflection_has_names(make: Callable[..., Any], expert: str) -> None:
    environment = make(expert=expert)
    reasons = set()
    for task in environment.tasks("train"):
        observation = environment.reset(task, seed=0)
        names = {word for action in observation.legal_actions for word in action.split()}
        names -= {"go", "to", "it", "open", "look", "take", "move", "use", "with", "from"}
        while observation.legal_actions:
            try:
                reason, _, _ = environment.expert_reflection().removesuffix(".").partition(": ")
                action = environment.expert_action()
            except NoAdvice:
                break
            assert not names & set(reason.lower().split())
            reasons.add(reason)
            observation = environment.step(action).observation
    assert {"Not found yet", "It is here", "I have it"} <= reasons


def visit(environment: Any, task: Task, seed: int) -> tuple[list[tuple[str, str]], bool]:
    """What it said and did, and whether that solved the task."""
    environment.reset(task, seed=seed)
    turns = []
    while True:
        turns.append((environment.expert_reflection(), environment.expert_action()))
        step = environment.step(turns[-1][1])
        if step.over:
            return turns, step.success


def test_the_visitor_decides_by_the_draws_of_the_episode_alone(make: Callable[..., Any]) -> None:
    visitor, other = make(expert="visitor", horizon=30), make(expert="visitor", horizon=30)
    tasks = visitor.tasks("train")
    visits = [visit(visitor, task, seed=0) for task in tasks]
    assert [visit(other, task, seed=0) for task in reversed(tasks)] == visits[::-1]
    assert [visit(visitor, task, seed=1) for task in tasks] != visits
    assert any(success for _, success in visits)


def test_where_it_is_closed_the_visitor_names_both_ways_and_goes_on_mostly(
    make: Callable[..., Any],
) -> None:
    visitor = make(expert="visitor", horizon=30)
    told, opened = 0, []
    for seed, task in itertools.product(range(20), visitor.tasks("train")):
        visitor.reset(task, seed=seed)
        episode = visitor._episode
        while not episode.over:
            said, action = visitor.expert_reflection(), visitor.expert_action()
            explorer = advise(Goal.of(episode.game), episode.memory, visitor._commands(episode))
            assert explorer is not None
            if " or " in said:
                on = next(
                    f"go to {place}"
                    for place in episode.memory.unknown()
                    if place != episode.memory.place
                )
                assert said == f"It is closed: {on} or {explorer.action}"
                assert explorer.action.startswith("open ")
                assert action in (on, explorer.action)
                opened.append(action == explorer.action)
            else:
                assert (said, action) == (str(explorer), explorer.action)
                told += 1
            visitor.step(action)
    assert told
    assert len(opened) > 200
    assert any(opened)
    assert statistics.mean(opened) == pytest.approx(experts.OPENS, abs=0.06)


@given(st.integers(0, 11), st.lists(st.integers(0, 2**31), max_size=8), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_the_visitor_has_advice_anywhere(
    make: Callable[..., Any], number: int, moves: list[int], seed: int
) -> None:
    visitor = make(expert="visitor", horizon=30)
    observation = visitor.reset(visitor.tasks("train")[number], seed=seed)
    for move in moves:
        legal = observation.legal_actions
        observation = visitor.step(legal[move % len(legal)]).observation
        if not observation.legal_actions:
            return
    while observation.legal_actions:
        assert visitor.expert_action() in observation.legal_actions
        assert visitor.expert_action() == visitor.expert_action()
        observation = visitor.step(visitor.expert_action()).observation


@given(st.integers(0, 11), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_on_pages_the_visitor_names_what_is_on_the_page_alone(
    make: Callable[..., Any], number: int, seed: int
) -> None:
    visitor = make(expert="visitor", horizon=60, most_actions=6)
    observation = visitor.reset(visitor.tasks("train")[number], seed=seed)
    while observation.legal_actions:
        named = visitor.expert_reflection().partition(": ")[2].split(" or ")
        assert set(named) <= set(observation.legal_actions)
        assert visitor.expert_action() in named
        observation = visitor.step(visitor.expert_action()).observation


def test_neither_opening_nor_going_on_is_a_wrong_move() -> None:
    memory = room("drawer 1", "shelf 1", "desk 1")
    memory.place = "drawer 1"
    memory.shut.add("drawer 1")
    memory.contents["desk 1"] = ()
    menu = ["examine drawer 1", "open drawer 1", "look", "go to shelf 1", "go to desk 1"]
    visitor = experts.Visitor(goal(0), memory, seed=0)
    assert [visitor.expects(action, menu) for action in menu] == [False, True, False, True, False]
    said = visitor.advise(menu)
    assert said is not None and str(said) == "It is closed: go to shelf 1 or open drawer 1"


def test_the_visitor_opens_where_there_is_nowhere_else_to_go() -> None:
    memory = room("drawer 1")
    memory.place = "drawer 1"
    memory.shut.add("drawer 1")
    for seed in range(20):
        visitor = experts.Visitor(goal(0), memory, seed)
        assert str(visitor.advise(["open drawer 1", "look"])) == "It is closed: open drawer 1"


@given(st.integers(0, 11), st.lists(st.integers(0, 2**31), max_size=8))
@settings(max_examples=15, deadline=None)
def test_the_explorer_finds_its_way_back_from_anywhere(
    small: Any, number: int, moves: list[int]
) -> None:
    observation = small.reset(small.tasks("train")[number], seed=0)
    for move in moves:
        observation = small.step(
            observation.legal_actions[move % len(observation.legal_actions)]
        ).observation
        if not observation.legal_actions:
            return
    for _ in range(42):
        assert small.expert_action() in observation.legal_actions
        step = small.step(small.expert_action())
        observation = step.observation
        if step.over:
            break
    assert step.success


def test_a_move_that_teaches_nothing_is_called_wrong(small: Any) -> None:
    menu = small.reset(small.tasks("train")[0], seed=0).legal_actions
    small.step("inventory")
    assert small.expert_reflection().startswith("Wrong move. ")
    other = next(a for a in menu if a.startswith("go to") and a != small.expert_action())
    small.step(other)
    small.step("not a command")
    assert not small.expert_reflection().startswith("Wrong move. ")


def room(*names: str) -> Memory:
    return Memory(dict.fromkeys(names))


def test_the_explorer_looks_where_it_has_not_looked() -> None:
    memory = room("desk 1", "bed 1", "drawer 1")
    memory.contents["desk 1"] = ("pen 1",)
    menu = ["go to bed 1", "go to desk 1", "go to drawer 1", "look"]
    assert advise(goal(0), memory, menu).action == "go to bed 1"  # type: ignore[union-attr]


def test_what_shares_a_place_is_looked_into_on_the_spot() -> None:
    memory = room("bed 1", "drawer 1")
    memory.place = "bed 1"
    memory.contents["bed 1"] = ()
    look = advise(goal(0), memory, ["examine drawer 1", "look"])
    assert look is not None and look.action == "examine drawer 1"
    menu = ["examine drawer 1", "open drawer 1"]
    opened = advise(goal(0), memory, menu)
    assert opened is not None and opened.action == "open drawer 1"


def test_a_pair_goes_where_one_of_it_is() -> None:
    memory = room("desk 1", "desk 2", "bed 1")
    memory.contents.update({"desk 2": ("mug 1",), "bed 1": ("mug 2",)})
    take = advise(goal(5), memory, ["take mug 2 from bed 1", "take mug 1 from desk 2"])
    assert take is not None and take.action == "take mug 2 from bed 1"
    memory.holding = "mug 2"
    go = advise(goal(5), memory, ["go to desk 1", "go to desk 2"])
    assert go is not None and go.action == "go to desk 2"


def test_something_else_in_hand_is_put_back() -> None:
    memory = room("desk 1", "bed 1")
    memory.holding, memory.origin = "pen 1", "bed 1"
    put = advise(goal(0), memory, ["go to bed 1", "move pen 1 to bed 1"])
    assert put is not None and put.action == "move pen 1 to bed 1"
    go = advise(goal(0), memory, ["go to bed 1", "go to desk 1"])
    assert go is not None and go.action == "go to bed 1"


def test_where_nothing_is_left_to_try_it_says_so() -> None:
    assert advise(goal(0), room(), ["look"]) is None
