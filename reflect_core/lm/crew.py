"""Several processes as one: who plays what, and how results come together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from accelerate import Accelerator
from accelerate.utils import gather_object

from reflect_core.rollout import Episode, Played


class AcceleratorCrew:
    """The processes of ``accelerate launch``; implements :class:`reflect_core.loop.Crew`."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.is_main: bool = accelerator.is_main_process

    def share(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """Every n-th episode, n processes."""
        return episodes[self.accelerator.process_index :: self.accelerator.num_processes]

    def merge(self, played: Played) -> Played:
        """All processes' trajectories, by the index of their episode."""
        if self.accelerator.num_processes == 1:
            return played
        trajectories = gather_object(played.trajectories)
        failures = gather_object(played.failures)
        return Played(sorted(trajectories, key=lambda t: t.episode), list(failures))

    def total(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """The counts of all processes, added up by kind."""
        if self.accelerator.num_processes == 1:
            return counts
        total: Counter[str] = Counter()
        for each in gather_object([dict(counts)]):
            total.update(each)
        return dict(total)

    def wait(self) -> None:
        """Return when all processes are here."""
        self.accelerator.wait_for_everyone()
