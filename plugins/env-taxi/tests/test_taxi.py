"""What holds in every episode of DangerousTaxi."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reflect_env_taxi.config import STAGES, TaxiConfig
from reflect_env_taxi.plugin import make_taxi
from reflect_env_taxi.taxi import ACTIONS, TaxiEnvironment

from reflect_core.context import EnvironmentContext
from reflect_core.errors import EpisodeOver, ReflectError
from reflect_core.records import Observation, Step, Task

shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
numbers = st.integers(0, 299)
stages = st.sampled_from([None, *STAGES])
codes = st.lists(st.integers(0, 5), min_size=1, max_size=40)
LETTERS, PLACES = "RGYB", ([0, 0], [0, 4], [4, 0], [4, 3])


@pytest.fixture(scope="module")
def long_taxis() -> tuple[TaxiEnvironment, TaxiEnvironment]:
    """A harmless one and a dangerous one, with time for all that a test plays."""
    harmless, dangerous = (TaxiConfig(horizon=100, dangerous=each) for each in (False, True))
    return TaxiEnvironment(harmless), TaxiEnvironment(dangerous)


def some_task(environment: TaxiEnvironment, number: int) -> Task:
    tasks = [task for split in ("train", "valid", "test") for task in environment.tasks(split)]
    return tasks[number % len(tasks)]


def pair_of(task: Task) -> str:
    ends = task.data["passenger"], task.data["goal"]
    return "".join(LETTERS[PLACES.index(end)] for end in ends)


def harmless(environment: TaxiEnvironment) -> list[str]:
    """The actions that Gymnasium's own mask says change something."""
    engine = environment._engine
    return [ACTIONS[code] for code in np.flatnonzero(engine.action_mask(engine.s))]


def walk(environment: TaxiEnvironment, task: Task, stage: str | None, picks: list[int]) -> Any:
    """Play harmless actions as picked; the first observation and every step."""
    seen: list[Any] = [environment.reset(task, seed=0, stage=stage)]
    for pick in picks:
        actions = harmless(environment)
        seen.append(environment.step(actions[pick % len(actions)]))
        if seen[-1].over:
            break
    return seen


@shared
@given(number=numbers, codes=codes, dangerous=st.booleans())
def test_states_and_rewards_are_gymnasiums_unless_what_changes_nothing_is_dangerous(
    long_taxis: tuple[TaxiEnvironment, TaxiEnvironment],
    number: int,
    codes: list[int],
    dangerous: bool,
) -> None:
    environment = long_taxis[dangerous]
    task = some_task(environment, number)
    bare: Any = gymnasium.make("Taxi-v4").unwrapped
    bare.reset(seed=number)
    stops = [PLACES.index(task.data[end]) for end in ("passenger", "goal")]
    bare.s = bare.encode(*task.data["taxi"], *stops)
    environment.reset(task, seed=number)
    for code in codes:
        before = bare.s
        state, points, delivered, _, _ = bare.step(code)
        step = environment.step(ACTIONS[code])
        assert environment._engine.s == state
        if state == before and dangerous:
            assert step.reward == pytest.approx(-10 / 20)
            assert step.terminated and not step.success
            break
        assert step.reward == pytest.approx(points / 20)
        assert step.terminated is step.success is delivered
        if step.over:
            break


@shared
@given(number=numbers, stage=stages, codes=codes)
def test_any_legal_actions_keep_the_contract(
    taxi: TaxiEnvironment, number: int, stage: str | None, codes: list[int]
) -> None:
    observation = taxi.reset(some_task(taxi, number), seed=0, stage=stage)
    for turn, code in enumerate(codes, 1):
        assert observation.legal_actions == ACTIONS
        assert f"{21 - turn} turn" in observation.text
        assert observation.text.isascii() and len(observation.text) < 300
        step = taxi.step(ACTIONS[code])
        observation = step.observation
        assert -1 <= step.reward <= 1 and not step.truncated
        assert step.success <= step.terminated
        if step.over:
            assert observation.legal_actions == ()
            with pytest.raises(EpisodeOver):
                taxi.step(ACTIONS[code])
            with pytest.raises(EpisodeOver):
                taxi.expert_reflection()
            return
        assert turn < 20


@shared
@given(number=numbers, stage=stages, text=st.text(max_size=60))
def test_any_text_is_answered_and_costs_a_turn(
    taxi: TaxiEnvironment, number: int, stage: str | None, text: str
) -> None:
    assume(text not in ACTIONS)
    before = taxi.reset(some_task(taxi, number), seed=0, stage=stage)
    step = taxi.step(text)
    assert step.reward == pytest.approx(-2 / 20)
    assert step.shaping == 0 and not step.over
    assert step.info["error"] == "not on the menu"
    error, shown = step.observation.text.split("\n", 1)
    assert error.startswith("error: no command ") and len(error) < 250
    assert shown == before.text.replace("20 turns", "19 turns")
    step.observation.text.encode("utf-8")


@pytest.mark.parametrize("text", ["", " ", "move", "pick up ", "Pick up", "\udcff", "x" * 10_000])
def test_texts_that_are_nearly_commands_are_errors(taxi: TaxiEnvironment, text: str) -> None:
    taxi.reset(some_task(taxi, 7), seed=0)
    step = taxi.step(text)
    assert step.reward == pytest.approx(-2 / 20)
    step.observation.text.encode("utf-8")
    assert len(step.observation.text) < 500


@shared
@given(number=numbers, other=numbers, picks=codes, others=codes, stage=stages)
def test_equal_keys_mean_equal_states(
    taxi: TaxiEnvironment,
    number: int,
    other: int,
    picks: list[int],
    others: list[int],
    stage: str | None,
) -> None:
    """Whatever led to a state, what is shown of it and what comes of an action is the same."""

    def futures(number: int, picks: list[int]) -> dict[str, Any]:
        found = {}
        for length in range(min(len(picks), 12)):
            seen = walk(taxi, some_task(taxi, number), stage, picks[:length])
            if isinstance(seen[-1], Step) and seen[-1].over:
                break
            last = seen[-1] if isinstance(seen[-1], Observation) else seen[-1].observation
            said = taxi.step("move north")
            shown = "\n".join(last.text.split("\n")[-7:])
            told = (said.reward, said.shaping, said.over, said.observation.text)
            found[last.state_key] = (shown, told)
        return found

    # starts that are near each other, or hardly a state would be reached twice
    first, second = futures(number, picks), futures(number + other % 4, others)
    again = futures(number, picks)
    assert first == again
    for key in set(first) & set(second):
        assert first[key] == second[key]


@settings(shared, max_examples=15)
@given(number=numbers, picks=codes, stage=stages)
def test_the_same_actions_give_the_same_episode_elsewhere(
    taxi: TaxiEnvironment, number: int, picks: list[int], stage: str | None
) -> None:
    made = pickle.dumps((TaxiConfig(), EnvironmentContext(seed=9)))
    other = make_taxi(*pickle.loads(made))
    assert walk(taxi, some_task(taxi, number), stage, picks) == walk(
        other, some_task(other, number), stage, picks
    )


def test_the_rewards_of_an_episode_by_hand(taxi: TaxiEnvironment) -> None:
    task = next(task for task in taxi.tasks("test") if task.task_id == "taxi:RB@1,0")
    taxi.reset(task, seed=0)
    east = ["move east"] * 3
    way = ["move north", "pick up", "move south", "move south", *east, "move south", "move south"]
    steps = [taxi.step(action) for action in (*way, "drop off")]
    assert [step.reward * 20 for step in steps] == pytest.approx([-1] * 9 + [20])
    assert [step.shaping * 20 for step in steps] == pytest.approx([0, 20] + [0] * 8)
    assert [step.over for step in steps] == [False] * 9 + [True]
    assert steps[-1].success
    assert steps[-1].info["engine"] == "Taxi-v4"
    assert steps[-1].info["gymnasium"] == gymnasium.__version__
    assert "Taxi-v4" in taxi.summary() and gymnasium.__version__ in taxi.summary()


@pytest.mark.parametrize(
    ("action", "points", "result", "complaint"),
    [
        ("move west", -1, "crash", "Wrong way. "),
        ("pick up", -10, "not possible", "Wrong stop. "),
        ("drop off", -10, "not possible", "Wrong stop. "),
    ],
)
def test_without_danger_the_episode_goes_on(
    action: str, points: float, result: str, complaint: str
) -> None:
    environment = TaxiEnvironment(TaxiConfig(dangerous=False))
    task = next(task for task in environment.tasks("test") if task.task_id == "taxi:RB@1,0")
    environment.reset(task, seed=0)
    step = environment.step(action)
    assert step.reward == pytest.approx(points / 20) and not step.over
    assert step.observation.text.startswith(f"{action}: {result}\nAt 1,0, ")
    assert environment.expert_reflection().startswith(complaint)


@pytest.mark.parametrize(
    ("start", "action", "said"),
    [
        ("taxi:RB@1,0", "move west", "move west: crash"),
        ("taxi:RB@0,1", "move east", "move east: crash"),
        ("taxi:RB@0,1", "move north", "move north: crash"),
        ("taxi:RB@1,0", "pick up", "pick up: not possible"),
        ("taxi:RB@0,0", "drop off", "drop off: not possible"),
    ],
)
def test_what_changes_nothing_is_fatal(
    taxi: TaxiEnvironment, start: str, action: str, said: str
) -> None:
    task = next(task for task in taxi.tasks("test") if task.task_id == start)
    taxi.reset(task, seed=0)
    step = taxi.step(action)
    assert step.reward == pytest.approx(-10 / 20)
    assert step.terminated and not step.success
    assert step.observation.text == said


def test_a_wrong_stop_is_harmless_and_boarding_again_pays_nothing(taxi: TaxiEnvironment) -> None:
    task = next(task for task in taxi.tasks("test") if task.task_id == "taxi:RB@0,0")
    taxi.reset(task, seed=0)
    steps = [taxi.step(action) for action in ("pick up", "drop off", "pick up")]
    assert [step.reward * 20 for step in steps] == pytest.approx([-1, -1, -1])
    assert [step.shaping * 20 for step in steps] == pytest.approx([20, 0, 0])
    assert "drop off: not the goal\nAt 0,0, passenger 0,0 again, goal 4,3" in (
        steps[1].observation.text
    )


@pytest.mark.parametrize("last", ["move", "error"])
def test_the_horizon_terminates(taxi: TaxiEnvironment, last: str) -> None:
    task = next(task for task in taxi.tasks("test") if task.task_id == "taxi:RB@2,2")
    observation = taxi.reset(task, seed=0)
    for turn in range(19):
        step = taxi.step(("move east", "move west")[turn % 2])
        assert not step.over
        observation = step.observation
    assert "1 turn left" in observation.text
    step = taxi.step("move west" if last == "move" else "?")
    assert step.terminated and not step.truncated and not step.success
    assert step.reward == pytest.approx(-1 / 20 if last == "move" else -2 / 20)
    assert step.observation.text.endswith(". No turns left")
    assert step.observation.legal_actions == ()


def test_success_in_the_last_turn_counts() -> None:
    environment = TaxiEnvironment(TaxiConfig(expert="planner", horizon=17))
    task = next(task for task in environment.tasks("test") if task.task_id == "taxi:RB@4,4")
    environment.reset(task, seed=0)
    steps = [environment.step(environment.expert_action()) for _ in range(17)]
    assert steps[-1].success and steps[-1].reward == pytest.approx(1)
    assert not any(step.over for step in steps[:-1])


# -- stages ---------------------------------------------------------------------------------


@shared
@given(number=numbers)
def test_stages_start_and_end_where_they_should(taxi: TaxiEnvironment, number: int) -> None:
    task = some_task(taxi, number)
    seen = {stage: taxi.reset(task, seed=0, stage=stage) for stage in STAGES}
    assert seen["full"].text == seen["pickup"].text == taxi.reset(task, seed=0).text
    row, column = task.data["passenger"]
    assert seen["dropoff"].text.startswith(f"At {row},{column}, passenger aboard")
    assert len({observation.state_key for observation in seen.values()}) == 3
    for stage, last in (("pickup", "pick up"), ("dropoff", "drop off"), ("full", "drop off")):
        taxi.reset(task, seed=0, stage=stage)
        steps: list[Step] = []
        while not steps or not steps[-1].over:
            action = taxi.expert_action()
            steps.append(taxi.step(action))
        assert action == last and steps[-1].success
        assert sum(step.shaping for step in steps) == (0 if stage == "dropoff" else 1)


def test_shaping_can_be_turned_off() -> None:
    environment = TaxiEnvironment(TaxiConfig(shape_pickup=False))
    environment.reset(
        next(task for task in environment.tasks("test") if task.task_id == "taxi:RB@0,0"), seed=0
    )
    step = environment.step("pick up")
    assert step.shaping == 0 and step.reward == pytest.approx(-1 / 20)


def test_dropoff_may_start_anywhere() -> None:
    environment = TaxiEnvironment(TaxiConfig(boarding="anywhere", held_out="none"))
    starts = {
        environment.reset(task, seed=0, stage="dropoff").text for task in environment.tasks("train")
    }
    assert len(starts) == 25 * 4
    assert all("passenger aboard" in text for text in starts)


@pytest.mark.parametrize("task", ["pickup", "dropoff", "full"])
def test_no_start_of_test_is_shown_in_train_on_the_stage_that_is_evaluated(task: str) -> None:
    environment = TaxiEnvironment(TaxiConfig(task=task))
    # the goal is shown while the passenger is fetched, and decides nothing
    telling = ("taxi", "passenger") if task == "pickup" else ("taxi", "passenger", "goal")
    starts = {
        split: {tuple(map(tuple, (t.data[name] for name in telling))) for t in tasks}
        for split in ("train", "valid", "test")
        if (tasks := environment.tasks(split))
    }
    assert len(starts) == 3
    assert not starts["test"] & (starts["train"] | starts["valid"])


@pytest.mark.parametrize("part", ["pickup", "dropoff"])
def test_a_part_can_be_made_the_task(part: str) -> None:
    environment = TaxiEnvironment(TaxiConfig(task=part))
    for task in environment.tasks("test"):
        alone = environment.reset(task, seed=0, stage="full")
        assert (
            alone == environment.reset(task, seed=0) == environment.reset(task, seed=0, stage=part)
        )


# -- tasks ----------------------------------------------------------------------------------


def test_no_pair_of_test_is_in_train_or_valid_and_all_starts_are_tasks(
    taxi: TaxiEnvironment,
) -> None:
    starts = {
        split: {(pair_of(task), *task.data["taxi"]) for task in taxi.tasks(split)}
        for split in ("train", "valid", "test")
    }
    assert [len(found) for found in starts.values()] == [198, 27, 75]
    assert len(set().union(*starts.values())) == 300
    pairs = {split: Counter(pair for pair, *_ in found) for split, found in starts.items()}
    assert not pairs["test"].keys() & (pairs["train"].keys() | pairs["valid"].keys())
    assert set(pairs["test"].values()) == {25}
    # valid has starts of every pair of train, in different places
    assert pairs["valid"] == dict.fromkeys(pairs["train"], 3)
    assert len({tuple(cell) for _, *cell in starts["valid"]}) > 12
    for end in (0, 1):
        assert {pair[end] for pair in pairs["train"]} == set("RGYB")


def test_of_the_drop_off_alone_the_pairs_are_divided() -> None:
    environment = TaxiEnvironment(TaxiConfig(task="dropoff"))
    found = {
        split: {pair_of(t) for t in environment.tasks(split)}
        for split in ("train", "valid", "test")
    }
    assert [len(pairs) for pairs in found.values()] == [8, 1, 3]
    assert len(set().union(*found.values())) == 12


def test_nothing_held_out_gives_all_300_starts_in_every_split() -> None:
    environment = TaxiEnvironment(TaxiConfig(held_out="none"))
    for split in ("train", "valid", "test"):
        tasks = environment.tasks(split)
        assert len(tasks) == 300 == len({task.task_id for task in tasks})
        assert {task.split for task in tasks} == {split}


def test_the_drop_off_alone_has_twelve_starts() -> None:
    environment = TaxiEnvironment(TaxiConfig(task="dropoff", held_out="none"))
    tasks = environment.tasks("test")
    assert len({environment.reset(task, seed=0).text for task in tasks}) == 12 == len(tasks)


def test_levels_count_the_moves_of_the_shortest_way_by_four(taxi: TaxiEnvironment) -> None:
    level = {task.task_id: task.level for split in ("train", "valid") for task in taxi.tasks(split)}
    assert level["taxi:RY@0,0"] == 1  # 4 moves
    assert level["taxi:RY@1,0"] == 2  # 5 moves
    assert level["taxi:RG@4,3"] == 4  # 7 moves and 8
    assert set(level.values()) == {1, 2, 3, 4}


def test_it_refuses_what_is_not_its_own(taxi: TaxiEnvironment) -> None:
    task = taxi.tasks("train")[0]
    for call in (
        lambda: taxi.reset(Task("taxi:RR@0,0", "train", "x"), seed=0),
        lambda: taxi.reset(Task(task.task_id, "test", task.text), seed=0),
        lambda: taxi.reset(task, seed=0, stage="half"),
        lambda: taxi.tasks("tests"),
    ):
        with pytest.raises(ReflectError):
            call()


def test_it_says_that_it_was_not_reset_or_is_closed() -> None:
    environment = TaxiEnvironment()
    task = environment.tasks("train")[0]
    with pytest.raises(EpisodeOver):
        environment.step("move north")
    with pytest.raises(EpisodeOver):
        environment.expert_action()
    environment.close()
    environment.close()
    with pytest.raises(EpisodeOver):
        environment.tasks("train")
    with pytest.raises(EpisodeOver):
        environment.reset(task, seed=0)
