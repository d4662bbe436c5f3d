"""How a process of its own builds what is examined: by a name, or from a test's file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import attrs

from reflect_core.protocols import Environment

if TYPE_CHECKING:
    from reflect_core.settings import Settings
    from reflect_core.testing.parts import PartSubject

__all__ = ["FromFile", "Installed", "InstalledPart", "PartRecipe", "Recipe"]


class PartRecipe(Protocol):
    """Builds a subject that is no environment; it pickles."""

    def subject(self) -> PartSubject:
        """A new one."""


@attrs.frozen
class InstalledPart:
    """A reflector, policy, trainer or curriculum by the name under which a plugin offers it.

    Args:
        kind: Which of the four.
        name: The part's.
        config: Its options.
        settings: The configuration in which it is built.
    """

    kind: str
    name: str
    config: Any
    settings: Settings

    def subject(self) -> PartSubject:
        """Find it as a run does."""
        from reflect_core.plugins import load
        from reflect_core.testing.parts import PartSubject

        spec = load().find(self.kind, self.name).spec
        return PartSubject.of(self.kind, spec, self.config, self.settings)


@attrs.frozen
class Installed:
    """An environment by the name under which a plugin offers it.

    Args:
        plugin: The entry point; ``builtin`` parts need none.
        name: The environment's.
        config: Its options.
        seed: Of its context.
    """

    plugin: str
    name: str
    config: Any
    seed: int = 0
    early: ClassVar[bool] = True
    """Whether all that is loaded for it is its own doing."""

    def load(self) -> Callable[[], Environment]:
        """Find it as a run does."""
        from reflect_core.context import EnvironmentContext
        from reflect_core.plugins import GROUP, load

        points = importlib.metadata.entry_points(group=GROUP)
        registry = load([point for point in points if point.name == self.plugin], disabled=())
        factory = registry.find("environment", self.name).spec.factory
        return lambda: factory(self.config, EnvironmentContext(self.seed))


@attrs.frozen
class FromFile:
    """What something in a file builds.

    An environment is ``name().make()`` or ``name()``, another part that of ``name().subject()``.

    Args:
        file: A Python file.
        name: A contract class, or what gives the environment when it is called.
        module: As which the file was imported; it is run by itself where that does not work.
    """

    file: str
    name: str
    module: str = ""
    early: ClassVar[bool] = False

    @classmethod
    def of(cls, thing: Any) -> FromFile | None:
        """By which a class or function can be found again; None where it cannot."""
        file = getattr(sys.modules.get(thing.__module__), "__file__", None)
        if file is None or "<locals>" in thing.__qualname__:
            return None
        return cls(file, thing.__qualname__, thing.__module__)

    def thing(self) -> Any:
        """What has the name, of the file imported anew."""
        found: Any = self._imported() or self._run()
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    def load(self) -> Callable[[], Environment]:
        """What builds the environment."""
        found = self.thing()
        if callable(getattr(found, "make", None)):
            make: Callable[[], Environment] = found().make
            return make
        return found  # type: ignore[no-any-return]

    def subject(self) -> PartSubject:
        """The subject of a contract class."""
        found: PartSubject = self.thing()().subject()
        return found

    def _imported(self) -> ModuleType | None:
        """The file under its own name, by which it may import what is beside it."""
        if self.module in ("", "__main__"):
            return None
        try:
            spec = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None or not Path(spec.origin).samefile(self.file):
            return None
        return importlib.import_module(self.module)

    def _run(self) -> ModuleType:
        """The file as a module of its own."""
        spec = importlib.util.spec_from_file_location("reflect_probed", self.file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module


Recipe = Installed | FromFile
