"""The easier stages: where they start, what they pay, and that the experts still know the way."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reflect_env_filesys.config import STAGES, FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment

from reflect_core.records import Observation, Step, Task
from reflect_core.settings import TeachSettings
from reflect_core.teach import teach

shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
picks = st.lists(st.floats(0, 1, exclude_max=True), min_size=15, max_size=15)
numbers = st.integers(0, 2**63 - 1)


def task_of(environment: FilesysEnvironment, level: int) -> Task:
    return next(task for task in environment.tasks("train") if task.level == level)


def folder(observation: Observation) -> str:
    return observation.text.split(",")[0]


def by_the_expert(environment: FilesysEnvironment) -> list[Step]:
    steps: list[Step] = []
    while not steps or not steps[-1].over:
        steps.append(environment.step(environment.expert_action()))
    return steps


@pytest.mark.parametrize(("level", "near", "part"), [(1, 0, 0), (2, 1, 0), (3, 2, 1), (4, 3, 1)])
def test_an_episode_starts_there_or_half_way_or_in_the_root(
    synthetic: FilesysEnvironment, level: int, near: int, part: int
) -> None:
    task = task_of(synthetic, level)
    way = ["", *task.data["path"][:-1]]
    for stage, depth in (("near", near), ("part", part), ("full", 0)):
        observation = synthetic.reset(task, seed=2, stage=stage)
        assert folder(observation) == ("/".join(way[: depth + 1]) or "/")
        assert "15 turns left" in observation.text
        assert ("cd .." in observation.legal_actions) == (depth > 0)


def test_the_stages_of_an_episode_show_one_tree(synthetic: FilesysEnvironment) -> None:
    task = task_of(synthetic, 2)
    seen = synthetic.reset(task, seed=5, stage="near")
    name = folder(seen).removeprefix("/")
    synthetic.reset(task, seed=5)
    assert synthetic.step(f"cd {name}").observation.legal_actions == seen.legal_actions


def test_one_place_in_two_stages_is_two_states(synthetic: FilesysEnvironment) -> None:
    task = task_of(synthetic, 1)
    shown = [synthetic.reset(task, seed=1, stage=stage) for stage in STAGES]
    assert len({observation.text for observation in shown}) == 1
    assert len({observation.state_key for observation in shown}) == 3


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("expert", ["searching", "knowing"])
def test_the_experts_solve_every_task_on_every_stage(
    request: pytest.FixtureRequest, expert: str, stage: str
) -> None:
    environment: FilesysEnvironment = request.getfixturevalue(expert)
    for number, task in enumerate(environment.tasks("valid")):
        environment.reset(task, seed=number, stage=stage)
        steps = by_the_expert(environment)
        assert steps[-1].success
        if stage == "near":
            assert len(steps) == 1
        elif expert == "knowing":
            assert len(steps) == 1 + (task.level - 1 - (task.level - 1) // 2 * (stage == "part"))


@shared
@given(number=numbers, seed=numbers, moves=st.lists(st.floats(0, 1, exclude_max=True), max_size=5))
def test_who_leaves_the_targets_folder_is_told_the_way_back(
    synthetic: FilesysEnvironment, number: int, seed: int, moves: list[float]
) -> None:
    tasks = synthetic.tasks("train")
    observation = synthetic.reset(tasks[number % len(tasks)], seed=seed, stage="near")
    for pick in moves:
        away = [action for action in observation.legal_actions if action.startswith("cd ")]
        if not away:
            break
        observation = synthetic.step(away[int(pick * len(away))]).observation
    steps = by_the_expert(synthetic)
    assert steps[-1].success
    assert len(steps) <= len(moves) + 1


@shared
@given(number=numbers, seed=numbers, picks=picks, stage=st.sampled_from(STAGES))
def test_shaping_adds_up_to_the_same_whatever_is_done(
    synthetic: FilesysEnvironment, number: int, seed: int, picks: list[float], stage: str
) -> None:
    tasks = synthetic.tasks("train")
    task = tasks[number % len(tasks)]
    observation = synthetic.reset(task, seed=seed, stage=stage)
    depth = task.level - 1
    distance = {"near": 0, "part": depth - depth // 2, "full": 0}[stage]
    shaping = 0.0
    for pick in picks:  # one for each turn of the horizon
        legal = observation.legal_actions
        step = synthetic.step(legal[int(pick * len(legal))])
        shaping += step.shaping
        observation = step.observation
        if step.over:
            break
        assert step.reward == pytest.approx(-1 / 15)
    assert step.over
    assert shaping == pytest.approx(distance / 15)


def test_a_step_away_and_back_by_hand(synthetic: FilesysEnvironment) -> None:
    task = task_of(synthetic, 3)
    synthetic.reset(task, seed=0, stage="part")
    down = f"cd {task.data['path'][1]}"
    steps = [synthetic.step(action) for action in ("cd ..", f"cd {task.data['path'][0]}", down)]
    steps.append(synthetic.step(f"id {task.data['path'][-1]}"))
    assert [step.shaping * 15 for step in steps] == pytest.approx([-1, 1, 1, 0])
    assert [step.reward * 15 for step in steps] == pytest.approx([-1, -1, -1, 14])
    assert steps[-1].success


def test_the_real_task_is_not_shaped(synthetic: FilesysEnvironment) -> None:
    synthetic.reset(task_of(synthetic, 3), seed=0)
    assert [step.shaping for step in by_the_expert(synthetic) if step.shaping] == []


def test_a_teacher_shows_the_real_task_unless_all_stages_are_asked_for(
    synthetic: FilesysEnvironment,
) -> None:
    tasks = [task for task in synthetic.tasks("train") if task.level == 3][:10]

    def make() -> FilesysEnvironment:
        return FilesysEnvironment(FilesysConfig(corpus="synthetic", expert="explorer"))

    def shown(stages: tuple[str, ...], which: str = "final") -> list[str]:
        settings = TeachSettings(episodes=20, negatives=1, stages=which)
        lesson = teach(make, tasks, settings, seed=0, stages=stages)
        assert not lesson.unsolved
        return [
            folder(example.state.observation)
            for example in lesson.examples
            if example.kind == "positive" and not example.state.history
        ]

    assert shown(STAGES) == shown(("full",)) == ["/"] * 20
    depths = Counter(place.count("/") if place != "/" else 0 for place in shown(STAGES, "all"))
    assert depths == {2: 7, 1: 7, 0: 6}
