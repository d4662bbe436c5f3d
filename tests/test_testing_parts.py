"""Contracts of reflectors, policies and curricula: what is right passes, what is wrong is found."""

from __future__ import annotations

import attrs
import pytest
import torch
from mutants.curricula import CURRICULA, InTurn
from mutants.parts import POLICIES, REFLECTORS, Habit, Parrot, examine

from reflect_core import PolicySpec, ReflectorSpec
from reflect_core.lm.policy import LmPolicy
from reflect_core.plugins import load
from reflect_core.testing import CurriculumContract, PolicyContract, ReflectorContract
from reflect_core.testing.bench import Bench, bench_settings
from reflect_core.testing.kinds import LAWS
from reflect_core.testing.laws import Effort, Examiner
from reflect_core.testing.parts import PartSubject

MUTANTS = {"reflector": REFLECTORS, "policy": POLICIES, "curriculum": CURRICULA}
NAMED = [(kind, name) for kind, mutants in MUTANTS.items() for name in mutants]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


class TestSilence(ReflectorContract):
    spec = "none"


class TestLm(PolicyContract):
    spec = "lm"
    max_examples = 10


class TestAdaptive(CurriculumContract):
    spec = "adaptive"
    max_examples = 20


@pytest.mark.parametrize(
    ("kind", "name"),
    [("reflector", "expert"), ("reflector", "local")]
    + [("policy", name) for name in ("random", "expert", "follow")]
    + [("curriculum", name) for name in ("uniform", "staged", "depth", "first-turn")],
)
def test_what_is_installed_keeps_the_laws(kind: str, name: str, bench: Bench) -> None:
    offer = load().offers(kind).get(name)
    if offer is None:
        pytest.skip("not installed")
    for seed in (1, 2):
        subject = PartSubject.of(kind, offer.spec, offer.spec.config(), bench_settings())
        found = list(Examiner(subject, LAWS[kind], Effort(10, seed)).outcomes())
        assert not [outcome.explain() for outcome in found if outcome.broken]


@pytest.mark.parametrize(
    ("kind", "right"), [("reflector", Parrot), ("policy", Habit), ("curriculum", InTurn)]
)
def test_there_is_no_false_alarm_whatever_the_seed(kind: str, right, bench: Bench) -> None:
    for seed in range(3):
        found = examine(kind, right, bench, Effort(seed=seed))
        assert not [outcome.explain() for outcome in found.values() if outcome.broken]


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_what_is_wrong_is_found_and_nothing_else_is_blamed(
    kind: str, name: str, bench: Bench
) -> None:
    mutant = MUTANTS[kind][name]
    assert mutant.missed(examine(kind, mutant.make, bench)) is None


@pytest.mark.parametrize("kind", MUTANTS)
def test_each_law_has_a_mutant_that_breaks_it(kind: str) -> None:
    # the last needs a model, see below; to permute the menu is told and no law
    elsewhere = {"recomputed", "permuted"} if kind == "policy" else set()
    broken = {mutant.law for mutant in MUTANTS[kind].values()}
    assert broken == {law.name for law in LAWS[kind]} - elsewhere


class Climber(InTurn):
    """Goes by the mean return, and tells the return of a turn."""

    high = False

    def assign(self, episodes, *, iteration):
        found = super().assign(episodes, iteration=10)
        return found if self.high else [attrs.evolve(one, stage="easy") for one in found]

    def observe(self, trajectories):
        told = dict(super().observe(trajectories))
        if trajectories:
            returns = [one.episode_return / one.turns for one in trajectories]
            told["curriculum/return"] = sum(returns) / len(returns)
            self.high = self.high or told["curriculum/return"] > 0.9
        return told

    def state_dict(self):
        return {**super().state_dict(), "high": self.high}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.high = state["high"]


def test_a_curriculum_may_go_by_the_returns(bench: Bench) -> None:
    found = examine("curriculum", Climber, bench)
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]


class Own(Habit):
    """Is trained in a way of its own, without a model."""

    def fit(self, examples, *, reflect, progress):
        return []

    def save(self, folder):
        torch.save(self.state_dict(), folder / "taste.pt")

    def load(self, folder):
        self.load_state_dict(torch.load(folder / "taste.pt"))

    def state_dict(self):
        return self.taste.state_dict()

    def load_state_dict(self, state):
        self.taste.load_state_dict(state)


def test_a_trained_policy_need_not_be_like_lm() -> None:
    made = PolicySpec(name="own", factory=lambda config, context: Own(context), trainable=True)
    subject = PartSubject.of("policy", made, made.config(), bench_settings())
    outcomes = list(Examiner(subject, LAWS["policy"], Effort(5)).outcomes())
    assert not [outcome.explain() for outcome in outcomes if outcome.broken]
    [recomputed] = [one for one in outcomes if one.law.name == "recomputed"]
    assert (recomputed.status, "of its own" in recomputed.remark) == ("skipped", True)


@pytest.mark.parametrize(
    ("spec", "part", "lacks"),
    [
        (PolicySpec, Habit, "fit, save, load, state_dict, load_state_dict"),
        (ReflectorSpec, Parrot, "fit, save, load"),
    ],
)
def test_a_part_must_have_what_its_spec_says(spec, part, lacks: str) -> None:
    made = spec(name="promises", factory=lambda config, context: part(context), trainable=True)
    kind = "policy" if spec is PolicySpec else "reflector"
    subject = PartSubject.of(kind, made, made.config(), bench_settings())
    told = Examiner(subject, LAWS[kind], Effort(5)).outcome("builds").explain()
    assert f"no method {lacks}\n" in told


def test_who_teaches_must_advise() -> None:
    made = ReflectorSpec(
        name="promises", factory=lambda config, context: Parrot(context), teaches=True
    )
    subject = PartSubject.of("reflector", made, made.config(), bench_settings())
    told = Examiner(subject, LAWS["reflector"], Effort(5)).outcome("builds").explain()
    assert "no method advise\n" in told


def test_an_update_that_reads_another_prompt_than_the_rollout_is_found() -> None:
    class Shortened(LmPolicy):
        def batch(self, transitions):
            return self._batch(
                [(turn.choice.prompt_ids[1:], turn.choice.label_ids) for turn in transitions]
            )

    def make(config, context):
        return Shortened(context.models, context.settings, critic=False)

    made = PolicySpec(name="shortened", factory=make, trainable=True)
    subject = PartSubject.of("policy", made, made.config())
    examiner = Examiner(subject, LAWS["policy"], Effort(5))
    failed = [outcome for outcome in examiner.outcomes() if outcome.broken]
    assert [outcome.law.name for outcome in failed] == ["recomputed"]
    assert "in the update" in failed[0].explain()


def test_how_far_the_order_of_the_menu_matters_is_told_and_no_failure(bench: Bench) -> None:
    outcome = examine("policy", Habit, bench)["permuted"]
    assert outcome.status == "ok"
    assert float(outcome.remark.split()[1]) > 0.1
