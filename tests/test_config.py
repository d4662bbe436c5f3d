from __future__ import annotations

import hashlib
from pathlib import Path

import attrs
import pytest
from fake_plugins import MazeConfig, PpoConfig, registry
from hypothesis import given
from hypothesis import strategies as st

from reflect_core import ConfigError, PluginError, config
from reflect_core.hookspecs import NoConfig
from reflect_core.lm.shipped import TINY
from reflect_core.options import NONE
from reflect_core.settings import (
    EvalSettings,
    ModelSettings,
    Part,
    RolloutSettings,
    Settings,
    TrainSettings,
)

REGISTRY = registry()


def resolve(*overrides: str, **more: object) -> Settings:
    flags = {"env": "maze", **more}
    return config.resolve(REGISTRY, overrides=overrides, flags=flags)


def refusal(*overrides: str, **more: object) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(*overrides, **more)
    return str(caught.value)


def from_file(tmp_path: Path, text: str, *overrides: str, **flags: object) -> Settings:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return config.resolve(REGISTRY, file=file, overrides=overrides, flags=flags)


def test_defaults() -> None:
    settings = resolve()
    assert settings == Settings(
        seed=0,
        env=Part("maze", MazeConfig()),
        reflector=Part("local"),
        policy=Part("lm"),
        trainer=Part("ppo", PpoConfig()),
        curriculum=Part("uniform"),
    )


def test_a_path_is_recorded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    made = resolve("root=mazes")
    assert made.env.options.root == str(tmp_path / "mazes")
    filed = from_file(tmp_path, "[env]\nname = 'maze'\nroot = '../mazes'\n")
    assert filed.env.options.root == str(tmp_path / "../mazes")
    monkeypatch.chdir("/")
    assert config.loads(REGISTRY, config.dump(made)) == made
    assert config.override(REGISTRY, made, ["size=5"]).env.options.root == str(tmp_path / "mazes")
    assert resolve("root=~/mazes").env.options.root == "/home/me/mazes"
    assert resolve("root=~nobody-of-this-name/mazes").env.options.root == (
        "/~nobody-of-this-name/mazes"
    )
    assert resolve("root=none").env.options.root is None
    assert resolve().env.options.root is None


def test_an_empty_path_is_no_way_to_say_none() -> None:
    told = refusal("root=")  # root=$FOLDER, where no FOLDER is set
    assert "root is empty" in told and "root=none" in told
    assert resolve("root=none") == resolve()


def test_what_a_run_recorded_is_not_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = config.dump(resolve()).replace('root = "none"', 'root = "mazes"')
    older = config.loads(REGISTRY, text)
    assert older.env.options.root == "mazes"
    assert config.override(REGISTRY, older, ["size=5"]).env.options.root == "mazes"
    assert config.override(REGISTRY, older, ["root=other"]).env.options.root == "/other"


def test_a_path_through_a_link_is_the_systems(tmp_path: Path) -> None:
    (tmp_path / "far" / "place").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "place")
    made = resolve(f"root={tmp_path}/near/..")
    assert Path(made.env.options.root).resolve() == tmp_path / "far"


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("tiny", "tiny"),
        ("gpt2-xl", "gpt2-xl"),
        ("Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct"),
        ("./mine", "{here}/mine"),
        ("mine", "{here}/mine"),  # there is such a folder
        ("~/mine", "/home/me/mine"),
        ("/models/mine", "/models/mine"),
    ],
)
def test_a_models_folder_is_recorded_whole(
    name: str, whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("mine", "tiny"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve(model=name).model.name == whole.format(here=tmp_path)


def test_an_environment_must_be_named() -> None:
    with pytest.raises(ConfigError) as caught:
        config.resolve(REGISTRY)
    assert str(caught.value) == (
        "no environment was chosen\n  installed: maze\n  next: add --env NAME"
    )


def test_an_unknown_part_is_answered_by_the_registry() -> None:
    with pytest.raises(PluginError, match="no trainer is called 'pop'"):
        resolve(trainer="pop")


def test_later_sources_win(tmp_path: Path) -> None:
    wishes = registry(defaults={"train.iterations": 1, "train.episodes": 1, "seed": 1})
    file = tmp_path / "mine.toml"
    file.write_text("seed = 2\n[env]\nname = 'maze'\n[train]\nepisodes = 2\nvalid_every = 2\n")
    settings = config.resolve(
        wishes, file=file, flags={"seed": 3}, overrides=["train.valid_every=4"]
    )
    assert settings.train == TrainSettings(iterations=1, episodes=2, valid_every=4)
    assert settings.seed == 3


def test_an_environments_wish_for_a_part_not_chosen_is_void() -> None:
    wishes = registry(defaults={"trainer.lr": 0.5})
    flags = {"env": "maze", "trainer": "ppo"}
    assert config.resolve(wishes, flags=flags).trainer.options.lr == 0.5
    flags["trainer"] = "reinforce"
    assert config.resolve(wishes, flags=flags).trainer == Part("reinforce")


@pytest.mark.parametrize("none", [None, "none"])
def test_an_environment_may_wish_for_none(none: object) -> None:
    wishes = registry(defaults={"env.limit": none})
    assert config.resolve(wishes, flags={"env": "maze"}).env.options.limit is None


def test_an_environment_may_wish_for_other_parts() -> None:
    wishes = registry(defaults={"policy.name": "follow"})
    assert config.resolve(wishes, flags={"env": "maze"}).policy.name == "follow"
    assert config.resolve(wishes, flags={"env": "maze", "policy": "lm"}).policy.name == "lm"


@pytest.mark.parametrize("wrong", ["train.iteration", "env.limits"])
def test_a_wrong_wish_is_an_error_that_names_the_environment(wrong: str) -> None:
    with pytest.raises(ConfigError, match="defaults of environment 'maze'"):
        config.resolve(registry(defaults={wrong: 1}), flags={"env": "maze"})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("root=.", str(Path.cwd())),
        ("root=none", None),
        ("root=a=b", str(Path.cwd() / "a=b")),
        ("size=7", 7),
        ("loops=true", True),
        ("loops=no", False),
        ("corpus=synthetic", "synthetic"),
        ("skip=a, b", ("a", "b")),
        ("skip=", ()),
        ("skip=['a,b']", ("a,b",)),
        ("density=1", 1.0),
        ("limit=none", None),
    ],
)
def test_a_bare_key_will_do_where_one_section_has_it(word: str, value: object) -> None:
    settings = resolve(word)
    assert getattr(settings.env.options, word.partition("=")[0]) == value


def test_a_word_may_choose_parts_and_the_model_and_seed() -> None:
    settings = resolve("trainer=reinforce", "model=gpt2", "policy.name=random", "seed=4")
    assert settings.trainer.name == "reinforce"
    assert settings.model == ModelSettings(name="gpt2")
    assert settings.policy.name == "random"
    assert settings.seed == 4


def test_dashes_are_as_good_as_underscores() -> None:
    assert resolve("rollout.num-envs=3").rollout == RolloutSettings(num_envs=3)


def test_an_ambiguous_key_lists_the_full_spellings() -> None:
    assert refusal("lr=1") == (
        "option 'lr' is ambiguous\n"
        "  because: 2 sections have it\n"
        "  next: write trainer.lr=... or sft.lr=..."
    )


def test_a_wrong_type_tells_key_value_type_and_help() -> None:
    text = refusal("train.iterations=abc")
    assert "train.iterations cannot be 'abc'" in text
    assert "a whole number" in text
    assert "Rounds of collect and update." in text


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("env.size=0", "at least 1"),
        ("env.size=65", "at most 64"),
        ("env.size=1.5", "a whole number"),
        ("env.density=nan", "a number"),
        ("env.density=2", "at most 1"),
        ("env.loops=maybe", "true or false"),
        ("env.limit=x", "a whole number, or none"),
        ("env.corpus=synthetik", "did you mean: synthetic"),
        ("seed=-1", "at least 0"),
        ("eval.split=tset", "did you mean: test"),
        ("train.iterations=-1", "at least"),
        ("env.root=\udcff", "text"),
    ],
)
def test_what_is_expected_is_told(word: str, expected: str) -> None:
    assert expected in refusal(word)


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    assert "did you mean: train.iterations" in refusal("train.iteration=1")
    assert "did you mean: train.iterations" in refusal("itertions=1")
    assert "sections: env, " in refusal("nonsense.x=1")


def test_a_word_without_a_value() -> None:
    assert "write KEY=VALUE" in refusal("size")


def test_toml_types_are_not_guessed(tmp_path: Path) -> None:
    for value in ('"5"', "true", "5.0"):
        with pytest.raises(ConfigError, match=r"train\.iterations"):
            from_file(tmp_path, f"[env]\nname='maze'\n[train]\niterations = {value}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[env\n", "is not TOML"),
        ("trian = 1\n", "did you mean: train"),
        ("env = 'maze'\n", "must be a table"),
        ("[env]\nname = 3\n", "the name of a part is text"),
        ("[env]\nname = 'maze'\nsise = 1\n", "did you mean: env.size"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_file(tmp_path, text)


def test_a_missing_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        config.resolve(REGISTRY, file=tmp_path / "none.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.resolve(REGISTRY, file=tmp_path / "binary")


def test_a_files_options_go_with_the_part_that_they_belong_to(tmp_path: Path) -> None:
    text = "[env]\nname='maze'\n[trainer]\nname='ppo'\nclip_coef=0.1\n"
    assert from_file(tmp_path, text).trainer.options.clip_coef == 0.1
    assert from_file(tmp_path, text, trainer="ppo").trainer.options.clip_coef == 0.1
    assert from_file(tmp_path, text, trainer="reinforce").trainer == Part("reinforce", NoConfig())


def test_a_validator_of_the_plugin_has_the_last_word() -> None:
    @attrs.frozen
    class Picky:
        low: int = 0
        high: int = 1

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    import fake_plugins

    point = fake_plugins.FakeEntryPoint(
        "picky",
        lambda: fake_plugins.module(
            reflect_environments=fake_plugins.environments(fake_plugins.environment("picky", Picky))
        ),
    )
    from reflect_core.plugins import load

    picky = load([point], disabled=())  # type: ignore[list-item]
    both = attrs.evolve(picky, trainers=REGISTRY.trainers, reflectors=REGISTRY.reflectors)
    with pytest.raises(ConfigError, match="low is above high"):
        config.resolve(both, flags={"env": "picky"}, overrides=["low=2"])


def test_recorded_versions_do_not_configure() -> None:
    settings = resolve()
    text = config.dump(settings, config.versions(REGISTRY, settings))
    assert 'reflect-fake = "0.1.0"' in text
    assert config.loads(REGISTRY, text) == settings


def test_the_weights_of_tiny_are_recorded_and_no_other_models() -> None:
    weights = (TINY / "model.safetensors").read_bytes()
    recorded = config.versions(REGISTRY, resolve())
    assert recorded["model-tiny"] == hashlib.sha256(weights).hexdigest()[:16]
    other = resolve(model="gpt2-xl")
    assert "model-tiny" not in config.versions(REGISTRY, other)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# the word "none" is how None is written where an option may be None
optional_text = st.none() | text.filter(lambda word: word != NONE)
share = st.floats(0, 1)


@given(
    st.builds(
        Settings,
        seed=st.integers(0, 2**63 - 1),
        env=st.builds(
            Part,
            name=st.just("maze"),
            options=st.builds(
                MazeConfig,
                root=optional_text,
                size=st.integers(1, 64),
                corpus=st.sampled_from(["stdlib", "synthetic"]),
                skip=st.lists(text, max_size=3).map(tuple),
                loops=st.booleans(),
                density=share,
                limit=st.none() | st.integers(),
            ),
        ),
        reflector=st.just(Part("local")),
        policy=st.just(Part("follow")),
        trainer=st.builds(
            Part,
            name=st.just("ppo"),
            options=st.builds(
                PpoConfig, lr=st.floats(allow_nan=False, allow_infinity=False), clip_coef=share
            ),
        ),
        curriculum=st.just(Part("uniform")),
        model=st.builds(ModelSettings, name=text, revision=optional_text),
        eval=st.builds(EvalSettings, split=st.sampled_from(["train", "valid", "test"])),
    )
)
def test_what_is_dumped_loads_as_it_was(settings: Settings) -> None:
    # an environment with wishes of its own must not change what a file says
    wishes = registry(defaults={"model.revision": "wished", "trainer.lr": 0.5, "env.limit": 7})
    assert config.loads(wishes, config.dump(settings, {"any": None})) == settings


def test_an_option_newer_than_a_record_is_not_the_environments_to_set(tmp_path: Path) -> None:
    """A run that began before an option existed goes on as it began."""
    text = config.dump(resolve())
    older = "\n".join(line for line in text.splitlines() if not line.startswith("balance = "))
    assert older != text.rstrip()
    wishes = registry(defaults={"sft.balance": 0.5, "policy.name": "follow"})
    assert config.loads(wishes, older) == resolve()
    (tmp_path / "run.toml").write_text(older)
    assert config.load(wishes, tmp_path / "run.toml") == resolve()
    # a file of the user's own leaves to the environment what it does not say
    assert config.resolve(wishes, file=tmp_path / "run.toml").sft.balance == 0.5


def test_the_flag_negatives_is_an_option_of_teach() -> None:
    assert resolve(negatives=0.0).teach.negatives == 0.0
    assert "teach.negatives cannot be -1" in refusal(negatives=-1.0)
    assert resolve("teach.negatives=3", negatives=0.0).teach.negatives == 3.0  # the word is later
