"""Draws the names, items, labels and sentences of one example."""

from __future__ import annotations

import random
from collections.abc import Callable

from .vocabulary import (
    CODAS,
    ENDINGS,
    EXTENSIONS,
    LABELS,
    NUCLEI,
    ONSETS,
    load_words,
    reserved_names,
)


class World:
    """Draws names, items and formats for one example.

    ``level`` runs from 0 to 1 over the curriculum: few familiar words and short lists
    first, then made-up names of several tokens, look-alikes and long lists.  ``variety``
    rises sooner, from the plainest format to many: matching is learnt in one format first.
    ``alike`` is the chance that the items of a list end alike, in several tokens.
    """

    def __init__(self, rng: random.Random, level: float, alike: float = 0.0) -> None:
        self.rng = rng
        self.level = level
        self.alike = alike
        self.variety = min(1.0, max(0.0, 2.5 * (level - 0.08)))
        self.words = load_words()
        self.used: set[str] = set()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.rng.random() < probability

    def plain(self) -> bool:
        """Whether to use the plainest format here, as is usual early on."""
        return self.rng.random() >= self.variety

    def count(self, low: int, high: int) -> int:
        """A length between ``low`` and ``high``, the upper end growing with the level."""
        top = low + (high - low) * min(1.0, 0.08 + max(0.0, self.level - 0.1))
        return low + int((top - low + 0.999) * self.rng.random() ** 1.3)

    def word(self, kind: str) -> str:
        """A common word that is not among the names of this example."""
        choices = self.words[kind]
        if kind in ("noun", "adjective"):
            choices = choices[: 48 + int(4000 * self.level)]
        while True:
            word = self.rng.choice(choices)
            if word not in self.used:
                return word

    def made_up(self) -> str:
        """A new pronounceable name, never a reserved one."""
        rng = self.rng
        while True:
            kind = rng.random()
            if kind < 0.55:
                parts = rng.choices((1, 2, 3, 4), (1, 6, 4, 1))[0]
                name = "".join(
                    rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS)
                    for _ in range(parts)
                )
            elif kind < 0.8:
                head, tail = rng.choice(self.words["noun"]), rng.choice(self.words["noun"])
                name = head[: rng.randint(2, 4)] + tail[-rng.randint(2, 4) :]
            elif kind < 0.9:
                name = rng.choice(self.words["verb"])[:4] + rng.choice(ENDINGS)
            else:
                name = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(3))
            if 2 < len(name) < 13 and name not in reserved_names():
                return name

    def name(self, style: str) -> str:
        """A name in one of several spellings."""
        rng = self.rng
        if style == "word":
            return self.word(rng.choice(("noun", "noun", "adjective", "verb")))
        if style == "noun":
            return self.word("noun")
        base = self.made_up()
        if style == "joined":
            other = self.made_up() if self.chance(0.5) else self.word("noun")
            mark = rng.choice(("_", "_", "-", ""))
            return base + (mark + other if mark else other.capitalize())
        if style == "digits":
            return base + str(rng.randint(0, 99))
        if style == "capital":
            return base.capitalize()
        return base

    def names(self, count: int, style: str | None = None) -> list[str]:
        """Distinct names of one style, or of mixed styles."""
        if style is None and self.alike and self.chance(self.alike):
            return self.items(count, "tail")
        if style is None:
            style = self.pick_style()
        found: dict[str, None] = {}
        while len(found) < count:
            one = style
            if style == "mixed":
                one = self.rng.choice(("word", "made", "joined", "digits"))
            found[self.name(one)] = None
        self.used.update(found)
        return list(found)

    def pick_style(self) -> str:
        """A spelling for the names of one example."""
        if self.chance(0.9 - self.level * 2.5):
            return "noun"
        styles = ("word", "noun", "made", "joined", "digits", "capital", "mixed")
        return self.rng.choices(styles, (3, 2, 6, 2, 1, 1, 2))[0]

    def items(self, count: int, family: str | None = None) -> list[str]:
        """Distinct items; most families make them alike, so that matching needs them whole."""
        rng = self.rng
        if family is None:
            family = self.pick_family()
        if family == "plain":
            return self.names(count)
        if family == "letter":
            chosen = rng.sample("abcdefghijklmnopqrstuvwxyz", min(count, 26))
            return chosen if self.chance(0.6) else [letter.upper() for letter in chosen]
        if family == "number":
            return [str(n) for n in rng.sample(range(max(40, 4 * count), 1000), count)]
        make = getattr(self, f"_{family}")(count)
        found: dict[str, None] = {}
        for _ in range(60 * count):
            if len(found) == count:
                break
            found[make()] = None
        missing = count - len(found)
        items = list(found) + (self.names(missing, "joined") if missing else [])
        self.used.update(items)
        rng.shuffle(items)
        return items

    def pick_family(self) -> str:
        """A kind of items: alone, with endings, verbs, numbers, folders or near copies."""
        if self.alike and self.chance(self.alike):
            return "tail"
        if self.chance(0.85 - self.level * 2.0):
            return "plain"
        families = (
            "plain", "ending", "prefix", "numbered", "menu", "path", "phrase", "near", "number",
            "letter", "verbs", "sentence",
        )  # fmt: skip
        return self.rng.choices(families, (6, 5, 8, 3, 4, 2, 2, 3, 1, 0.7, 2, 1))[0]

    def _ending(self, count: int) -> Callable[[], str]:
        names = self.names(count)
        shared = self.rng.choice(EXTENSIONS) if self.chance(0.7) else None
        slash = self.chance(0.3)

        def make() -> str:
            name = self.rng.choice(names)
            if slash and self.chance(0.3):
                return name + "/"
            return name + (shared or self.rng.choice(EXTENSIONS))

        return make

    def _prefix(self, count: int) -> Callable[[], str]:
        verbs = [self.word("verb") for _ in range(self.rng.choice((1, 1, 2, 3)))]
        names = self.names(max(2, count if self.chance(0.6) else count // 2 + 1))
        ends = ["", self.rng.choice(EXTENSIONS)] if self.chance(0.3) else [""]
        ends = ends[-1:] if self.chance(0.5) else ends
        lone = self.chance(0.3)

        def make() -> str:
            verb = self.rng.choice(verbs)
            if lone and self.chance(0.15):
                return self.word("verb")
            return f"{verb} {self.rng.choice(names)}{self.rng.choice(ends)}"

        return make

    def _tail(self, count: int) -> Callable[[], str]:
        """Told apart by what stands before a shared end of several tokens, or amid two."""
        verbs = [self.word("verb") for _ in range(self.rng.randint(1, 3))]
        verbs = verbs if self.chance(0.8) else [""]
        tails = [self._long_tail() for _ in range(self.rng.choice((1, 1, 1, 2)))]
        many = self.chance(0.7)
        heads = [
            self.made_up() if self.chance(0.6) else self.word("noun")
            for _ in range(max(2, count if many else count // 2 + 1))
        ]
        link = self.rng.choice(("_", "_", "", " ", "-"))
        extension = self.rng.choice((*EXTENSIONS, ""))
        starts = [f"{self.word('noun')}_", ""] if self.chance(0.3) else [""]

        def make() -> str:
            tail = self.rng.choice(tails)
            head = "" if self.chance(0.05) else self.rng.choice(heads) + link
            verb, start = self.rng.choice(verbs), self.rng.choice(starts)
            return f"{verb} {start}{head}{tail}{extension}".strip()

        return make

    def _long_tail(self) -> str:
        if self.chance(0.4):
            return self.made_up() + self.rng.choice(("", "_")) + self.made_up()
        return self.made_up() if self.chance(0.5) else self.word("noun")

    def _numbered(self, count: int) -> Callable[[], str]:
        names = self.names(max(1, min(4, count // 2)), self.rng.choice(("noun", "made")))
        top = max(3, count)
        return lambda: f"{self.rng.choice(names)} {self.rng.randint(1, top)}"

    def _menu(self, count: int) -> Callable[[], str]:
        verbs = [(self.word("verb"), self.rng.choice(("", "in", "on", "from", "to", "with")))
                 for _ in range(self.rng.randint(1, 5))]  # fmt: skip
        names = self.names(max(2, min(5, count // 2)), self.rng.choice(("noun", "noun", "made")))

        def thing() -> str:
            name = self.rng.choice(names)
            return f"{name} {self.rng.randint(1, 3)}" if numbers else name

        numbers = self.chance(0.7)

        def make() -> str:
            verb, link = self.rng.choice(verbs)
            return f"{verb} {thing()} {link} {thing()}" if link else f"{verb} {thing()}"

        return make

    def _path(self, count: int) -> Callable[[], str]:
        folders = self.names(max(2, min(4, count // 2)))
        leaves = self.names(max(2, count // 2 + 1))
        end = self.rng.choice(("", "", "", self.rng.choice(EXTENSIONS)))

        def make() -> str:
            depth = self.rng.randint(1, 2)
            parts = self.rng.sample(folders, min(depth, len(folders)))
            return "/".join([*parts, self.rng.choice(leaves)]) + end

        return make

    def _phrase(self, count: int) -> Callable[[], str]:
        adjectives = [self.word("adjective") for _ in range(max(3, count // 2))]
        nouns = [self.word("noun") for _ in range(max(3, count // 2))]
        self.used.update(adjectives, nouns)
        return lambda: f"{self.rng.choice(adjectives)} {self.rng.choice(nouns)}"

    def _near(self, count: int) -> Callable[[], str]:
        parts = self.names(max(3, int(count**0.5) + 1))
        mark = self.rng.choice((" ", "_", "-", "/", " and ", "."))
        return lambda: mark.join(self.rng.choices(parts, k=self.rng.choice((2, 2, 3))))

    def _verbs(self, count: int) -> Callable[[], str]:
        places = ("up", "down", "left", "right", "north", "south", "east", "west")
        pool = [self.word("verb") for _ in range(count)] + list(places)
        joined = self.chance(0.3)

        def make() -> str:
            if joined and self.chance(0.5):
                return f"{self.word('verb')} {self.rng.choice(places)}"
            return self.rng.choice(pool)

        return make

    def _sentence(self, count: int) -> Callable[[], str]:
        names = self.names(max(2, count // 2 + 1), "noun")
        links = [self.word("preposition") for _ in range(3)]
        return lambda: (
            f"the {self.rng.choice(names)} is {self.rng.choice(links)} the {self.rng.choice(names)}"
        )

    def labels(self, count: int) -> list[str]:
        """Distinct label tokens in random order; only a few are in play early on."""
        pool = LABELS[: 24 + int(1000 * self.level)]
        return self.rng.sample(pool, count)

    def cue(self) -> str:
        """A string that calls for an answer, such as ``so:`` or ``answer ->``."""
        if self.plain():
            return "so:"
        kind = self.rng.random()
        if kind < 0.5:
            word = self.word("cue")
        elif kind < 0.62:
            word = f"the {self.word('cue')}"
        elif kind < 0.74:
            word = self.word("noun")
        elif kind < 0.8:
            word = self.made_up()
        elif kind < 0.86:
            word = ""
        else:
            word = f"{self.word('adjective')} {self.word('noun')}"
        if self.chance(0.4):
            word = word.capitalize()
        return word + self.rng.choice((":", ":", ":", " ->", " =>", " =", ">", "?", " is", ""))

    def header(self) -> str:
        """A title over a list, often empty."""
        if self.plain() or self.chance(0.2):
            return ""
        word = self.rng.choice(
            ("list", "items", "choices", "menu", "names", "entries", "here", "listed", "these",
             "there are", "you see", self.word("noun"), self.word("noun") + "s"),
        )  # fmt: skip
        if self.chance(0.4):
            word = word.capitalize()
        return word + self.rng.choice((":\n", ":\n", "\n", ": ", " = ", ":"))

    def sentence(self) -> str:
        """A plain sentence of simple grammar that names none of this example's names."""
        word = self.word

        def thing() -> str:
            article = self.rng.choice(("the", "the", "a", "my", "his", "her", "our", "their"))
            adjective = f"{word('adjective')} " if self.chance(0.35) else ""
            return f"{article} {adjective}{word('noun')}"

        form = self.rng.randrange(9)
        if form == 0:
            return f"{thing()} is {word('adjective')}"
        if form == 1:
            return f"{thing()} {word('past')} {thing()}"
        if form == 2:
            return f"{thing()} is {word('preposition')} {thing()}"
        if form == 3:
            return f"{thing()} {word('past')} {thing()} {word('preposition')} {thing()}"
        if form == 4:
            return f"we {word('past')} {thing()} {word('adverb')}"
        if form == 5:
            return f"{word('connective')} {thing()} was {word('adjective')}, they {word('past')} it"
        if form == 6:
            return f"there are {self.rng.randint(2, 9)} {word('noun')}s {word('preposition')} it"
        if form == 7:
            return f"you can {word('verb')} {thing()}"
        return f"it was not {word('adjective')} but {word('adjective')}"

    def filler(self, low: int = 0, high: int = 3) -> str:
        """Some plain sentences, each ended and followed by a space or a line break."""
        if self.plain():
            return ""
        gap = self.rng.choice((". ", ".\n", "\n", "; "))
        return "".join(self.sentence() + gap for _ in range(self.rng.randint(low, high)))

    def mention(self, item: str) -> str:
        """A sentence that names ``item``; every word around it is new."""
        if self.plain():
            return f"see {item}"
        word = self.word
        forms: tuple[Callable[[], str], ...] = (
            lambda: item,
            lambda: f"{word('verb')} {item}",
            lambda: f"{word('noun')}: {item}",
            lambda: f"{item} is the one",
            lambda: f"it is {item}",
            lambda: f"the {word('noun')} is {item}",
            lambda: f"I mean {item}",
            lambda: f"see {item} {word('adverb')}",
            lambda: f"{item} comes next",
            lambda: f"so {item}",
            lambda: f"{word('adverb')} {word('verb')} {item}, {self.sentence()}",
            lambda: f"{self.sentence()}, so {item}",
            lambda: f"{self.sentence()}. {word('verb')} {item}",
            lambda: f"{item} is {word('preposition')} it",
            lambda: f"they {word('past')} {item}",
            lambda: f'she said "{item}"',
            lambda: f"`{item}` was {word('adjective')}",
            lambda: (
                f"the {word('adjective')} {word('noun')} {word('past')} {item} {word('adverb')}"
            ),
            lambda: f"{self.made_up()} {word('past')} {item}",
            lambda: f"next: {item}",
            lambda: f"{self.made_up()} is not here. {word('verb')} {item}",
        )
        return self.rng.choice(forms)() + self.rng.choice(("", ".", ".", "."))
