"""New plugin packages: templates beside this module, filled in with a kind and a name.

A template is a file that ends in ``.in``, with ``$name`` and the like as in
:class:`string.Template`. What lies below ``package/`` goes to the package, everything else beside
the ``pyproject.toml``. All kinds have ``common/``.
"""

from __future__ import annotations

import os
import re
import shutil
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import reflect_core
from reflect_core.errors import ConfigError, ReflectError
from reflect_core.hookspecs import API_VERSION
from reflect_core.plugins import KINDS, Registry

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["SECTIONS", "Package"]

SUFFIX = ".in"
SECTIONS = ("env", "reflector", "trainer", "curriculum")
"""The kinds that there are templates for, by their command-line flag."""
PATTERN = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
LONGEST = 40
SUMMARIES = {
    "env": "a sample: find the way through rooms by a map",
    "reflector": "a sample: says which action shares most words with the task",
    "trainer": "a sample: REINFORCE on the return-to-go, less the mean return",
    "curriculum": "a sample: tasks that were failed come again",
}


@attrs.frozen
class Package:
    """A package to be made.

    Args:
        section: What it offers one of: ``env``, ``reflector``, ``trainer`` or ``curriculum``.
        name: The word after ``--env`` and so on.

    Raises:
        ConfigError: No package can have this name.

    >>> Package("env", "my-maze").distribution
    'reflect-env-my-maze'
    """

    section: str = attrs.field(validator=attrs.validators.in_(SECTIONS))
    name: str

    def __attrs_post_init__(self) -> None:
        if not re.fullmatch(PATTERN, self.name) or len(self.name) > LONGEST:
            better = "-".join(re.findall("[a-z0-9]+", self.name.lower()))[:LONGEST].strip("-")
            usable = re.fullmatch(PATTERN, better) is not None
            raise ConfigError(
                f"a plugin cannot be called {self.name!r}",
                why=f"a name has lower-case letters, digits and single hyphens, begins with a "
                f"letter and has at most {LONGEST} characters",
                details=[f"did you mean: {better}"] if usable else [],
            )

    @property
    def distribution(self) -> str:
        """What pip calls it, and its folder."""
        return f"reflect-{self.section}-{self.name}"

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    def words(self) -> Mapping[str, str]:
        """What the templates are filled in with."""
        return {
            "section": self.section,
            "name": self.name,
            "distribution": self.distribution,
            "package": self.package,
            "Name": "".join(part.capitalize() for part in self.name.split("-")),
            "summary": SUMMARIES[self.section],
            "api": str(API_VERSION),
            "core": reflect_core.__version__,
        }

    def check_free(self, registry: Registry) -> None:
        """See that nothing installed is called so, since neither could be chosen then.

        Raises:
            ReflectError: Something is.
        """
        kind = next(kind for kind in KINDS if kind.section == self.section)
        taken = registry.offers(kind.name).get(self.name)
        if taken is not None:
            raise ReflectError(
                f"{kind.name} {self.name!r} exists already",
                why=f"{taken.origin} offers it, and of two with one name neither can be chosen",
                then="choose another name",
            )

    def render(self) -> dict[str, str]:
        """Every file's text, by its path in the package's folder."""
        from importlib.resources import files  # every command loads this module

        here = files(__name__)
        words = self.words()
        made = {}
        for root in ("common", self.section):
            for path, template in _templates(here / root):
                first, slash, rest = path.partition("/")
                target = f"{self.package}/{rest}" if slash and first == "package" else path
                text = template.read_text(encoding="utf-8")
                made[target] = string.Template(text).substitute(words)
        return dict(sorted(made.items()))

    def write(self, into: Path) -> Path:
        """Make the package's folder below ``into``, whole or not at all.

        Raises:
            ReflectError: There is something of its name already; nothing is touched.
        """
        folder = into / self.distribution
        if os.path.lexists(folder):
            raise ReflectError(
                f"{folder} exists already",
                why="nothing is ever overwritten",
                then="choose another name, or another place with --into DIR",
            )
        into.mkdir(parents=True, exist_ok=True)
        fresh = into / f".{self.distribution}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            for path, text in self.render().items():
                target = fresh / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="\n")
            fresh.rename(folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return folder


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """The templates below a folder, with the paths that they are for."""
    for each in folder.iterdir():
        path = f"{above}{each.name}"
        if each.is_dir():
            yield from _templates(each, f"{path}/")
        elif each.name.endswith(SUFFIX):
            yield path.removesuffix(SUFFIX), each
