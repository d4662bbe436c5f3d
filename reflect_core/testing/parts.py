"""A reflector, policy, trainer or curriculum under examination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from reflect_core.hookspecs import Spec, TrainerSpec
from reflect_core.plugins import KINDS, Kind
from reflect_core.settings import Part, Settings
from reflect_core.testing.bench import Bench, bench_settings
from reflect_core.testing.places import Place, place_of_method
from reflect_core.testing.recipes import PartRecipe

if TYPE_CHECKING:
    from reflect_core.lm.policy import LmPolicy

__all__ = ["PartSubject"]


@attrs.define
class PartSubject:
    """One of them.

    Args:
        kind: Which of the four.
        spec: How it is built.
        config: Its options.
        bench: What it is built in.
        max_text: Characters of a reflection at most.
        recipe: How another process builds it; None where only a function can.
    """

    kind: Kind
    spec: Spec
    config: Any
    bench: Bench
    max_text: int = 4000
    recipe: PartRecipe | None = None
    _cls: type | None = None
    _open: list[Any] = attrs.field(factory=list)

    @classmethod
    def of(
        cls, kind: str, spec: Spec, config: Any, settings: Settings | None = None
    ) -> PartSubject:
        """A subject with a bench of its own, whose settings name the part."""
        found = next(each for each in KINDS if each.name == kind)
        base = settings or bench_settings()
        part: dict[str, Any] = {found.section: Part(spec.name, config)}
        named = attrs.evolve(base, **part)
        return cls(found, spec, config, Bench(named))

    def build(self, *, config: Any = None, **more: Any) -> Any:
        """Build the part in a context of its own; ``more`` are fields of the context."""
        if self.kind.name != "trainer":
            more.setdefault("models", self.kind.name != "curriculum")
        elif "policy" not in more:
            more["policy"] = self.policy()
        part = self.spec.factory(
            self.config if config is None else config, self.bench.context(**more)
        )
        self._cls = type(part)
        if callable(getattr(part, "close", None)):
            self._open.append(part)
        return part

    def policy(self, *, silent: bool = False) -> LmPolicy:
        """A policy for a trainer to train; see :meth:`Bench.policy`."""
        return self.bench.policy(critic=cast(TrainerSpec, self.spec).needs_critic, silent=silent)

    def close(self) -> None:
        """Close those that were built, where they hold something open."""
        while self._open:
            self._open.pop().close()

    def changed(self, **options: Any) -> Any:
        """The config with other values for those of the options that it has."""
        known = attrs.fields_dict(type(self.config))
        return attrs.evolve(
            self.config, **{name: value for name, value in options.items() if name in known}
        )

    def look(self, method: str) -> Place | None:
        """Where the part defines a method."""
        return place_of_method(self._cls, method) if self._cls else None
