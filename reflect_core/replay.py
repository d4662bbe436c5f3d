"""Replay of successes: solved episodes of earlier iterations join an update once more.

On a hard task most episodes fail, and the few that succeed are worth more than one look. An
episode that is replayed was played by an earlier policy: it is marked ``replayed``, and its
turns keep the log-probabilities they were chosen with, so that a trainer can weigh it by the
ratio of the present policy's probabilities to those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import cattrs
import numpy as np
import numpy.typing as npt

from reflect_core.records import Trajectory
from reflect_core.settings import ReplaySettings
from reflect_core.streams import stream

__all__ = ["ReplayBuffer"]

_TOKENS = ("prompt_ids", "label_ids")
"""Fields of a choice that are arrays; everything else in a trajectory is plain."""


class ReplayBuffer:
    """The solved episodes of the last iterations, each of them once.

    All that is drawn depends on the seed, the iteration and the episodes that were added;
    processes that add the same episodes draw the same.

    Args:
        settings: How many episodes join an update, how many are kept, and for how long; with
            ``episodes`` 0 nothing is kept or drawn.
        seed: The run's seed.
    """

    def __init__(self, settings: ReplaySettings, *, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        # by (iteration, index in it), oldest first
        self._kept: dict[tuple[int, int], Trajectory] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def draw(self, *, iteration: int) -> tuple[list[Trajectory], Mapping[str, float]]:
        """Episodes that join the update of this iteration, no two the same, oldest first.

        Those that are older than ``max_age`` iterations are dropped for good. Each drawn one
        has a group of its own, a negative one: it belongs to no group of fresh episodes.

        Returns:
            The episodes, marked ``replayed``, and figures for the log: their number
            ``replayed_episodes`` and mean age in iterations ``replayed_age`` (0 without any);
            no figures where replay is off.
        """
        if not self._settings.episodes:
            return [], {}
        oldest = iteration - self._settings.max_age
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] >= oldest}
        order = stream(self._seed, "replay", iteration).permutation(len(self._kept))
        keys = list(self._kept)
        chosen = [keys[i] for i in sorted(order[: self._settings.episodes].tolist())]
        drawn = [
            attrs.evolve(self._kept[key], replayed=True, group=-1 - place)
            for place, key in enumerate(chosen)
        ]
        age = sum(iteration - played for played, _ in chosen) / max(1, len(chosen))
        return drawn, {"replayed_episodes": float(len(drawn)), "replayed_age": age}

    def add(self, trajectories: Sequence[Trajectory], *, iteration: int) -> None:
        """Keep the solved ones among the fresh episodes of an iteration.

        Where there are more than ``capacity``, the oldest go first, and among those of one
        iteration the first.
        """
        if not self._settings.episodes:
            return
        for trajectory in trajectories:
            if trajectory.success and trajectory.transitions and not trajectory.replayed:
                self._kept[iteration, trajectory.episode] = trajectory
        for key in list(self._kept)[: max(0, len(self._kept) - self._settings.capacity)]:
            del self._kept[key]

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Two arrays for the checkpoint, none where replay is off.

        ``tokens`` holds the prompts and labels of all turns, one after another, as int32;
        ``rows`` everything else and the lengths of those, as the bytes of a JSON text.
        """
        if not self._settings.episodes:
            return {}
        rows, tokens = [], [np.zeros(0, np.int32)]
        for (iteration, _), trajectory in self._kept.items():
            row = cattrs.unstructure(trajectory)
            for turn in row["transitions"]:
                for name in _TOKENS:
                    tokens.append(turn["choice"][name])
                    turn["choice"][name] = len(tokens[-1])
            rows.append([iteration, row])
        text = json.dumps(rows, default=_plain).encode()
        return {
            "tokens": np.concatenate(tokens, dtype=np.int32),
            "rows": np.frombuffer(text, np.uint8),
        }

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up what ``state_dict`` gave; nothing is kept where it gave none."""
        self._kept = {}
        if not state:
            return
        start, tokens = 0, state["tokens"]
        for iteration, row in json.loads(state["rows"].tobytes()):
            for turn in row["transitions"]:
                for name in _TOKENS:
                    end = start + turn["choice"][name]
                    turn["choice"][name] = tokens[start:end]
                    start = end
            trajectory = cattrs.structure(row, Trajectory)
            self._kept[iteration, trajectory.episode] = trajectory


def _plain(number: Any) -> Any:
    """A plugin's numpy scalar, such as a float32 reward, as Python has it."""
    return number.item()
