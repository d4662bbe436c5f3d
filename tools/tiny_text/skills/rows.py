"""Order and number."""

from __future__ import annotations

from ..draft import COPY_WEIGHT, Draft
from ..world import World


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
