"""Three who know what to do: one knows the path, one searches, one soon gives up a folder.

All say what to make of the last action and of what is shown, and end with the next command.
They are terse: a reflector writes a reflection token by token, which is what a rollout with a
small model spends most of its time on.
"""

from __future__ import annotations

from typing import Protocol

from reflect_core.errors import NoAdvice
from reflect_core.streams import stream
from reflect_env_filesys.session import DONE, NEW, OPEN, LastMove, Place, Session

WRONG_MOVE, NO_HELP, NO_COMMAND = "Wrong move. ", "No help. ", "No command. "

GOES_ON = 0.1
"""The chance that the impatient one looks further where it may give up."""


class FilesysExpert(Protocol):
    """What option ``expert`` chooses."""

    def action(self, session: Session) -> str:
        """A right action now, one of the legal actions."""

    def reflection(self, session: Session) -> str:
        """The last action's worth, what is known, and the next command."""


class Oracle:
    """Knows where the target is, as the paper's teacher does, and goes straight there.

    Its reflections name folders that nobody could know to be right.
    """

    def action(self, session: Session) -> str:
        """The next command on the shortest way."""
        folder, name = session.target
        way = session.tree.way(session.here, folder)
        return way[0] if way else f"id {name}"

    def reflection(self, session: Session) -> str:
        """What one says who knows the way."""
        action = self.action(session)
        return f"{_complaint(session, session.target)}{_claim(action)}: {action}"


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
        for mark in (OPEN, NEW):
            for name, its in marks.items():
                if its == mark:
                    return f"cd {name}"
        return "cd .." if session.here else f"id {self._guess(session)}"

    def reflection(self, session: Session) -> str:
        """What one says who has seen what the session has shown."""
        action = self.action(session)
        return f"{self._remark(session, action)}: {action}"

    def _remark(self, session: Session, action: str) -> str:
        back = session.known() is not None and action.startswith("cd ")
        claim = "Seen elsewhere" if back else _claim(action)
        return f"{self._complaint(session)}{claim}"

    def _complaint(self, session: Session) -> str:
        last = session.last
        if last is None or last.known is not None or last.action is None:
            return _complaint(session, last.known if last else None)
        if last.action.startswith("cat "):
            return NO_HELP if session.wanted is not None else ""
        going_up = last.action == "cd .."
        return WRONG_MOVE if last.was_done != going_up else ""

    def _guess(self, session: Session) -> str:
        """A file of the present folder, one not known to be wrong if there is such.

        Raises:
            NoAdvice: The folder has none, as the root of a small corpus may not.
        """
        files = session.tree.folders[session.here].files
        if not files:
            raise NoAdvice("all was looked at in vain, and no file is here to be guessed")
        unread = [name for name in files if (session.here, name) not in session.excerpts]
        return (unread or list(files))[0]


class Impatient(Explorer):
    """Searches like the explorer, but mostly gives up a folder after one look below it in vain.

    There its reflection names both ways, back and on, and its action is drawn. So a policy that
    it teaches begins with a habit that costs it turns, and with a chance to do better, which is
    left to RL to find.
    """

    def action(self, session: Session) -> str:
        """The next command of the search, or the way back."""
        ways = self._ways(session)
        draw = stream(session.seed, "filesys", "impatient", session.state_key())
        return ways[-1 if draw.random() < GOES_ON else 0]

    def reflection(self, session: Session) -> str:
        """What one says who sees two ways."""
        ways = self._ways(session)
        return f"{self._remark(session, ways[-1])}: {' or '.join(ways)}"

    def _ways(self, session: Session) -> tuple[str, ...]:
        action = super().action(session)
        searches = session.known() is None and action.startswith("cd ") and action != "cd .."
        below = session.tree.folders[session.here].children.values()
        tired = session.here and any(session.mark(child) == DONE for child in below)
        return ("cd ..", action) if searches and tired else (action,)

    def _complaint(self, session: Session) -> str:
        last = session.last
        if last is not None and last.known is None and last.action == "cd ..":
            return ""  # it sees nothing wrong with giving up
        return super()._complaint(session)


def _complaint(session: Session, goal: Place | None) -> str:
    """What was wrong with the last action for one who knew where the target is."""
    last = session.last
    if last is None:
        return ""
    if last.action is None:
        return NO_COMMAND
    if goal is None:
        return ""
    if last.action.startswith("cat "):
        read = (last.start, last.action.removeprefix("cat "))
        helps = session.wanted is None and read == goal
        return "" if helps else NO_HELP
    return WRONG_MOVE if _farther(session, last, goal) else ""


def _farther(session: Session, last: LastMove, goal: Place) -> bool:
    before = session.tree.way(last.start, goal[0])
    return len(session.tree.way(session.here, goal[0])) > len(before)


def _claim(action: str) -> str:
    if action.startswith("id "):
        return "Here"
    return "Not read yet" if action.startswith("cat ") else "Not here"


EXPERTS: dict[str, type[Oracle] | type[Explorer]] = {
    "oracle": Oracle,
    "explorer": Explorer,
    "impatient": Impatient,
}
