"""What a module says about itself: the first sentence of its docstring."""

from __future__ import annotations

import ast
import re

from reflect_env_filesys.names import one_line
from reflect_env_filesys.snapshot import File

HEAD_BYTES = 4096
"""Bytes to read of each file so that a docstring behind a licence notice is found."""
LONGEST = 120
"""Characters of a description."""
FEWEST_WORDS = 3

_BEFORE = re.compile(r"(?:[ \t\f]*(?:#[^\n]*)?\n)*")
_LITERAL = re.compile(
    r"""[rRuU]?(\"{3}.*?(?<!\\)\"{3}|'{3}.*?(?<!\\)'{3}|"[^"\n]*"|'[^'\n]*')""", re.S
)
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s+[A-Z]|\s*$)")


def description(file: File) -> str | None:
    """One sentence that describes a module, its own name masked by ``...``.

    None for whatever is not a Python module with a docstring that says something. Only the
    head of the file is looked at and nothing is imported or run.
    """
    if not file.name.endswith((".py", ".pyw")) or (text := file.text) is None:
        return None
    literal = _LITERAL.match(text, _before(text))
    if literal is None:
        return None
    try:
        docstring = ast.literal_eval(literal.group())
    except (SyntaxError, ValueError):
        return None
    paragraph = one_line(str(docstring).strip().split("\n\n")[0], 10 * LONGEST)
    found = _SENTENCE.match(paragraph)
    sentence = one_line(masked(found.group(1) if found else paragraph, file.name), LONGEST)
    return sentence if len(re.findall(r"\w{2,}", sentence)) >= FEWEST_WORDS else None


def _before(text: str) -> int:
    """Where the first statement begins, after blank lines and comments."""
    found = _BEFORE.match(text)
    return found.end() if found else 0


def masked(text: str, name: str) -> str:
    """``text`` with every mention of a file's stem replaced by ``...``.

    >>> masked("Wait for I/O with select or poll.", "select.py")
    'Wait for I/O with ... or poll.'
    """
    stem = name.rsplit(".", 1)[0].strip("_")
    return re.sub(re.escape(stem), "...", text, flags=re.IGNORECASE) if stem else text


def words(text: str) -> frozenset[str]:
    """The words of at least four letters, in lower case."""
    return frozenset(re.findall(r"[a-z]{4,}", text.lower()))


def tells(excerpt: str, sentence: str) -> bool:
    """Whether what was shown of a file fits a description: it has most of its words."""
    wanted = words(sentence)
    return bool(wanted) and len(wanted & words(excerpt)) >= 0.6 * len(wanted)
