"""Two who know what to do: one knows the path, the other searches.

Both say in at most a line what to make of the last action and end with the next command.
"""

from __future__ import annotations

from typing import Protocol

from reflect_env_filesys.session import OPEN, LastMove, Place, Session


class FilesysExpert(Protocol):
    """What option ``expert`` chooses."""

    def action(self, session: Session) -> str:
        """A right action now, one of the legal actions."""

    def reflection(self, session: Session) -> str:
        """The last action's worth, what is known, and the next command."""


class Oracle:
    """Knows where the target is, as the paper's teacher does, and goes straight there.

    Its reflections name folders that nobody could know to be right, hence "may be in".
    """

    def action(self, session: Session) -> str:
        """The next command on the shortest way."""
        folder, name = session.target
        way = session.tree.way(session.here, folder)
        return way[0] if way else f"id {name}"

    def reflection(self, session: Session) -> str:
        """What one says who knows the way."""
        action = self.action(session)
        return f"{_complaint(session, session.target)}{_claim(session, action)} {action}"


class Explorer:
    """Searches depth first and uses only what was seen in the episode.

    It identifies the target where it has seen it; else it enters the first folder of the
    listing that is open, or else that is new, and goes up when there is none. Where the task
    does not give the name, it first reads the files, and guesses in the last turn.
    """

    def action(self, session: Session) -> str:
        """The next command of the search."""
        known = session.known()
        if known is not None:
            way = session.tree.way(session.here, known[0])  # through folders that were entered
            return way[0] if way else f"id {known[1]}"
        folder = session.tree.folders[session.here]
        if session.wanted is None and folder.files:
            if session.turns_left == 1:
                return f"id {self._guess(session)}"
            for name in folder.files:
                if (session.here, name) not in session.excerpts:
                    return f"cat {name}"
        marks = {name: session.mark(child) for name, child in folder.children.items()}
        for mark in (OPEN, ""):
            for name, its in marks.items():
                if its == mark:
                    return f"cd {name}"
        return "cd .." if session.here else f"id {self._guess(session)}"

    def reflection(self, session: Session) -> str:
        """What one says who has seen what the session has shown."""
        action = self.action(session)
        known = session.known()
        if known is not None and action.startswith("cd "):
            folder = session.tree.folders[known[0]]
            claim = f"{_subject(session)} is in {folder.name or 'the root'}."
        else:
            claim = _claim(session, action)
        return f"{self._complaint(session)}{claim} {action}"

    def _complaint(self, session: Session) -> str:
        last = session.last
        if last is None or last.known is not None or last.action is None:
            return _complaint(session, last.known if last else None)
        if last.action.startswith("cat "):
            return f"{last.action} was no help: " if session.wanted is not None else ""
        going_up = last.action == "cd .."
        return f"{last.action} was wrong: " if last.was_done != going_up else ""

    def _guess(self, session: Session) -> str:
        """A file of the present folder, one not known to be wrong if there is such."""
        files = session.tree.folders[session.here].files
        unread = [name for name in files if (session.here, name) not in session.excerpts]
        return (unread or list(files))[0]


def _complaint(session: Session, goal: Place | None) -> str:
    """What was wrong with the last action for one who knew where the target is."""
    last = session.last
    if last is None:
        return ""
    if last.action is None:
        return "That was no command: "
    if goal is None:
        return ""
    if last.action.startswith("cat "):
        read = (last.start, last.action.removeprefix("cat "))
        helps = session.wanted is None and read == goal
        return "" if helps else f"{last.action} was no help: "
    return f"{last.action} was wrong: " if _farther(session, last, goal) else ""


def _farther(session: Session, last: LastMove, goal: Place) -> bool:
    before = session.tree.way(last.start, goal[0])
    return len(session.tree.way(session.here, goal[0])) > len(before)


def _claim(session: Session, action: str) -> str:
    subject = _subject(session)
    verb, _, name = action.partition(" ")
    if verb == "id":
        return f"{subject} is here."
    if verb == "cat":
        return f"{subject} may be {name}."
    if name == "..":
        return f"{subject} is not in {session.tree.folders[session.here].name}."
    return f"{subject} may be in {name}."


def _subject(session: Session) -> str:
    return session.wanted if session.wanted is not None else "The file"


EXPERTS: dict[str, type[Oracle] | type[Explorer]] = {"oracle": Oracle, "explorer": Explorer}
