"""What is not on the menu, but nearly so, or was there before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from reflect_core.streams import stream
from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.explore import Episode, Move, Plan, before_end, play, spoilings
from reflect_core.testing.laws import Broken, Effort, law
from reflect_core.testing.search import search
from reflect_core.testing.strategies import plans
from reflect_core.testing.walks import drawn_plans

__all__ = ["near_misses", "unlisted"]

NEAR, SPELT, BEFORE = 8, 3, 3
"""Texts tried in one state: near misses, misspelt actions, and actions of earlier menus."""
Outcome = tuple[tuple[bool, ...], tuple[float, float], tuple[str, ...]]
"""How the episode ends, if it does; reward and shaping; the menu."""
HEARD = 500
"""Actions of earlier menus that are kept."""
NOTHING = "say nothing"


@law(
    cause="step looks the text up in all that the environment knows and not on the present menu: "
    "compare it with the legal actions first",
    look="step",
    needs=["menu", "answers", "finite", "forgets"],
)
def unlisted(subject: EnvironmentSubject, effort: Effort) -> None:
    """What is not on the menu does and pays nothing, also where it nearly is or once was there."""
    world = subject.world
    heard: dict[str, None] = {}
    with subject.fresh() as environment:

        def outcome(plan: Plan, text: str) -> tuple[Episode, Outcome]:
            episode = play(
                environment, attrs.evolve(plan, moves=(*plan.moves, Move(text=text))), world
            )
            last = episode.steps[-1]
            ends = (last.terminated, last.truncated, last.success)
            paid = (last.reward, last.shaping)
            return episode, (ends, paid, last.observation.legal_actions)

        def check(plan: Plan) -> None:
            plan, episode = before_end(environment, plan, world)
            menu = episode.menu
            draws = stream(effort.seed, "unlisted", *menu)
            near, before = near_misses(menu), [each for each in heard if each not in menu]
            spelt = misspelt(menu)
            texts = [
                *(near[int(n)] for n in draws.permutation(len(near))[:NEAR]),
                *(spelt[int(n)] for n in draws.permutation(len(spelt))[:SPELT]),
                *(before[int(n)] for n in draws.permutation(len(before))[:BEFORE]),
            ]
            for shown in episode.shown:
                heard.update(dict.fromkeys(shown.legal_actions))
            while len(heard) > HEARD:
                del heard[next(iter(heard))]
            if not texts or not episode.running or NOTHING in menu:
                return
            said, nothing = outcome(plan, NOTHING)
            if nothing[1][0] > 0:
                raise Broken(
                    f"{NOTHING!r} is not on the menu and pays {nothing[1][0]}",
                    cause="a reward for every turn, also for those in which nothing was done",
                    story=said.story(),
                )
            for text in texts:
                said, something = outcome(plan, text)
                if something != nothing:
                    raise Broken(
                        f"{text!r} is not on the menu and does more than {NOTHING!r} does there",
                        shown=[
                            f"it paid {something[1]}, and {NOTHING!r} {nothing[1]}",
                            f"the menu was: {menu!r}"[:300],
                            f"and became:   {said.menu!r}"[:300],
                        ],
                        story=said.story(),
                    )

        search(
            effort,
            plans(others=False, longest=10),
            check,
            drawn=drawn_plans(effort.max_examples, seed=effort.seed, others=False),
        )


def near_misses(menu: Sequence[str]) -> list[str]:
    """Texts that are not on the menu, but made of its parts, or with other numbers."""
    made: dict[str, None] = {}
    for item in menu:
        made.update(dict.fromkeys(_other_numbers(item)))
    heads = [item.partition(" ") for item in menu if " " in item]
    for (head, _, _), (_, _, tail) in zip(heads, heads[1:] + heads[:1], strict=True):
        made[f"{head} {tail}"] = None
    return [text for text in made if text not in menu]


def misspelt(menu: Sequence[str]) -> list[str]:
    """Texts that are not on the menu, but would be to who ignores case, spaces or what follows."""
    made = dict.fromkeys(text for item in menu for text in spoilings(item))
    return [text for text in made if text not in menu]


def _other_numbers(item: str) -> Iterator[str]:
    for found in re.finditer(r"[0-9]+", item):
        for number in (0, int(found[0]) + 1):
            yield f"{item[: found.start()]}{number}{item[found.end() :]}"
