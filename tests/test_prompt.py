"""Prompts: layout, menus, and what is dropped first."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reflect_core.prompt import (
    draw_menu,
    drop_oldest_half,
    policy_segments,
    reflector_segments,
    state_segments,
)
from reflect_core.records import Draws, Observation, PastTurn, State, Task


def state(past: int = 0, actions: tuple[str, ...] = ("go", "stay")) -> State:
    history = tuple(PastTurn(f"saw {i}", f"did {i}") for i in range(past))
    return State(Task("t", "train", "win"), Observation("now", actions), history)


def text(segments) -> str:
    return "".join(segment.text for segment in segments)


def test_the_reflector_reads_the_state_and_goes_on_from_the_cue():
    assert text(reflector_segments(state(2), history=-1)) == (
        "Task: win\nsaw 0\n> did 0\nsaw 1\n> did 1\nnow\nReflection:"
    )


def test_history_can_be_limited_or_left_out():
    assert "saw 0" not in text(state_segments(state(3), history=2))
    assert "did 1" in text(state_segments(state(3), history=2))
    assert text(state_segments(state(3), history=0)) == "Task: win\nnow\n"


@given(st.integers(0, 9), st.integers(0, 12))
def test_the_newest_turns_are_shown_as_many_as_there_may_be(past, history):
    shown = [each.text for each in state_segments(state(past), history=history)]
    all_of_them = [each.text for each in state_segments(state(past), history=-1)]
    kept = min(past, history)
    assert shown == [all_of_them[0], *all_of_them[1 + 2 * (past - kept) :]]


def test_both_prompts_begin_with_the_state():
    menu = draw_menu(2, 10, Draws(0, ("x",)))
    common = state_segments(state(2), history=-1)
    assert reflector_segments(state(2), history=-1)[: len(common)] == common
    assert policy_segments(state(2), "well", menu, history=-1)[: len(common)] == common


def test_the_label_follows_the_reflection():
    menu = draw_menu(2, 10, Draws(0, ("x",)))
    assert text(policy_segments(state(), "go on", menu, history=-1)).endswith("Reflection: go on")
    assert text(policy_segments(state(), "", menu, history=-1)).endswith("\nAction:")


def test_without_a_reflection_there_is_no_line_for_it():
    menu = draw_menu(2, 10, Draws(0, ("x",)))
    assert "Reflection" not in text(policy_segments(state(), "", menu, history=-1))


@given(st.integers(1, 30), st.integers(0, 70), st.integers(0, 9))
def test_a_menu_gives_every_action_one_place_and_a_label_of_its_own(actions, more, turn):
    menu = draw_menu(actions, actions + more, Draws(0, ("episode", turn)))
    assert sorted(menu.order) == list(range(actions))
    assert len(set(menu.labels)) == actions
    assert all(0 <= label < actions + more for label in menu.labels)


def test_each_action_is_followed_by_its_own_label():
    menu = draw_menu(3, 9, Draws(1, ("e",)))
    segments = policy_segments(state(actions=("a", "b", "c")), "r", menu, history=-1)
    pairs = [
        (segment.text, after.text)
        for segment, after in itertools.pairwise(segments)
        if segment.kind == "action"
    ]
    assert sorted(pairs) == [(name, str(menu.labels[i])) for i, name in enumerate(("a", "b", "c"))]
    assert [name for name, _ in pairs] == ["abc"[i] for i in menu.order]


def test_the_oldest_half_goes_at_once_and_nothing_else():
    segments = state_segments(state(4), history=-1)
    once = drop_oldest_half(segments)
    assert text(once) == "Task: win\nsaw 2\n> did 2\nsaw 3\n> did 3\nnow\n"
    assert drop_oldest_half(state_segments(state(0), history=-1)) == state_segments(
        state(0), history=-1
    )


@given(st.integers(0, 9))
def test_dropping_ends_with_task_and_observation(past):
    segments = state_segments(state(past), history=-1)
    while (shorter := drop_oldest_half(segments)) != segments:
        assert len(shorter) < len(segments)
        segments = shorter
    assert text(segments) == "Task: win\nnow\n"
