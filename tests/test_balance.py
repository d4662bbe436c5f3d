"""Rare kinds of reflections are drawn more often, and nothing is lost by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
import reflect_reflector_local.reflector as reflector_module
from hypothesis import given
from hypothesis import strategies as st
from toy import examples, pool, settings

import reflect_core.lm.policy as policy_module
from reflect_core.balance import draw_pass, example_weights, kind_of, kind_weights
from reflect_core.lm.sft import StepBatches
from reflect_core.records import Example, Observation, State, Task
from reflect_core.streams import stream

KINDS = st.lists(st.sampled_from("aaaaabbc"), min_size=1, max_size=60)


def example(reflection: str, action: str = "go to box 1") -> Example:
    menu = ("go to box 1", "go to shelf 2", "open box 1")
    return Example(
        "positive", State(Task("t", "train", ""), Observation("", menu)), reflection, action
    )


@given(KINDS, st.floats(0, 1))
def test_a_kind_weighs_by_a_power_of_its_share(kinds: list[str], balance: float) -> None:
    found = kind_weights(kinds, balance)
    assert found.mean() == pytest.approx(1)
    counts = Counter(kinds)
    totals = {k: sum(w for w, kind in zip(found, kinds, strict=True) if kind == k) for k in counts}
    first = kinds[0]
    for kind, count in counts.items():
        ratio = (count / counts[first]) ** (1 - balance)
        assert totals[kind] / totals[first] == pytest.approx(ratio)


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=60), st.integers(0, 99))
def test_a_pass_draws_each_as_often_as_it_weighs(drawn: list[float], seed: int) -> None:
    found = np.array(drawn) / np.mean(drawn)
    rows = draw_pass(found, stream(seed, "pass"))
    assert len(rows) == len(found)
    times = np.bincount(rows, minlength=len(found))
    assert (np.abs(times - found) < 1 + 1e-6).all()


@given(st.integers(1, 60), st.integers(0, 99))
def test_with_equal_weights_every_example_comes_once(count: int, seed: int) -> None:
    rows = draw_pass(np.ones(count), stream(seed, "pass"))
    assert sorted(rows) == list(range(count))


def test_on_average_an_example_is_drawn_as_its_weight_says() -> None:
    found = kind_weights("aaaaaaab", 0.5)
    times = sum(
        np.bincount(draw_pass(found, stream(seed, "pass")), minlength=8) for seed in range(400)
    )
    assert times / 400 == pytest.approx(found, abs=0.1)


def test_names_do_not_make_a_kind() -> None:
    assert kind_of(example("Not here: go to shelf 2")) == kind_of(example("Not here: open box 1"))
    assert kind_of(example("It is here: open box 1")) != kind_of(example("Not here: open box 1"))


def test_examples_that_are_drawn_as_they_come_have_no_weights() -> None:
    taught = [example("Not here: go to shelf 2")] * 3 + [example("It is here: open box 1")]
    assert example_weights(taught, 0.0) is None
    found = example_weights(taught, 1.0)
    assert found is not None
    assert found.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def rows_of(monkeypatch: pytest.MonkeyPatch, module: Any, learn: Callable[[], object]) -> list[int]:
    """The examples that a player's warm-up draws, without the learning."""
    drawn: list[int] = []

    def record(player: object, batches: StepBatches, *_: object, **__: object) -> list[float]:
        drawn.extend(row for step in batches.rows for row in step)
        return []

    monkeypatch.setattr(module, "fit", record)
    learn()
    return drawn


@pytest.mark.parametrize("player", ["reflector", "policy"])
def test_both_players_learn_from_rare_kinds_more_often(
    model_folder: Any, monkeypatch: pytest.MonkeyPatch, player: str
) -> None:
    common = examples(8)
    rare = attrs.evolve(common[0], reflection="Something else")
    taught = [*[attrs.evolve(each, reflection="As always") for each in common], rare]
    passes, size = 8, len(taught)
    names = {"reflector": reflector_module, "policy": policy_module}

    def draws(balance: float) -> Counter[int]:
        sft = {f"{player}_updates": passes, "batch_size": size, "balance": balance}
        made = settings(model_folder("gpt2"), sft=sft)
        models = pool(model_folder("gpt2"))

        def learn() -> None:
            if player == "reflector":
                reflector_module.LocalReflector(models, made).fit(taught, progress=lambda *_: None)
            else:
                learner = policy_module.LmPolicy(models, made, critic=False)
                learner.fit(taught, reflect=1.0, progress=lambda *_: None)

        return Counter(rows_of(monkeypatch, names[player], learn))

    as_they_come, alike = draws(0.0), draws(1.0)
    assert as_they_come == dict.fromkeys(range(size), passes)
    assert alike[size - 1] == pytest.approx(passes * size / 2, abs=passes)
    assert sum(alike.values()) == passes * size
