"""The final comparison: several policies, the same held-out episodes, the same decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from reflect_core.alarms import Alarms, truncated
from reflect_core.dropped import check_failures, sound_failures
from reflect_core.records import Trajectory
from reflect_core.rollout import Collector, Episode

DECODINGS = {"sampled": (False,), "argmax": (True,), "both": (False, True)}


@attrs.frozen
class Contestant:
    """A row of the table.

    Args:
        name: Key of the row, as ``random``, ``warmup``, ``trained``.
        title: As people read it.
        make: Builds its collector.
        decodes: Whether it knows argmax; one that does not is played sampled only.
    """

    name: str
    title: str
    make: Callable[[], Collector]
    decodes: bool = True


def evaluate(
    contestants: Sequence[Contestant],
    episodes: Sequence[Episode],
    *,
    decoding: str,
    failed_episodes: float,
    progress: Callable[[str, Sequence[Trajectory]], None],
    alarms: Alarms,
) -> list[dict[str, Any]]:
    """Play every contestant over the same episodes.

    Args:
        contestants: The rows.
        episodes: What each of them plays, once per decoding.
        decoding: ``sampled``, ``argmax`` or ``both``.
        failed_episodes: Share of dropped episodes above which this stops.
        progress: Called with the row's name and the trajectories of each cohort.
        alarms: Are told of prompts that were cut and of episodes that were dropped.

    Returns:
        One JSON-like row per contestant and decoding, episode by episode.
    """
    rows: list[dict[str, Any]] = []
    cut = 0
    for contestant in contestants:
        collector = contestant.make()
        for greedy in DECODINGS[decoding] if contestant.decodes else (False,):
            played = collector.play(
                episodes,
                greedy=greedy,
                progress=lambda done, name=contestant.name: progress(name, done),  # type: ignore[misc]
            )
            check_failures(played.failures, played.episodes, failed_episodes)
            sound_failures(played.failures, alarms)
            cut += played.truncated_prompts
            rows.append(
                {
                    "name": contestant.name,
                    "title": contestant.title,
                    "decoding": ("argmax" if greedy else "sampled") if contestant.decodes else "-",
                    "failed_episodes": len(played.failures),
                    "truncated_prompts": played.truncated_prompts,
                    "episodes": [outcome(trajectory) for trajectory in played.trajectories],
                }
            )
        collector.close()
    truncated(cut, alarms)
    return rows


def outcome(trajectory: Trajectory) -> dict[str, Any]:
    """What is recorded of an episode."""
    return {
        "episode": trajectory.episode,
        "task_id": trajectory.task.task_id,
        "level": trajectory.task.level,
        "success": trajectory.success,
        "return": trajectory.episode_return,
        "turns": trajectory.turns,
    }
