"""Rollouts: layout independence, failing environments, the learner's limit."""

import contextlib
import itertools
import json

import attrs
import numpy as np
import pytest
from hazards import Dead

from reflect_core import rollout
from reflect_core.baselines import ExpertPolicy, ExpertReflector, RandomPolicy, SilentReflector
from reflect_core.dropped import check_failures
from reflect_core.errors import EnvironmentFailure, EpisodeOver, NoAdvice, ReflectError
from reflect_core.evaluation import outcome
from reflect_core.records import Assignment, Choice, Step, Task
from reflect_core.rollout import (
    Collector,
    evaluation_episodes,
    training_episodes,
)
from reflect_core.testing.lamps import Lamps


def episodes(count=12, *, groups=1, iteration=0):
    tasks = Lamps().tasks("train")
    assignments = [Assignment(tasks[i % len(tasks)], None, groups) for i in range(count)]
    return training_episodes(assignments, seed=3, iteration=iteration)


def play(num_envs, *, make=Lamps, policy=None, plan=None):
    collector = Collector(
        make, SilentReflector(), policy or RandomPolicy(), seed=3, num_envs=num_envs
    )
    return collector.play(plan or episodes(), greedy=False)


def trace(played):
    return [
        (
            t.episode,
            t.task.task_id,
            [(x.observation.text, x.action, x.reward) for x in t.transitions],
        )
        for t in played.trajectories
    ]


def test_numbers_of_numpy_are_recorded_as_plain_ones():
    class Engine(Lamps):
        def tasks(self, split):
            return [attrs.evolve(task, level=np.int64(task.level)) for task in super().tasks(split)]

        def step(self, action):
            told = super().step(action)
            return Step(
                told.observation,
                reward=np.float32(told.reward),
                terminated=np.bool_(told.terminated),
                truncated=np.bool_(told.truncated),
                success=np.bool_(told.success),
                shaping=np.float32(0),
            )

    def recorded(make):
        plan = evaluation_episodes(make().tasks("test"), 8, seed=0, stage="full")
        return json.dumps([outcome(t) for t in play(4, make=make, plan=plan).trajectories])

    assert recorded(Engine) == recorded(Lamps)


@pytest.mark.parametrize("num_envs", [1, 5, 12, 40])
def test_the_number_of_environments_changes_no_episode(num_envs):
    assert trace(play(num_envs)) == trace(play(3))


def test_every_episode_is_played_to_its_end_in_order():
    played = play(5)
    assert [t.episode for t in played.trajectories] == list(range(12))
    assert all(t.terminated and t.turns == 2 for t in played.trajectories)
    assert played.turns == 24


def test_an_evaluation_plays_a_mixture_that_is_the_same_for_every_seed():
    tasks = [Task(f"{i:02}", "test", "", level=1 + i // 10) for i in range(30)]
    one, two = (evaluation_episodes(tasks, 9, seed=seed, stage="full") for seed in (0, 1))
    assert [each.task for each in one] == [each.task for each in two]
    assert {each.task.level for each in one} == {1, 2, 3}
    assert not {each.environment_seed for each in one} & {each.environment_seed for each in two}


def test_the_time_in_which_environments_alone_were_at_work_is_added_up(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(rollout.time, "perf_counter", lambda: next(clock))
    collector = Collector(Lamps, SilentReflector(), RandomPolicy(), seed=3, num_envs=5)
    assert collector.waited == 0
    played = collector.play(episodes(), greedy=False)
    # a second for each answer, one per turn and one per reset, and for each that is built
    assert collector.waited == played.turns + played.episodes + 5


def test_iterations_draw_anew():
    assert trace(play(4)) != trace(play(4, plan=episodes(iteration=1)))


def test_a_group_shares_task_and_start_but_not_its_actions():
    played = play(4, plan=episodes(2, groups=16))
    first = [t for t in played.trajectories if t.group == 0]
    assert len({(t.task.task_id, t.transitions[0].observation.text) for t in first}) == 1
    assert len({t.transitions[0].action for t in first}) > 1


def test_an_environment_that_raises_loses_its_episode_only():
    broken = play(4, make=lambda: Lamps(fail_on=["train-2"]))
    whole = play(4)
    assert len(broken.failures) == 2
    assert "a fuse blew" in broken.failures[0]
    assert trace(broken) == [row for row in trace(whole) if row[1] != "train-2"]
    with pytest.raises(EnvironmentFailure, match="2 of 12 episodes failed"):
        check_failures(broken.failures, broken.episodes, 0.05)
    check_failures(broken.failures, broken.episodes, 0.2)


@pytest.mark.parametrize("truncate", [False, True])
def test_an_expert_that_raises_loses_its_episode_only(truncate):
    class Broken(Lamps):
        def expert_reflection(self):
            if self.task.task_id == "train-2" and self.turn == (self.horizon if truncate else 1):
                raise RuntimeError("no word")
            return "push the lit one"

        def expert_action(self):
            return f"push {self.lit[self.turn]}"

    def run(make):
        collector = Collector(
            make, ExpertReflector(), ExpertPolicy(), seed=0, num_envs=4, needs_expert=True
        )
        return collector.play(episodes(), greedy=False)

    broken = run(lambda: Broken(truncate=truncate))
    assert broken.failures == ["train-2: RuntimeError: no word"] * 2
    whole = [row for row in trace(run(lambda: Lamps(truncate=truncate))) if row[1] != "train-2"]
    assert trace(broken) == whole


def test_an_expert_that_gives_up_plays_on_and_its_episode_counts_as_lost():
    class Lost(Lamps):
        def expert_action(self):
            if self.task.task_id == "train-2":
                raise NoAdvice("lost")
            return super().expert_action()

    collector = Collector(
        Lost, ExpertReflector(), ExpertPolicy(), seed=0, num_envs=4, needs_expert=True
    )
    played = collector.play(episodes(), greedy=False)
    assert not played.failures
    lost = [t for t in played.trajectories if t.task.task_id == "train-2"]
    assert len(lost) == 2 and len(played.trajectories) == 12
    for trajectory in lost:
        assert {turn.reflection for turn in trajectory.transitions} == {""}
        assert {turn.action for turn in trajectory.transitions} == {"push red"}


def test_one_that_died_is_built_anew_and_one_that_cannot_be_closed_costs_nothing():
    class Stuck(Dead):
        def close(self):
            raise OSError("jammed")

    for make in (Dead, Stuck):
        closes = make is Dead
        with contextlib.nullcontext() if closes else pytest.warns(RuntimeWarning, match="jammed"):
            played = play(1, make=make)
        assert played.failures == ["train-1: BrokenPipeError: no engine"] * 2
        assert trace(played) == [row for row in trace(play(1)) if row[1] != "train-1"]


def test_an_environment_that_cannot_reset_loses_its_episode_only():
    class Stubborn(Lamps):
        def reset(self, task, *, seed, stage=None):
            if task.task_id == "train-1":
                raise OSError("no lamp")
            return super().reset(task, seed=seed, stage=stage)

    played = play(4, make=Stubborn)
    assert [f.split(":")[0] for f in played.failures] == ["train-1", "train-1"]
    assert len(played.trajectories) == 10


class Valuing(RandomPolicy):
    """Says that every state is worth 0.25 per turn that lies behind."""

    def act(self, states, reflections, draws, *, greedy):
        return [Choice(index=0, value=0.25 * state.turn) for state in states]


def test_a_truncated_episode_is_bootstrapped_and_a_terminated_one_is_not():
    cut = play(4, make=lambda: Lamps(truncate=True), policy=Valuing())
    ended = play(4, policy=Valuing())
    assert {t.final_value for t in cut.trajectories} == {0.5}
    assert {t.final_value for t in ended.trajectories} == {0.0}


def test_an_expert_that_is_silent_once_an_episode_is_cut_loses_none():
    class Silent(Lamps):
        def expert_action(self):
            if self.over:
                raise EpisodeOver("no episode runs")
            return super().expert_action()

    class Worth(ExpertPolicy):
        def act(self, states, reflections, draws, *, greedy):
            chosen = super().act(states, reflections, draws, greedy=greedy)
            return [attrs.evolve(choice, value=0.5) for choice in chosen]

    def cut(make):
        collector = Collector(
            make, ExpertReflector(), Worth(), seed=0, num_envs=4, needs_expert=True
        )
        return collector.play(episodes(), greedy=True)

    silent, whole = cut(lambda: Silent(truncate=True)), cut(lambda: Lamps(truncate=True))
    assert not silent.failures
    assert trace(silent) == trace(whole)
    assert {t.final_value for t in silent.trajectories} == {0.0}
    assert {t.final_value for t in whole.trajectories} == {0.5}


def test_the_expert_is_asked_only_where_it_is_needed():
    collector = Collector(
        Lamps, ExpertReflector(), ExpertPolicy(), seed=0, num_envs=4, needs_expert=True
    )
    played = collector.play(episodes(), greedy=True)
    assert all(t.success for t in played.trajectories)
    first = played.trajectories[0].transitions[0]
    assert first.reflection.endswith(first.action)
    with pytest.raises(ReflectError, match="expert"):
        Collector(
            _NoExpert,
            ExpertReflector(),
            ExpertPolicy(),
            seed=0,
            num_envs=1,
            needs_expert=True,
        ).play(episodes(1), greedy=True)


class _NoExpert:
    """An environment with the four verbs and nothing more."""

    def __init__(self):
        self._lamps = Lamps()

    def tasks(self, split):
        return self._lamps.tasks(split)

    def reset(self, task, *, seed, stage=None):
        return self._lamps.reset(task, seed=seed, stage=stage)

    def step(self, action):
        return self._lamps.step(action)

    def close(self):
        self._lamps.close()


def test_evaluation_is_named_by_task_and_not_by_place():
    tasks = Lamps().tasks("test")
    forward = evaluation_episodes(tasks, 16, seed=0, stage="full")
    backward = evaluation_episodes(tasks[::-1], 16, seed=0, stage="full")
    key = lambda e: (e.name, e.environment_seed)  # noqa: E731
    assert sorted(map(key, forward)) == sorted(map(key, backward))
    assert len({e.environment_seed for e in forward}) == 16
    assert evaluation_episodes([], 5, seed=0, stage="full") == []
