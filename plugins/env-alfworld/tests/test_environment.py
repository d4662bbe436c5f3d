"""What holds in every episode."""

from __future__ import annotations

import multiprocessing
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflect_env_alfworld.config import AlfworldConfig

pytest.importorskip("alfworld", reason="alfworld plays the games")

from reflect_env_alfworld.environment import MORE
from reflect_env_alfworld.goals import treatment_of
from reflect_env_alfworld.plugin import make_environment
from reflect_env_alfworld.text import asked_in

from reflect_core.context import EnvironmentContext
from reflect_core.errors import ConfigError, EpisodeOver, ReflectError
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Observation, Step, Task

TURN, ERROR, PICKED_UP = -0.01, -0.05, 0.5
moves = st.lists(st.integers(0, 2**31), max_size=20)
numbers = st.integers(0, 23)


def some_task(environment: Any, number: int) -> Task:
    tasks = [*environment.tasks("train"), *environment.tasks("valid"), *environment.tasks("test")]
    task: Task = tasks[number % len(tasks)]
    return task


def walk(environment: Any, task: Task, moves: list[int], seed: int = 0) -> list[Observation | Step]:
    observation = environment.reset(task, seed=seed)
    shown: list[Observation | Step] = [observation]
    for move in moves:
        menu = observation.legal_actions
        step = environment.step(menu[move % len(menu)])
        shown.append(step)
        observation = step.observation
        if step.over:
            break
    return shown


def test_it_has_the_protocols(small: Any) -> None:
    assert isinstance(small, Environment)
    assert isinstance(small, Expert)


@given(numbers, moves, st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_the_same_actions_give_the_same_episode_whatever_the_seed(
    small: Any, number: int, moves: list[int], seed: int
) -> None:
    task = some_task(small, number)
    assert walk(small, task, moves) == walk(small, task, moves, seed)


@given(numbers, moves)
@settings(max_examples=25, deadline=None)
def test_menus_are_usable_and_every_item_is_accepted(
    small: Any, number: int, moves: list[int]
) -> None:
    for shown in walk(small, some_task(small, number), moves):
        observation = shown.observation if isinstance(shown, Step) else shown
        legal = observation.legal_actions
        assert len(set(legal)) == len(legal)
        assert all(action.strip() == action and action.isprintable() for action in legal)
        assert len(observation.text) < 2000
        if isinstance(shown, Step):
            assert not shown.observation.text.startswith("error: ")
            assert "Nothing happens" not in shown.observation.text
            assert bool(legal) != shown.over
            assert shown.reward == pytest.approx(TURN + shown.success)


@given(numbers, st.text(st.characters(exclude_categories=()), max_size=60))
@settings(max_examples=25, deadline=None)
def test_any_text_is_answered_and_changes_nothing_but_the_turns(
    small: Any, number: int, text: str
) -> None:
    before = small.reset(some_task(small, number), seed=0)
    if text in before.legal_actions:
        return
    step = small.step(text)
    assert step.reward == pytest.approx(ERROR)
    assert step.observation.legal_actions == before.legal_actions
    error, *rest = step.observation.text.split("\n")
    assert error.startswith("error: no command ")
    turns = small.config.turns
    assert f"{turns} turns left" in before.text
    assert rest == before.text.replace(f"{turns} turns", f"{turns - 1} turns").split("\n")[1:]
    step.observation.text.encode("utf-8")


def test_the_rewards_by_hand(small: Any) -> None:
    small.reset(small.tasks("train")[0], seed=0)
    rewards = []
    while True:
        step = small.step(small.expert_action())
        rewards.append(step.reward)
        if step.over:
            break
    assert step.terminated and step.success and not step.truncated
    assert rewards == pytest.approx([*[TURN] * (len(rewards) - 1), 1 + TURN])
    assert step.observation.legal_actions == ()
    with pytest.raises(EpisodeOver):
        small.step("look")
    with pytest.raises(EpisodeOver):
        small.expert_action()


@given(numbers, moves)
@settings(max_examples=15, deadline=None)
def test_the_first_thing_in_hand_of_the_type_asked_for_is_shaped_once(
    make: Callable[..., Any], number: int, moves: list[int]
) -> None:
    shaped, plain = make(shape_pickup=True), make()
    task = some_task(shaped, number)
    wanted = str(task.text).lower().replace(".", " ").split()
    taken = False
    walks = walk(shaped, task, moves), walk(plain, task, moves)
    for one, other in zip(*walks, strict=True):
        if not isinstance(one, Step):
            continue
        assert other.shaping == 0
        assert attrs.evolve(one, shaping=0.0) == other
        found = re.match(r"You pick up the (\S+) \d+ from", one.observation.text)
        first = found is not None and found[1] in wanted and not taken
        assert one.shaping == (PICKED_UP if first else 0)
        taken = taken or first


def test_another_thing_in_hand_is_not_shaped(make: Callable[..., Any]) -> None:
    shaped = make(shape_pickup=True)
    others = 0
    for task in shaped.tasks("train"):
        observation = shaped.reset(task, seed=0)
        for going in [each for each in observation.legal_actions if each.startswith("go to ")]:
            observation = shaped.step(going).observation
            taking = [
                each
                for each in observation.legal_actions
                if each.startswith("take ") and each.split()[1] not in task.text
            ]
            if taking:
                assert shaped.step(taking[0]).shaping == 0
                others += 1
                break
    assert others > 3


def test_the_way_of_the_expert_is_shaped_once(make: Callable[..., Any]) -> None:
    shaped = make(shape_pickup=True)
    for task in shaped.tasks("train"):
        shaped.reset(task, seed=0)
        steps = [shaped.step(shaped.expert_action())]
        while not steps[-1].over:
            steps.append(shaped.step(shaped.expert_action()))
        assert steps[-1].success
        assert sum(step.shaping for step in steps) == PICKED_UP


def test_the_horizon_terminates_without_success(make: Callable[..., Any]) -> None:
    environment = make(horizon=2)
    environment.reset(environment.tasks("train")[0], seed=0)
    assert "1 turn left" in environment.step("look").observation.text
    step = environment.step("look")
    assert step.terminated and not step.truncated and not step.success
    assert step.reward == pytest.approx(TURN)
    assert step.observation.text.endswith("Out of turns.")


def test_a_win_in_the_last_turn_counts(make: Callable[..., Any]) -> None:
    environment = make()
    task = environment.tasks("train")[0]
    environment.reset(task, seed=0)
    path = []
    while True:
        path.append(environment.expert_action())
        if environment.step(path[-1]).over:
            break
    short = make(horizon=len(path))
    short.reset(task, seed=0)
    steps = [short.step(action) for action in path]
    assert steps[-1].success and "Out of turns" not in steps[-1].observation.text


def test_what_only_looks_is_left_out_by_option(make: Callable[..., Any]) -> None:
    environment, looking = make(looking=False), make()
    task = environment.tasks("train")[0]
    without = environment.reset(task, seed=0).legal_actions
    offered = looking.reset(task, seed=0).legal_actions
    assert set(offered) - set(without) == {"help", "inventory", "look"}
    first = without[0]
    menus = [each.step(first).observation.legal_actions for each in (environment, looking)]
    assert any(action.startswith("examine ") for action in menus[1])
    assert not any(action.startswith("examine ") for action in menus[0])
    assert environment.step("look").reward == pytest.approx(ERROR)


def test_without_memory_only_the_last_words_are_shown(make: Callable[..., Any]) -> None:
    environment = make(memory=False)
    task = environment.tasks("train")[0]
    first = environment.reset(task, seed=0)
    assert "you see" in first.text and "new:" not in first.text
    assert "seen:" not in environment.step(first.legal_actions[0]).observation.text


@given(numbers, moves)
@settings(max_examples=10, deadline=None)
def test_a_long_menu_has_pages_that_together_are_the_whole(
    make: Callable[..., Any], small: Any, number: int, moves: list[int]
) -> None:
    paged = make(most_actions=4)
    task = some_task(small, number)
    whole, page = small.reset(task, seed=0), paged.reset(task, seed=0)
    for move in moves[:4]:
        found: list[str] = []
        while MORE in page.legal_actions and page.legal_actions[0] not in found:
            assert len(page.legal_actions) <= 4
            found += page.legal_actions[:-1]
            step = paged.step(MORE)
            assert step.reward == pytest.approx(TURN)
            page = step.observation
            if step.over:
                return
        assert sorted(found or page.legal_actions) == sorted(whole.legal_actions)
        action = page.legal_actions[move % (len(page.legal_actions) - 1)]
        steps = [paged.step(action), small.step(action)]
        if steps[0].over or steps[1].over:
            return
        page, whole = steps[0].observation, steps[1].observation


def test_the_expert_turns_the_pages(make: Callable[..., Any]) -> None:
    paged = make(most_actions=6, horizon=200)
    for task in paged.tasks("valid"):
        observation = paged.reset(task, seed=0)
        while True:
            action = paged.expert_action()
            assert action in observation.legal_actions
            step = paged.step(action)
            observation = step.observation
            if step.over:
                break
        assert step.success


def test_equal_state_keys_mean_equal_states(small: Any) -> None:
    task = small.tasks("train")[1]
    places = [a for a in small.reset(task, seed=0).legal_actions if a.startswith("go to")]

    def after(*actions: str) -> Observation:
        small.reset(task, seed=0)
        return [small.step(action).observation for action in actions][-1]

    one = after(places[0], places[1], places[2])
    other = after(places[1], places[0], places[2])
    assert one.state_key == other.state_key
    assert (one.legal_actions, one.text) == (other.legal_actions, other.text)
    keys = {one.state_key, after(places[0]).state_key, after(places[0], places[2]).state_key}
    assert len(keys) == 3


def test_games_say_where_they_come_from(small: Any) -> None:
    tasks = small.tasks("test")
    label = {key: tasks[0].data[key] for key in ("source", "games", "alfworld", "textworld")}
    assert label["source"] == "generated" and all(label.values())
    for task in tasks:
        assert task.task_id.startswith("gen:test:")
        assert task.data["family"] in task.task_id
        assert {key: task.data[key] for key in label} == label
    small.reset(tasks[0], seed=0)
    while True:
        step = small.step(small.expert_action())
        if step.over:
            break
    assert step.info == {**label, "split": "test", "family": tasks[0].data["family"]}
    first, *lines = small.summary().split("\n")
    assert first.startswith("generated games, alfworld ")
    assert label["games"] in lines[2]


def test_other_games_have_another_hash(make: Callable[..., Any], small: Any) -> None:
    others = [make(objects=5), make(test_tasks=5), make(families="look_at_obj_in_light")]
    hashes = {each.tasks("test")[0].data["games"] for each in (small, *others)}
    assert len(hashes) == 4
    assert make().tasks("test")[0].data["games"] in hashes


def test_a_task_says_in_its_words_what_is_asked_of_its_object(small: Any) -> None:
    for split in ("train", "valid", "test"):
        for task in small.tasks(split):
            treatment = treatment_of(task.data["family"])
            assert asked_in(task.text) == (treatment and treatment.trait), task.text


def test_a_family_can_be_chosen(make: Callable[..., Any]) -> None:
    environment = make(families="pick_heat_then_place_in_recep pick_two_obj_and_place")
    families = {task.data["family"] for task in environment.tasks("train")}
    assert families == {"pick_heat_then_place_in_recep", "pick_two_obj_and_place"}
    with pytest.raises(ConfigError, match="no family of tasks"):
        make(families="pick")


def test_the_papers_filter_holds_for_generated_games(make: Callable[..., Any], small: Any) -> None:
    kind = small.tasks("train")[0].data["object"]
    wanted = make(filter=f"pick_and_place_simple-{kind}", families="pick_and_place_simple")
    tasks = wanted.tasks("train")
    assert tasks and {task.data["object"] for task in tasks} == {kind}
    with pytest.raises(ReflectError, match="no train games of this kind"):
        make(filter="pick_and_place_simple-Nothing-None-Nowhere", train_tasks=1).tasks("train")


def test_what_is_filtered_is_not_more_than_there_would_be(make: Callable[..., Any]) -> None:
    family = "pick_and_place_simple"
    for options in ({}, {"families": family}):
        tasks = make(filter=family, **options).tasks("valid")
        assert 0 < len(tasks) <= 6
        assert {task.data["family"] for task in tasks} == {family}


def test_it_refuses_what_is_not_its_own(small: Any) -> None:
    task = small.tasks("train")[0]
    for call in (
        lambda: small.reset(Task("gen:train:x", "train", "x"), seed=0),
        lambda: small.reset(Task(task.task_id, "nowhere", "x"), seed=0),
        lambda: small.reset(task, seed=0, stage="half"),
        lambda: small.tasks("tests"),
    ):
        with pytest.raises(ReflectError):
            call()
    assert small.reset(task, seed=0, stage="full") == small.reset(task, seed=0)


def test_it_says_that_it_was_not_reset_or_is_closed(make: Callable[..., Any]) -> None:
    environment = make()
    with pytest.raises(EpisodeOver):
        environment.step("look")
    environment.reset(environment.tasks("train")[0], seed=0)
    environment.close()
    environment.close()
    with pytest.raises(EpisodeOver):
        environment.tasks("train")
    with pytest.raises(EpisodeOver):
        environment.step("look")


def _play_elsewhere(made: bytes) -> tuple[list[Task], list[Any]]:
    config, context = pickle.loads(made)
    environment = make_environment(config, context)
    tasks = list(environment.tasks("train"))
    return tasks, walk(environment, tasks[3], [3, 1, 4, 1, 5, 9, 2, 6])


def test_a_spawned_process_builds_the_same_environment(cache: Any) -> None:
    config = AlfworldConfig(train_tasks=4, receptacles=6, objects=4, cache=str(cache))
    made = pickle.dumps((config, EnvironmentContext(seed=3)))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(_play_elsewhere, made).result(timeout=120)
    assert there == _play_elsewhere(made)
