"""What the shipped environments wish of the other parts: it exists, and it takes effect."""

from __future__ import annotations

import attrs
import pytest

from reflect_core import config, plugins
from reflect_core.config import Part

REGISTRY = plugins.load()
ENVIRONMENTS = sorted(REGISTRY.offers("environment"))
TRAINERS = sorted(REGISTRY.offers("trainer"))


def options(part: object) -> dict[str, object]:
    """The options of a section by name; those of a chosen part lie one level deeper."""
    chosen = part.options if isinstance(part, Part) else part
    named = {field.name: getattr(chosen, field.name) for field in attrs.fields(type(chosen))}
    return named | ({"name": part.name} if isinstance(part, Part) else {})


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_default_takes_effect_wherever_the_part_has_that_option(
    environment: str, trainer: str
) -> None:
    made = config.resolve(REGISTRY, flags={"env": environment, "trainer": trainer})
    for key, wished in REGISTRY.find("environment", environment).spec.defaults.items():
        section, _, name = key.partition(".")
        offered = options(getattr(made, section))
        assert offered.get(name, wished) == wished, key


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_default_is_an_option_of_some_part_that_ships(environment: str) -> None:
    """One for a part that was not chosen is void, and so is one that is misspelt."""
    made = [config.resolve(REGISTRY, flags={"env": environment, "trainer": t}) for t in TRAINERS]
    for key in REGISTRY.find("environment", environment).spec.defaults:
        section, _, name = key.partition(".")
        assert any(name in options(getattr(each, section)) for each in made), key
