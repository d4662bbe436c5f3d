"""What a reader remembers is what is true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("alfworld", reason="alfworld makes the games that are read")

from reflect_env_alfworld.memory import Memory, kind_of
from reflect_env_alfworld.text import asked_in, first_words, named_in, observation

INTRO = (
    "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly "
    "around you, you see a drawer 1, a fridge 1, and a desk 2.\n\nYour task is to: find a mug."
)


def after(*feedbacks: str) -> Memory:
    memory = Memory.of(INTRO)
    for feedback in feedbacks:
        memory.note(feedback)
    return memory


def test_the_first_words_name_the_receptacles_and_those_that_open_come_last() -> None:
    assert Memory.of(INTRO).unknown() == ["desk 2", "drawer 1", "fridge 1"]
    assert Memory.of("Nothing.").unknown() == []


def test_a_closed_receptacle_stays_unknown_until_it_is_opened() -> None:
    memory = after("You arrive at drawer 1. The drawer 1 is closed.")
    assert (memory.place, memory.shut) == ("drawer 1", {"drawer 1"})
    assert "drawer 1" in memory.unknown()
    memory.note("You open the drawer 1. The drawer 1 is open. In it, you see a pen 2, and a mug 1.")
    assert memory.contents["drawer 1"] == ("pen 2", "mug 1")
    assert not memory.shut
    memory.note("You close the drawer 1.")
    assert memory.shut == {"drawer 1"} and memory.where("mug") == [("mug 1", "drawer 1")]


def test_what_is_done_to_an_object_is_remembered() -> None:
    memory = after(
        "You arrive at desk 2. On the desk 2, you see a mug 1.",
        "You pick up the mug 1 from the desk 2.",
        "You heat the mug 1 using the microwave 1.",
        "You clean the mug 1 using the sinkbasin 1.",
    )
    assert (memory.holding, memory.contents["desk 2"]) == ("mug 1", ())
    assert memory.traits["mug 1"] == {"hot", "clean"}
    memory.note("You cool the mug 1 using the fridge 1.")
    memory.note("You move the mug 1 to the desk 2.")
    assert memory.traits["mug 1"] == {"cold", "clean"}
    assert (memory.holding, memory.contents["desk 2"]) == (None, ("mug 1",))


def test_an_object_with_something_in_it_is_no_receptacle() -> None:
    memory = after("This is a normal bowl 1. In it, you see nothing.")
    assert memory == after()


@pytest.mark.parametrize(
    "words", ["", "Nothing happens.", "You are carrying: a mug 1.", "In it, you see a x 1."]
)
def test_words_without_news_change_nothing(words: str) -> None:
    assert after(words) == after()


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_text_is_read(text: str) -> None:
    after(text, f"You arrive at {text}. On the {text}, you see {text}.")


def test_kinds_are_names_without_numbers() -> None:
    assert [kind_of(name) for name in ("mug 12", "mug", "cd 1")] == ["mug", "mug", "cd"]


def test_an_observation_lists_what_was_seen() -> None:
    memory = after("You arrive at desk 2. On the desk 2, you see a mug 1, and a pen 1.")
    memory.note("You pick up the mug 1 from the desk 2.")
    shown = observation("You pick it up.", memory, 1, remembers=True)
    assert shown.split("\n") == [
        "You pick it up.",
        "at desk 2, holding mug 1, 1 turn left",
        "new: drawer 1, fridge 1",
        "seen: desk 2: pen 1",
    ]
    short = observation("You pick it up.", memory, 2, remembers=False, named=["mug"])
    assert short.split("\n") == ["You pick it up.", "at desk 2, holding mug 1, 2 turns left"]


def test_what_was_found_shut_is_told_apart_until_it_is_opened() -> None:
    memory = after("You arrive at drawer 1. The drawer 1 is closed.")
    memory.note("You arrive at desk 2. On the desk 2, you see nothing.")
    lines = observation("Ok.", memory, 9, remembers=True).split("\n")
    assert lines[2:] == ["new: fridge 1", "shut: drawer 1"]
    assert memory.unknown() == ["fridge 1", "drawer 1"]
    memory.note("You open the drawer 1. The drawer 1 is open. In it, you see nothing.")
    lines = observation("Ok.", memory, 8, remembers=True).split("\n")
    assert lines[2:] == ["new: fridge 1"]


def test_what_the_task_names_is_told_apart() -> None:
    memory = after(
        "You arrive at desk 2. On the desk 2, you see a mug 2, a mug 1, and a pen 1.",
        "You pick up the mug 1 from the desk 2.",
        "You heat the mug 1 using the microwave 1.",
    )
    task = "put a hot mug in fridge, put two mug and a plate in desk."
    named = named_in(task, ["Desk", "Plate", "Fridge", "Mug", "Pen", ""])
    shown = observation("Ok.", memory, 3, remembers=True, named=named).split("\n")
    assert shown[2:] == [
        "mug: hot mug 1 at hand, mug 2 already at desk 2",
        "fridge: fridge 1",
        "plate: not seen",
        "desk: desk 2",
        "new: drawer 1, fridge 1",
        "seen: desk 2: pen 1",
    ]


def test_what_is_not_yet_as_the_task_wants_it_is_told() -> None:
    memory = after(
        "You arrive at desk 2. On the desk 2, you see a mug 2, a mug 1, and a pen 1.",
        "You pick up the mug 1 from the desk 2.",
    )

    def mugs() -> str:
        shown = observation(
            "Ok.", memory, 3, remembers=True, named=["mug", "desk"], asked=asked_in("put a hot mug")
        )
        return shown.split("\n")[2]

    assert mugs() == "mug: not hot mug 1 at hand, not hot mug 2 at desk 2"
    memory.note("You heat the mug 1 using the microwave 1.")
    assert mugs() == "mug: hot mug 1 at hand, not hot mug 2 at desk 2"
    memory.note("You move the mug 1 to the desk 2.")
    assert mugs() == "mug: not hot mug 2 at desk 2, hot mug 1 already at desk 2"


@given(st.lists(st.sampled_from(["mug", "pen", "desk", "fridge", "egg"]), unique=True))
def test_everything_seen_is_told_once(kinds: list[str]) -> None:
    seen = " a mug 1, a pen 1, and a mug 2"
    memory = after(f"You arrive at desk 2. On the desk 2, you see{seen}.")
    shown = observation("Ok.", memory, 3, remembers=True, named=kinds)
    assert [shown.count(name) for name in ("mug 1", "mug 2", "pen 1")] == [1, 1, 1]
    assert all(f"\n{kind}: " in shown for kind in kinds)


def test_the_task_and_the_title_are_not_said_twice() -> None:
    assert first_words(INTRO, remembers=True) == "You are in the middle of a room."
    told = first_words(INTRO, remembers=False)
    assert "desk 2" in told and "task" not in told and "Welcome" not in told


@given(st.integers(0, 11), st.lists(st.integers(0, 2**31), min_size=1, max_size=25))
@settings(max_examples=25, deadline=None)
def test_the_memory_agrees_with_the_engines_facts(
    small: Any, number: int, moves: list[int]
) -> None:
    """All that was seen is so, and all that was not told is unknown."""
    shown = small.reset(small.tasks("train")[number], seed=0)
    for move in moves:
        if not shown.legal_actions:
            return
        menu = shown.legal_actions
        busy = [a for a in menu if re.match("open|take|move|heat|cool|clean|close", a)]
        shown = small.step(
            (busy if move % 3 and busy else menu)[move % len(busy or menu)]
        ).observation
        if not shown.legal_actions:
            return
        memory, facts = small._episode.memory, small._episode.engine.facts()
        inside: dict[str, set[str]] = {place: set() for place in memory.contents}
        for fact in facts:
            if fact[0] == "inreceptacle":
                inside[fact[2]].add(fact[1])
        for place, contents in memory.contents.items():
            assert contents is None or set(contents) == inside[place]
        assert {memory.holding} - {None} == {fact[2] for fact in facts if fact[0] == "holds"}
        opened = {fact[1] for fact in facts if fact[0] == "opened"}
        assert not memory.shut & opened
        for trait, fact_name in (("hot", "ishot"), ("cold", "iscool"), ("clean", "isclean")):
            told = {name for name, traits in memory.traits.items() if trait in traits}
            assert told == {fact[1] for fact in facts if fact[0] == fact_name}
