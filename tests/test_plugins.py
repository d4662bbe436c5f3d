from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
from fake_plugins import FakeEntryPoint, environment, environments, module

from reflect_core import PluginError, TrainerSpec, hookimpl
from reflect_core.plugins import KINDS, Registry, load


def loaded(*points: FakeEntryPoint, disabled: tuple[str, ...] = ()) -> Registry:
    return load(points, disabled=disabled)  # type: ignore[arg-type]


def point(name: str, *specs: object, **more: Any) -> FakeEntryPoint:
    return FakeEntryPoint(name, lambda: module(reflect_environments=environments(*specs)), **more)


def raising(error: BaseException) -> FakeEntryPoint:
    def loader() -> object:
        raise error

    return FakeEntryPoint("env-alfworld", loader)


def test_built_in_parts_are_offered_like_any_other() -> None:
    registry = loaded()
    assert {"lm", "random", "expert", "follow"} <= set(registry.policies)
    assert {"none", "expert"} <= set(registry.reflectors)
    assert "uniform" in registry.curricula
    assert registry.find("policy", "random").distribution == "reflect-core"


def test_an_offer_tells_where_it_comes_from() -> None:
    offer = loaded(point("env-maze", environment("maze"), version="1.2")).find(
        "environment", "maze"
    )
    assert (offer.plugin, offer.distribution, offer.version) == (
        "env-maze",
        "reflect-env-maze",
        "1.2",
    )


def test_an_unknown_name_is_answered_with_what_exists() -> None:
    points = [point(f"env-{name}", environment(name)) for name in ("alfworld", "filesys", "taxi")]
    with pytest.raises(PluginError) as caught:
        loaded(*points).find("environment", "fliesys")
    assert str(caught.value) == (
        "no environment is called 'fliesys'\n"
        "  installed: alfworld, filesys, taxi\n"
        "  did you mean: filesys"
    )


def test_a_broken_plugin_stops_nobody_who_does_not_need_it() -> None:
    registry = loaded(
        raising(ModuleNotFoundError("No module named 'alfworld'")),
        point("env-maze", environment("maze")),
    )
    assert registry.find("environment", "maze").spec.name == "maze"
    [broken] = registry.broken
    assert str(broken.error()) == (
        "plugin 'env-alfworld' (reflect-env-alfworld 0.1.0) could not be loaded\n"
        "  because: ModuleNotFoundError: No module named 'alfworld'\n"
        "  to go on without it: REFLECT_DISABLE_PLUGINS=env-alfworld"
    )


def test_an_unknown_name_might_be_a_broken_plugins() -> None:
    registry = loaded(raising(ModuleNotFoundError("No module named 'alfworld'")))
    with pytest.raises(PluginError, match=r"env-alfworld.*could not be loaded"):
        registry.find("environment", "alfworld")


class Panic(BaseException):
    """As extensions in other languages raise it."""


@pytest.mark.parametrize(
    "error", [SyntaxError("bad"), SystemExit(1), Panic(), RuntimeError("two\nlines")]
)
def test_whatever_a_plugin_raises_is_recorded_on_one_line(error: BaseException) -> None:
    [broken] = loaded(raising(error)).broken
    assert type(error).__name__ in broken.cause
    assert "\n" not in broken.cause


def test_a_plugin_that_fails_in_its_hook_is_broken_as_a_whole() -> None:
    @hookimpl
    def reflect_environments() -> Any:
        yield environment("maze")
        raise KeyError("engine")

    plugin = module(reflect_environments=reflect_environments)
    registry = loaded(FakeEntryPoint("env-maze", lambda: plugin))
    assert "maze" not in registry.environments
    [broken] = registry.broken
    assert "KeyError: 'engine'" in broken.cause
    assert "test_plugins.py:" in broken.cause


def test_a_misspelt_hook_is_an_error() -> None:
    @hookimpl
    def reflect_enviroments() -> Any:
        return [environment("maze")]

    plugin = module(reflect_enviroments=reflect_enviroments)
    [broken] = loaded(FakeEntryPoint("env-maze", lambda: plugin)).broken
    assert "'reflect_enviroments' is not a hook" in broken.cause
    assert "did you mean: reflect_environments" in broken.cause


def test_a_forgotten_mark_is_an_error() -> None:
    def reflect_environments() -> Any:
        return [environment("maze")]

    plugin = module(reflect_environments=reflect_environments)
    [broken] = loaded(FakeEntryPoint("env-maze", lambda: plugin)).broken
    assert "@hookimpl" in broken.cause


def test_two_offers_of_one_name_are_an_error_that_names_both() -> None:
    registry = loaded(
        point("maze-a", environment("maze"), version="1.0"),
        point("maze-b", environment("maze"), version="2.0"),
        point("env-taxi", environment("taxi")),
    )
    assert registry.find("environment", "taxi")
    with pytest.raises(PluginError) as caught:
        registry.find("environment", "maze")
    text = str(caught.value)
    assert "reflect-maze-a 1.0" in text
    assert "reflect-maze-b 2.0" in text
    assert "REFLECT_DISABLE_PLUGINS=maze-a" in text


def test_a_clash_with_a_built_in_part_suggests_leaving_out_the_plugin() -> None:
    def random_trainer() -> Any:
        @hookimpl
        def reflect_policies() -> Any:
            from reflect_core import PolicySpec

            yield PolicySpec(name="random", factory=lambda config, context: None)  # type: ignore[arg-type, return-value]

        return module(reflect_policies=reflect_policies)

    with pytest.raises(PluginError) as caught:
        loaded(FakeEntryPoint("mine", random_trainer)).find("policy", "random")
    assert "REFLECT_DISABLE_PLUGINS=mine" in str(caught.value)
    assert "REFLECT_DISABLE_PLUGINS=builtin" not in str(caught.value)


def test_one_name_may_serve_two_kinds() -> None:
    @hookimpl
    def reflect_trainers() -> Any:
        yield TrainerSpec(name="maze", factory=lambda config, context: None)  # type: ignore[arg-type, return-value]

    plugin = module(
        reflect_environments=environments(environment("maze")), reflect_trainers=reflect_trainers
    )
    registry = loaded(FakeEntryPoint("maze", lambda: plugin))
    assert registry.find("environment", "maze") is not registry.find("trainer", "maze")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("maze", "must yield EnvironmentSpec"),
        (TrainerSpec(name="x", factory=print), "must yield EnvironmentSpec"),
        (environment(""), "cannot be ''"),
        (environment(config=dict), "attrs class"),
        (environment(summary=None), "summary must be text"),
        (environment(stages=()), "stages=()"),
        (environment(stages=("full")), "stages='full'"),
        (environment(stages=("easy", "easy")), "stages=('easy', 'easy')"),
        (environment(stages=("easy", " ")), "stages=('easy', ' ')"),
    ],
)
def test_a_wrong_spec_is_named(spec: object, words: str) -> None:
    [broken] = loaded(point("env-maze", spec)).broken
    assert words in broken.cause


@pytest.mark.parametrize(("wanted", "upgrade"), [(0, "reflect-env-maze"), (99, "reflect-core")])
def test_a_plugin_for_another_api_is_refused_with_the_way_on(wanted: int, upgrade: str) -> None:
    plugin = module(REFLECT_API=wanted)
    [broken] = loaded(FakeEntryPoint("env-maze", lambda: plugin)).broken
    assert f"plugin API {wanted}" in broken.cause
    assert broken.then is not None
    assert upgrade in broken.then


@pytest.mark.parametrize("name", ["env-alfworld", "reflect-env-alfworld"])
def test_a_disabled_plugin_is_not_even_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLECT_DISABLE_PLUGINS", f"other, {name}")
    registry = load([raising(AssertionError("imported"))])  # type: ignore[list-item]
    assert not registry.broken
    assert registry.disabled == ("env-alfworld",)
    with pytest.raises(PluginError, match="disabled: env-alfworld"):
        registry.find("environment", "alfworld")


def test_the_installed_plugins_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def entry_points(*, group: str) -> list[FakeEntryPoint]:
        assert group == "reflect"
        return [point("env-maze", environment("maze"))]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.delenv("REFLECT_DISABLE_PLUGINS", raising=False)
    assert list(load().environments) == ["maze"]


@pytest.mark.parametrize("value", ["my-plug:plugin", "", ":x", "maze.plugin:nothing"])
def test_an_entry_point_that_names_no_module_is_told(value: str) -> None:
    written = importlib.metadata.EntryPoint("xp", value, "reflect")
    registry = load([written, point("env-maze", environment("maze"))])  # type: ignore[list-item]
    assert [broken.plugin for broken in registry.broken] == ["xp"]
    assert "maze" in registry.environments


def test_a_package_with_a_damaged_file_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"metadata": b"\xff\xfe", "entry_points": b"Name: x\nVersion: 1\n"}
    for name, metadata in names.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_bytes(metadata)
        points = f"[reflect]\n{name} = no_such_module\n".encode()
        damage = b"\xff" if name == "entry_points" else b""
        (folder / "entry_points.txt").write_bytes(damage + points)
    monkeypatch.syspath_prepend(tmp_path)
    found = load()
    told = {broken.plugin: broken.cause for broken in found.broken}
    assert "metadata" in told
    assert "entry_points.txt cannot be read" in told["x"]
    assert "filesys" in found.environments


def test_every_kind_has_its_hook() -> None:
    from reflect_core import hookspecs

    hooks = {name for name in dir(hookspecs) if name.startswith("reflect_")}
    assert hooks == {kind.hook for kind in KINDS}
