"""Reflections and the actions that they name."""

from hypothesis import given
from hypothesis import strategies as st

from reflect_core.grounding import alternatives, named_action, names, without_actions
from reflect_core.prompt import UNGROUNDED, Menu, policy_segments
from reflect_core.records import Observation, State, Task

ACTIONS = st.lists(
    st.text("ab ./-", min_size=1, max_size=5).filter(lambda text: text.strip()),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(st.lists(st.text("ab ./-", max_size=6), max_size=6).map(" ".join), ACTIONS)
def test_what_is_left_names_no_action(text, actions):
    assert named_action(without_actions(text, actions), actions) is None


@given(st.text("xyz ", max_size=20), ACTIONS)
def test_a_text_that_names_no_action_keeps_its_words(text, actions):
    assert without_actions(text, actions).split() == text.split()


@given(st.lists(st.text("ab ./-", max_size=6), max_size=6).map(" ".join), ACTIONS)
def test_a_text_names_an_action_where_one_of_its_actions_is_held(text, actions):
    held = [action for action in actions if names(text, action)]
    index = named_action(text, actions)
    assert (index is not None) == bool(held)
    assert index is None or actions[index] in held


WORDS = st.lists(
    st.lists(st.sampled_from(["go", "to", "box", "1", "12"]), min_size=1, max_size=3).map(" ".join),
    min_size=1,
    max_size=5,
    unique=True,
)


@given(WORDS, st.data())
def test_what_stands_between_or_is_left_to_choose(actions, data):
    named = data.draw(st.permutations(range(len(actions))))[: data.draw(st.integers(0, 4))]
    text = " or ".join(actions[index] for index in named)
    assert alternatives(f"{actions[0]} was wrong: {text}.", actions) == (tuple(named) or (0,))


@given(st.lists(st.sampled_from(["go", "or", "stay", "?", "or go"]), max_size=9), ACTIONS)
def test_the_last_of_what_is_left_to_choose_is_the_named_one(words, actions):
    actions = ["go", "stay", "or go", *actions]
    found = alternatives(" ".join(words), actions)
    assert (found[-1] if found else None) == named_action(" ".join(words), actions)
    assert len(set(found)) == len(found)


def test_an_action_with_other_blanks_is_cut_too():
    assert without_actions("Now go\tto  north, not go to", ["go to north"]) == "Now , not go to"


def test_of_actions_that_hold_one_another_the_whole_is_cut():
    assert without_actions("open it: open it again", ["open it", "open it again"]) == ":"


def test_cuts_that_bring_an_action_together_are_cut_again():
    assert without_actions("cd cd a b", ["cd a", "cd b"]) == ""


def ending(reflection, *, check):
    state = State(Task("t", "train", "Go"), Observation("here", ("left", "right")))
    segments = policy_segments(state, reflection, Menu((0, 1), (0, 1)), history=0, check=check)
    return "".join(segment.text for segment in segments[-2:])


def test_the_policy_is_told_where_a_reflection_cannot_be_followed():
    assert ending("Now up", check=True).endswith("Now up" + UNGROUNDED)
    assert ending("Now up", check=False).endswith("Now up")
    assert ending("Now left", check=True).endswith("Now left")
    assert ending("", check=True).endswith("Action:")
