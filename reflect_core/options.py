"""Options: what a config class declares, and values checked against it.

Three spellings meet here: Python values, TOML values, and the text of a command line.
"""

from __future__ import annotations

import functools
import math
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs

from reflect_core.errors import ConfigError, suggest
from reflect_core.files import whole

__all__ = [
    "NONE",
    "Key",
    "anchored",
    "check",
    "check_all",
    "from_text",
    "options",
    "plain",
    "show",
    "to_toml",
    "written",
]

NONE = "none"
"""How None is written in a file and on a command line, where an option may be None."""


@attrs.frozen
class Key:
    """One option: where it stands, what it may be, and what it means."""

    section: str
    option: str
    type: Any
    default: Any
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: Sequence[object] | None = None
    path: bool | Callable[[str], bool] = False

    def __str__(self) -> str:
        return f"{self.section}.{self.option}" if self.section else self.option

    @property
    def expected(self) -> str:
        """What may stand here, in words."""
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", self.minimum), ("at most", self.maximum))
            if bound is not None
        ]
        if self.choices is not None:
            return " or ".join(show(choice) for choice in self.choices)
        return ", ".join([_describe(self.type), *bounds])


def options(config: type, section: str) -> list[Key]:
    """The options that a config class declares, in its order."""
    attrs.resolve_types(config)
    found = []
    for field in attrs.fields(config):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = None if default.takes_self else default.factory()
        limits = {name: field.metadata.get(name) for name in ("minimum", "maximum", "choices")}
        text = field.metadata.get("help", "")
        path = field.metadata.get("path", False)
        found.append(Key(section, field.alias, field.type, default, text, **limits, path=path))
    return found


def check(key: Key, value: object, where: str) -> Any:
    """The value in the option's type, within its bounds."""
    try:
        checked = _structure(value, key.type)
    except Exception:  # noqa: BLE001, each type has an exception of its own for "no"
        raise _refusal(key, value, where) from None
    if key.choices is not None and checked not in key.choices:
        raise _refusal(key, value, where)
    if not _finite(checked) and _finite(key.default):
        raise _refusal(key, value, where)
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        low = key.minimum is not None and checked < key.minimum
        high = key.maximum is not None and checked > key.maximum
        if low or high:
            raise _refusal(key, value, where)
    return checked


def _finite(value: object) -> bool:
    """Whether all numbers in it are: neither JSON nor a comparison knows what else to do."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return True


def anchored(key: Key, value: Any) -> Any:
    """The value, whole where it is a path: as seen from here, with ``~`` for the home."""
    if not isinstance(value, str | Path) or not str(value):
        return value
    is_path = key.path(str(value)) if callable(key.path) else key.path
    return type(value)(whole(str(value))) if is_path else value


def check_all(config: object) -> None:
    """Hold an instance of a config class to the types and bounds that the class declares.

    For configs that are made by hand as well, in ``__attrs_post_init__``.

    Raises:
        ConfigError: A value is not what its option takes.
    """
    for key in options(type(config), ""):
        check(key, plain(getattr(config, key.option)), "option")


def _refusal(key: Key, value: object, where: str) -> ConfigError:
    near = None
    if isinstance(value, str) and (known := key.choices or get_args(key.type)):
        near = suggest(value, [each for each in known if isinstance(each, str)])
    return ConfigError(
        f"{key} cannot be {show(value)} ({where})",
        why=f"it must be {key.expected}",
        details=[
            *([f"did you mean: {near}"] if near else []),
            *([f"{key}: {key.help}"] if key.help else []),
            f"default: {show(key.default)}",
        ],
    )


def from_text(text: str, kind: Any) -> object:
    """What a command line's text says, given the type that is wanted there."""
    inner = _without_none(kind)
    if inner is not kind and text.lower() in {NONE, ""}:
        return NONE
    origin = get_origin(inner)
    if inner is bool:
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        return words.get(text.lower(), text)
    if origin is Literal:
        return next((each for each in get_args(inner) if str(each) == text), text)
    if origin in {tuple, list} and not text.lstrip().startswith("["):
        return [
            from_text(part.strip(), _element(inner)) for part in text.split(",") if part.strip()
        ]
    if inner is int or inner is float:
        try:
            return inner(text)
        except ValueError:
            return text
    if inner is str or inner is Path:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _structure(value: object, kind: Any) -> Any:
    if not _is_union(kind):
        return _converter().structure(value, kind)
    inner = _without_none(kind)
    if inner is not kind:
        return None if value in (None, NONE) else _structure(value, inner)
    *others, last = get_args(kind)
    for each in others:  # the first that takes the value, as no type takes another's
        try:
            return _structure(value, each)
        except Exception:  # noqa: BLE001, each type has an exception of its own for "no"
            continue
    return _structure(value, last)


def to_toml(config: Any) -> dict[str, Any]:
    """A config instance as TOML values, by the names its options have in files."""
    pairs = {
        field.alias: _converter().unstructure(getattr(config, field.name))
        for field in attrs.fields(type(config))
    }
    table: dict[str, Any] = plain(pairs)
    return table


def plain(value: Any) -> Any:
    """Replace what TOML does not have: None by its word, tuples by lists."""
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value


@functools.cache
def _converter() -> cattrs.Converter:
    """A converter that never guesses: text is not a number, a number is not text."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, test in _STRICT.items():
        converter.register_structure_hook(kind, functools.partial(_strict, kind, test))
    return converter


def _strict(kind: type, test: Callable[[Any], bool], value: Any, _: type) -> Any:
    if not test(value):
        raise ValueError(value)
    return kind(value)


def _is_number(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and not math.isnan(value)  # type: ignore[arg-type]


def _is_unicode(value: str) -> bool:
    """Whether text can be written as UTF-8; a file name of other bytes cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


_STRICT: dict[type, Callable[[Any], bool]] = {
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: _is_number,
    bool: lambda value: isinstance(value, bool),
    str: lambda value: isinstance(value, str) and _is_unicode(value),
}


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in {Union, types.UnionType}


def _without_none(kind: Any) -> Any:
    """``X`` of ``X | None``; any other type as it is."""
    if not _is_union(kind) or type(None) not in get_args(kind):
        return kind
    rest = tuple(each for each in get_args(kind) if each is not type(None))
    return rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007, made at run time


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}


def _describe(kind: Any) -> str:
    """A type in words."""
    inner = _without_none(kind)
    if inner is not kind:
        return f"{_describe(inner)}, or {NONE}"
    if get_origin(kind) is Literal:
        return " or ".join(show(each) for each in get_args(kind))
    if _is_union(kind):
        return " or ".join(_describe(each) for each in get_args(kind))
    if get_origin(kind) in {tuple, list}:
        return f"a list, each {_describe(_element(kind))}"
    return _WORDS.get(kind) or getattr(kind, "__name__", None) or str(kind)


def _element(kind: Any) -> Any:
    """What a list or tuple type holds."""
    return (get_args(kind) or (str,))[0]


def show(value: object) -> str:
    """A value as a user would write it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(show(each) for each in value)}]"
    return repr(value) if isinstance(value, str) else str(value)


def written(value: object) -> str:
    """A value as it stands after ``KEY=`` on a command line."""
    return value if isinstance(value, str) and value else show(value)
