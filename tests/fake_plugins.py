"""Entry points made in memory, so that tests need not install distributions."""

from __future__ import annotations

import importlib.metadata
import types
from collections.abc import Callable
from typing import Any, Literal

import attrs

from reflect_core import EnvironmentSpec, NoConfig, ReflectorSpec, TrainerSpec, hookimpl, option
from reflect_core.plugins import Registry, load


class FakeDistribution(importlib.metadata.Distribution):
    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(path)


class FakeEntryPoint:
    """What ``importlib.metadata.EntryPoint`` offers, with a loader of our own."""

    def __init__(
        self,
        name: str,
        loader: Callable[[], object],
        distribution: str | None = None,
        version: str = "0.1.0",
        module: str | None = None,
    ) -> None:
        self.name = name
        self.module = self.value = module or f"{name}.plugin"
        self.dist = FakeDistribution(distribution or f"reflect-{name}", version)
        self.load = loader


def module(**members: object) -> types.ModuleType:
    made = types.ModuleType("fake_plugin")
    vars(made).update(members)
    return made


def environments(*specs: object) -> Callable[[], object]:
    """A hook implementation that offers these specs."""

    @hookimpl
    def reflect_environments() -> Any:
        yield from specs

    return reflect_environments


def build_nothing(config: object, context: object) -> Any:
    raise AssertionError("not built in these tests")


@attrs.frozen
class MazeConfig:
    root: str | None = option(None, "Folder to explore.", path=True)
    size: int = option(4, "Side of the maze in cells.", minimum=1, maximum=64)
    corpus: Literal["stdlib", "synthetic"] = option("stdlib", "Where the text comes from.")
    skip: tuple[str, ...] = option((), "Names to leave out.")
    loops: bool = option(False, "Whether ways may meet again.")
    density: float = option(0.5, "Share of walls.", minimum=0, maximum=1)
    limit: int | None = option(5, "Most rooms; none for no limit.")


@attrs.frozen
class PpoConfig:
    lr: float = option(1e-4, "Learning rate.")
    clip_coef: float = option(0.2, "Largest change of the ratio.")


def environment(name: str = "maze", config: type = NoConfig, **more: Any) -> EnvironmentSpec:
    return EnvironmentSpec(name=name, factory=build_nothing, config=config, **more)


def fake_point(**more: Any) -> FakeEntryPoint:
    """A plugin with an environment ``maze``, two trainers and a reflector ``local``."""

    @hookimpl
    def reflect_trainers() -> Any:
        yield TrainerSpec(name="ppo", factory=build_nothing, config=PpoConfig)
        yield TrainerSpec(name="reinforce", factory=build_nothing)

    @hookimpl
    def reflect_reflectors() -> Any:
        yield ReflectorSpec(name="local", factory=build_nothing, trainable=True)

    plugin = module(
        reflect_environments=environments(environment("maze", MazeConfig, **more)),
        reflect_trainers=reflect_trainers,
        reflect_reflectors=reflect_reflectors,
    )
    return FakeEntryPoint("fake", lambda: plugin)


def registry(**more: Any) -> Registry:
    """The built-in parts and those of :func:`fake_point`."""
    return load([fake_point(**more)], disabled=())  # type: ignore[list-item]
