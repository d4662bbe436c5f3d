"""What the endpoint is asked: the local models' layout, and instructions around it."""

from __future__ import annotations

from reflect_core.prompt import state_segments
from reflect_core.records import Question

__all__ = ["Messages", "messages"]

Messages = list[dict[str, str]]

_SYSTEM = """\
You are the inner voice of a player in a text environment. You are shown the task; the past \
turns, each as what was shown and, after ">", what the player did; what is shown now; and the \
legal actions.
Write one or two short, plain sentences: what the last action brought and whether it was a \
mistake, then what to do next and why. Rely on what is shown and on nothing else.
Then write one more line that holds nothing but the next action, copied from the legal actions \
character by character. No headings, no lists, no quotation marks."""

_FIRST = "No action has been taken yet."
_LAST = "The last action was: {action}"
_WRONG = (
    "The last action was a mistake: {action}\n"
    "Say why it was one, as far as what is shown tells, and how to go on."
)
_SPOILER = (
    "Between us: the right action now is: {action}\n"
    "Argue from what is shown until you arrive at it, as if you had found it yourself, and end "
    "with it. Never say or hint that it was given to you."
)


def messages(question: Question, *, history: int) -> Messages:
    """The chat messages that put a question to a model.

    Args:
        question: Without a spoiler and a wrong action, as the live reflector asks it, the
            model is to judge the last action and to find the next one by itself.
        history: Past turns shown; -1 for all.

    Returns:
        A system message, the same for all questions, and a user message: task, past turns,
        observation and legal actions as the local players read them, then the question.
    """
    state = question.state
    shown = "".join(segment.text for segment in state_segments(state, history=history))
    actions = "\n".join(state.observation.legal_actions)
    if question.wrong_action is not None:
        asked = [_WRONG.format(action=question.wrong_action)]
    elif state.history:
        asked = [_LAST.format(action=state.history[-1].action)]
    else:
        asked = [_FIRST]
    if question.spoiler is not None:
        asked.append(_SPOILER.format(action=question.spoiler))
    return [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": f"{shown}\nLegal actions:\n{actions}\n\n" + "\n".join(asked)},
    ]
