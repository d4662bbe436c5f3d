"""From an answer to a line and an action."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflect_reflector_openai.reading import Reading, read, shorten
from reflect_reflector_openai.records import Answer

ACTIONS = ("cd src", "cd src/lib", "cd ..", "id Makefile", "id makefile")


def reading(content, finish_reason="stop"):
    return read(Answer(content, finish_reason=finish_reason), ACTIONS)


@pytest.mark.parametrize(
    ("content", "text", "action"),
    [
        ("It is below.\ncd src", "It is below. cd src", "cd src"),
        ("It is below.\n\nAction: cd src/lib", "It is below. cd src/lib", "cd src/lib"),
        ("It is below.\n**Next action:** `cd src`.", "It is below. cd src", "cd src"),
        ("> CD SRC", "cd src", "cd src"),
        ("That is it.\nid makefile", "That is it. id makefile", "id makefile"),
        ("That is it.\n- id Makefile", "That is it. id Makefile", "id Makefile"),
        ("Reflection: wrong.\ncd ..", "wrong. cd ..", "cd .."),
        ("wrong\nI would now use cd .. instead", "wrong I would now use cd .. instead", "cd .."),
        ("cd src was wrong, cd .. is right\nGood luck", None, "cd .."),
        ("cd src\nGo on.", "cd src Go on.", "cd src"),
        ("nothing to be done", "nothing to be done", None),
        ("  It\tis \r\n  below.\ncd   src", "It is below. cd src", "cd src"),
        ("<think>cd ..</think>It is below.\ncd src", "It is below. cd src", "cd src"),
        ("cd .. perhaps</think>\n\nHere.\ncd src", "Here. cd src", "cd src"),
        ("<THINKING>\na</THINKING>x\n<think>b</think>cd src", "x cd src", "cd src"),
    ],
)
def test_lines_and_actions(content, text, action):
    made = reading(content)
    assert made.trouble is None
    assert text in {None, made.text}
    assert (made.action is not None and ACTIONS[made.action]) == (action or False)


def test_an_action_with_signs_of_its_own_is_kept_whole():
    actions = ('say "hello"', "say hello")
    assert read(Answer('Greet.\nsay "hello"'), actions) == Reading('Greet. say "hello"', 0)
    assert read(Answer('Greet.\n"say hello"'), actions) == Reading("Greet. say hello", 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(""), Reading(trouble="empty_answer")),
        (Answer(" \n** \n```"), Reading(trouble="empty_answer")),
        (Answer("<think>so it is</think>"), Reading(trouble="empty_answer")),
        (
            Answer("<think>It is. No. It", finish_reason="length"),
            Reading(trouble="empty_answer"),
        ),
        (Answer("no end of it", finish_reason="length"), Reading(trouble="empty_answer")),
        (
            Answer("It is. Not so. I thi", finish_reason="length"),
            Reading("It is. Not so.", None, "cut_answer"),
        ),
        (Answer("cd src", refusal="I cannot"), Reading(trouble="refusal")),
        (Answer("cd s", finish_reason="content_filter"), Reading(trouble="refusal")),
    ],
)
def test_answers_that_cannot_be_used_as_they_are(answer, expected):
    assert read(answer, ACTIONS) == expected


@given(st.text(), st.sampled_from(["stop", "length", None]))
def test_whatever_is_answered_becomes_one_line(content, reason):
    made = reading(content, reason)
    assert len(made.text.splitlines()) <= 1
    assert bool(made.text) is (made.trouble in {None, "cut_answer"})


@given(st.text(alphabet="ab .!?", max_size=60).map(str.strip), st.integers(1, 40))
def test_a_line_is_cut_from_the_front(text, limit):
    cut = shorten(text, limit)
    assert len(cut) <= limit
    assert text.endswith(cut)
    if len(text) <= limit:
        assert cut == text


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (99, "One two. Three four. cd src"),
        (19, "Three four. cd src"),
        (17, "cd src"),
        (6, "cd src"),
        (5, "src"),
        (2, "rc"),
    ],
)
def test_whole_sentences_are_kept_where_one_fits(limit, expected):
    assert shorten("One two. Three four. cd src", limit) == expected
