"""A game's texts: the grammar of a ``.twl2`` file, parsed once by TextWorld's own parsers.

What a text says depends on the facts of the state through queries in it; parsing it does not.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from textworld.envs.pddl import logic, textgen

from reflect_env_alfworld.facts import Binding, Facts, Query, parse_query

IN_MEMORY = 64
TASK = "UNKNOWN GOAL"
"""What stands for the task in ALFWorld's grammar."""

# in each game's grammar the task stands here, and is all that differs
_TASK = re.compile(r'(?<="Your task is to: )[^"\[\]{}#|<>;/\\]*(?=\.")')


@attrs.frozen
class Value:
    """An expression of Python over the variables."""

    code: types.CodeType


@attrs.frozen
class Rule:
    """The name of a rule, in whose place its text stands."""

    name: str


@attrs.frozen
class Each:
    """A text once for every answer to a query; once where there is none to ask."""

    what: Part
    query: Query | None


@attrs.frozen
class Listing:
    """The same as a list, with commas."""

    each: Each


Part = str | Value | Rule | Each | Listing
Text = tuple[Part, ...]


@attrs.frozen
class Production:
    """What stands in the place of a rule, where a condition holds."""

    condition: Query | None
    text: Text


@attrs.frozen
class ActionTexts:
    """The command of an action, and what is told when it was done."""

    command: Text
    feedback: Text


@attrs.frozen
class Grammar:
    """All texts of a game.

    Args:
        rules: The productions of each rule; the first whose condition holds counts.
        actions: By the action's name in small letters.
        task: Stands in the place of ``UNKNOWN GOAL``.
    """

    rules: Mapping[str, Sequence[Production]]
    actions: Mapping[str, ActionTexts]
    task: str = TASK

    def tell(self, text: Text, facts: Facts, binding: Binding, things: Mapping[str, Any]) -> str:
        """A text in words.

        Args:
            text: What is to be told.
            facts: Of the state.
            binding: What the variables stand for.
            things: By its name in the facts, what is told of an object.

        Raises:
            KeyError: The text names a rule that there is not.
        """
        return "".join(self._tell(text, facts, binding, things)).replace(TASK, self.task)

    def _tell(
        self, text: Text, facts: Facts, binding: Binding, things: Mapping[str, Any]
    ) -> Iterator[str]:
        for part in text:
            if isinstance(part, str):
                yield part
            elif isinstance(part, Value):
                variables = {name: things[object_] for (name, _), object_ in binding.items()}
                yield str(eval(part.code, {}, variables))
            elif isinstance(part, Rule):
                yield from self._tell(self._chosen(part, facts, binding), facts, binding, things)
            elif isinstance(part, Each):
                for answer in _answers(part, facts, binding):
                    yield from self._tell((part.what,), facts, answer, things)
            else:
                yield from self._list(part.each, facts, binding, things)

    def _chosen(self, rule: Rule, facts: Facts, binding: Binding) -> Text:
        for production in self.rules[rule.name]:
            if production.condition is None or facts.holds(production.condition, binding):
                return production.text
        raise KeyError(f"no production of rule {rule.name!r} applies")

    def _list(
        self, each: Each, facts: Facts, binding: Binding, things: Mapping[str, Any]
    ) -> Iterator[str]:
        def rule(name: str) -> Iterator[str]:
            return self._tell((Rule(name),), facts, binding, things)

        answers = list(_answers(each, facts, binding))
        if not answers:
            yield from rule("list_empty")
        for place, answer in enumerate(answers):
            if place:
                last = place == len(answers) - 1
                yield from rule("list_last_separator" if last else "list_separator")
            yield from self._tell((each.what,), facts, answer, things)


def _answers(each: Each, facts: Facts, binding: Binding) -> Iterator[Binding]:
    if each.query is None:
        return iter((binding,))
    return facts.answers(each.query, binding)


def parse(text: str) -> Grammar:
    """Parse a grammar; those that differ in the task alone are parsed once."""
    tasks = _TASK.findall(text)
    if len(tasks) != 1 or TASK in _TASK.sub("", text):
        return _parse(text)
    return attrs.evolve(_parse(_TASK.sub(TASK, text)), task=tasks[0])


@functools.lru_cache(IN_MEMORY)
def _parse(text: str) -> Grammar:
    parsed = logic.GameLogic(domain="", grammar=text)
    return Grammar(
        rules={
            name: [Production(_query(rule.condition), _text(rule.rhs)) for rule in productions]
            for name, productions in parsed.grammar._rules.items()
        },
        actions={
            name: ActionTexts(_parse_text(action.template), _parse_text(action.feedback_rule))
            for name, action in parsed.actions.items()
        },
    )


def _parse_text(text: str) -> Text:
    return _text(textgen._parse_and_convert(text, rule_name="symbols"))


def _text(symbols: Sequence[Any]) -> Text:
    return tuple(_part(symbol) for symbol in symbols)


def _part(symbol: Any) -> Part:
    if isinstance(symbol, textgen.TerminalSymbol):
        return str(symbol.symbol)
    if isinstance(symbol, textgen.NonterminalSymbol):
        return Rule(str(symbol.symbol))
    if isinstance(symbol, textgen.EvalSymbol):
        return Value(compile(symbol.expression.strip(), "<grammar>", "eval"))
    if isinstance(symbol, textgen.ConditionalSymbol):
        return Each(_part(symbol.expression), _query(symbol.given))
    if isinstance(symbol, textgen.ListSymbol):
        each = _part(symbol.symbol)
        assert isinstance(each, Each), "the grammar of grammars has no other lists"
        return Listing(each)
    raise TypeError(f"a text has no part of the kind {type(symbol).__name__}")


def _query(text: str | None) -> Query | None:
    return parse_query(text) if text else None
