"""The engine as ALFWorld itself drives it, to compare with."""

from __future__ import annotations

from typing import Any

from textworld.core import EnvInfos
from textworld.envs.pddl import PddlEnv

from reflect_env_alfworld.engine import GameText, Shown


class StockEngine:
    """TextWorld's environment with ALFWorld's names, behind the methods of ``Engine``.

    Each one maps a copy of the engine's library that is never unmapped.
    """

    def __init__(self) -> None:
        """Make the environment."""
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler  # heavy

        self._environment: Any = AlfredDemangler(PddlEnv(EnvInfos(won=True)))

    def load(self, text: GameText) -> None:
        """Take up a game; :meth:`reset` begins it."""
        self._environment.load(
            {
                "pddl_domain": text.domain,
                "grammar": text.grammar,
                "pddl_problem": text.problem,
            }
        )

    def reset(self) -> Shown:
        """Begin the game."""
        return _shown(self._environment.reset())

    def step(self, command: str) -> Shown:
        """Do what a command says."""
        return _shown(self._environment.step(command)[0])


def _shown(state: Any) -> Shown:
    return Shown(state["feedback"], tuple(state["admissible_commands"]), bool(state["won"]))
