"""What a model reads."""

from endpoint_kit import ACTIONS, room
from reflect_reflector_openai.prompts import messages

from reflect_core.prompt import state_segments
from reflect_core.records import Question


def asked(*, turns=1, history=-1, **more):
    return messages(Question(room(7, turns=turns), **more), history=history)[1]["content"]


def test_a_model_reads_what_the_local_players_read_and_the_menu():
    state = room(7, turns=3)
    shown = "".join(segment.text for segment in state_segments(state, history=2))
    said = messages(Question(state), history=2)
    assert [message["role"] for message in said] == ["system", "user"]
    assert said[1]["content"].startswith(shown)
    assert "\n".join(ACTIONS) in said[1]["content"]
    assert said[1]["content"].count("> open the door") == 2


def test_what_is_asked_depends_on_what_is_known():
    assert "last action" not in asked(turns=0)
    assert "The last action was: open the door" in asked()
    wrong = asked(wrong_action="go south")
    assert "The last action was a mistake: go south" in wrong
    given = asked(spoiler="go north")
    assert "the right action now is: go north" in given
    assert "the right action" not in asked() + wrong
    both = asked(spoiler="go north", wrong_action="go south")
    assert "mistake: go south" in both
    assert "is: go north" in both


def test_the_instructions_are_the_same_for_all_questions():
    first = messages(Question(room(1)), history=-1)
    second = messages(Question(room(2, turns=0), spoiler="go north"), history=-1)
    assert first[0] == second[0]


def test_the_right_action_stands_nowhere_but_in_the_spoiler():
    with_it, without = asked(spoiler="go north"), asked()
    assert with_it.count("go north") == without.count("go north") + 1
