"""The code in Markdown pages: which blocks there are, and how each is tried out.

What a block is follows from its language; a comment on the line above it says more. It is seen in
the page's source and not by its readers:

    <!-- run -->            the commands below are carried out, at a small scale: the settings
                            small_runs.SMALL are added behind what the page says
    <!-- settings: WHY -->  of the commands below only the settings are read and checked
    <!-- file: NAME -->     the block is written to this file, for what comes after it
    <!-- names: MODULE -->  the block uses this module's names (pages made from docstrings)

Blocks of a page are tried out in their order, in one folder. Commands that are not marked are
planned: ``reflect run`` and ``reflect ablate`` get ``--dry-run``, which reads all settings with the
installed plugins and builds the environment; what needs several processes, a person or a build is
parsed by the command's own parser. Python is always run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

import attrs

COMMANDS = ("reflect", "make", "pip", "python", "accelerate", "export", "cd", "source")
SHELL = {"bash", "sh", "shell", "console"}
DATA = {"toml", "json"}
KNOWN = {*SHELL, *DATA, "python", "pycon", "text", ""}
MARK = re.compile(r"^\s*<!-- (\w+)(?:: (.*?))? -->$")
FENCE = re.compile(r"^(\s*)```\s*([\w-]*)(.*)$")
ITEM = re.compile(r"^\s*([-*+]|\d+\.) ")


@attrs.frozen
class Block:
    """A block of code.

    Args:
        language: The word behind the fence; ``bash`` for what is indented or looks like commands.
        text: Its content.
        line: Number of its first line in the page.
        marks: The comments above it.
    """

    language: str
    text: str
    line: int
    marks: Mapping[str, str]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    lines = page.splitlines()
    found: list[Block] = []
    place = 0
    while place < len(lines):
        fence = FENCE.match(lines[place])
        if fence:
            end = next(i for i in range(place + 1, len(lines)) if lines[i].strip() == "```")
            indent = len(fence[1])
            content = [line[indent:] for line in lines[place + 1 : end]]
            found.append(_block(fence[2], content, place + 2, _marks(lines, place)))
            place = end + 1
        elif _is_indented(lines, place):
            end = place
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            content = [line[4:] for line in lines[place:end]]
            found.append(_block("", content, place + 1, _marks(lines, place)))
            place = end
        else:
            place += 1
    return found


def _is_indented(lines: Sequence[str], place: int) -> bool:
    """Whether an indented block begins here, and not a line of a list's item."""
    if not lines[place].startswith("    ") or not lines[place].strip():
        return False
    if place and lines[place - 1].strip():
        return False
    above = next((line for line in reversed(lines[:place]) if line.strip()), "")
    return not ITEM.match(above) and not above.startswith(" ")


def _marks(lines: Sequence[str], place: int) -> dict[str, str]:
    found: dict[str, str] = {}
    while place and (mark := MARK.match(lines[place - 1])):
        found[mark[1]] = mark[2] or ""
        place -= 1
    return found


def _block(language: str, content: Sequence[str], line: int, marks: Mapping[str, str]) -> Block:
    text = "\n".join(content).strip("\n")
    if not language and text.split(" ")[0] in COMMANDS:
        language = "bash"
    return Block(language, text, line, marks)


def commands(block: Block) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The command lines of a block: variables that stand before it, and its words."""
    text = block.text
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        variables: dict[str, str] = {}
        while words and re.match(r"^[A-Z_]+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words:
            yield variables, words


def inline(page: str) -> list[str]:
    """The commands within sentences and tables."""
    prose = re.sub(r"^\s*```.*?^\s*```", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`((?:reflect|make) [^`]+)`", prose)
