from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from reflect_core import ConfigError, option
from reflect_core.options import Key, check, from_text, options, show, to_toml, written


class Colour(Enum):
    RED = "red"


@attrs.frozen
class Rich:
    sizes: tuple[int, ...] = option((1, 2), "Sizes.")
    names: list[str] = attrs.field(factory=lambda: ["a"])
    colour: Colour = Colour.RED
    place: Path | None = None
    weights: dict[str, float] = attrs.field(factory=dict)
    level: Literal[1, 2] = 1
    either: int | str | None = None
    anything: Any = 0
    share: float = 0.5
    shares: tuple[float, ...] = ()


KEYS = {key.option: key for key in options(Rich, "env")}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sizes", "3, 4", (3, 4)),
        ("sizes", "[5]", (5,)),
        ("names", "x,y", ["x", "y"]),
        ("colour", "'red'", Colour.RED),
        ("place", "a/b", Path("a/b")),
        ("place", "none", None),
        ("weights", "{a = 1.5}", {"a": 1.5}),
        ("level", "2", 2),
        ("either", "4", 4),
        ("either", "four", "four"),
        ("either", "none", None),
        ("anything", "[1, 'x']", [1, "x"]),
        ("anything", "some words", "some words"),
    ],
)
def test_text_of_a_command_line(name: str, text: str, value: object) -> None:
    key = KEYS[name]
    assert check(key, from_text(text, key.type), "here") == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sizes", "3"),
        ("sizes", [1.5]),
        ("names", [1]),
        ("colour", "blue"),
        ("weights", {"a": "b"}),
        ("level", 3),
        ("either", 1.5),
        ("share", math.inf),
        ("share", math.nan),
        ("shares", [0.5, math.inf]),
    ],
)
def test_values_of_a_wrong_type(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"env\.{name} cannot be .* \(here\)"):
        check(KEYS[name], value, "here")


def test_an_option_that_is_infinite_by_default_may_be_so() -> None:
    assert check(Key("env", "patience", float, math.inf), math.inf, "here") == math.inf


def test_defaults_that_are_made_are_shown() -> None:
    assert KEYS["names"].default == ["a"]
    assert KEYS["sizes"].help == "Sizes."


def test_everything_goes_to_toml_and_back() -> None:
    config = Rich(place=Path("x"), weights={"a": 1.0}, sizes=())
    table = to_toml(config)
    assert table["place"] == "x"
    assert table["either"] == "none"
    assert Rich(**{name: check(KEYS[name], value, "here") for name, value in table.items()}) == (
        config
    )


def test_bounds_are_inclusive() -> None:
    key = Key("env", "size", int, 1, minimum=1, maximum=3)
    assert [check(key, size, "here") for size in (1, 3)] == [1, 3]
    for size in (0, 4):
        with pytest.raises(ConfigError, match="at least 1, at most 3"):
            check(key, size, "here")


def test_values_are_shown_as_users_write_them() -> None:
    assert [show(value) for value in (None, True, 1.5, "a", ("x", 1))] == [
        "none",
        "true",
        "1.5",
        "'a'",
        "['x', 1]",
    ]
    assert [written(value) for value in ("a", "", 3)] == ["a", "''", "3"]
