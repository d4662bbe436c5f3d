"""Reflections and the legal actions that they name.

A reflector writes free text; the environment decides what is possible. The policy is told
where the two part, and a study may forbid that reflections name actions at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["alternatives", "named_action", "names", "without_actions"]

_OR = re.compile(r",?\s+or\s+")


def named_action(reflection: str, legal_actions: Sequence[str]) -> int | None:
    """Index of the legal action that a reflection names, None if it names none.

    Of the actions that occur in it word for word, the one that ends last counts, since a
    reflection closes with what to do next; of several that end there, the longest.

    >>> named_action("cd src was wrong. Now cd src/lib.", ["cd src", "cd src/lib", "cd .."])
    1
    >>> named_action("Read setup.pyc", ["Read setup.py"]) is None
    True
    """
    best: tuple[int, int] | None = None
    chosen = None
    for index, action in enumerate(legal_actions):
        for match in re.finditer(_whole(action), reflection):
            place = (match.end(), len(action))
            if best is None or place > best:
                best, chosen = place, index
    return chosen


def alternatives(reflection: str, legal_actions: Sequence[str]) -> tuple[int, ...]:
    """Indices of the legal actions between which a reflection leaves the choice, in its order.

    They stand before its end, joined by "or"; the last is that of :func:`named_action`. One where
    it leaves no choice, none where it names no action.

    >>> alternatives("a was empty. It is shut: go to b or open c", ["go to a", "open c", "go to b"])
    (2, 1)
    """
    found: tuple[int, ...] = ()
    while (index := named_action(reflection, legal_actions)) is not None and index not in found:
        action = legal_actions[index]
        start = max(match.start() for match in re.finditer(_whole(action), reflection))
        if found and not _OR.fullmatch(reflection, start + len(action)):
            break
        found = (index, *found)
        reflection = reflection[:start]
    return found


def names(reflection: str, action: str) -> bool:
    """Whether a reflection holds an action word for word, wherever.

    >>> names("It is shut: go to shelf 12 or open box 1", "go to shelf 1")
    False
    """
    return re.search(_whole(action), reflection) is not None


def without_actions(reflection: str, legal_actions: Sequence[str]) -> str:
    """The reflection with every legal action that it holds word for word cut out.

    What is left names no legal action, also not one that the cuts brought together, and none
    with other blanks between its words.

    >>> without_actions("Not here: cd  src", ["cd src", "cd .."])
    'Not here:'
    """
    # of actions that hold one another, the longest first
    patterns = [_whole(each, blanks=True) for each in sorted(legal_actions, key=len, reverse=True)]
    before, reflection = None, _tidy(reflection)
    while reflection != before:
        before = reflection
        for pattern in patterns:
            reflection = _tidy(re.sub(pattern, " ", reflection))
    return reflection


def _tidy(text: str) -> str:
    return re.sub(r" {2,}", " ", text).strip()


def _whole(action: str, *, blanks: bool = False) -> str:
    """A pattern for ``action`` that does not match inside a longer word.

    Args:
        action: As it stands on the menu.
        blanks: Whether any blanks may stand between its words.
    """
    words = action.split() if blanks else []
    action = action.strip() if words else action
    before = r"(?<!\w)" if re.match(r"\w", action) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", action) else ""
    return before + (r"\s+".join(map(re.escape, words)) or re.escape(action)) + after
