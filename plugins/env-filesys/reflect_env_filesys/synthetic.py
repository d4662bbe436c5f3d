"""Generated file trees: for tests, and to train on more names than a real tree has."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from reflect_core.streams import stream
from reflect_env_filesys.snapshot import File, Folder, Snapshot

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = (".py", ".txt", ".md", ".json")
_SYLLABLES = tuple(onset + vowel for onset in _ONSETS for vowel in _VOWELS)

TOP_FOLDERS = 24
DEPTH = 3
TRIES = 20


def synthetic_snapshot(seed: int) -> Snapshot:
    """About 2,000 small text files with names of their own, three folders deep.

    The same ``seed`` gives the same tree.
    """
    rng = stream(seed, "filesys", "synthetic")
    taken: set[str] = set()

    def word() -> str:
        while True:
            picks = rng.integers(len(_SYLLABLES), size=int(rng.integers(2, 5)))
            name = "".join(_SYLLABLES[int(pick)] for pick in picks)
            if name not in taken:
                taken.add(name)
                return name

    def file() -> File:
        stem = word()
        topic = " ".join(word() for _ in range(6))
        name = stem + _ENDINGS[int(rng.integers(len(_ENDINGS)))]
        head = f'"""Helpers for {topic}."""\n'.encode()
        return File(name, len(head), head)

    def folder(name: str, depth: int) -> Folder:
        files = sorted((file() for _ in range(int(rng.integers(6, 10)))), key=lambda f: f.name)
        names = sorted(word() for _ in range(int(rng.integers(2, 4)))) if depth < DEPTH else []
        return Folder(name, tuple(folder(child, depth + 1) for child in names), tuple(files))

    tops = sorted(word() for _ in range(TOP_FOLDERS))
    files = sorted((file() for _ in range(30)), key=lambda f: f.name)
    return Snapshot(Folder("", tuple(folder(name, 1) for name in tops), tuple(files)))


def invented_library(words: Sequence[str], seed: int) -> Snapshot:
    """About 2,000 empty modules whose names are new, built from a library's words.

    Two words joined, with an underscore or without, sometimes a third or a number. In some
    folders all files share a first word, as tests do, in some the last, as helpers do: these are
    told apart by what lies farther back than the end. The same arguments give the same tree.

    Args:
        words: As often as they occur, not empty; the words that files share first are drawn
            as often, all others alike.
        seed: Of the draws.
    """
    rng = stream(seed, "filesys", "invented")
    taken: set[str] = set()

    distinct = sorted(set(words))

    def word(among: Sequence[str] = distinct) -> str:
        return among[int(rng.integers(len(among)))]

    def stem(first: str = "", last: str = "") -> str:
        for attempt in itertools.count():
            parts = [first or word()] + [word() for _ in range(int(rng.random() < 0.15))]
            parts.append(last or word())
            name = ("_" if first or last or rng.random() < 0.6 else "").join(parts)
            # few words make few names; numbers make as many as are wanted
            if (rng.random() < 0.1 and not last) or attempt >= TRIES:
                name += str(int(rng.integers(10 ** (2 + attempt // TRIES))))
            if name not in taken:
                break
        taken.add(name)
        return name

    def modules(number: int, kind: float) -> tuple[File, ...]:
        first, last = word(words) if kind < 0.25 else "", word() if kind > 0.7 else ""
        names = sorted(f"{stem(first, last)}.py" for _ in range(number))
        return tuple(File(name, 0, b"") for name in names)

    def folder(name: str, depth: int) -> Folder:
        files = modules(int(rng.integers(6, 10)), rng.random())
        names = sorted(stem() for _ in range(int(rng.integers(2, 4)))) if depth < DEPTH else []
        return Folder(name, tuple(folder(child, depth + 1) for child in names), files)

    tops = sorted(stem() for _ in range(TOP_FOLDERS))
    return Snapshot(Folder("", tuple(folder(name, 1) for name in tops), modules(30, 0.5)))


def words_of(names: Iterable[str]) -> list[str]:
    """The words of file names, as often as they occur: letters between anything else.

    >>> words_of(["test_json.py", "base64.py"])
    ['test', 'json', 'base']
    """
    stems = (name.rpartition(".")[0] or name for name in names)
    return [word for stem in stems for word in re.findall("[a-z]{2,}", stem.lower())]
