"""The same again: seed and actions decide everything."""

from __future__ import annotations

from reflect_core.testing.environments.subject import EnvironmentSubject
from reflect_core.testing.environments.telling import same
from reflect_core.testing.explore import Plan, play, turns
from reflect_core.testing.laws import Broken, Effort, law
from reflect_core.testing.randomness import random_states, seed_global_random
from reflect_core.testing.search import search
from reflect_core.testing.strategies import PAIRS, plans
from reflect_core.testing.walks import drawn_pairs, drawn_plans

__all__ = ["forgets", "global_randomness", "interleaved", "repeats"]


@law(
    cause="something random that the seed of reset does not decide, a clock, or what other "
    "instances did: draw from reflect_core.streams.stream(seed, ...)",
    look="reset",
    needs=["resets", "records"],
)
def repeats(subject: EnvironmentSubject, effort: Effort) -> None:
    """The same seed and actions give the same episode, in another instance."""

    def check(plan: Plan) -> None:
        same(subject.alone(plan), subject.played(plan), ("first", "again"))

    search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))


@law(
    cause="random.random() or numpy.random is used as it is: "
    "draw from reflect_core.streams.stream(seed, ...)",
    look="reset",
    needs=["repeats"],
)
def global_randomness(subject: EnvironmentSubject, effort: Effort) -> None:
    """Python's and numpy's global random generators are neither read nor changed."""

    def check(plan: Plan) -> None:
        seed_global_random(1)
        before = random_states()
        with subject.fresh() as environment:
            played = play(environment, plan, subject.world)
        changed = [n for n, state in random_states().items() if state != before[n]]
        if changed:
            raise Broken(f"{' and '.join(changed)} changed its global state", story=played.story())
        same(subject.alone(plan), played, ("with one global seed", "with another"))

    search(effort, plans(), check, drawn=drawn_plans(effort.max_examples, seed=effort.seed))


@law(
    cause="reset leaves something of the last episode behind: set every field there",
    look="reset",
    needs=["repeats", "global-randomness"],
)
def forgets(subject: EnvironmentSubject, effort: Effort) -> None:
    """Reset forgets: what was played before changes nothing."""

    def check(pair: tuple[Plan, Plan]) -> None:
        earlier, plan = pair
        seed_global_random(0)
        with subject.fresh() as environment:
            before = play(environment, earlier, subject.world)
            after = play(environment, plan, subject.world)
        same(subject.alone(plan), after, ("alone", "after another"), first=before.story())

    search(effort, PAIRS, check, drawn=drawn_pairs(effort.max_examples, seed=effort.seed))


@law(
    cause="the state of an episode is kept in the class or module: keep it in the instance",
    look="reset",
    needs=["repeats", "global-randomness"],
)
def interleaved(subject: EnvironmentSubject, effort: Effort) -> None:
    """Two instances that play by turns do not disturb each other."""

    def check(pair: tuple[Plan, Plan]) -> None:
        seed_global_random(0)
        with subject.fresh() as one, subject.fresh() as two:
            played = [turns(one, pair[0], subject.world), turns(two, pair[1], subject.world)]
            last = [next(each) for each in played]
            going = [0, 1]
            while going:
                going = [i for i in going if next(played[i], None) is not None]
        same(
            subject.alone(pair[0]),
            last[0],
            ("alone", "beside another"),
            first=["# the other instance, by turns:", *last[1].story(), "# this one:"],
        )

    search(effort, PAIRS, check, drawn=drawn_pairs(effort.max_examples, seed=effort.seed))
