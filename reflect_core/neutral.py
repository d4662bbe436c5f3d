"""Options that decide how something is done and never what comes of it, and all the others."""

from __future__ import annotations

from typing import Any

import attrs

from reflect_core.settings import Part, Settings

__all__ = ["deciding", "renewed"]


def deciding(settings: Any) -> dict[str, Any]:
    """Settings, or a section of them, as plain values without the neutral ones."""

    def plain(instance: Any) -> Any:
        if isinstance(instance, Part):
            return {"name": instance.name, **plain(instance.options)}
        if not attrs.has(type(instance)):
            return instance
        return {
            field.name: plain(getattr(instance, field.name))
            for field in attrs.fields(type(instance))
            if not _neutral(field, instance)
        }

    made: dict[str, Any] = plain(settings)
    return made


def renewed(settings: Settings, by: Settings) -> Settings:
    """The settings with the neutral options of others, where both have the same parts."""

    def renew(old: Any, new: Any) -> Any:
        if type(old) is not type(new) or not attrs.has(type(old)):
            return old
        if isinstance(old, Part):
            same = old.name == new.name
            return attrs.evolve(old, options=renew(old.options, new.options)) if same else old
        changes = {
            field.alias: getattr(new, field.name)
            if _neutral(field, old)
            else renew(getattr(old, field.name), getattr(new, field.name))
            for field in attrs.fields(type(old))
        }
        return attrs.evolve(old, **changes)

    made: Settings = renew(settings, by)
    return made


def _neutral(field: Any, instance: Any) -> bool:
    neutral = field.metadata.get("neutral", False)
    return bool(neutral(instance) if callable(neutral) else neutral)
