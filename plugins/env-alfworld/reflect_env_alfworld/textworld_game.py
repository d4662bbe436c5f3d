"""Games that TextWorld or Inform made: ``.z8``, on TextWorld's interpreter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import textworld
from textworld.core import EnvInfos

from reflect_core.errors import ReflectError
from reflect_env_alfworld.engine import Shown

_PROMPT = re.compile(r"\n\s*>\s*(-= .* =-.*)?\s*$")
"""What Inform writes where a line is to be typed: a prompt, the room and the score."""

_VERSIONS = {".z3": 3, ".z5": 5, ".z8": 8}
_LENGTH_UNITS = {3: 2, 5: 4, 8: 8}  # in which a story's length is told
_HEADER = 64


class TextWorldEngine:
    """One game behind the methods of :class:`reflect_env_alfworld.engine.Engine`."""

    def __init__(self, path: Path) -> None:
        """Start the interpreter.

        Raises:
            ReflectError: TextWorld does not know the game.
        """
        infos = EnvInfos(
            admissible_commands=True, won=True, lost=True, policy_commands=True, description=True
        )
        _check(path)
        try:
            self._environment: Any = textworld.start(str(path), infos)
        except Exception as error:
            raise ReflectError(
                f"TextWorld cannot play {path}", why=f"{type(error).__name__}: {error}"
            ) from error
        self._path = path
        self.plan: tuple[str, ...] = ()
        """Commands that win from here, where the game tells them."""

    def reset(self) -> Shown:
        """Begin the game."""
        state = self._environment.reset()
        # the first words are mostly a title; what is to be done stands in the task
        return self._shown(state, state.get("description") or state["feedback"])

    def step(self, command: str) -> Shown:
        """Do what a command says."""
        state = self._environment.step(command)[0]
        return self._shown(state, _PROMPT.sub("", state["feedback"]))

    def close(self) -> None:
        """Stop the interpreter; may be called twice."""
        self._environment.close()

    def _shown(self, state: Any, said: str) -> Shown:
        commands = state.get("admissible_commands")
        if commands is None:
            raise ReflectError(
                f"{self._path} does not tell what can be done",
                why="there is no menu without admissible commands",
                then="a game that TextWorld made, with its .json file beside it",
            )
        self.plan = tuple(state.get("policy_commands") or ())
        return Shown(said, tuple(sorted(set(commands))), bool(state["won"]), bool(state["lost"]))


def _check(path: Path) -> None:
    """Look at a story file's header: the interpreter ends the whole program over a bad one."""
    version = _VERSIONS.get(path.suffix)
    if version is None:
        return
    content = path.read_bytes()
    length = int.from_bytes(content[26:28], "big") * _LENGTH_UNITS[version]
    if len(content) < _HEADER or content[0] != version or not _HEADER <= length <= len(content):
        raise ReflectError(
            f"{path} is not a story of version {version}",
            why="its first bytes do not say so, or its end is missing",
        )
