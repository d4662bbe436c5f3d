"""Hooks of the plugin; what needs torch is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from reflect_core import Context, Reflector, ReflectorSpec, hookimpl, option


@attrs.frozen
class LocalConfig:
    """How reflections are written."""

    tries: int = option(
        3, "Most reflections written in a state until one names a legal action.", minimum=1
    )
    legal_names: bool = option(
        False, "Let only legal actions be written after a colon, with or between."
    )


def make_reflector(config: LocalConfig, context: Context) -> Reflector:
    """The factory behind ``--reflector local``."""
    from reflect_reflector_local.reflector import LocalReflector

    assert context.models is not None
    return LocalReflector(
        context.models,
        context.settings,
        context.alarms,
        tries=config.tries,
        legal_names=config.legal_names,
    )


@hookimpl
def reflect_reflectors() -> Iterable[ReflectorSpec]:
    """Offer ``local``."""
    yield ReflectorSpec(
        name="local",
        factory=make_reflector,
        config=LocalConfig,
        summary="a local causal LM, warmed up on the teacher's reflections, frozen in RL",
        trainable=True,
    )
