"""The state of one episode: where one is, and what has been seen."""

from __future__ import annotations

import attrs

from reflect_env_filesys import describe
from reflect_env_filesys.tree import ShownTree

Place = tuple[int, str]
"""A file: index of its folder and its name."""

NEW, OPEN, DONE, FILES = "new:", "open:", "done:", "files:"
"""Groups of a listing: folders that were not entered yet; those that were, with something
below left to look at or nothing; and files. The word stands before the names, so that a model
that reads from left to right knows what a name is when it reads it."""


@attrs.frozen
class LastMove:
    """The last action, with what the player could know before it.

    Args:
        action: As given; None if it was not on the menu.
        start: Index of the folder where it was taken.
        known: Where the target had been seen before it, None if it had not.
        was_done: Whether the folder that was left (by ``cd ..``) or entered was done before.
    """

    action: str | None
    start: int
    known: Place | None = None
    was_done: bool = False


class Session:
    """One episode.

    ``target`` and ``tree`` hold what was not seen yet, too. A player who must not know it asks
    :meth:`mark` and :meth:`known` and looks at folders of ``tree`` that are in ``entered``.
    """

    def __init__(
        self,
        tree: ShownTree,
        *,
        wanted: str | None,
        sentence: str,
        horizon: int,
        cat_chars: int,
        start: int = 0,
        seed: int = 0,
    ) -> None:
        """Stand in the first folder with all turns left.

        Args:
            tree: What the episode can show.
            wanted: The name that the task gives, None if it describes the file instead.
            sentence: The description.
            horizon: Turns of the episode.
            cat_chars: Characters that ``cat`` shows.
            start: Index of the first folder, the root by default.
            seed: For an expert who draws.
        """
        self.tree = tree
        self.target: Place = (tree.target_folder, tree.target)
        self.wanted = wanted
        self.sentence = sentence
        self.seed = seed
        self.here = start
        self.entered = {start}
        self.excerpts: dict[Place, str] = {}
        self.turns_left = horizon
        self.identified: Place | None = None
        self.last: LastMove | None = None
        self._cat_chars = cat_chars
        self._menu: tuple[str, ...] | None = None

    @property
    def over(self) -> bool:
        """Whether a file was identified or the turns have run out."""
        return self.identified is not None or self.turns_left == 0

    @property
    def success(self) -> bool:
        """Whether the right file was identified."""
        return self.identified == self.target

    @property
    def distance(self) -> int:
        """``cd`` commands to the target's folder."""
        return len(self.tree.way(self.here, self.tree.target_folder))

    def menu(self) -> tuple[str, ...]:
        """The legal actions."""
        if self._menu is None:
            folder = self.tree.folders[self.here]
            up = ("cd ..",) if self.here else ()
            unread = (name for name in folder.files if (self.here, name) not in self.excerpts)
            self._menu = (
                *(f"cd {name}" for name in folder.children),
                *up,
                *(f"cat {name}" for name in unread),
                *(f"id {name}" for name in folder.files),
            )
        return self._menu

    def act(self, action: str) -> str:
        """Carry out a legal action and return what to show of it."""
        verb, _, name = action.partition(" ")
        folder = self.tree.folders[self.here]
        start, known = self.here, self.known()
        was_done = False
        self.turns_left -= 1
        self._menu = None
        result = f"{action}: ok"
        if verb == "cd":
            goal = folder.parent if name == ".." else folder.children[name]
            was_done = self.mark(start if name == ".." else goal) == DONE
            self.here = goal
            self.entered.add(goal)
        elif verb == "cat":
            excerpt = folder.files[name].excerpt(self._cat_chars)
            self.excerpts[start, name] = excerpt
            result = f"{action}: {excerpt}"
        else:
            self.identified = (start, name)
            result = f"{action}: {'right' if self.success else 'wrong'}"
        self.last = LastMove(action, start, known, was_done)
        return result

    def fail(self) -> None:
        """Take a turn for something that is not a legal action."""
        self.turns_left -= 1
        self.last = LastMove(None, self.here)

    def mark(self, index: int) -> str:
        """The group of a folder in a listing."""
        if index not in self.entered:
            return NEW
        return DONE if self._done(index) else OPEN

    def known(self) -> Place | None:
        """Where the target is, if the player has seen it."""
        if self.wanted is not None:
            for index in self.entered:
                if self.wanted in self.tree.folders[index].files:
                    return index, self.wanted
            return None
        for place, excerpt in self.excerpts.items():
            if describe.tells(excerpt, self.sentence):
                return place
        return None

    def text(self, result: str) -> str:
        """The observation: the last command's result, then where one is and what is there."""
        if self.over:
            return result
        folder = self.tree.folders[self.here]
        groups: dict[str, list[str]] = {NEW: [], OPEN: [], DONE: [], FILES: list(folder.files)}
        for name, child in folder.children.items():
            groups[self.mark(child)].append(name)
        entries = [" ".join([group, *names]) for group, names in groups.items() if names]
        turns = "1 turn" if self.turns_left == 1 else f"{self.turns_left} turns"
        present = f"{folder.path}, {turns} left. {' '.join(entries)}"
        return f"{result}\n{present}" if result else present

    def state_key(self) -> str:
        """Equal for equal states of one tree."""
        entered = ",".join(map(str, sorted(self.entered)))
        read = ",".join(f"{index}/{name}" for index, name in sorted(self.excerpts))
        over = "over" if self.over else ""
        return f"{self.here}:{entered}:{read}:{self.turns_left}:{over}"

    def _done(self, index: int) -> bool:
        """Whether an entered folder and all below can be left for good."""
        waiting = [index]
        for place in waiting:  # grows while it is walked
            folder = self.tree.folders[place]
            if place not in self.entered or self._promises(place):
                return False
            waiting.extend(folder.children.values())
        return True

    def _promises(self, index: int) -> bool:
        """Whether a file of an entered folder is, or may be, the target."""
        files = self.tree.folders[index].files
        if self.wanted is not None:
            return self.wanted in files
        excerpts = (self.excerpts.get((index, name)) for name in files)
        return any(text is None or describe.tells(text, self.sentence) for text in excerpts)
