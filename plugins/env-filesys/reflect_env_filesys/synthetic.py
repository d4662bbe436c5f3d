"""A generated file tree, for tests and for machines without a readable standard library."""

from __future__ import annotations

from reflect_core.streams import stream
from reflect_env_filesys.snapshot import File, Folder, Snapshot

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = (".py", ".txt", ".md", ".json")
_SYLLABLES = tuple(onset + vowel for onset in _ONSETS for vowel in _VOWELS)

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
