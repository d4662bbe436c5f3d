"""Paths, listings of folders and small maps."""

from __future__ import annotations

from ..draft import COPY_WEIGHT, Draft
from ..vocabulary import EXTENSIONS
from ..world import World


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
