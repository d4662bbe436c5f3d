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
