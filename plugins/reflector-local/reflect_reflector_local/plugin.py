"""Hooks of the plugin; what needs torch is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable

from reflect_core import Context, NoConfig, Reflector, ReflectorSpec, hookimpl


def make_reflector(config: NoConfig, context: Context) -> Reflector:
    """The factory behind ``--reflector local``."""
    from reflect_reflector_local.reflector import LocalReflector

    assert context.models is not None
    return LocalReflector(context.models, context.settings, context.alarms)


@hookimpl
def reflect_reflectors() -> Iterable[ReflectorSpec]:
    """Offer ``local``."""
    yield ReflectorSpec(
        name="local",
        factory=make_reflector,
        summary="a local causal LM, warmed up on the teacher's reflections, frozen in RL",
        trainable=True,
    )
