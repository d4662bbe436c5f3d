"""Generated file trees: for tests, and to train on more names than a real tree has."""

from __future__ import annotations

from reflect_core.streams import stream
from reflect_env_filesys.snapshot import File, Folder, Snapshot

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = (".py", ".txt", ".md", ".json")
_SYLLABLES = tuple(onset + vowel for onset in _ONSETS for vowel in _VOWELS)

_CODAS = ("", "", "", "b", "d", "k", "l", "m", "n", "p", "r", "s", "t", "x", "ck", "nd", "st")
_CLUSTERS = (*_ONSETS, "c", "h", "j", "w", "br", "ch", "cl", "dr", "gr", "pl", "sh", "st", "th", "")

TOP_FOLDERS = 24
DEPTH = 3


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


def invented_library(seed: int) -> Snapshot:
    """About 2,000 empty modules whose names are built like those of a library.

    Stems of one to three made-up words joined by underscores, some with a number; in some
    folders all files share a first word, as tests do. The same ``seed`` gives the same tree.
    """
    rng = stream(seed, "filesys", "invented")
    taken: set[str] = set()

    def pick(parts: tuple[str, ...]) -> str:
        return parts[int(rng.integers(len(parts)))]

    def word() -> str:
        syllables = 1 + int(rng.integers(3))
        return "".join(pick(_CLUSTERS) + pick(_VOWELS) + pick(_CODAS) for _ in range(syllables))

    def stem(first: str = "") -> str:
        while True:
            words = [first] if first else []
            words += [word() for _ in range(1 + int(rng.random() < 0.3))]
            name = "_".join(words) + (str(int(rng.integers(100))) if rng.random() < 0.1 else "")
            if name not in taken:
                taken.add(name)
                return name

    def modules(number: int) -> tuple[File, ...]:
        first = word() if rng.random() < 0.4 else ""
        names = sorted(f"{stem(first)}.py" for _ in range(number))
        return tuple(File(name, 0, b"") for name in names)

    def folder(name: str, depth: int) -> Folder:
        files = modules(int(rng.integers(6, 10)))
        names = sorted(stem() for _ in range(int(rng.integers(2, 4)))) if depth < DEPTH else []
        return Folder(name, tuple(folder(child, depth + 1) for child in names), files)

    tops = sorted(stem() for _ in range(TOP_FOLDERS))
    return Snapshot(Folder("", tuple(folder(name, 1) for name in tops), modules(30)))
