"""The contract of trainers passes what is right and finds what is wrong, that and no more."""

from __future__ import annotations

import attrs
import pytest
from mutants.small_ppo import SmallPpo, SmallPpoConfig, spec
from mutants.trainers import MUTANTS, examine

from reflect_core.plugins import load
from reflect_core.testing import TrainerContract
from reflect_core.testing.bench import Bench, bench_settings
from reflect_core.testing.laws import Effort
from reflect_core.testing.trainers import TRAINER_LAWS


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


class TestSmallPpo(TrainerContract):
    spec = spec(SmallPpo)


@pytest.mark.parametrize("name", sorted({"ppo", "grpo", "reinforce"} & set(load().trainers)))
def test_the_trainers_that_are_installed_keep_the_laws(name: str, bench: Bench) -> None:
    offer = load().trainers[name]
    found = examine(offer.spec, bench, Effort(seed=1))
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_wrong_is_found_and_nothing_else_is_blamed(name: str, bench: Bench) -> None:
    mutant = MUTANTS[name]
    assert mutant.missed(examine(spec(mutant.make), bench)) is None


def test_each_law_of_trainers_has_a_mutant_that_breaks_it() -> None:
    assert {mutant.law for mutant in MUTANTS.values()} == {law.name for law in TRAINER_LAWS}


def test_a_trainer_without_normalised_advantages_and_with_a_critic_is_no_false_alarm(
    bench: Bench,
) -> None:
    class Plain(SmallPpo):
        def advantages(self, returns, values):
            return returns - values

    found = examine(spec(Plain), bench)
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]
    assert "no baseline" in found["still"].remark


def test_a_trainer_that_recomputes_the_old_probabilities_is_not_asked_to_clip_stored_ones(
    bench: Bench,
) -> None:
    import torch

    class Recomputes(SmallPpo):
        def old_logprobs(self, turns):
            with self.policy.training() as module, torch.no_grad():
                logits, _ = self.forward(module, turns)
            taken = torch.tensor([[turn.choice.index] for turn in turns])
            return torch.log_softmax(logits, dim=-1).gather(1, taken).squeeze(1)

    found = examine(spec(Recomputes), bench)
    assert not [outcome.explain() for outcome in found.values() if outcome.broken]
    assert found["clips"].status == "skipped"


def test_a_trainer_that_cannot_make_one_step_is_told_so_and_not_failed(bench: Bench) -> None:
    class Many(SmallPpo):
        def pass_over(self, turns, old, advantages, returns):
            super().pass_over(turns, old, advantages, returns)
            return super().pass_over(turns, old, advantages, returns)

        def told(self, figures):
            return {"loss": figures["loss"]}

    found = examine(spec(Many), bench)
    assert found["follows"].status == found["order"].status == "skipped"
    assert "2 steps" in found["follows"].remark


def test_the_bench_is_the_configuration_that_is_given() -> None:
    rollout = attrs.evolve(bench_settings().rollout, temperature=0.5)
    settings = attrs.evolve(bench_settings(), rollout=rollout)

    class Warm(TrainerContract):
        pass

    Warm.spec, Warm.settings = spec(SmallPpo), settings
    subject = Warm().subject()
    assert subject.config == SmallPpoConfig()
    played = subject.bench.play(subject.policy(), 2)
    assert {turn.choice.temperature for one in played for turn in one.transitions} == {0.5}
