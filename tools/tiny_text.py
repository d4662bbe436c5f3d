"""Synthetic text for pre-training the embedded base model `tiny`.

Every skill is one function that writes one example: matching a phrase and naming its
label, copying, membership, marks, paths, listings, small maps, sorting, counting.  Names
are made up anew for each example, so that nothing can be learnt by heart and only the
operation on the context remains.  Formats (headers, bullets, separators, cues) vary on
purpose.  The text knows no environment: no example asks what to do next.

An example is a list of pieces, each with a weight for the loss: ``give`` for what cannot
be foreseen (weight 0), ``tell`` for grammar and framing (light), ``ask`` for what follows
from the text before it (full).
"""

from __future__ import annotations

import functools
import os
import random
import re
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TELL_WEIGHT = 0.05
COPY_WEIGHT = 0.5
NOTHING = " none"
"""The answer to a question for something that is not listed."""
LABELS = tuple(f"<|{number:02d}|>" for number in range(100))
ROOMS = frozenset({"kitchen", "bathroom", "bedroom", "livingroom", "living"})
EXTENSIONS = (".py", ".txt", ".md", ".c", ".h", ".js", ".go", ".rs", ".png", ".cfg", ".dat", ".sh")
_ONSETS = (
    "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr pl pr qu sc sh sk sl "
    "sn sp st str sw th tr tw"
)
_NUCLEI = "a e i o u a e i o u ai ea ee oo ou ia y"
_CODAS = (
    " , , , , ,b,d,g,k,l,m,n,p,r,s,t,x,ck,ct,ft,ld,ll,mp,nd,ng,nk,nt,rd,rk,rm,rn,rt,sh,ss,st,th"
)
_ENDINGS = "er or ing tion ize al ic ment ness able ist ous ive ade ent ant ure age ia us"
ONSETS, NUCLEI, ENDINGS = _ONSETS.split(), _NUCLEI.split(), _ENDINGS.split()
CODAS = [coda.strip() for coda in _CODAS.split(",")]


@functools.cache
def load_words() -> dict[str, tuple[str, ...]]:
    """Read ``words.txt`` as a mapping from kind (noun, verb, ...) to its words."""
    kinds: dict[str, dict[str, None]] = {}
    kind = ""
    for row in Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines():
        if row.startswith("["):
            kind = row.strip("[]")
            kinds.setdefault(kind, {})
        elif row and not row.startswith("#"):
            kinds[kind].update(dict.fromkeys(row.split()))
    return {name: tuple(words) for name, words in kinds.items()}


@functools.cache
def reserved_names() -> frozenset[str]:
    """Names that must never occur: modules of the standard library and certain rooms.

    Keeping them out leaves them unseen, so that file trees of real packages and household
    rooms remain a fair test of what was learnt.
    """
    names = {name.lower() for name in sys.stdlib_module_names} | ROOMS
    top = sysconfig.get_paths()["stdlib"]
    for folder, below, files in os.walk(top):
        below[:] = [d for d in below if d not in ("site-packages", "__pycache__", "test", "tests")]
        below[:] = [d for d in below if not d.startswith("config-")]
        stems = [file[:-3] for file in files if file.endswith(".py")]
        names.update(name.lower() for name in (*below, *stems))
        if folder == top:
            names.discard("site-packages")
    return frozenset(names)


def reserved_in(text: str) -> set[str]:
    """The reserved names that occur in ``text`` as words, whatever their case."""
    text = text.lower()
    found = set(re.findall(r"[a-z]+", text))
    found.update(re.findall(r"[a-z_][a-z_0-9]*", text))
    return found & reserved_names()


@dataclass
class Draft:
    """An example under construction."""

    skill: str
    pieces: list[tuple[str, float]] = field(default_factory=list)

    def give(self, text: str) -> None:
        """Add text that nothing before it determines."""
        self._add(text, 0.0)

    def tell(self, text: str) -> None:
        """Add framing or ordinary grammar, learnt with a light weight."""
        self._add(text, TELL_WEIGHT)

    def ask(self, text: str, weight: float = 1.0) -> None:
        """Add text that follows from what stands before it."""
        self._add(text, weight)

    def _add(self, text: str, weight: float) -> None:
        if text:
            self.pieces.append((text, weight))

    @property
    def text(self) -> str:
        """The whole example."""
        return "".join(text for text, _ in self.pieces)


class World:
    """Draws names, items and formats for one example.

    ``level`` runs from 0 to 1 over the curriculum: few familiar words and short lists
    first, then made-up names of several tokens, look-alikes and long lists.  ``variety``
    rises sooner, from the plainest format to many: matching is learnt in one format first.
    """

    def __init__(self, rng: random.Random, level: float) -> None:
        self.rng = rng
        self.level = level
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


@dataclass
class Format:
    """How the entries of one labelled list are written."""

    bullet: str
    gap: str
    separator: str
    label_first: bool

    @classmethod
    def draw(cls, world: World, plain: float = 0.5) -> Format:
        """A format: with probability ``plain`` the label follows its item directly."""
        rng = world.rng
        if world.plain() or world.chance(plain):
            return cls("", "", "\n", False)
        return cls(
            rng.choice(("", "", "", "- ", "* ", "  ", "> ")),
            rng.choice(("", "", "", "", " ", ": ", " -> ", " = ", "=", ":")),
            rng.choice(("\n", "\n", "\n", ", ", "; ", " | ", " ", "\n\n")),
            world.chance(0.15),
        )

    def write(self, draft: Draft, items: Sequence[str], labels: Sequence[str]) -> None:
        """Add the list to ``draft``."""
        for item, label in zip(items, labels, strict=True):
            if self.label_first:
                draft.give(f"{self.bullet}{label}{self.gap}{item}")
            else:
                draft.give(f"{self.bullet}{item}{self.gap}{label}")
            draft.tell(self.separator)


def _close(draft: Draft, world: World) -> None:
    """End a list: make sure that a line break or some sign parts it from what follows."""
    if not draft.text.endswith("\n"):
        draft.tell(world.rng.choice(("\n", "\n", ".\n", " ")))


def _part(item: str, items: Sequence[str], world: World) -> str | None:
    """A part of ``item`` (some of its words) that no other item contains, if there is one."""
    words = item.split(" ")
    spans = [
        " ".join(words[i:j])
        for i in range(len(words))
        for j in range(i + 1, len(words) + 1)
        if j - i < len(words)
    ]
    spans = [s for s in spans if sum(f" {s} " in f" {other} " for other in items) == 1]
    return world.rng.choice(spans) if spans else None


def _with_absent(
    world: World, count: int, family: str | None = None
) -> tuple[list[str], list[str]]:
    """Items to list, and some of their kind that are not listed; none in the plainest format."""
    more = 0 if world.plain() else 2
    items = world.items(count + more, family)
    return items[: len(items) - more], items[len(items) - more :]


def lookup_before(world: World) -> Draft:
    """A sentence names an item, then comes the list; the cue asks its label, if it has one."""
    draft = Draft("lookup_before")
    rng = world.rng
    rounds = rng.choice((1, 1, 2, 2, 3, 4)) if world.chance(0.6) else 1
    rounds = 1 if world.plain() else rounds
    family = world.pick_family() if world.chance(0.8) else None
    count = world.count(2, 22 if rounds == 1 else 12)
    items, absent = _with_absent(world, count, family)
    layout, cue, header = Format.draw(world, 0.6), world.cue(), world.header()
    lead = (
        ""
        if world.plain()
        else rng.choice(("", "", world.made_up() + ": ", world.word("noun") + ": ", "note: "))
    )
    old = rng.sample(items, min(len(items) - 1, rng.randint(0, 4))) if world.chance(0.5) else []
    old = [] if world.plain() else old
    before = rng.choice(("did", "past", "seen", "was", "then", world.word("past")))
    draft.tell(world.filler(0, 3) if world.chance(0.5) else "")
    for item in old:
        draft.give(f"{before}: {item}\n" if world.chance(0.8) else f"{before}: {item}. ")
    for turn in range(rounds):
        rng.shuffle(items)
        labels = world.labels(len(items))
        order = list(zip(items, labels, strict=True))
        item, label = rng.choice(order)
        query = item
        if world.chance(0.3):
            query = _part(item, items, world) or item
        answer = label
        if absent and world.chance(0.2):
            query, answer = rng.choice(absent), NOTHING
        said = world.mention(query)
        if answer == label and len(items) > 2 and world.chance(0.12):
            other = rng.choice([i for i in items if i != item])
            said = rng.choice((f"not {other} but {item}", f"{item}, not {other}"))
        draft.give(lead + said)
        draft.tell("\n")
        draft.tell(header)
        layout.write(draft, items, labels)
        _close(draft, world)
        draft.tell(cue)
        draft.ask(answer)
        if turn < rounds - 1:
            draft.tell("\n")
            if world.chance(0.4):
                draft.tell(world.filler(1, 2))
            if world.chance(0.4) and len(items) > 3:
                items = items[: rng.randint(2, len(items))]
    return draft


def lookup_told(world: World) -> Draft:
    """A labelled list, then sentences that name an item; the cue asks its label, if it has one."""
    draft = Draft("lookup_told")
    rng = world.rng
    items, absent = _with_absent(world, world.count(2, 22))
    labels = world.labels(len(items))
    cue = world.cue()
    lead = rng.choice(("", "", "", "note: ", f"{world.word('noun')}: ", f"{world.made_up()}: "))
    before = rng.choice(("did", "past", "seen", "was", "then", world.word("past")))
    draft.tell(world.filler(0, 2))
    if world.chance(0.4):
        for item in rng.sample(items, min(len(items) - 1, rng.randint(1, 4))):
            draft.give(f"{before}: {item}\n")
    draft.tell(world.header())
    Format.draw(world, 0.6).write(draft, items, labels)
    _close(draft, world)
    order = list(zip(items, labels, strict=True))
    for item, label in rng.sample(order, min(len(order), rng.randint(1, 5))):
        if absent and world.chance(0.25):
            draft.give(lead + world.mention(rng.choice(absent)))
            draft.tell("\n" + cue)
            draft.ask(NOTHING)
            draft.tell("\n")
            continue
        query = (_part(item, items, world) or item) if world.chance(0.25) else item
        said = world.mention(query)
        if len(items) > 2 and world.chance(0.12):
            other = rng.choice([i for i in items if i != item])
            said = rng.choice((f"not {other} but {item}", f"{item}, not {other}"))
        elif world.chance(0.2):
            said = f"{world.made_up()} is not in the list. {said}"
        draft.give(lead + said)
        draft.tell("\n" if world.chance(0.8) else " ")
        draft.tell(cue)
        draft.ask(label)
        draft.tell("\n")
    return draft


def lookup_after(world: World) -> Draft:
    """A labelled list, then many questions, each answered by a label, if there is one."""
    draft = Draft("lookup_after")
    items, absent = _with_absent(world, world.count(2, 20))
    labels = world.labels(len(items))
    layout = Format.draw(world)
    draft.tell(world.header())
    layout.write(draft, items, labels)
    _close(draft, world)
    order = list(zip(items, labels, strict=True))
    cue = world.rng.choice(("", "", "->", ": ", ":", " = ", " is ", "?"))
    cue = "" if world.plain() else cue
    told = not world.plain() and world.chance(0.35)
    for item, label in world.rng.sample(order, min(len(order), 12)):
        query = (_part(item, items, world) or item) if world.chance(0.25) else item
        answer = label
        if absent and world.chance(0.2):
            query, answer = world.rng.choice(absent), NOTHING
        if told:
            draft.give(world.mention(query))
            draft.tell("\n" + world.cue() if world.chance(0.3) else " ->")
        else:
            draft.give(query)
            draft.tell(cue)
        draft.ask(answer)
        draft.tell("\n")
    return draft


def queries_before(world: World) -> Draft:
    """Several numbered or named queries, then the list, then the answer to each."""
    draft = Draft("queries_before")
    items = world.items(world.count(2, 16))
    labels = world.labels(len(items))
    order = list(zip(items, labels, strict=True))
    asked = world.rng.sample(order, min(len(order), world.rng.randint(2, 8)))
    keys = [str(n + 1) for n in range(len(asked))]
    if world.chance(0.6):
        keys = world.names(len(asked), world.rng.choice(("noun", "made")))
    link = world.rng.choice((": ", " = ", " -> ", " wants ", " means "))
    link = ": " if world.plain() else link
    for key, (item, _) in zip(keys, asked, strict=True):
        draft.give(f"{key}{link}{item}")
        draft.tell("\n")
    draft.tell(world.header())
    Format.draw(world).write(draft, items, labels)
    _close(draft, world)
    pairs = list(zip(keys, asked, strict=True))
    if world.chance(0.5):
        world.rng.shuffle(pairs)
    for key, (item, label) in pairs:
        draft.give(key)
        if world.chance(0.4):
            draft.tell(link)
            draft.ask(item, COPY_WEIGHT)
        draft.tell(":")
        draft.ask(label)
        draft.tell("\n")
    return draft


def inverse(world: World) -> Draft:
    """A labelled list, then labels; the answer is the item, copied whole."""
    draft = Draft("inverse")
    items = world.items(world.count(2, 20))
    labels = world.labels(len(items))
    draft.tell(world.header())
    Format.draw(world).write(draft, items, labels)
    _close(draft, world)
    order = list(zip(items, labels, strict=True))
    cue = world.rng.choice((" ", ": ", " -> ", " = ", " is "))
    for item, label in world.rng.sample(order, min(len(order), 8)):
        draft.give(label)
        draft.tell(cue)
        draft.ask(item, COPY_WEIGHT)
        draft.tell("\n")
    return draft


def seen_before(world: World) -> Draft:
    """Names, then more names, each followed by a word that tells whether it stood above."""
    draft = Draft("seen_before")
    rng = world.rng
    items = world.items(world.count(3, 20))
    cut = max(1, len(items) // 2)
    above = items[:cut]
    yes, no = rng.choice(
        (("yes", "no"), ("seen", "new"), ("listed", "not listed"), ("old", "new"), ("+", "-"),
         ("present", "missing"), ("in", "out"), ("true", "false"))
    )  # fmt: skip
    yes, no = ("yes", "no") if world.plain() else (yes, no)
    if world.chance(0.5):
        text = rng.choice((", ", "\n", " ", "; ", " | ")).join(above)
        draft.give(rng.choice(("", world.header())) + text)
        draft.tell("\n")
    else:
        for item in above:
            draft.give(world.mention(item))
            draft.tell("\n")
    rng.shuffle(items)
    ask = (
        "{} "
        if world.plain()
        else rng.choice(("{} ", "is {} listed? ", "{}: ", "{} -> ", "{}? ", "{} is "))
    )
    for item in items[:16]:
        head, tail = ask.split("{}")
        draft.tell(head)
        draft.give(item)
        draft.tell(tail)
        draft.ask(yes if item in above else no)
        draft.tell("\n")
    return draft


def marked(world: World) -> Draft:
    """A list with marks after some entries, or named above; one entry differs."""
    draft = Draft("marked")
    rng = world.rng
    items = world.items(world.count(2, 16))
    labels = world.labels(len(items))
    odd = rng.randrange(len(items))
    mark = rng.choice((" done", " (done)", " *", " seen", " x", " used", " +", " closed", " off"))
    lone = world.chance(0.5)
    cue = world.cue()
    if world.chance(0.5):
        draft.tell(world.header())
        for index, (item, label) in enumerate(zip(items, labels, strict=True)):
            draft.give(item + (mark if (index == odd) == lone else "") + label)
            draft.tell("\n")
        draft.tell(f"{'marked' if lone else 'not marked'} ->")
    else:
        lone = False
        done = [item for index, item in enumerate(items) if index != odd]
        rng.shuffle(done)
        for item in done:
            draft.give(f"{item}{mark}")
            draft.tell("\n")
        draft.tell(world.header())
        Format.draw(world, 0.8).write(draft, items, labels)
        _close(draft, world)
        draft.tell(f"not{mark} {cue}" if world.chance(0.5) else f"the one left {cue}")
    draft.ask(labels[odd])
    draft.tell("\n")
    if world.chance(0.5):
        draft.tell("it is ")
        draft.ask(items[odd], COPY_WEIGHT)
    return draft


def compare_lists(world: World) -> Draft:
    """Two lists that differ in one item, which is to be written down."""
    draft = Draft("compare_lists")
    rng = world.rng
    items = world.items(world.count(2, 14) + 1)
    odd = items.pop()
    first, second = items[:], [*items, odd]
    rng.shuffle(first)
    rng.shuffle(second)
    gap = rng.choice((", ", "\n", " | ", "; "))
    missing = world.chance(0.5)
    if missing:
        first, second = second, first
    draft.give("one: " + gap.join(first))
    draft.tell("\n")
    draft.tell("two: ")
    draft.give(gap.join(second))
    draft.tell("\nmissing: " if missing else "\nnew: ")
    draft.ask(odd)
    return draft


def repeating(world: World) -> Draft:
    """A row of words, written again once or more; every word of it can then be foreseen."""
    draft = Draft("repeating")
    row = world.names(world.rng.randint(3, 12))
    text = (" " if world.plain() else world.rng.choice((" ", ", ", "\n"))).join(row)
    draft.give(text)
    for _ in range(world.rng.randint(1, 2)):
        draft.tell("\n" if world.plain() else world.rng.choice(("\n", "\n\n", ". ", " again ")))
        draft.ask(text, COPY_WEIGHT)
    return draft


def copying(world: World) -> Draft:
    """Words or sentences written twice or more, sometimes with one word exchanged."""
    draft = Draft("copying")
    rng = world.rng
    form = rng.randrange(5)
    if form == 0:
        row = world.items(world.count(2, 12))
        text = rng.choice((" ", ", ", "\n", "/", " - ")).join(row)
        frame = rng.choice(("{}\n{}\n", "first: {}\nagain: {}\n", '"{}" means "{}"\n', "{} | {}"))
    elif form == 1:
        text = world.mention(world.items(2)[0])
        frame = rng.choice(("{}\n{}\n", "he said: {}\nyou said: {}\n", "> {}\n< {}\n"))
    elif form == 2:
        old, new = world.names(2)
        base = world.mention("@").replace("@", "{0}") if world.chance(0.5) else ""
        base = base or f"the {world.word('adjective')} {{0}} {world.word('past')} it"
        base = base.replace("{0}", "\0")
        draft.give(base.replace("\0", old))
        draft.tell(rng.choice(("\n", " -> ", "\nwith ", "\nnow ")))
        draft.give(new)
        draft.tell(": ")
        draft.ask(base.replace("\0", new), COPY_WEIGHT)
        return draft
    elif form == 3:
        keys = world.items(world.count(2, 7))
        values = [world.mention(name) for name in world.names(len(keys))]
        for key, value in zip(keys, values, strict=True):
            draft.give(f"{key}: {value}")
            draft.tell("\n")
        draft.tell("\n")
        for index in rng.sample(range(len(keys)), min(len(keys), 4)):
            draft.give(keys[index])
            draft.tell(": ")
            draft.ask(values[index], COPY_WEIGHT)
            draft.tell("\n")
        return draft
    else:
        text = " ".join(world.names(world.count(2, 8)))
        draft.give(text)
        draft.tell("\nback: ")
        draft.ask(" ".join(reversed(text.split(" "))), COPY_WEIGHT)
        return draft
    before, between, after = frame.split("{}")
    draft.tell(before)
    draft.give(text)
    draft.tell(between)
    draft.ask(text, COPY_WEIGHT)
    draft.tell(after)
    return draft


def records(world: World) -> Draft:
    """Pairs of key and value, then questions; some values are keys of others."""
    draft = Draft("records")
    rng = world.rng
    count = world.count(2, 14)
    keys = world.items(count)
    count = len(keys)
    link = rng.choice((": ", " = ", " -> ", " is in ", " has ", " at ", " is ", " likes "))
    values = world.names(count)
    if world.chance(0.3):
        values = [rng.choice(values) for _ in range(count)]
    gap = rng.choice(("\n", "\n", "; ", ", ", ". "))
    if world.plain():
        link, gap = ": ", "\n"
    for key, value in zip(keys, values, strict=True):
        draft.give(key)
        draft.tell(link)
        draft.give(value)
        draft.tell(gap)
    _close(draft, world)
    draft.tell(rng.choice(("", "\n", "so:\n", "where:\n")))
    for index in rng.sample(range(count), min(count, 8)):
        draft.give(keys[index])
        draft.tell(link)
        draft.ask(values[index], COPY_WEIGHT)
        draft.tell("\n")
    return draft


def chained(world: World) -> Draft:
    """Each name leads to another; the question needs two steps."""
    draft = Draft("chained")
    rng = world.rng
    count = world.count(2, 8)
    first = world.names(count)
    items = world.items(count)
    labels = world.labels(len(items))
    link = rng.choice((" means ", " = ", " -> ", ": "))
    count = min(count, len(items))
    for index in rng.sample(range(count), count):
        draft.give(f"{first[index]}{link}{items[index]}")
        draft.tell("\n")
    order = list(range(count))
    rng.shuffle(order)
    Format.draw(world, 0.8).write(draft, [items[i] for i in order], [labels[i] for i in order])
    _close(draft, world)
    for index in rng.sample(range(count), min(count, 5)):
        draft.give(first[index])
        if world.chance(0.4):
            draft.tell(link)
            draft.ask(items[index], COPY_WEIGHT)
        draft.tell(":")
        draft.ask(labels[index])
        draft.tell("\n")
    return draft


def _tree(world: World) -> list[list[str]]:
    """Paths, as lists of parts, of a small tree of folders and files."""
    rng = world.rng
    folders = world.names(world.rng.randint(2, 6))
    paths: list[list[str]] = [[folders[0]]]
    for folder in folders[1:]:
        paths.append([*rng.choice(paths), folder])
    end = rng.choice(EXTENSIONS)
    for leaf in world.names(rng.randint(2, 8)):
        paths.append([*rng.choice(paths[: len(folders)]), leaf + end])
    return paths


def paths(world: World) -> Draft:
    """Questions on paths: last part, parent, first part, depth, below or not."""
    draft = Draft("paths")
    rng = world.rng
    tree = [path for path in _tree(world) if len(path) > 1] or [world.names(2)]
    root = rng.choice(("", "", "/", "./"))
    for _ in range(rng.randint(2, 6)):
        path = rng.choice(tree)
        text = root + "/".join(path)
        form = rng.randrange(7)
        at = rng.randint(1, len(path) - 1)
        if form == 0:
            draft.tell("last ")
            draft.give(text)
            draft.tell(": ")
            draft.ask(path[-1])
        elif form == 1:
            draft.tell("parent ")
            draft.give(text)
            draft.tell(": ")
            draft.ask(root + "/".join(path[:-1]))
        elif form == 2:
            draft.tell("first ")
            draft.give(text)
            draft.tell(": ")
            draft.ask(path[0])
        elif form == 3:
            draft.tell("depth ")
            draft.give(text)
            draft.tell(": ")
            draft.ask(str(len(path)))
        elif form == 4:
            other = rng.choice(tree)
            above = rng.choice((path[:at], other[:-1]))
            draft.tell("is ")
            draft.give(text)
            draft.tell(" below ")
            draft.give(root + "/".join(above))
            draft.tell("? ")
            draft.ask("yes" if path[: len(above)] == above and len(above) < len(path) else "no")
        elif form == 5:
            draft.tell("in ")
            draft.give(text)
            draft.tell(" after ")
            draft.give(root + "/".join(path[:at]))
            draft.tell(" comes ")
            draft.ask(path[at])
        else:
            draft.give(root + "/".join(path[:at]))
            draft.tell(" + ")
            draft.give("/".join(path[at:]))
            draft.tell(" = ")
            draft.ask(text, COPY_WEIGHT)
        draft.tell("\n")
    return draft


def listing(world: World) -> Draft:
    """A listing of folders and files, then what is where and of which kind."""
    draft = Draft("listing")
    rng = world.rng
    folders = world.names(world.count(1, 7))
    end = rng.choice(EXTENSIONS)
    files = [name + (end if world.chance(0.8) else rng.choice(EXTENSIONS))
             for name in world.names(world.count(1, 12))]  # fmt: skip
    rows = [name + "/" for name in folders] + files
    if world.chance(0.5):
        rng.shuffle(rows)
    place = "/".join(world.names(rng.randint(1, 3)))
    sections = world.chance(0.35)
    gap = rng.choice(("\n", "\n", " ", "  ", ", "))
    draft.tell(rng.choice(("", "at ", "in ", "place: ")))
    draft.give(place)
    draft.tell(rng.choice((":\n", "\n", "/\n")))
    if sections:
        draft.tell("folders: ")
        draft.give(gap.join(folders))
        draft.tell("\nfiles: ")
        draft.give(gap.join(files))
    else:
        draft.give(gap.join(rows))
    draft.tell("\n")
    for _ in range(rng.randint(2, 6)):
        form = rng.randrange(6)
        name = rng.choice(folders + files)
        if form == 0:
            draft.tell("what is ")
            draft.give(name)
            draft.tell("? ")
            draft.ask("a folder" if name in folders else "a file")
        elif form == 1:
            absent = world.made_up() + (end if world.chance(0.6) else "")
            name = rng.choice((name, absent))
            draft.tell("is ")
            draft.give(name)
            draft.tell(" here? ")
            draft.ask("yes" if name in folders + files else "no")
        elif form == 2:
            draft.tell("where: ")
            draft.ask(place, COPY_WEIGHT)
        elif form == 3:
            draft.tell("full ")
            draft.give(name)
            draft.tell(": ")
            draft.ask(f"{place}/{name}", COPY_WEIGHT)
        elif form == 4:
            draft.tell("folders: ")
            shown = folders if sections else [row[:-1] for row in rows if row.endswith("/")]
            draft.ask(" ".join(shown), COPY_WEIGHT)
        else:
            draft.tell("how many folders? ")
            draft.ask(str(len(folders)))
        draft.tell("\n")
    return draft


def sections(world: World) -> Draft:
    """Names under headings: what a name stands under, if anything, and what comes first where."""
    draft = Draft("sections")
    rng = world.rng
    kind = rng.choice(("noun", "noun", "adjective"))
    heads = list(dict.fromkeys(world.word(kind) for _ in range(rng.randint(2, 5))))
    world.used.update(heads)
    items = world.items(world.count(3, 16) + 2, rng.choice(("plain", "ending", None)))
    absent, items = items[:2], items[2:]
    cuts = sorted(rng.randint(0, len(items)) for _ in heads[1:])
    spans = zip(heads, [0, *cuts], [*cuts, len(items)], strict=True)
    under = {head: items[start:end] for head, start, end in spans}
    shown = {head: names for head, names in under.items() if names or world.chance(0.3)}
    gap = ", " if any(" " in item for item in items) else rng.choice((" ", " ", " ", ", "))
    rows = [f"{head}: {gap.join(names)}".rstrip() for head, names in shown.items()]
    found, missing = rng.choice(
        (("found", "missing"), ("listed", "absent"), ("here", "not here"), ("yes", "no"),
         ("present", "nowhere"), ("known", "unknown"))
    )  # fmt: skip
    where = {name: head for head, names in under.items() for name in names}
    wanted = rng.choice((absent[0], rng.choice(items)))
    told = world.chance(0.85)
    if told:
        draft.tell(rng.choice(("wanted: ", "about ", "name: ", f"{world.word('noun')}: ", "")))
        draft.give(wanted)
        draft.tell("\n")
        draft.tell(world.filler(0, 1))
    if world.chance(0.5):
        draft.give(world.mention(rng.choice(world.names(2))))
        draft.tell("\n")
    draft.tell(world.header() if world.chance(0.3) else "")
    draft.give(rng.choice(("\n", " ", " ", "; ")).join(rows))
    draft.tell("\n")
    first = next((head for head in rng.sample(heads, len(heads)) if under[head]), heads[0])
    if told:
        draft.tell(world.cue() + " ")
        if wanted in where:
            draft.ask(f"{found}: ")
            draft.ask(wanted, COPY_WEIGHT)
        else:
            draft.ask(missing)
            draft.tell(f", {first} begins with ")
            draft.ask(under[first][0], COPY_WEIGHT)
        draft.tell("\n")
    for _ in range(rng.randint(2, 6)):
        form = rng.randrange(3)
        if form == 0:
            name = rng.choice((rng.choice(absent), rng.choice(items), rng.choice(items)))
            draft.give(name)
            draft.tell(": ")
            draft.ask(where.get(name, missing))
        elif form == 1:
            head = rng.choice(tuple(shown))
            draft.tell("first of ")
            draft.give(head)
            draft.tell(": ")
            draft.ask(under[head][0] if under[head] else "none", COPY_WEIGHT)
        else:
            name = rng.choice((rng.choice(absent), rng.choice(items)))
            draft.tell("is ")
            draft.give(name)
            draft.tell(" there? ")
            draft.ask(found if name in where else missing)
        draft.tell("\n")
    return draft


def conditional(world: World) -> Draft:
    """A name, a listing and two phrases; the sentence says what holds and copies one phrase."""
    draft = Draft("conditional")
    rng = world.rng
    items = world.items(world.count(2, 14) + 1)
    absent, items = items[-1], items[:-1]
    cue, gap = world.cue(), rng.choice((", ", "\n", " ", "; ", " | "))
    gap = "\n" if any(" " in item for item in items) and gap == " " else gap
    yes_said, no_said = rng.choice(
        (("is in the list", "is not in the list"), ("is here", "is not here"),
         ("is listed", "is missing"), ("stands there", "does not stand there"),
         ("was found", "was not found"))
    )  # fmt: skip
    yes_phrase, no_phrase = world.mention(rng.choice(items)), world.mention(world.made_up())
    if world.chance(0.5):
        yes_phrase, no_phrase = world.sentence() + ".", world.sentence() + "."
    rule = world.chance(0.7)
    name = rng.choice((absent, rng.choice(items)))
    opening = rng.choice(("about {}", "wanted: {}", "the name is {}", "find {}", "{}"))
    if world.chance(0.5):
        draft.tell(world.filler(0, 2))
    if rule:
        both = [("listed", yes_phrase), ("missing", no_phrase)]
        rng.shuffle(both)
        for key, phrase in both:
            draft.give(f"if {key}: {phrase}")
            draft.tell("\n")
    head, tail = opening.split("{}")
    listed = world.header() + gap.join(items)
    if world.chance(0.6):
        draft.tell(head)
        draft.give(name + tail)
        draft.tell("\n")
        draft.give(listed)
    else:
        draft.give(listed)
        draft.tell("\n" + head)
        draft.give(name + tail)
    draft.tell("\n" + cue + " ")
    present = name in items
    draft.ask(name, COPY_WEIGHT)
    draft.ask(f" {yes_said if present else no_said}.")
    if rule:
        draft.ask(" " + (yes_phrase if present else no_phrase), COPY_WEIGHT)
    draft.tell("\n")
    return draft


def told_then_label(world: World) -> Draft:
    """A true sentence on an ordered row names an item; a list follows, then its label."""
    draft = Draft("told_then_label")
    rng = world.rng
    items = world.items(world.count(3, 12))
    labels = world.labels(len(items))
    link = rng.choice((", ", " then ", "\n", " > "))
    row = items[:]
    draft.tell(rng.choice(("order: ", "row: ", "")))
    draft.give(link.join(row))
    at = rng.randrange(1, len(row))
    before, after = row[at - 1], row[at]
    draft.tell("\nat ")
    draft.give(before)
    draft.tell(rng.choice((". ", "\n", ": ")) + rng.choice(("next is ", "after it: ")))
    draft.ask(after, COPY_WEIGHT)
    draft.tell(".\n" + world.header())
    rng.shuffle(items)
    Format.draw(world, 0.7).write(draft, items, labels)
    _close(draft, world)
    draft.tell(world.cue())
    draft.ask(labels[items.index(after)])
    return draft


def order(world: World) -> Draft:
    """What comes first, last, before or after something in a row."""
    draft = Draft("order")
    rng = world.rng
    row = world.items(world.count(3, 14))
    gap = rng.choice((", ", "\n", " > ", " | ", "; "))
    draft.tell(world.header())
    draft.give(gap.join(row))
    draft.tell("\n")
    for _ in range(rng.randint(2, 6)):
        at = rng.randrange(len(row) - 1)
        form = rng.randrange(5)
        if form == 0:
            draft.tell("after ")
            draft.give(row[at])
            draft.tell(": ")
            draft.ask(row[at + 1], COPY_WEIGHT)
        elif form == 1:
            draft.tell("before ")
            draft.give(row[at + 1])
            draft.tell(": ")
            draft.ask(row[at], COPY_WEIGHT)
        elif form == 2:
            draft.tell("first: ")
            draft.ask(row[0], COPY_WEIGHT)
        elif form == 3:
            draft.tell("last: ")
            draft.ask(row[-1], COPY_WEIGHT)
        else:
            draft.tell("how many? ")
            draft.ask(str(len(row)))
        draft.tell("\n")
    return draft


def grid(world: World) -> Draft:
    """A small map of signs: what stands in a cell, beside a sign, and where a sign is."""
    draft = Draft("grid")
    rng = world.rng
    height, width = rng.randint(2, 5), rng.randint(2, 6)
    blank, wall = rng.choice((".", " ", "_", "0")), rng.choice(("#", "x", "+", "*"))
    cells = [[wall if world.chance(0.2) else blank for _ in range(width)] for _ in range(height)]
    marks = rng.sample("ABCDEFGHKLMNPRSTUVWYZ", min(height * width, rng.randint(2, 5)))
    where: dict[str, tuple[int, int]] = {}
    for mark, spot in zip(marks, rng.sample(range(height * width), len(marks)), strict=True):
        where[mark] = divmod(spot, width)
        cells[where[mark][0]][where[mark][1]] = mark
    between = rng.choice(("|", " ", ":", ",")) if blank != " " else rng.choice("|:")
    edge = rng.choice(("", "|"))
    draft.tell(rng.choice(("map:\n", "grid\n", "")))
    for row in cells:
        draft.give(edge + between.join(row) + edge)
        draft.tell("\n")
    sides = {"right": (0, 1), "left": (0, -1), "above": (-1, 0), "below": (1, 0)}
    for _ in range(rng.randint(3, 8)):
        form = rng.randrange(4)
        mark = rng.choice(marks)
        row_at, column = where[mark]
        if form == 0:
            row_at, column = rng.randrange(height), rng.randrange(width)
            draft.tell("row ")
            draft.give(str(row_at))
            draft.tell(" column ")
            draft.give(str(column))
            draft.tell(" is ")
            draft.ask(cells[row_at][column])
        elif form == 1:
            draft.give(mark)
            draft.tell(" is at row ")
            draft.ask(str(row_at))
            draft.tell(" column ")
            draft.ask(str(column))
        elif form == 2:
            side = rng.choice(tuple(sides))
            near_row, near_column = row_at + sides[side][0], column + sides[side][1]
            inside = 0 <= near_row < height and 0 <= near_column < width
            draft.give(f"{side} of {mark}")
            draft.tell(" is ")
            draft.ask(cells[near_row][near_column] if inside else "out")
        else:
            other = rng.choice(marks)
            rows = where[other][0] - row_at
            draft.give(f"{other} from {mark}")
            draft.tell(": ")
            draft.ask("same row" if rows == 0 else f"{abs(rows)} {'down' if rows > 0 else 'up'}")
        draft.tell("\n")
    return draft


def sorting(world: World) -> Draft:
    """Sort letters or numbers; largest, smallest, how often."""
    draft = Draft("sorting")
    rng = world.rng
    for _ in range(rng.randint(2, 5)):
        form = rng.randrange(4)
        if form == 0:
            letters = rng.sample("abcdefghijklmnopqrstuvwxyz", world.count(2, 7))
            draft.tell("sort: ")
            draft.give(" ".join(letters))
            draft.tell(" -> ")
            draft.ask(" ".join(sorted(letters)))
        elif form == 1:
            numbers = [rng.randint(0, 20) for _ in range(world.count(2, 6))]
            word = rng.choice(("most", "least"))
            draft.tell(word + ": ")
            draft.give(" ".join(map(str, numbers)))
            draft.tell(" -> ")
            draft.ask(str(max(numbers) if word == "most" else min(numbers)))
        elif form == 2:
            names = world.names(2)
            row = [rng.choice(names) for _ in range(world.count(2, 9))]
            draft.give(" ".join(row))
            draft.tell("\nhow many ")
            draft.give(names[0])
            draft.tell("? ")
            draft.ask(str(row.count(names[0])))
        else:
            row = world.names(world.count(2, 9))
            draft.tell("count: ")
            draft.give(", ".join(row))
            draft.tell(" = ")
            draft.ask(str(len(row)))
        draft.tell("\n")
    return draft


def counting(world: World) -> Draft:
    """Numbers counted up or down between other words, and numbered rows."""
    draft = Draft("counting")
    rng = world.rng
    step = rng.choice((-1, -1, 1, 2))
    value = rng.randint(0, 60) + (20 if step < 0 else 0)
    name = world.name(world.pick_style())
    frame = rng.choice(("{n} {v}\n", "{v} {n} left\n", "{v} ", "{v}. {n}\n", "({v} left) {n}\n"))
    first = True
    for _ in range(world.count(4, 14)):
        if value < 0:
            break
        before, after = frame.replace("{n}", name).split("{v}")
        if first:
            draft.give(before + str(value) + after)
        else:
            draft.tell(before)
            draft.ask(str(value), COPY_WEIGHT)
            draft.tell(after)
            if world.chance(0.3) and after.endswith("\n"):
                draft.tell(world.sentence() + "\n")
        first = False
        value += step
    return draft


def story(world: World) -> Draft:
    """Plain sentences, some naming the same made-up name again."""
    draft = Draft("story")
    for _ in range(world.rng.randint(3, 9)):
        draft.tell(world.sentence() + world.rng.choice((". ", ". ", ".\n")))
    return draft


# How often each skill is drawn: at the very start of the curriculum, and after it.  The
# start has only dense matching and copying over few symbols, from which the rest follows.
SKILLS: dict[Callable[[World], Draft], tuple[float, float]] = {
    lookup_before: (30, 14),
    lookup_told: (10, 18),
    queries_before: (10, 5),
    lookup_after: (30, 9),
    inverse: (0, 2),
    seen_before: (5, 10),
    marked: (0, 5),
    compare_lists: (0, 1),
    repeating: (10, 1),
    copying: (0, 4),
    records: (5, 4),
    chained: (0, 2),
    paths: (0, 4),
    listing: (0, 5),
    sections: (0, 12),
    conditional: (0, 14),
    told_then_label: (0, 3),
    order: (0, 2),
    grid: (0, 3),
    sorting: (0, 1),
    counting: (0, 1),
    story: (0, 1),
}
EARLY = 0.12


def make_example(
    rng: random.Random, level: float = 1.0, skill: Callable[[World], Draft] | None = None
) -> Draft:
    """Write one example of ``skill``, or of one drawn by its share, free of reserved names."""
    if skill is None:
        shares = [share[level > EARLY] for share in SKILLS.values()]
        skill = rng.choices(tuple(SKILLS), shares)[0]
    while True:
        draft = skill(World(rng, level))
        if not reserved_in(draft.text):
            return draft
