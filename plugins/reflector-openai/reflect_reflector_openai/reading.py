"""From a model's answer to one line of reflection and, where it names one, an action."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from reflect_core.grounding import named_action
from reflect_reflector_openai.records import Answer

__all__ = ["Reading", "read", "shorten"]

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r".*</(think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"\A\W*reflection\W*:\W*", re.IGNORECASE)
_CUE = re.compile(
    r"\A\W*((the|my|next|final|chosen|best)\s+)*(action|move|command)\W*:\W*", re.IGNORECASE
)
_DECORATION = " \t`*\"'“”‘’>#•-"
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@attrs.frozen
class Reading:
    """What an answer comes to.

    Args:
        text: The answer on one line, without thoughts and decoration; may be empty.
        action: Index of the legal action that it names, None if it names none.
        trouble: ``empty_answer``, ``refusal`` or ``cut_answer`` (the completion limit came
            before the end), None where all is well.
    """

    text: str = ""
    action: int | None = None
    trouble: str | None = None


def read(answer: Answer, legal_actions: Sequence[str]) -> Reading:
    """Take an answer apart.

    Thoughts between ``<think>`` tags are no part of it, whether the opening tag is missing
    (some chat templates write it themselves) or the closing one (the limit came first). Of
    an answer that the limit cut, the whole sentences remain.

    The action is the one that the last line consists of, whatever the case of its letters
    and the signs around it; else the one that the last line mentions last; else the one
    that the answer mentions last.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        return Reading(trouble="refusal")
    text = _THOUGHT_END.sub("", _THOUGHT.sub("", answer.content))
    cut = answer.finish_reason == "length"
    if cut:
        text = _whole_sentences(text)
    lines = [" ".join(line.split()) for line in _TITLE.sub("", text).splitlines()]
    lines = [line for line in lines if line.strip(_DECORATION)]
    if not lines:
        return Reading(trouble="empty_answer")
    chosen = _spelt(lines[-1], legal_actions)
    lines[-1] = _bare(lines[-1]) if chosen is None else legal_actions[chosen]
    line = " ".join(lines)
    if chosen is None:
        chosen = named_action(lines[-1], legal_actions)
    if chosen is None:
        chosen = named_action(line, legal_actions)
    return Reading(line, chosen, "cut_answer" if cut else None)


def shorten(text: str, limit: int) -> str:
    """The last whole sentences of a line that fit into ``limit`` characters.

    The end is kept since there stands what to do next. Where the last sentence alone is too
    long, its last words are kept.

    >>> shorten("That was wrong. It is not here. cd ..", 24)
    'It is not here. cd ..'
    """
    if len(text) <= limit:
        return text
    for match in _SENTENCE.finditer(text):
        if len(text) - match.end() <= limit:
            return text[match.end() :]
    _, space, words = text[-limit:].partition(" ")
    return words if space else text[-limit:]


def _whole_sentences(text: str) -> str:
    """The text up to its last full stop; nothing where it has none."""
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s|\Z)", text)]
    return text[: ends[-1]] if ends else ""


def _bare(line: str) -> str:
    """A line without ``Action:`` before it and without quotes or stars around it."""
    return _CUE.sub("", line).strip(_DECORATION) or line.strip(_DECORATION)


def _spelt(line: str, legal_actions: Sequence[str]) -> int | None:
    """Index of the action that a line consists of."""
    bare = _bare(line)
    spellings = (line, bare, bare.rstrip(".").strip(_DECORATION))
    actions = [" ".join(action.split()) for action in legal_actions]
    for spelling in spellings:
        if spelling in actions:
            return actions.index(spelling)
    folded = [action.casefold() for action in actions]
    for spelling in spellings:
        if spelling.casefold() in folded:
            return folded.index(spelling.casefold())
    return None
