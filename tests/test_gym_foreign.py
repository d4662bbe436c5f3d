"""Gymnasium's environments as ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from fake_plugins import FakeEntryPoint, module
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from reflect_core import (
    Assignment,
    Choice,
    ConfigError,
    EpisodeOver,
    Expert,
    Hint,
    NoAdvice,
    ReflectError,
)
from reflect_core.baselines import SilentReflector
from reflect_core.gym import Ending, TextEnvironment, from_gymnasium, reached_goal
from reflect_core.hints import hint_of
from reflect_core.plugins import load
from reflect_core.rollout import Collector, training_episodes
from reflect_core.testing import EnvironmentContract

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "gymnasium.md"
SIDES = ("left", "down", "right", "up")


def cell(observation: int, env: gymnasium.Env[Any, Any]) -> str:
    return f"You stand on cell {observation} of {env.unwrapped.desc.size}."


def lake(**how: Any) -> Any:
    given = {"describe": cell, "actions": SIDES, "options": {"is_slippery": False}}
    return from_gymnasium("FrozenLake-v1", **given | how)


def way(observation: int, env: gymnasium.Env[Any, Any]) -> Hint:
    """A shortest way over Gymnasium's map of four rows."""
    action = "down" if observation in (0, 4, 9) else "right"
    return Hint(action, f"The goal is far. {action}")


class Counter(gymnasium.Env[Any, Any]):
    """Counts from a start that is drawn; its actions have the numbers 5, 6 and 7.

    ``up`` adds what is drawn, ``down`` takes 1 away and is legal above 0 only, ``end`` truncates.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = spaces.Box(-1000, 1000, (1,), np.int64)
    action_space = spaces.Discrete(3, start=5)
    closed = 0

    def __init__(self, mask: str = "right") -> None:
        self.mask = mask

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = int(self.np_random.integers(100))
        return self._seen(), self._info()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.count += {5: int(self.np_random.integers(1, 100)), 6: -1, 7: 0}[int(action)]
        return self._seen(), -2.0, self.count < 0, action == 7, self._info()

    def close(self) -> None:
        type(self).closed += 1

    def _seen(self) -> Any:
        return np.array([self.count])

    def _info(self) -> dict[str, Any]:
        masks = {
            "right": [1, self.count > 0, 1],
            "short": [1],
            "empty": [0, 0, 0],
        }
        return {"action_mask": np.array(masks[self.mask], np.int8)} if self.mask in masks else {}


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(gymnasium.registry)
    gymnasium.register("tests/Counter-v0", entry_point=Counter)
    gymnasium.register("tests/Bounded-v0", entry_point=Counter, max_episode_steps=7)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def counter(**how: Any) -> Any:
    given = {
        "describe": lambda seen, env: f"count {seen[0]}",
        "actions": ("up", "down", "end"),
        "horizon": 5,
    }
    return from_gymnasium("tests/Counter-v0", **given | how)


class TestLake(EnvironmentContract):
    """A deterministic one, with an expert."""

    max_examples = 20

    def make(self) -> Any:
        return lake(horizon=8, expert=way, train_tasks=5, valid_tasks=2, test_tasks=2)


class TestBlackjack(EnvironmentContract):
    """One that draws in every turn, without an expert."""

    max_examples = 20

    def make(self) -> Any:
        return from_gymnasium(
            "Blackjack-v1",
            describe=lambda seen, env: f"You hold {seen[0]}.",
            actions=("stick", "hit"),
            horizon=10,
            train_tasks=50,
        )


# -- tasks --------------------------------------------------------------------------------


@given(*[st.integers(1, 300)] * 3)
@settings(max_examples=10, deadline=None)
def test_no_two_splits_share_a_seed(train: int, valid: int, test: int) -> None:
    env = lake(train_tasks=train, valid_tasks=valid, test_tasks=test)
    tasks = {split: env.tasks(split) for split in ("train", "valid", "test")}
    assert [len(each) for each in tasks.values()] == [train, valid, test]
    seeds = [task.data["seed"] for each in tasks.values() for task in each]
    assert len(set(seeds)) == train + valid + test
    assert max(seeds) < 2**31, "what any environment takes as a seed"


def test_a_split_that_grows_leaves_the_others_alone() -> None:
    small, large = lake(), lake(train_tasks=5000, test_tasks=300)
    assert large.tasks("valid") == small.tasks("valid")
    assert list(large.tasks("test"))[:200] == small.tasks("test")


def test_the_tasks_seed_decides_the_start_and_the_episodes_seed_the_rest() -> None:
    env = counter()
    first, second = env.tasks("train")[:2]

    def episode(task: Any, seed: int) -> list[str]:
        texts = [env.reset(task, seed=seed).text]
        return texts + [env.step("up").observation.text for _ in range(3)]

    assert episode(first, 1) == episode(first, 1)
    assert episode(first, 1)[0] == episode(first, 2)[0] != episode(second, 1)[0]
    assert episode(first, 1)[1:] != episode(first, 2)[1:]


def test_tasks_of_others_are_refused() -> None:
    env = lake(train_tasks=3)
    with pytest.raises(ReflectError, match="not one of FrozenLake-v1's"):
        env.reset(lake().tasks("train")[3], seed=0)
    with pytest.raises(ReflectError, match="no stage is called 'hard'"):
        env.reset(env.tasks("train")[0], seed=0, stage="hard")
    with pytest.raises(ReflectError, match="no split is called 'dev'"):
        env.tasks("dev")
    env.reset(env.tasks("train")[0], seed=0, stage="full")


# -- turns --------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(SIDES), min_size=20, max_size=20))
@settings(max_examples=30, deadline=None)
def test_it_plays_as_gymnasiums_does(actions: list[str]) -> None:
    env, bare = lake(horizon=20), gymnasium.make("FrozenLake-v1", is_slippery=False)
    seen, _ = bare.reset(seed=0)
    assert env.reset(env.tasks("train")[0], seed=0).text == f"{cell(seen, bare)}\n20 turns left."
    for turn, action in enumerate(actions, 1):
        seen, reward, ended, *_ = bare.step(SIDES.index(action))
        step = env.step(action)
        assert step.observation.text.startswith(cell(seen, bare))
        assert step.reward == reward
        assert step.terminated == (ended or turn == 20)
        assert step.success == (reward == 1)
        assert step.observation.legal_actions == (() if step.over else SIDES)
        if step.over:
            break


def test_numbers_need_not_begin_at_nought() -> None:
    env = counter()
    seen = env.reset(env.tasks("train")[0], seed=0)
    before = int(seen.text.split()[1])
    assert env.step("down").observation.text == f"count {before - 1}\n4 turns left."


def test_the_horizon_terminates_and_is_no_success() -> None:
    env = lake(horizon=2)
    assert env.reset(env.tasks("train")[0], seed=0).text.endswith("\n2 turns left.")
    step = env.step("left")
    assert not step.over
    assert step.observation.text.endswith("\n1 turn left.")
    step = env.step("left")
    assert (step.terminated, step.truncated, step.success) == (True, False, False)
    assert step.observation.text.endswith("\n0 turns left.")
    with pytest.raises(EpisodeOver):
        env.step("left")


@pytest.mark.parametrize(("given", "turns"), [({}, 7), ({"horizon": 9}, 9)])
def test_the_limit_of_the_id_is_the_horizon_where_none_is_given(
    given: dict[str, int], turns: int
) -> None:
    env = from_gymnasium(
        "tests/Bounded-v0", describe=lambda seen, env: "", actions=("up", "down", "end"), **given
    )
    env.reset(env.tasks("train")[0], seed=0)
    steps = [env.step("up") for _ in range(turns)]
    assert [step.over for step in steps] == [False] * (turns - 1) + [True]
    assert not steps[-1].truncated


def test_a_truncation_of_the_environments_own_is_one_of_ours() -> None:
    env = counter()
    env.reset(env.tasks("train")[0], seed=0)
    step = env.step("end")
    assert (step.terminated, step.truncated, step.success) == (False, True, False)
    env.reset(env.tasks("train")[0], seed=0)
    for _ in range(4):
        env.step("up")
    step = env.step("end")
    assert (step.terminated, step.truncated) == (True, False), "the horizon comes first"


def test_what_follows_a_truncation_is_estimated() -> None:
    class Certain:
        def act(self, states: Any, reflections: Any, draws: Any, *, greedy: bool) -> Any:
            menus = [state.observation.legal_actions for state in states]
            return [Choice(menu.index("end"), value=7.0) for menu in menus]

    env = counter()
    collector = Collector(lambda: env, SilentReflector(), Certain(), seed=0, num_envs=1)
    plan = training_episodes([Assignment(env.tasks("train")[0])], seed=0, iteration=0)
    (trajectory,) = collector.play(plan, greedy=False).trajectories
    assert trajectory.truncated
    assert trajectory.final_value == 7.0


def test_what_is_not_on_the_menu_takes_a_turn_and_is_not_played() -> None:
    env = counter(error_reward=-0.5)
    seen = env.reset(env.tasks("train")[0], seed=0)
    step = env.step("fly \udc80 away and so on and on")
    assert step.observation.text.splitlines() == [
        r"error: no action 'fly \udc80 away and so on'",
        seen.text.splitlines()[0],
        "4 turns left.",
    ]
    assert (step.reward, step.over, step.info) == (-0.5, False, {"error": "not on the menu"})
    assert step.observation.legal_actions == seen.legal_actions
    for _ in range(3):
        step = env.step("fly")
    assert env.step("fly").terminated


def test_rewards_are_scaled_and_endings_are_not() -> None:
    endings: list[Ending] = []
    env = counter(reward_scale=0.05, success=lambda ending: bool(endings.append(ending)) or True)
    env.reset(env.tasks("train")[0], seed=0)
    assert [env.step(action).reward for action in ("up", "fly", "up")] == [-0.1, -1.0, -0.1]
    assert not endings, "asked at the end alone"
    step = env.step("end")
    assert step.success
    [ending] = endings
    assert (ending.reward, ending.episode_return, ending.turns) == (-2.0, -6.0, 4)
    assert (ending.terminated, ending.truncated) == (False, True)
    assert ending.observation.shape == (1,)
    assert "action_mask" in ending.info


@pytest.mark.parametrize(
    ("terminated", "reward", "success"), [(True, 1, True), (True, 0, False), (False, 1, False)]
)
def test_the_rule_for_success(terminated: bool, reward: float, success: bool) -> None:
    assert reached_goal(Ending(0, reward, reward, 3, terminated, False, {})) is success


def test_the_mask_is_the_menu() -> None:
    env = counter(masked=True, horizon=500)
    seen = env.reset(env.tasks("train")[0], seed=0)
    assert seen.legal_actions == ("up", "down", "end")
    while "down" in seen.legal_actions:
        seen = env.step("down").observation
    assert seen.text.startswith("count 0\n")
    assert seen.legal_actions == ("up", "end")
    step = env.step("down")
    assert step.info == {"error": "not on the menu"}
    assert step.observation.text.splitlines()[1] == "count 0"


@pytest.mark.parametrize(
    ("mask", "what"),
    [("none", "no mask"), ("short", "a mask of 1 entries"), ("empty", "allows no action")],
)
def test_a_mask_that_cannot_be_a_menu_is_told(mask: str, what: str) -> None:
    env = counter(masked=True, options={"mask": mask})
    with pytest.raises(ReflectError, match=what):
        env.reset(env.tasks("train")[0], seed=0)


# -- the expert ---------------------------------------------------------------------------


def test_there_is_an_expert_where_one_is_given() -> None:
    assert not isinstance(lake(), Expert)
    env = lake(expert=way)
    assert isinstance(env, Expert)
    env.reset(env.tasks("train")[0], seed=0)
    assert (env.expert_action(), env.expert_reflection()) == ("down", "The goal is far. down")


def test_the_expert_is_silent_outside_of_an_episode() -> None:
    env = lake(expert=way, horizon=1)
    with pytest.raises(EpisodeOver):
        env.expert_action()
    env.reset(env.tasks("train")[0], seed=0)
    env.step("down")
    with pytest.raises(EpisodeOver):
        env.expert_reflection()


def test_an_expert_that_has_given_up_is_not_taught() -> None:
    env = lake(expert=lambda cell, engine: Hint("left", "", given_up=True))
    shown = env.reset(env.tasks("train")[0], seed=0)
    with pytest.raises(NoAdvice):
        env.expert_action()
    assert hint_of(env, shown).given_up


# -- mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"actions": SIDES[:3]}, "has 4 actions, and 3 names"),
        ({"actions": "left"}, "are one text"),
        ({"actions": ("left", "left", "right", "up")}, "are called 'left'"),
        ({"actions": ("left", " ", "right", "up")}, "has no name"),
        ({"horizon": 0}, "horizon=0"),
        ({"train_tasks": 0}, "train_tasks=0"),
        ({"test_tasks": 2_000_000}, "test_tasks=2000000"),
        ({"options": {"max_episode_steps": 3}}, "horizon=3"),
        ({"options": {"slippery": True}}, "cannot be made with these options"),
    ],
)
def test_mistakes_are_told(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(what)):
        lake(**given)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("FrozenLak-v1", "Did you mean"),
        ("no such id", "Malformed"),
        ("no_such_module:Thing-v0", "no_such_module"),
        (":Thing-v0", "cannot make ':Thing-v0'"),
        ("Blackjack-v1", "needs a horizon"),
        ("Pendulum-v1", "the actions of Pendulum-v1 are Box"),
    ],
)
def test_environments_that_cannot_be_had_are_told(name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        from_gymnasium(name, describe=cell, actions=("a",))


def test_the_limit_of_an_id_with_a_module_is_the_horizon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registers_a_lake.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('tests/Pond-v0', max_episode_steps=17,\n"
        "    entry_point='gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = from_gymnasium("registers_a_lake:tests/Pond-v0", describe=cell, actions=SIDES)
    assert env.game.horizon == 17
    assert "17 turns left" in env.reset(env.tasks("train")[0], seed=0).text


def test_an_id_without_its_version_will_do_where_the_horizon_is_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium advises to name the version
        env = from_gymnasium("FrozenLake", describe=cell, actions=SIDES, horizon=20)
    assert env.game.horizon == 20


def test_what_cannot_be_wrapped_is_closed() -> None:
    before = Counter.closed
    with pytest.raises(ConfigError):
        counter(actions=("up",))
    assert Counter.closed == before + 1


def test_a_description_that_is_no_text_is_told() -> None:
    env = lake(describe=lambda seen, env: seen)
    with pytest.raises(ReflectError, match="describe gave int for FrozenLake-v1"):
        env.reset(env.tasks("train")[0], seed=0)


def test_it_closes_once_and_stays_closed() -> None:
    env, before = counter(), Counter.closed
    env.reset(env.tasks("train")[0], seed=0)
    env.close()
    env.close()
    assert Counter.closed == before + 1
    for use in (lambda: env.step("up"), lambda: env.reset(env.tasks("train")[0], seed=0)):
        with pytest.raises(EpisodeOver):
            use()


# -- there and back, and on the page --------------------------------------------------------


def test_there_and_back_passes_gymnasiums_checker() -> None:
    gymnasium.register("tests/Lake-v1", entry_point=lambda **how: TextEnvironment(lake(), **how))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("tests/Lake-v1", max_actions=4).unwrapped)


def test_the_page_runs() -> None:
    """The first blocks are one program, the last is a plugin."""
    *program, plugin_code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(program) == 4
    names: dict[str, Any] = {"__name__": "page"}
    for code in program:
        exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    assert names["info"]["admissible_commands"][0] == "push red"
    plugin = module(__name__="blackjack")
    exec(compile(plugin_code, PAGE.name, "exec", dont_inherit=True), vars(plugin))
    registry = load([FakeEntryPoint("blackjack", lambda: plugin)], disabled=())  # type: ignore[list-item]
    spec = registry.find("environment", "blackjack").spec
    env = spec.factory(spec.config(), None)
    won = 0
    for task in env.tasks("train")[:100]:
        seen = env.reset(task, seed=0)
        assert seen.text.startswith("You hold ")
        over = False
        while not over:
            assert env.expert_action() in env.expert_reflection()
            step = env.step(env.expert_action())
            over = step.over
        won += step.success
    assert 20 < won < 60
