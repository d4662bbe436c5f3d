from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.stats import constant_difference, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # z = 1.959964, z^2 = 3.841459; 1.959964 / 1.384146 * sqrt(0.025 + 0.009604) = 0.263406
        (5, 10, 0.236594, 0.763406),
        (0, 10, 0.0, 0.277533),  # z^2 / (n + z^2)
        (10, 10, 0.722467, 1.0),
        # centre 0.909604 / 1.019207 = 0.892462; half 1.923028 * sqrt(0.00045 + 0.000024) = 0.041868
        (180, 200, 0.850594, 0.934330),
    ],
)
def test_wilson_by_hand(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials)
    assert interval.estimate == successes / trials
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=2e-6)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_estimate_and_mirrors(case: tuple[int, int]) -> None:
    successes, trials = case
    interval = wilson(successes, trials)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    mirror = wilson(trials - successes, trials)
    assert mirror.low == pytest.approx(1 - interval.high)


@given(st.integers(0, 50), st.integers(2, 10))
def test_more_trials_tell_more(successes: int, times: int) -> None:
    few, many = wilson(successes, 50), wilson(successes * times, 50 * times)
    assert many.high - many.low < few.high - few.low


@given(st.floats(0.1, 0.8), st.floats(0.05, 0.15))
def test_what_must_hold_more_often_is_wider(confidence: float, more: float) -> None:
    pairs = [math.sqrt(i) for i in range(60)], [0.0] * 60
    for interval in (
        lambda share: wilson(7, 20, confidence=share),
        lambda share: paired_difference(*pairs, confidence=share, resamples=400),
    ):
        narrow, wide = interval(confidence), interval(confidence + more)
        assert wide.low < narrow.low < narrow.high < wide.high


def test_half_of_normal_draws_lie_within_two_thirds_of_a_deviation() -> None:
    # z = 0.6745; centre and half width by hand, n = 100, p = 0.5
    half = wilson(50, 100, confidence=0.5)
    assert half.high - half.low == pytest.approx(2 * 0.6745 * 0.05 / (1 + 0.00455) ** 0.5, rel=1e-3)


def test_wilson_without_trials_knows_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes in 2"):
        wilson(3, 2)


def test_a_constant_gain_is_certain() -> None:
    interval = paired_difference([3.0, 5.0, 9.0], [1.0, 3.0, 7.0])
    assert (interval.low, interval.estimate, interval.high) == (2.0, 2.0, 2.0)


def test_the_interval_agrees_with_the_normal_one() -> None:
    # 400 pairs, of which 60 are won by one and 20 by the other
    gains = [1.0] * 60 + [-1.0] * 20 + [0.0] * 320
    interval = paired_difference(gains, [0.0] * 400)
    error = math.sqrt((0.2 - 0.1**2) / 400)
    assert interval.estimate == pytest.approx(0.1)
    assert interval.low == pytest.approx(0.1 - 1.96 * error, abs=0.006)
    assert interval.high == pytest.approx(0.1 + 1.96 * error, abs=0.006)


def test_runs_that_disagree_widen_the_interval() -> None:
    gains = [0.3] * 50 + [0.0] * 50 + [-0.3] * 50
    zeros = [0.0] * 150
    runs = [1] * 50 + [2] * 50 + [3] * 50
    alone = paired_difference(gains, zeros)
    clustered = paired_difference(gains, zeros, runs=runs)
    assert clustered.estimate == alone.estimate
    # all three draws fall on one run once in nine times, so the ends are those runs
    assert (clustered.low, clustered.high) == pytest.approx((-0.3, 0.3))
    assert alone.high < 0.1


def test_one_run_is_as_none() -> None:
    ours, theirs = [1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]
    assert paired_difference(ours, theirs) == paired_difference(ours, theirs, runs=[7] * 4)
    names = ["a", "b", "c", "d"]
    assert paired_difference(ours, theirs) == paired_difference(ours, theirs, tasks=names)


outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(outcomes, st.integers(0, 5))
def test_laws_of_the_difference(pairs: list[tuple[bool, bool]], seed: int) -> None:
    ours, theirs = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    one = paired_difference(ours, theirs, resamples=500, seed=seed)
    assert one == paired_difference(ours, theirs, resamples=500, seed=seed)
    assert one.estimate == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert -1 <= one.low <= one.high <= 1
    other = paired_difference(theirs, ours, resamples=500, seed=seed)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


@given(
    st.lists(st.booleans(), min_size=1, max_size=30), st.integers(2, 4), st.booleans(),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_same_again_tells_nothing_new(
    won: list[bool], times: int, other_runs: bool, order: random.Random
) -> None:
    # the same outcomes in other runs, or in further episodes of one run
    once = paired_difference([float(each) for each in won], [0.0] * len(won), resamples=300)
    rows = [(run, task, each) for run in range(times) for task, each in enumerate(won)]
    if not other_runs:
        order.shuffle(rows)
        rows.sort(key=lambda row: row[1])  # tasks are numbered by their first use
    again = paired_difference(
        [float(each) for _, _, each in rows],
        [0.0] * len(rows),
        runs=[run if other_runs else 0 for run, _, _ in rows],
        tasks=[task for _, task, _ in rows],
        resamples=300,
    )
    assert (again.low, again.high) == pytest.approx((once.low, once.high))


def test_both_tasks_and_runs_may_differ() -> None:
    # two runs and 50 tasks: what differs between tasks alone, between runs alone, and both
    runs = [run for run in range(2) for _ in range(50)]
    tasks = [task for _ in range(2) for task in range(50)]
    by_task = [float(task % 2) for task in tasks]
    by_run = [float(run) for run in runs]
    zeros = [0.0] * 100
    found = paired_difference(by_task, zeros, runs=runs, tasks=tasks)
    # of 50 tasks, half won: 1.96 * sqrt(0.25 / 50) = 0.139; of 100 it would be 0.098
    assert (found.low, found.high) == pytest.approx((0.361, 0.639), abs=0.025)
    found = paired_difference(by_run, zeros, runs=runs, tasks=tasks)
    assert (found.low, found.high) == (0.0, 1.0)  # one run in two draws, one time in four each


def test_a_pair_that_no_draw_holds_is_passed_over() -> None:
    # two runs with a task of their own each: half of all draws hold no pair
    found = paired_difference([1.0, 0.0], [0.0, 0.0], runs=[1, 2], tasks=["a", "b"])
    assert (found.low, found.estimate, found.high) == (0.0, 0.5, 1.0)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="one to one"):
        paired_difference([1.0], [1.0], tasks=["a", "b"])
    with pytest.raises(ValueError, match="one to one"):
        paired_difference([1.0], [1.0, 2.0])
    assert math.isnan(paired_difference([], []).estimate)


@given(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(1, 500))
def test_the_same_in_all_is_no_certainty_and_more_tasks_tell_more(difference, tasks) -> None:
    found = constant_difference(difference, tasks)
    assert -1 <= found.low <= difference <= found.high <= 1
    assert found.low < found.high
    more = constant_difference(difference, tasks + 1)
    assert more.high - more.low < found.high - found.low
