"""Our environments through Gymnasium's interface."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import attrs
import gymnasium
import numpy as np
import pytest
from fake_plugins import FakeEntryPoint, module
from gymnasium.error import CustomSpaceError
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import create_shared_memory
from hypothesis import given, settings
from hypothesis import strategies as st

from reflect_core import (
    ConfigError,
    EnvironmentContext,
    EnvironmentSpec,
    EpisodeOver,
    Observation,
    PluginError,
    ReflectError,
    Step,
    Task,
    hookimpl,
    option,
)
from reflect_core.gym import TextEnvironment, UnicodeText, environment_id, register
from reflect_core.plugins import load
from reflect_core.testing import Lamps, other_texts

IDS = {name: environment_id(offer.spec) for name, offer in load().environments.items()}


@attrs.frozen
class LampsConfig:
    """What a test may set."""

    horizon: int = option(2, "Turns.", minimum=1)
    label: str | None = option(None, "Unused.")


class Dark(Lamps):
    """Lamps that have no tasks to test with, and a story of the last turn in ``info``."""

    def tasks(self, split: str) -> list[Task]:
        return [] if split == "test" else list(super().tasks(split))

    def step(self, action: str) -> Step:
        return attrs.evolve(super().step(action), info={"said": [action]}, shaping=0.25)


def lamps(config: LampsConfig, context: object) -> Lamps:
    return Dark(horizon=config.horizon)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EnvironmentSpec]]:
    """A plugin with the environment ``lamps``, version 3; more can be added."""
    specs = [EnvironmentSpec(name="lamps", factory=lamps, config=LampsConfig, version=3)]
    plugin = module(reflect_environments=environments_of(specs))
    points = [FakeEntryPoint("lamps", lambda: plugin)]
    before = dict(gymnasium.registry)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    register()
    yield specs
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def environments_of(specs: list[EnvironmentSpec]) -> Any:
    """A hook that offers what the list holds when it is asked."""

    @hookimpl
    def reflect_environments() -> Any:
        yield from specs

    return reflect_environments


def mask_of(info: dict[str, Any]) -> list[int]:
    return [int(each) for each in np.flatnonzero(info["action_mask"])]


# -- registration -------------------------------------------------------------------------


def test_every_installed_environment_is_registered() -> None:
    assert set(IDS.values()) <= set(gymnasium.registry)
    assert set(register()) == set(IDS.values())
    assert {"filesys", "frozenlake", "taxi"} <= set(IDS)


def test_an_import_is_enough() -> None:
    code = f"import gymnasium; gymnasium.make('reflect_core.gym:{IDS['taxi']}').reset(seed=0)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_core_does_not_import_gymnasium() -> None:
    code = (
        "import sys, reflect_core, reflect_core.cli, reflect_core.plugins;"
        "reflect_core.plugins.load();"
        "sys.exit('gymnasium' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_environments(registered: list[EnvironmentSpec]) -> None:
    assert gymnasium.spec("reflect/lamps-v3").version == 3
    registered[0] = attrs.evolve(registered[0], version=4)
    assert register() == ("reflect/lamps-v4",)
    assert "reflect/lamps-v4" in gymnasium.registry


def test_registering_again_changes_nothing(registered: list[EnvironmentSpec]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert register() == register() == ("reflect/lamps-v3",)


def test_a_name_that_gymnasium_does_not_take_is_told(registered: list[EnvironmentSpec]) -> None:
    registered.append(attrs.evolve(registered[0], name="two words"))
    with pytest.warns(UserWarning, match="'two words' of 'lamps'"):
        assert register() == ("reflect/lamps-v3",)


def test_the_spec_is_plain_and_makes_another(registered: list[EnvironmentSpec]) -> None:
    env = gymnasium.make("reflect/lamps-v3", config={"horizon": 5}, split="valid")
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gymnasium.make(spec)
    assert again.unwrapped.environment.horizon == 5
    assert again.reset(seed=1)[0] == env.reset(seed=1)[0]
    assert again.reset(seed=1)[1]["split"] == "valid"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"config": {"horizn": 3}}, "no option 'horizn'"),
        ({"config": {"horizon": 0}}, "at least 1"),
        ({"config": {"horizon": "3"}}, "lamps.horizon cannot be"),
        ({"actions": "words"}, "actions='words'"),
        ({"max_actions": 0}, "max_actions=0"),
        ({"max_length": 0}, "max_length=0"),
        ({"split": "test"}, "no tasks"),
    ],
)
def test_mistakes_are_told(
    registered: list[EnvironmentSpec], given: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(what)):
        gymnasium.make("reflect/lamps-v3", **given)


def test_none_is_a_value(registered: list[EnvironmentSpec]) -> None:
    gymnasium.make("reflect/lamps-v3", config={"label": None}).close()


def test_the_seed_of_a_run_can_be_chosen(registered: list[EnvironmentSpec]) -> None:
    seeds = []

    def make(config: LampsConfig, context: EnvironmentContext) -> Lamps:
        seeds.append(context.seed)
        return Lamps()

    registered[0] = attrs.evolve(registered[0], factory=make)
    gymnasium.make("reflect/lamps-v3")
    gymnasium.make("reflect/lamps-v3", run_seed=7)
    assert seeds == [0, 7]


def test_an_environment_that_went_away(registered: list[EnvironmentSpec]) -> None:
    registered.clear()
    with pytest.raises(PluginError, match="no environment is called 'lamps'"):
        gymnasium.make("reflect/lamps-v3")


# -- Gymnasium's own checker --------------------------------------------------------------


def checked(env: gymnasium.Env[Any, Any]) -> None:
    """Run Gymnasium's checker; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("actions", ["discrete", "text"])
@pytest.mark.parametrize("name", sorted(set(IDS) - {"alfworld"}))
def test_gymnasiums_checker_finds_nothing(name: str, actions: str) -> None:
    checked(gymnasium.make(IDS[name], actions=actions))


def test_gymnasiums_checker_finds_nothing_in_alfworld() -> None:
    pytest.importorskip("alfworld", reason="its engine is not installed")
    checked(gymnasium.make(IDS["alfworld"]))


@pytest.mark.parametrize("how", [{}, {"actions": "text"}, {"split": "valid", "max_actions": 4}])
def test_gymnasiums_checker_finds_nothing_in_lamps(
    registered: list[EnvironmentSpec], how: dict[str, Any]
) -> None:
    checked(gymnasium.make("reflect/lamps-v3", **how))


def test_the_checker_is_asked_in_earnest() -> None:
    class Forgetful(TextEnvironment):
        def reset(self, *, seed: Any = None, options: Any = None) -> tuple[str, dict[str, Any]]:
            return super().reset(options=options)

    with pytest.raises(AssertionError, match="seed"):
        checked(Forgetful(Lamps()))


# -- episodes -----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from(["train", "valid"]),
    st.lists(st.integers(-3, 9), min_size=6, max_size=6),
)
def test_it_plays_as_the_environment_does(seed: int, split: str, numbers: list[int]) -> None:
    env, bare = TextEnvironment(Dark(horizon=6), split=split), Dark(horizon=6)
    text, info = env.reset(seed=seed)
    task = {each.task_id: each for each in bare.tasks(split)}[info["task_id"]]
    seen = bare.reset(task, seed=info["episode_seed"])
    for turn, number in enumerate(numbers, 1):
        assert text == f"{task.text}\n\n{seen.text}"
        assert text in env.observation_space
        assert info["admissible_commands"] == list(seen.legal_actions)
        assert mask_of(info) == list(range(len(seen.legal_actions)))
        assert info["state_key"] == seen.state_key
        legal = 0 <= number < len(seen.legal_actions)
        step = bare.step(seen.legal_actions[number] if legal else "nothing")
        text, reward, terminated, truncated, info = env.step(number)
        assert (reward, terminated, truncated) == (step.reward, turn == 6, False)
        assert (info["success"], info["shaping"]) == (step.success, 0.25)
        assert legal == (info["details"]["said"][0] in seen.legal_actions)
        seen = step.observation


@pytest.mark.parametrize("sign", [1, -1])
def test_an_index_of_any_size_is_an_illegal_action(sign: int) -> None:
    env = TextEnvironment(Lamps())
    env.reset(seed=0)
    _, reward, terminated, *_ = env.step(sign * 10**5000)
    assert (reward, terminated) == (0, False)


@settings(max_examples=30, deadline=None)
@given(other_texts())
def test_a_text_as_action(text: str) -> None:
    env = TextEnvironment(Lamps(), actions="text")
    _, info = env.reset(seed=0)
    assert "action_mask" not in info
    _, reward, *_ = env.step(text)
    assert reward == 0
    right = env.environment.expert_action()
    _, reward, terminated, _, info = env.step(right)
    assert (reward, terminated, info["success"]) == (0.5, True, False)


@pytest.mark.parametrize("number", [2, np.int64(2), np.int8(2), np.array(2)])
def test_numbers_of_any_kind(number: Any) -> None:
    env = TextEnvironment(Dark())
    env.reset(seed=0)
    assert env.step(number)[-1]["details"] == {"said": ["push green"]}


@pytest.mark.parametrize(("actions", "wrong"), [("discrete", "push red"), ("discrete", 1.5),
                                                ("discrete", None), ("text", 1)])  # fmt: skip
def test_actions_of_the_wrong_kind_are_a_callers_bug(actions: Any, wrong: object) -> None:
    env = TextEnvironment(Lamps(), actions=actions)
    env.reset(seed=0)
    with pytest.raises(TypeError):
        env.step(wrong)


def test_a_number_off_the_menu_never_spells_an_item() -> None:
    class Sly(Dark):
        def _observe(self) -> Observation:
            return Observation("", ("action 9", "action 9?", "stay"))

    env = TextEnvironment(Sly())
    env.reset(seed=0)
    assert env.step(9)[-1]["details"] == {"said": ["action 9??"]}


def test_the_same_seed_gives_the_same_episodes() -> None:
    def episodes(seed: int) -> list[tuple[str, int]]:
        env = TextEnvironment(Lamps())
        infos = [env.reset(seed=seed)[1], *(env.reset()[1] for _ in range(9))]
        return [(info["task_id"], info["episode_seed"]) for info in infos]

    assert episodes(1) == episodes(1)
    assert episodes(1) != episodes(2)
    assert len({task for task, _ in episodes(1)}) > 2
    assert len(dict(episodes(1)).values()) == len(set(dict(episodes(1)).values()))


def test_reset_draws_every_task_of_the_split() -> None:
    env = TextEnvironment(Lamps(tasks=3), split="valid")
    env.reset(seed=0)
    drawn = {env.reset()[1]["task_id"] for _ in range(50)}
    assert drawn == {"valid-0", "valid-1", "valid-2"}


def test_a_task_can_be_chosen_and_leaves_the_draws_alone() -> None:
    env = TextEnvironment(Lamps())
    plain = [env.reset(seed=4)[1], env.reset()[1]]
    chosen = env.reset(seed=4, options={"task": "train-5"})[1]
    assert chosen["task_id"] == "train-5"
    assert chosen["episode_seed"] == plain[0]["episode_seed"]
    assert env.reset()[1]["task_id"] == plain[1]["task_id"]
    other = Lamps().tasks("test")[2]
    assert env.reset(options={"task": other})[1]["task_id"] == "test-2"
    assert env.reset(options={"task": "valid-1"})[1]["split"] == "valid"


def test_a_stage_can_be_chosen() -> None:
    stages = []

    class Staged(Lamps):
        def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
            stages.append(stage)
            return super().reset(task, seed=seed)

    env = TextEnvironment(Staged(), stage="easy")
    assert env.reset(seed=0)[1]["stage"] == "easy"
    assert env.reset(options={"stage": "hard"})[1]["stage"] == "hard"
    env.reset()
    assert stages == ["easy", "hard", "easy"]
    assert TextEnvironment(Staged()).reset(seed=0)[1]["stage"] is None


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"task": "train-99"}, "no task is called 'train-99'"),
        ({"task": 3}, "not by 3"),
        ({"tsk": "train-1"}, "no option 'tsk'"),
    ],
)
def test_unknown_options_of_reset_are_told(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ReflectError, match=what):
        TextEnvironment(Lamps()).reset(options=options)


def test_a_menu_that_does_not_fit_is_told_and_not_cut() -> None:
    env = TextEnvironment(Lamps(), max_actions=3)
    with pytest.raises(ReflectError, match="4 actions and the action space 3") as told:
        env.reset(seed=0)
    assert "max_actions=8" in str(told.value)
    assert TextEnvironment(Lamps(), max_actions=4).reset(seed=0)[1]["action_mask"].sum() == 4


def test_an_observation_that_does_not_fit_is_told_and_not_cut() -> None:
    env = TextEnvironment(Lamps(), max_length=20)
    with pytest.raises(ReflectError, match="texts of up to 20"):
        env.reset(seed=0)


def test_the_instruction_can_be_left_out() -> None:
    env = TextEnvironment(Lamps(), instruction=False)
    text, info = env.reset(seed=0)
    assert text.startswith("The ")
    assert info["task"] == "push the lit lamp"


def test_what_is_handed_out_can_be_changed() -> None:
    class Kept(Dark):
        notes: dict[str, Any] = {"seen": []}  # noqa: RUF012

        def step(self, action: str) -> Step:
            return attrs.evolve(super().step(action), info=self.notes)

    env = TextEnvironment(Kept())
    _, info = env.reset(seed=0)
    info["admissible_commands"].clear()
    info["action_mask"][:] = 0
    *_, info = env.step(0)
    assert len(info["admissible_commands"]) == 4
    assert info["action_mask"].sum() == 4
    info["details"]["seen"].append(1)
    assert Kept.notes == {"seen": []}


def test_before_and_after_an_episode() -> None:
    env = TextEnvironment(Lamps(), render_mode="ansi")
    for early in (lambda: env.step(0), env.render):
        with pytest.raises(EpisodeOver):
            early()
    env.reset(seed=0)
    env.step(0)
    assert env.step(0)[2]
    with pytest.raises(EpisodeOver):
        env.step(0)
    env.close()
    env.close()


def test_rendering_shows_text_and_menu() -> None:
    env = TextEnvironment(Lamps(), render_mode="ansi")
    text, _ = env.reset(seed=0)
    assert env.render() == f"{text}\n\n0: push red\n1: push blue\n2: push green\n3: push white"
    assert TextEnvironment(Lamps()).render() is None


def test_it_is_closed_with_what_it_shows(registered: list[EnvironmentSpec]) -> None:
    closed = []

    class Door(Dark):
        def close(self) -> None:
            closed.append(self)

    registered[0] = attrs.evolve(registered[0], factory=lambda config, context: Door())
    env = gymnasium.make("reflect/lamps-v3")
    env.close()
    assert closed == [env.unwrapped.environment]
    with pytest.raises(ConfigError):
        gymnasium.make("reflect/lamps-v3", split="test")
    assert len(closed) == 2, "what cannot be shown is closed"


@pytest.mark.parametrize(
    ("mode", "how"), [("sync", {}), ("async", {"context": "spawn", "shared_memory": False})]
)
def test_environments_side_by_side(mode: str, how: dict[str, Any]) -> None:
    name = IDS["frozenlake"]
    alone = [gymnasium.make(name).reset(seed=seed) for seed in (5, 6)]
    many = gymnasium.make_vec(
        f"reflect_core.gym:{name}", 2, vectorization_mode=mode, vector_kwargs=how
    )
    texts, infos = many.reset(seed=5)
    assert list(texts) == [text for text, _ in alone]
    assert [list(mask) for mask in infos["action_mask"]] == [
        list(info["action_mask"]) for _, info in alone
    ]
    texts, rewards, *_ = many.step(np.array([0, 255]))
    assert all(isinstance(text, str) and text for text in texts)
    assert rewards[1] < 0, "no such number"
    many.close()


def test_texts_in_shared_memory_are_refused() -> None:
    with pytest.raises(CustomSpaceError, match="shared_memory=False"):
        create_shared_memory(UnicodeText(10), n=2)


def test_info_can_be_written_down() -> None:
    env = TextEnvironment(Lamps())
    _, info = env.reset(seed=0)
    assert json.loads(json.dumps({**info, "action_mask": info["action_mask"].tolist()}))
