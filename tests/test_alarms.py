"""Loud failure: said once, counted always."""

import attrs
import pytest

from reflect_core.alarms import Alarms
from reflect_core.loop import watch
from reflect_core.records import Choice, Observation, Task, Trajectory, Transition
from reflect_core.rollout import Played


def test_the_first_of_a_kind_is_told_and_all_are_counted():
    told = []
    alarms = Alarms(told.append)
    alarms.sound("a", "first")
    alarms.sound("a", "second", count=3)
    alarms.sound("b", "other")
    alarms.sound("c", "nothing happened", count=0)
    assert told == ["first", "other"]
    assert alarms.counted() == {"a": 4, "b": 1}
    assert alarms.counted() == {}
    alarms.sound("a", "third")
    assert told == ["first", "other"]
    assert alarms.counted() == {"a": 1}


def episode(*rewards, shaping=0.0, dropped=0):
    turns = tuple(
        Transition(
            Observation("o", ("x", "y")), "", Choice(0, truncated_turns=dropped), reward, shaping
        )
        for reward in rewards
    )
    return Trajectory(0, Task("t", "train", ""), None, turns, True, False, False)


@pytest.mark.parametrize(
    ("episodes", "figures", "kinds"),
    [
        ([episode(0.0, 1.0), episode(1.0, 0.0)], {}, {"no_reward_variance": 1}),
        ([episode(0.0), episode(1.0)], {}, {}),
        ([episode(1.0)], {}, {}),
        ([episode(0.0), episode(0.0, shaping=1.0)], {}, {}),
        ([episode(0.0), episode(1.0, dropped=2)], {}, {"truncated_prompts": 1}),
        ([episode(0.0), episode(1.0)], {"entropy": 1e-4}, {"entropy_collapsed": 1}),
        ([episode(0.0), episode(1.0)], {"entropy": 0.01}, {}),
        ([episode(0.0), episode(1.0)], {"entropy": 0.002}, {"entropy_collapsed": 1}),
        ([], {"entropy": 0.0}, {}),
    ],
)
def test_an_iteration_that_teaches_little_is_noticed(episodes, figures, kinds):
    alarms = Alarms()
    watch(Played(episodes, []), figures, alarms)
    assert alarms.counted() == kinds


@pytest.mark.parametrize(
    ("returns", "kinds"),
    [((0, 0, 1, 1), {"no_reward_variance": 1}), ((0, 1, 1, 1), {}), ((1, 0, 0, 1), {})],
)
def test_where_groups_are_compared_a_difference_between_them_teaches_nothing(returns, kinds):
    alarms = Alarms()
    episodes = [
        attrs.evolve(episode(float(each)), group=place // 2) for place, each in enumerate(returns)
    ]
    watch(Played(episodes, []), {}, alarms, compared=2)
    assert alarms.counted() == kinds
    watch(Played(episodes, []), {}, alarms)
    assert alarms.counted() == {}


def test_what_only_other_processes_have_met_is_told_by_kind_and_once():
    told = []
    alarms = Alarms(told.append)
    alarms.sound("a", "here")
    for _ in range(2):
        alarms.heed({"a": 3, "b": 2})
    assert told == ["here", "b: 2 in other processes of this run"]


def test_entropy_of_menus_of_one_action_is_no_collapse():
    only = attrs.evolve(episode(0.0).transitions[0], observation=Observation("o", ("x",)))
    forced = [
        attrs.evolve(episode(r), transitions=(attrs.evolve(only, reward=r),)) for r in (0.0, 1.0)
    ]
    alarms = Alarms()
    watch(Played(forced, []), {"entropy": 0.0}, alarms)
    assert alarms.counted() == {}
