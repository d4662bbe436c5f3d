"""What DangerousTaxi is worth without knowing its walls, and by chance; the README's table."""

from __future__ import annotations

import numpy as np
import pytest
from reflect_env_taxi.compass import heading
from reflect_env_taxi.config import STAGES
from reflect_env_taxi.taxi import DROP_OFF, PICK_UP, TaxiEnvironment
from reflect_env_taxi.view import WORDS
from taxi_walks import all_tasks


@pytest.mark.parametrize(
    ("stage", "first", "solved"),
    [
        ("pickup", 0, 120),
        ("pickup", -1, 156),
        ("dropoff", 0, 100),
        ("dropoff", -1, 100),
        ("full", 0, 40),
        ("full", -1, 52),
    ],
)
def test_heading_straight_for_the_target_seldom_arrives(
    taxi: TaxiEnvironment, stage: str, first: int, solved: int
) -> None:
    """North and south first, or east and west first, whatever wall is there."""
    successes = 0
    for task in all_tasks(taxi):
        taxi.reset(task, seed=0, stage=stage)
        over = False
        while not over:
            scene = taxi._scenes[taxi._engine.s]
            sides = heading(scene.taxi, scene.target, WORDS)
            stop = DROP_OFF if scene.aboard else PICK_UP
            step = taxi.step(f"move {sides[first]}" if sides else stop)
            over = step.over
        successes += step.success
    assert successes == solved


@pytest.mark.parametrize(
    ("stage", "harmless", "percent"),
    [
        ("pickup", False, 1.018),
        ("dropoff", False, 0.00606),
        ("full", False, 0.0000617),
        ("pickup", True, 13.65),
        ("dropoff", True, 3.870),
        ("full", True, 0.2234),
    ],
)
def test_chance_seldom_arrives(
    taxi: TaxiEnvironment, stage: str, harmless: bool, percent: float
) -> None:
    """The probability of success of random actions, worked out turn by turn from the end."""
    table = taxi._engine.P
    chance = np.zeros(len(table))
    for _ in range(taxi.config.horizon):
        longer = np.zeros(len(table))
        for state, outcomes in table.items():
            results = [outcome for (outcome,) in outcomes.values()]
            changing = [outcome for outcome in results if outcome[1] != state]
            for _, after, _, ended in changing:
                boarded = stage == STAGES[0] and taxi._aboard(after) > taxi._aboard(state)
                longer[state] += 1 if ended or boarded else chance[after]
            longer[state] /= len(changing if harmless else results)
        chance = longer
    found = []
    for task in all_tasks(taxi):
        taxi.reset(task, seed=0, stage=stage)
        found.append(chance[taxi._engine.s])
    assert 100 * np.mean(found) == pytest.approx(percent, rel=1e-3)
