"""What a part promises by its spec, and whether it keeps it."""

from __future__ import annotations

from collections.abc import Collection

from reflect_core.errors import PluginError
from reflect_core.hookspecs import PolicySpec, ReflectorSpec, Spec

__all__ = ["check_promises", "missing_methods"]

SAVED = ("fit", "save", "load")
WEIGHTS = ("state_dict", "load_state_dict")


def missing_methods(spec: Spec, part: object) -> list[str]:
    """Methods that the part lacks, of those that go with its spec.

    >>> missing_methods(ReflectorSpec(name="mute", factory=None, teaches=True), object())
    ['reflect', 'advise']
    """
    wanted: list[str] = []
    if isinstance(spec, ReflectorSpec):
        wanted += ["reflect"]
        wanted += SAVED if spec.trainable else ()
        # where "expert" is chosen, it is the environment's own that teaches
        wanted += ["advise"] if spec.teaches and spec.name != "expert" else []
    if isinstance(spec, PolicySpec):
        wanted += ["act"]
        wanted += [*SAVED, *WEIGHTS] if spec.trainable else []
    return [name for name in wanted if not callable(getattr(part, name, None))]


def check_promises(spec: Spec, part: object, *, leave_out: Collection[str] = ()) -> None:
    """Refuse a part that cannot do what it is asked for.

    Args:
        spec: What it says.
        part: What its factory built.
        leave_out: Methods that it is not asked for.

    Raises:
        PluginError: It lacks a method.
    """
    if missing := [name for name in missing_methods(spec, part) if name not in leave_out]:
        flags = [name for name in ("trainable", "teaches") if getattr(spec, name, False)]
        raise PluginError(
            f"{spec.name!r} has no method {', '.join(missing)}",
            why=f"its spec says {' and '.join(flags)}" if flags else None,
            then="reflect check, and docs/reference/hooks.md, tell what a part must offer",
        )
