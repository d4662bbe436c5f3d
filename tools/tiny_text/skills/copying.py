"""Write again what was written."""

from __future__ import annotations

from ..draft import COPY_WEIGHT, Draft
from ..lists import end_list
from ..world import World


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
    end_list(draft, world)
    draft.tell(rng.choice(("", "\n", "so:\n", "where:\n")))
    for index in rng.sample(range(count), min(count, 8)):
        draft.give(keys[index])
        draft.tell(link)
        draft.ask(values[index], COPY_WEIGHT)
        draft.tell("\n")
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


def story(world: World) -> Draft:
    """Plain sentences, some naming the same made-up name again."""
    draft = Draft("story")
    for _ in range(world.rng.randint(3, 9)):
        draft.tell(world.sentence() + world.rng.choice((". ", ". ", ".\n")))
    return draft
