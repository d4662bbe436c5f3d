"""The packages that play the games, imported when they are first needed."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import tempfile

from reflect_core.errors import ReflectError

DATA_VARIABLE = "ALFWORLD_DATA"
INSTALL = (
    "pip install reflect-env-alfworld (its engine is built from source: a C++ compiler, cmake)"
)


@functools.cache
def load() -> None:
    """Import alfworld and TextWorld's PDDL engine, which leave nothing behind.

    Importing alfworld makes the folder ``$ALFWORLD_DATA``, or one in the user's home, and sets
    the variable. Here it is shown a folder that exists, and the variable stays as it was.

    Raises:
        ReflectError: They are not installed, or do not load.
    """
    told = os.environ.get(DATA_VARIABLE)
    os.environ[DATA_VARIABLE] = tempfile.gettempdir()
    try:
        for name in ("alfworld.info", "fast_downward", "textworld.envs.pddl.logic"):
            importlib.import_module(name)
    except ImportError as error:
        raise ReflectError(
            "ALFWorld's engine is not installed", why=str(error), then=INSTALL
        ) from error
    finally:
        if told is None:
            del os.environ[DATA_VARIABLE]
        else:
            os.environ[DATA_VARIABLE] = told


@functools.cache
def versions() -> dict[str, str]:
    """The installed version of each package that decides what a game is and how it is told."""
    return {name: importlib.metadata.version(name) for name in ("alfworld", "textworld")}
