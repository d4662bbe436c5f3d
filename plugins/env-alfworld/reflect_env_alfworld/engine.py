"""TextWorld's PDDL engine, driven so that nothing is worked out twice.

The states and what can be done in them are those of its compiled part, the texts those of the
game's grammar; both are the engine's own, and so is every word that comes out. What this module
leaves out is the repetition: a problem is translated once and not four times per game, a
grammar is parsed once and not at every command, and a command is worded once per game.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from textworld.generator.game import EntityInfo

from reflect_env_alfworld import grammar as grammars
from reflect_env_alfworld.alfred import Demangler
from reflect_env_alfworld.facts import Fact, Facts, Slot, Types
from reflect_env_alfworld.grammar import Each, Grammar, Listing, Rule, Text
from reflect_env_alfworld.native import Downward, Operator
from reflect_env_alfworld.planner import Riddle
from reflect_env_alfworld.translation import Translation, search_translation, translate

IN_MEMORY = 64
"""Games that are ready to begin; each takes about 0.2 MB."""
INTRO: Text = (Rule("intro"),)
NOTHING = "Nothing happens."
"""The answer to a command that cannot be done."""


@attrs.frozen
class GameText:
    """A game as ``.tw-pddl`` files hold it: its world, its texts and its problem."""

    domain: str
    grammar: str
    problem: str


@attrs.frozen
class Shown:
    """What the engine shows.

    Args:
        feedback: What was said.
        commands: All that can be done, sorted.
        won: The goal is reached.
        lost: It can no longer be reached, as far as the game tells.
    """

    feedback: str
    commands: tuple[str, ...]
    won: bool
    lost: bool = False


class GameError(Exception):
    """A file that should hold a game does not: where there are others, one episode's failure."""


def read_game(path: Path) -> GameText:
    """A game from a ``.tw-pddl`` file.

    Raises:
        GameError: The file is missing or is not a game.
    """
    try:
        data = json.loads(path.read_bytes())
        return GameText(data["pddl_domain"], data["grammar"], data["pddl_problem"])
    except OSError as error:
        raise GameError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GameError(
            f"{path} is not a game of TextWorld's PDDL engine: {type(error).__name__}: {error}"
        ) from error


class Engine:
    """Plays one game at a time; what was played before is loaded quickly.

    >>> engine = Engine()                                                   # doctest: +SKIP
    >>> engine.load(read_game(Path("game.tw-pddl")))                        # doctest: +SKIP
    >>> shown = engine.step(engine.reset().commands[0])                     # doctest: +SKIP
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Args: folder: Where translations are kept, if anywhere."""
        self._folder = folder
        self._downward = Downward()
        self._game: _Loaded | None = None
        self._facts: Facts | None = None
        self._commands: dict[str, Operator] = {}
        self._done: list[Operator] = []

    def load(self, text: GameText) -> None:
        """Take up a game; :meth:`reset` begins it."""
        self._game, self._facts = _load(text, self._folder), None

    def reset(self) -> Shown:
        """Begin the game."""
        game = self._game
        assert game is not None, "no game was loaded"
        self._downward.load(game.sas)
        self._facts, self._done = game.initial(self._downward), []
        feedback = game.grammar.tell(INTRO, self._facts, {}, game.things)
        return self._show(game, feedback)

    def step(self, command: str) -> Shown:
        """Do what a command says; one that cannot be done changes nothing."""
        game, facts = self._game, self._facts
        assert game is not None and facts is not None, "no game was begun"
        operator = self._commands.get(command.strip())
        if operator is None:
            return self._show(game, NOTHING)
        self._done.append(operator)
        for fact, holds in map(_read_atom, self._downward.apply(operator)):
            # what becomes false is kept as a fact too: grammars ask for it
            denied = (f"not_{fact[0]}", *fact[1:])
            facts.remove(denied if holds else fact)
            facts.add(fact if holds else denied)
        return self._show(game, game.feedback(operator, facts))

    def facts(self) -> list[Fact]:
        """All facts of the state, with the names that the game's texts use."""
        game, facts = self._game, self._facts
        assert game is not None and facts is not None, "no game was begun"
        return [(name, *(game.things[thing].name for thing in of)) for name, *of in facts]

    def riddle(self) -> Riddle:
        """What a planner must know to go on from here."""
        game = self._game
        assert game is not None and self._facts is not None, "no game was begun"
        return Riddle(game.sas.decode(), game.search_sas, tuple(self._done))

    def command_named(self, operator: str) -> str:
        """The command of an operator that a planner names."""
        game = self._game
        assert game is not None, "no game was loaded"
        return game.command_named(operator)

    def close(self) -> None:
        """Let go of the state; may be called twice."""
        self._downward.close()
        self._game = self._facts = None

    def _show(self, game: _Loaded, feedback: str) -> Shown:
        assert self._facts is not None
        self._commands = game.commands(self._downward, self._facts)
        return Shown(feedback, tuple(sorted(self._commands)), self._downward.at_goal())


@functools.lru_cache(IN_MEMORY)
def _load(text: GameText, folder: Path | None) -> _Loaded:
    return _Loaded(text, translate(text.domain, text.problem, folder), grammars.parse(text.grammar))


class _Loaded:
    """All of a game that does not change while it is played; engines may share it."""

    def __init__(self, text: GameText, translation: Translation, grammar: Grammar) -> None:
        self.grammar = grammar
        # read at every reset and a megabyte long: worth a millisecond
        self._sas = zlib.compress(translation.sas.encode(), 1)
        self.things: Mapping[str, Any] = {}
        self._text = text
        self._translation = attrs.evolve(translation, sas="")
        self._types = Types(translation.types)
        self._operators: dict[int, Operator] = {}
        self._wordings: dict[str, str] = {}
        self._initial: Facts | None = None

    @property
    def sas(self) -> bytes:
        """The problem as the compiled part reads it."""
        return zlib.decompress(self._sas)

    def initial(self, downward: Downward) -> Facts:
        """The facts at the start, to be changed; ``downward`` is there."""
        if self._initial is None:
            facts = Facts(self._types, self._translation.objects, self._translation.facts)
            for fact, holds in map(_read_atom, downward.atoms()):
                if holds:
                    facts.add(fact)
            self._initial = facts
            self.things = _things(facts, self._translation.objects, self._text.domain)
        return self._initial.copy()

    @functools.cached_property
    def search_sas(self) -> str:
        """The problem as the planner wants it."""
        return search_translation(self._text.domain, self._text.problem)

    def commands(self, downward: Downward, facts: Facts) -> dict[str, Operator]:
        """Every command and what it does; where two do the same, the first counts."""
        found: dict[str, Operator] = {}
        for place, number in enumerate(downward.operators()):
            operator = self._operators.get(number)
            if operator is None:
                operator = self._operators[number] = downward.describe(place)
            found.setdefault(self._wording(operator.name, facts), operator)
        return found

    def feedback(self, operator: Operator, facts: Facts) -> str:
        """What is told after an operator was applied."""
        action, binding = self._parts(operator.name)
        text = self.grammar.actions[action].feedback
        return self.grammar.tell(text, facts, binding, self.things)

    def command_named(self, name: str) -> str:
        """The command of an operator that the planner names."""
        assert self._initial is not None
        return self._wording(name, self._initial)

    def _wording(self, name: str, facts: Facts) -> str:
        found = self._wordings.get(name)
        if found is None:
            action, binding = self._parts(name)
            text = self.grammar.actions[action].command
            found = self._worded(text, facts, binding)
            if self._asks(text).isdisjoint(self._translation.changing):
                self._wordings[name] = found
        return found

    def _worded(self, text: Text, facts: Facts, binding: dict[Slot, str]) -> str:
        # first the grammar's own marks, then names in braces: TextWorld does both
        told = self.grammar.tell(text, facts, binding, self.things)
        names = {name: self.things[thing].name for (name, _), thing in binding.items()}
        return told.format(**names)

    def _parts(self, name: str) -> tuple[str, dict[Slot, str]]:
        action, *things = name.split()
        return action, dict(zip(self._translation.actions[action], things, strict=False))

    def _asks(self, text: Sequence[Any]) -> set[str]:
        """Predicates that a command's text depends on."""
        asked: set[str] = set()
        for part in text:
            if isinstance(part, Rule):
                for production in self.grammar.rules[part.name]:
                    asked |= {condition.name for condition in production.condition or ()}
                    asked |= self._asks(production.text)
            elif isinstance(part, Listing):
                asked |= self._asks((part.each,))
            elif isinstance(part, Each):
                asked |= {condition.name for condition in part.query or ()}
                asked |= self._asks((part.what,))
        return asked


def _read_atom(atom: str) -> tuple[Fact, bool]:
    """A fact, and whether it is true: ``Atom on(a, b)``, ``NegatedAtom on(a, b)``."""
    sign, _, rest = atom.partition(" ")
    name, _, things = rest.removesuffix(")").partition("(")
    return (name, *(thing for thing in things.split(", ") if thing)), sign != "NegatedAtom"


def _things(facts: Facts, objects: Mapping[str, str], domain: str) -> dict[str, Any]:
    """What is told of each object, by its name in the facts."""
    found = {}
    for fact in facts:
        for name in fact[1:]:
            if name not in found:
                thing = found[name] = EntityInfo(name, objects[name])
                thing.name, thing.definite, thing.indefinite = name, "the", "a"
    if "(domain alfred)" in domain:
        # the simulator's names, with places in them, become a type and a number
        plain = Demangler(game_infos=found)
        for name, thing in found.items():
            thing.name = plain.demangle_alfred_name(name)
    return found
