from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflect_core import Draws, Hint, Observation, ReflectError, State, Task
from reflect_core.baselines import (
    ExpertPolicy,
    ExpertReflector,
    FollowPolicy,
    RandomPolicy,
    SilentReflector,
    named_action,
)
from reflect_core.curriculum import UniformCurriculum

ACTIONS = ("cd src", "cd src/lib", "cat a.py", "id a.py", "cd ..")


def state(*, hint: Hint | None = None, actions: tuple[str, ...] = ACTIONS) -> State:
    return State(Task("t", "train", "Find a.py."), Observation("here", actions), hint=hint)


def draws(count: int) -> list[Draws]:
    return [Draws(0, ("episode", number, 0)) for number in range(count)]


def test_random_is_uniform_and_repeatable() -> None:
    count = 2000
    many = [state()] * count
    choices = RandomPolicy().act(many, [""] * count, draws(count), greedy=False)
    again = RandomPolicy().act(many, [""] * count, draws(count), greedy=True)
    assert [choice.index for choice in choices] == [choice.index for choice in again]
    shares = [sum(c.index == k for c in choices) / count for k in range(len(ACTIONS))]
    assert shares == pytest.approx([0.2] * 5, abs=0.04)
    assert choices[0].logprob == pytest.approx(-math.log(5))
    assert sum(choices[0].probabilities) == pytest.approx(1)


def test_the_expert_is_followed() -> None:
    asked = state(hint=Hint("id a.py", "The file is here. Next: id a.py"))
    [choice] = ExpertPolicy().act([asked], [""], draws(1), greedy=False)
    assert ACTIONS[choice.index] == "id a.py"
    assert choice.probabilities == (0.0, 0.0, 0.0, 1.0, 0.0)
    assert ExpertReflector().reflect([asked], draws(1), greedy=True) == [
        "The file is here. Next: id a.py"
    ]


def test_no_expert_and_a_wrong_one_are_told() -> None:
    with pytest.raises(ReflectError, match="no expert"):
        ExpertPolicy().act([state()], [""], draws(1), greedy=False)
    with pytest.raises(ReflectError, match="not legal: 'fly'"):
        ExpertPolicy().act([state(hint=Hint("fly", ""))], [""], draws(1), greedy=False)


def test_silence() -> None:
    assert SilentReflector().reflect([state()] * 2, draws(2), greedy=False) == ["", ""]


@pytest.mark.parametrize(
    ("reflection", "action"),
    [
        ("Next: cd src", "cd src"),
        ("Next: cd src/lib", "cd src/lib"),
        ("cd src was wrong, so go cd ..", "cd .."),
        ("id a.py, not cat a.py", "cat a.py"),
        ("Not cat a.py but id a.py.", "id a.py"),
        ("cat a.pyc or abcd src2", None),
        ("nothing to see", None),
        ("", None),
    ],
)
def test_the_action_that_a_reflection_names(reflection: str, action: str | None) -> None:
    index = named_action(reflection, ACTIONS)
    assert (None if index is None else ACTIONS[index]) == action


@given(st.sampled_from(ACTIONS), st.sampled_from(ACTIONS))
def test_the_last_word_counts(first: str, last: str) -> None:
    index = named_action(f"You did {first} and it was wrong. Now: {last}", ACTIONS)
    assert index is not None
    assert ACTIONS[index] == last


def test_follow_draws_where_nothing_is_named() -> None:
    states, said = [state()] * 200, ["Next: id a.py"] * 100 + ["hm"] * 100
    choices = FollowPolicy().act(states, said, draws(200), greedy=True)
    assert {choice.index for choice in choices[:100]} == {3}
    assert len({choice.index for choice in choices[100:]}) == 5


def tasks(count: int) -> list[Task]:
    return [Task(f"task-{number}", "train", "") for number in range(count)]


def names(curriculum: UniformCurriculum, episodes: int) -> list[str]:
    return [each.task.task_id for each in curriculum.assign(episodes, iteration=0)]


@given(st.integers(1, 12), st.lists(st.integers(0, 9), max_size=6), st.integers(0, 3))
def test_uniform_draws_every_task_once_a_pass(count: int, sizes: list[int], seed: int) -> None:
    curriculum = UniformCurriculum(tasks(count), seed=seed)
    drawn = [name for size in sizes for name in names(curriculum, size)]
    assert len(drawn) == sum(sizes)
    for start in range(0, len(drawn) - count + 1, count):
        assert len(set(drawn[start : start + count])) == count
    # how the draws are divided into iterations changes nothing
    assert drawn == names(UniformCurriculum(tasks(count), seed=seed), sum(sizes))


def test_uniform_goes_on_where_it_was() -> None:
    whole = UniformCurriculum(tasks(7), seed=3)
    expected = names(whole, 20)
    first = UniformCurriculum(tasks(7), seed=3)
    begun = names(first, 9)
    second = UniformCurriculum(tasks(7), seed=3)
    second.load_state_dict(first.state_dict())
    assert begun + names(second, 11) == expected
    assert whole.observe([]) == {}


def test_passes_and_seeds_differ() -> None:
    drawn = names(UniformCurriculum(tasks(30), seed=0), 60)
    assert drawn[:30] != drawn[30:]
    assert drawn[:30] != names(UniformCurriculum(tasks(30), seed=1), 30)


def test_nothing_to_train_on() -> None:
    with pytest.raises(ReflectError, match="nothing to train on"):
        UniformCurriculum([], seed=0)
