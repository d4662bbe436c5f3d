"""Loud failure: what goes wrong without stopping the run is said once and counted always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["Alarms", "truncated"]


class Alarms:
    """Counts what goes wrong by kind; the first of a kind is told to people.

    Args:
        tell: Shows a text to people, for example :meth:`reflect_core.progress.Progress.warn`.

    >>> told = []
    >>> alarms = Alarms(told.append)
    >>> alarms.sound("budget", "the token budget is spent")
    >>> alarms.sound("budget", "the token budget is spent")
    >>> told, alarms.counted(), alarms.counted()
    (['the token budget is spent'], {'budget': 2}, {})
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._counts: Counter[str] = Counter()

    def sound(self, kind: str, text: str, *, count: int = 1) -> None:
        """Count ``count`` events of a kind; say ``text`` if it is the first time.

        Args:
            kind: A short name, a key in ``metrics.jsonl``.
            text: What happened and what may be done about it.
            count: How many at once; with 0 nothing happens.
        """
        if count <= 0:
            return
        self._counts[kind] += count
        if kind not in self._told:
            self._told.add(kind)
            self._tell(text)

    def heed(self, counts: Mapping[str, int]) -> None:
        """Tell of kinds that only other processes have met, whose words nobody saw."""
        for kind in sorted(counts.keys() - self._told):
            self._told.add(kind)
            self._tell(f"{kind}: {counts[kind]} in other processes of this run")

    def counted(self) -> Mapping[str, int]:
        """Events by kind since the last call."""
        counts, self._counts = dict(sorted(self._counts.items())), Counter()
        return counts


def truncated(count: int, alarms: Alarms) -> None:
    """Sound that so many prompts, of either player, lost past turns to fit the context."""
    alarms.sound(
        "truncated_prompts",
        f"{count} prompts lost past turns to fit the context; raise model.context or lower "
        "rollout.history",
        count=count,
    )
