"""Who says what to do: a searcher, the engine's planner, and ALFWorld's own program."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import attrs

from reflect_core.streams import stream, stream_seed
from reflect_env_alfworld.config import EXPLORER, HANDCODED, VISITOR, AlfworldConfig
from reflect_env_alfworld.engine import Engine, Shown
from reflect_env_alfworld.explorer import Advice, advise
from reflect_env_alfworld.facts import Fact
from reflect_env_alfworld.games import Game
from reflect_env_alfworld.goals import Goal
from reflect_env_alfworld.memory import Memory
from reflect_env_alfworld.planner import solve

PATIENCE = 200
"""Turns after which ALFWorld's expert gives up."""

OPENS = 0.1
"""Chance that a visitor opens what is closed, where there is somewhere else to go."""


class Adviser(Protocol):
    """Someone who is asked in one episode."""

    def expects(self, action: str, commands: Collection[str]) -> bool:
        """Whether it would do this, as far as it has thought."""

    def note(self, action: str, shown: Shown) -> None:
        """See what was done, and what came of it."""

    def advise(self, commands: Collection[str]) -> Advice | None:
        """What to do now; None where it does not know."""


def make_adviser(
    config: AlfworldConfig, game: Game, engine: Engine, memory: Memory, shown: Shown, seed: int
) -> Adviser:
    """The expert that the options choose, at the start of an episode."""
    if config.expert == EXPLORER:
        return Explorer(Goal.of(game), memory)
    if config.expert == VISITOR:
        return Visitor(Goal.of(game), memory, seed)
    if config.expert == HANDCODED:
        return Handcoded(game, engine, shown)
    return Planner(engine, config.planner_seconds)


class Explorer:
    """Uses only what was told; see :mod:`reflect_env_alfworld.explorer`."""

    def __init__(self, goal: Goal, memory: Memory) -> None:
        """Args: memory: Kept up by others."""
        self._goal, self._memory = goal, memory

    def expects(self, action: str, commands: Collection[str]) -> bool:
        """Whether it is the next step."""
        advice = self.advise(commands)
        return advice is not None and advice.action == action

    def note(self, action: str, shown: Shown) -> None:
        """All that it needs is in the memory."""

    def advise(self, commands: Collection[str]) -> Advice | None:
        """The next step of the search, or of what is left to do."""
        return advise(self._goal, self._memory, commands)


class Visitor(Explorer):
    """Goes about it like the explorer, but mostly leaves closed what is closed.

    There its reflection names both that can be done, to go on to what it does not know yet or to
    open, and its action is drawn. So a policy that it teaches begins with a habit that costs it
    games and with a chance to do better, which is left to RL to find.
    """

    def __init__(self, goal: Goal, memory: Memory, seed: int) -> None:
        """Args: seed: Of its draws, one a turn."""
        super().__init__(goal, memory)
        self._seed, self._turn = seed, 0

    def expects(self, action: str, commands: Collection[str]) -> bool:
        """Whether it is the next step, or one of two."""
        advice = self.advise(commands)
        return advice is not None and action in (advice.choices or (advice.action,))

    def note(self, action: str, shown: Shown) -> None:
        """The next turn has another draw."""
        self._turn += 1

    def advise(self, commands: Collection[str]) -> Advice | None:
        """The explorer's step; where that opens something, mostly another."""
        advice = super().advise(commands)
        if advice is None or not advice.action.startswith("open "):
            return advice
        elsewhere = [f"go to {place}" for place in self._memory.unknown()]
        on = next((each for each in elsewhere if each in commands), None)
        if on is None:
            return advice
        draw = stream(self._seed, "alfworld", "visitor", self._turn)
        choices = (on, advice.action)
        return attrs.evolve(advice, action=choices[int(draw.random() < OPENS)], choices=choices)


class Planner:
    """Follows the plan of the engine's planner, which knows where everything is."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        """Args: seconds: The longest search."""
        self._engine, self._seconds = engine, seconds
        self._plan: Sequence[str] | None = None

    def expects(self, action: str, commands: Collection[str]) -> bool:
        """Whether it is the next step of the plan, where there is one already."""
        return not self._plan or self._plan[0] == action

    def note(self, action: str, shown: Shown) -> None:
        """Go on with the plan, or make another where it was left.

        A game on which one search failed is not searched again: each takes as long.
        """
        plan = self._plan
        if plan and plan[0] == action:
            self._plan = plan[1:]
        elif plan:
            self._plan = None

    def advise(self, commands: Collection[str]) -> Advice | None:
        """The next step of the plan."""
        if self._plan is None:
            found = solve(self._engine.riddle(), seconds=self._seconds)
            self._plan = [self._engine.command_named(name) for name in found or ()]
        return Advice(self._plan[0], "Next") if self._plan else None


@attrs.frozen
class _Named:
    """A fact as ALFWorld's expert reads it."""

    name: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, fact: Fact) -> _Named:
        return cls(fact[0], fact[1:])


class Handcoded:
    """ALFWorld's own expert: rules of thumb over the facts of the state.

    It draws at random now and then; here its draws depend on the game alone.
    """

    def __init__(self, game: Game, engine: Engine, shown: Shown) -> None:
        """Args: shown: The start of the game."""
        from alfworld.agents.expert import HandCodedTWAgent

        parameters = {
            "task_type": game.family,
            "object_target": game.data["object"].lower(),
            "parent_target": game.data["receptacle"].lower(),
            "toggle_target": game.data["lamp"].lower(),
            "mrecep_target": "",
            "object_sliced": False,
        }
        self._engine = engine
        self._agent: Any = HandCodedTWAgent(max_steps=PATIENCE)
        self._agent.task_params = parameters
        self._agent.policy = self._agent.get_task_policy(parameters)(parameters, max_steps=PATIENCE)
        self._agent.observe(shown.feedback)
        self._random = random.Random(stream_seed(0, "alfworld", "handcoded", game.game_id))
        self._wish: str | None = "look"

    def expects(self, action: str, commands: Collection[str]) -> bool:
        """Whether its rules say so."""
        return self._wish is None or self._wish == action

    def note(self, action: str, shown: Shown) -> None:
        """Let it see the turn and think of the next one."""
        state = {
            "feedback": shown.feedback,
            "facts": [_Named.of(fact) for fact in self._engine.facts()],
            "admissible_commands": list(shown.commands),
            "won": shown.won,
        }
        with self._draws():
            try:
                self._wish = self._agent.act(state, 0, shown.won, action)
            except (LookupError, NameError):  # it gave up, or its rules led nowhere
                self._wish = None

    def advise(self, commands: Collection[str]) -> Advice | None:
        """What its rules say; ``look`` where that cannot be done, as ALFWorld has it."""
        if self._wish is None:
            return None
        return Advice(self._wish if self._wish in commands else "look", "Next")

    @contextmanager
    def _draws(self) -> Iterator[None]:
        """Its draws come from the program's generator, which is left as it was."""
        before = random.getstate()
        random.setstate(self._random.getstate())
        try:
            yield
        finally:
            self._random.setstate(random.getstate())
            random.setstate(before)
