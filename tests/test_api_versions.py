"""Plugins of other times: what goes on working, and how the rest is refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_plugins import FakeEntryPoint, environment, environments, module
from hypothesis import given
from hypothesis import strategies as st

from reflect_core import API_VERSION, hookimpl, hookspecs, plugins
from reflect_core.cli import main
from reflect_core.plugins import GROUP, Broken, Registry, load

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api-versions.md"


def loaded(*points: FakeEntryPoint) -> Registry:
    return load(points, disabled=())  # type: ignore[arg-type]


def stating(api: object) -> FakeEntryPoint:
    plugin = module(REFLECT_API=api, reflect_environments=environments(environment("maze")))
    return FakeEntryPoint("env-maze", lambda: plugin)


def refused(*points: FakeEntryPoint) -> Broken:
    registry = loaded(*points)
    assert "maze" not in registry.environments
    [broken] = registry.broken
    return broken


@pytest.fixture
def core_has(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the core one of another time: it has API ``newest`` and takes ``oldest`` and later."""

    def change(oldest: int, newest: int) -> None:
        monkeypatch.setattr(hookspecs, "OLDEST_API", oldest)
        monkeypatch.setattr(hookspecs, "API_VERSION", newest)

    return change


@given(oldest=st.integers(1, 9), more=st.integers(0, 9), stated=st.integers(-3, 25))
def test_a_plugin_is_taken_exactly_within_the_core_s_range(
    oldest: int, more: int, stated: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hookspecs, "OLDEST_API", oldest)
        patch.setattr(hookspecs, "API_VERSION", oldest + more)
        assert ("maze" in loaded(stating(stated)).environments) == (
            oldest <= stated <= oldest + more
        )


def test_a_plugin_of_an_api_that_is_gone_is_told_to_be_renewed(core_has: Any) -> None:
    core_has(2, 4)
    assert str(refused(stating(1)).error()) == (
        "plugin 'env-maze' (reflect-env-maze 0.1.0) could not be loaded\n"
        "  because: it was written for plugin API 1, this reflect-core has 2 to 4\n"
        "  to go on without it: REFLECT_DISABLE_PLUGINS=env-maze\n"
        "  next: install a newer reflect-env-maze"
    )


def test_a_plugin_of_an_api_to_come_asks_for_a_newer_core() -> None:
    broken = refused(stating(API_VERSION + 1))
    assert f"plugin API {API_VERSION + 1}, this reflect-core has {API_VERSION}" in broken.cause
    assert broken.then == "install a newer reflect-core"


def test_a_plugin_that_states_nothing_is_taken_as_it_is(core_has: Any) -> None:
    core_has(3, 4)
    plugin = module(reflect_environments=environments(environment("maze")))
    assert "maze" in loaded(FakeEntryPoint("env-maze", lambda: plugin)).environments


@pytest.mark.parametrize("stated", ["1", 1.0, True, None, (1, 2)])
def test_a_statement_that_is_no_whole_number_is_shown_as_it_should_be(stated: object) -> None:
    broken = refused(stating(stated))
    assert f"must be a whole number, not {stated!r}" in broken.cause
    assert broken.then == f"write REFLECT_API = {API_VERSION} in the plugin"


# -- a plugin that cannot even be imported ---------------------------------------------------


@pytest.fixture
def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``write_plugin(source)`` makes a package ``fake_old`` and its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str, package: str = "") -> FakeEntryPoint:
        folder = tmp_path / "fake_old"
        folder.mkdir()
        (folder / "__init__.py").write_text(package)
        (folder / "plugin.py").write_text(source)
        importlib.invalidate_caches()
        return FakeEntryPoint(
            "env-maze",
            lambda: importlib.import_module("fake_old.plugin"),
            module="fake_old.plugin",
        )

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "fake_old"]:
        del sys.modules[name]


GONE = "from reflect_core import OldEnvironmentSpec\n"


@pytest.mark.parametrize("statement", ["REFLECT_API = 0\n", "REFLECT_API: int = 0\n"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_old_plugin_that_imports_what_is_gone_is_refused_for_its_age(
    write_plugin: Any, statement: str, order: int
) -> None:
    broken = refused(write_plugin("".join([GONE, statement][::order])))
    assert broken.cause.startswith("it was written for plugin API 0, this reflect-core has 1 (")
    assert "cannot import name 'OldEnvironmentSpec'" in broken.cause
    assert broken.then == "install a newer reflect-env-maze"


def test_the_statement_is_read_without_running_the_package(write_plugin: Any) -> None:
    broken = refused(write_plugin("REFLECT_API = 99\n", package="raise OSError('no engine')\n"))
    assert "plugin API 99" in broken.cause
    assert "no engine" in broken.cause
    assert broken.then == "install a newer reflect-core"


@pytest.mark.parametrize(
    "source",
    [
        GONE,
        f"{GONE}REFLECT_API = {API_VERSION}\n",
        f"{GONE}def old():\n    REFLECT_API = 0\n",
        "REFLECT_API = 0\nthis is no Python\n",
    ],
)
def test_a_failure_that_age_does_not_explain_is_told_as_it_is(
    write_plugin: Any, source: str
) -> None:
    broken = refused(write_plugin(source))
    assert broken.cause.startswith(("ImportError", "SyntaxError"))
    assert broken.then is None


# -- hooks that have got arguments -----------------------------------------------------------


def later_hooks() -> Any:
    """The hook page of a later API, whose hook has an argument that is new."""

    @hookspecs.hookspec
    def reflect_environments(seed: int) -> Any:
        """Offer environments."""

    return module(reflect_environments=reflect_environments)


def test_an_old_hook_works_where_a_newer_one_gets_an_argument() -> None:
    old = module(reflect_environments=environments(environment("maze")))
    manager = plugins._manager(old, "env-old", later_hooks())
    [specs] = manager.hook.reflect_environments(seed=3)
    assert [spec.name for spec in specs] == ["maze"]


def test_a_newer_hook_gets_it() -> None:
    @hookimpl
    def reflect_environments(seed: int) -> Any:
        yield environment(f"maze-{seed}")

    new = module(reflect_environments=reflect_environments)
    manager = plugins._manager(new, "env-new", later_hooks())
    [specs] = manager.hook.reflect_environments(seed=3)
    assert [spec.name for spec in specs] == ["maze-3"]


def test_an_argument_that_this_core_does_not_have_is_refused_by_name() -> None:
    @hookimpl
    def reflect_environments(seed: int) -> Any:
        yield environment("maze")

    plugin = module(reflect_environments=reflect_environments)
    broken = refused(FakeEntryPoint("env-maze", lambda: plugin))
    assert broken.cause == "'reflect_environments' asks for 'seed', which the hook does not have"
    assert broken.then == "install a newer reflect-core, or leave the argument out"


def test_an_argument_with_a_default_is_nobody_s_business() -> None:
    @hookimpl
    def reflect_environments(*, kinds: tuple[str, ...] = ("maze",)) -> Any:
        yield from map(environment, kinds)

    plugin = module(reflect_environments=reflect_environments)
    assert "maze" in loaded(FakeEntryPoint("env-maze", lambda: plugin)).environments


# -- what people see -------------------------------------------------------------------------


def test_reflect_plugins_lists_the_refused_one_with_the_way_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [stating(API_VERSION + 1)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    assert main(["plugins"]) == 0
    said = capsys.readouterr().out
    assert "plugin 'env-maze' (reflect-env-maze 0.1.0) could not be loaded" in said
    assert "next: install a newer reflect-core" in said


def test_the_rules_are_written_for_the_present_numbers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"REFLECT_API = {API_VERSION}\n" in text
    assert f"| `API_VERSION` | {API_VERSION} |" in text
    assert f"| `OLDEST_API` | {hookspecs.OLDEST_API} |" in text
    assert f"[project.entry-points.{GROUP}]" in text
