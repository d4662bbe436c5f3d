"""Match a phrase with an entry of a list, and name its label."""

from __future__ import annotations

from ..draft import COPY_WEIGHT, Draft
from ..lists import NOTHING, Format, end_list, unique_part, with_absent
from ..world import World


def lookup_before(world: World) -> Draft:
    """A sentence names an item, then comes the list; the cue asks its label, if it has one."""
    draft = Draft("lookup_before")
    rng = world.rng
    rounds = rng.choice((1, 1, 2, 2, 3, 4)) if world.chance(0.6) else 1
    rounds = 1 if world.plain() else rounds
    family = world.pick_family() if world.chance(0.8) else None
    count = world.count(2, 22 if rounds == 1 else 12)
    items, absent = with_absent(world, count, family)
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
            query = unique_part(item, items, world) or item
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
        end_list(draft, world)
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
    items, absent = with_absent(world, world.count(2, 22))
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
    end_list(draft, world)
    order = list(zip(items, labels, strict=True))
    for item, label in rng.sample(order, min(len(order), rng.randint(1, 5))):
        if absent and world.chance(0.25):
            draft.give(lead + world.mention(rng.choice(absent)))
            draft.tell("\n" + cue)
            draft.ask(NOTHING)
            draft.tell("\n")
            continue
        query = (unique_part(item, items, world) or item) if world.chance(0.25) else item
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
    items, absent = with_absent(world, world.count(2, 20))
    labels = world.labels(len(items))
    layout = Format.draw(world)
    draft.tell(world.header())
    layout.write(draft, items, labels)
    end_list(draft, world)
    order = list(zip(items, labels, strict=True))
    cue = world.rng.choice(("", "", "->", ": ", ":", " = ", " is ", "?"))
    cue = "" if world.plain() else cue
    told = not world.plain() and world.chance(0.35)
    for item, label in world.rng.sample(order, min(len(order), 12)):
        query = (unique_part(item, items, world) or item) if world.chance(0.25) else item
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
    end_list(draft, world)
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
    end_list(draft, world)
    order = list(zip(items, labels, strict=True))
    cue = world.rng.choice((" ", ": ", " -> ", " = ", " is "))
    for item, label in world.rng.sample(order, min(len(order), 8)):
        draft.give(label)
        draft.tell(cue)
        draft.ask(item, COPY_WEIGHT)
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
        end_list(draft, world)
        draft.tell(f"not{mark} {cue}" if world.chance(0.5) else f"the one left {cue}")
    draft.ask(labels[odd])
    draft.tell("\n")
    if world.chance(0.5):
        draft.tell("it is ")
        draft.ask(items[odd], COPY_WEIGHT)
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
    end_list(draft, world)
    for index in rng.sample(range(count), min(count, 5)):
        draft.give(first[index])
        if world.chance(0.4):
            draft.tell(link)
            draft.ask(items[index], COPY_WEIGHT)
        draft.tell(":")
        draft.ask(labels[index])
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
    end_list(draft, world)
    draft.tell(world.cue())
    draft.ask(labels[items.index(after)])
    return draft
