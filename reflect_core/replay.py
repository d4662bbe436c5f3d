"""Replay of successes: solved episodes of earlier iterations join an update once more.

On a hard task most episodes fail, and the few that succeed are worth more than one look. But
they were selected by their outcome: against a baseline they would count for an action that
merely succeeds at times, whatever else it brings about, and the failures that tell otherwise
are not there. What successes alone do give is the gradient of the probability of success:

``grad P = E[ 1{success} * pi / pi_played * sum_t grad log pi(a_t) ]``

over all episodes played. A failed one adds exactly zero, for want of a baseline, and so need
not be kept; only how many were played must be known. The buffer counts them and gives each
episode that it draws the weight ``coef / played``, times what it stands for where others like it
were dropped or not drawn (Horvitz and Thompson 1952). The ratio ``pi / pi_played`` is the
trainer's part (:mod:`reflect_core.lm.replayed`); the turns keep the log-probabilities that they
were chosen with.

The probability meant is that on the tasks and stages which the last ``max_age`` iterations
played. That the sum is unbiased holds for a policy that does not depend on the episodes in it.
The present policy has learnt from them, as in all replay of experience.
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

    The weights of the episodes in a draw add up, in the mean, to ``coef`` times the success rate
    of the last ``max_age`` iterations; and the weights times any function of an episode to
    ``coef`` times the mean, over all episodes played, of that function where they were solved and
    0 where not.

    All that is drawn depends on the seed, the iteration and the episodes that were added;
    processes that add the same episodes draw the same.

    Args:
        settings: How many episodes join an update, how many are kept, for how long, and what
            they count; with ``episodes`` 0 nothing is kept or drawn.
        seed: The run's seed.
    """

    def __init__(self, settings: ReplaySettings, *, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        # by (iteration, index in it), oldest first; its weight is the solved ones it stands for
        self._kept: dict[tuple[int, int], Trajectory] = {}
        # episodes of each iteration, solved or not
        self._played: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def draw(self, *, iteration: int) -> tuple[list[Trajectory], Mapping[str, float]]:
        """Episodes that join the update of this iteration, no two the same, oldest first.

        Those that are older than ``max_age`` iterations are dropped for good. Each drawn one
        has its weight, and a group of its own, a negative one: it belongs to no group of fresh
        episodes.

        Returns:
            The episodes, marked ``replayed``, and figures for the log: their number
            ``replayed_episodes`` and mean age in iterations ``replayed_age`` (0 without any);
            no figures where replay is off.
        """
        if not self._settings.episodes:
            return [], {}
        oldest = iteration - self._settings.max_age
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] >= oldest}
        self._played = {played: n for played, n in self._played.items() if played >= oldest}
        order = stream(self._seed, "replay", iteration).permutation(len(self._kept))
        keys = list(self._kept)
        chosen = [keys[i] for i in sorted(order[: self._settings.episodes].tolist())]
        # each drawn one stands for those like it that were not, and all for the episodes played
        share = len(self._kept) / max(1, len(chosen)) / max(1, sum(self._played.values()))
        drawn = [
            attrs.evolve(
                kept,
                replayed=True,
                group=-1 - place,
                weight=self._settings.coef * share * kept.weight,
            )
            for place, kept in enumerate(self._kept[key] for key in chosen)
        ]
        age = sum(iteration - played for played, _ in chosen) / max(1, len(chosen))
        return drawn, {"replayed_episodes": float(len(drawn)), "replayed_age": age}

    def add(self, trajectories: Sequence[Trajectory], *, iteration: int) -> None:
        """Keep the solved ones among the fresh episodes of an iteration, and count them all.

        Where there are more than ``capacity``, a random part stays and stands for the rest. To
        let the oldest go first would be no random part: it is many new successes that push out
        the old ones, and the share of iterations with few would grow.
        """
        if not self._settings.episodes:
            return
        fresh = [trajectory for trajectory in trajectories if not trajectory.replayed]
        self._played[iteration] = len(fresh)
        for trajectory in fresh:
            if trajectory.success and trajectory.transitions:
                self._kept[iteration, trajectory.episode] = _to_keep(trajectory)
        if (stands_for := len(self._kept) / self._settings.capacity) > 1:
            draws = stream(self._seed, "replay", iteration, "capacity")
            stay = draws.permutation(len(self._kept))[: self._settings.capacity]
            kept = list(self._kept.items())
            self._kept = {
                key: attrs.evolve(trajectory, weight=trajectory.weight * stands_for)
                for key, trajectory in (kept[i] for i in sorted(stay.tolist()))
            }

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Two arrays for the checkpoint, none where replay is off.

        ``tokens`` holds the prompts and labels of all turns, one after another, as int32;
        ``rows`` everything else, the lengths of those, and how many episodes each iteration
        played, as the bytes of a JSON text.
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
        text = json.dumps([list(self._played.items()), rows], default=_plain).encode()
        return {
            "tokens": np.concatenate(tokens, dtype=np.int32),
            "rows": np.frombuffer(text, np.uint8),
        }

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up what ``state_dict`` gave; nothing is kept where it gave none."""
        self._kept, self._played = {}, {}
        if not state:
            return
        start, tokens = 0, state["tokens"]
        played, rows = json.loads(state["rows"].tobytes())
        self._played = dict(played)
        for iteration, row in rows:
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


def _to_keep(trajectory: Trajectory) -> Trajectory:
    """Of weight 1, and without hidden states, which later weights have no use for."""
    turns = tuple(
        attrs.evolve(turn, choice=attrs.evolve(turn.choice, hidden=None))
        for turn in trajectory.transitions
    )
    return attrs.evolve(trajectory, transitions=turns, weight=1.0)
