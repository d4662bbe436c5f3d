"""Say whether a name was there, and what follows from that."""

from __future__ import annotations

from ..draft import COPY_WEIGHT, Draft
from ..world import World


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
