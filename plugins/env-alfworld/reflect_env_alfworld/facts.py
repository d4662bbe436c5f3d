"""What is true in a state, and the questions that a text grammar asks about it.

The answers, and their order, are those of TextWorld's own state; here facts are plain tuples,
which nothing keeps once their game is over.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from textworld.logic import Rule, Type, TypeHierarchy

Fact = tuple[str, ...]
"""A predicate and the objects of which it is true."""

Slot = tuple[str, str]
"""Name and type of a variable of a query."""

Binding = Mapping[Slot, str]
"""The object that each variable stands for."""


@attrs.frozen
class Predicate:
    """A condition of a query: a fact with variables in place of objects."""

    name: str
    slots: tuple[Slot, ...]


Query = tuple[Predicate, ...]


@functools.lru_cache(4096)
def parse_query(text: str) -> Query:
    """A query as a grammar writes it: ``openable(r:receptacle) & opened(r:receptacle)``."""
    conditions = Rule.parse_conjunctive_query(text).preconditions
    return tuple(
        Predicate(each.name, tuple((slot.name, slot.type) for slot in each.parameters))
        for each in conditions
    )


class Types:
    """The types of a domain."""

    def __init__(self, types: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """Args: types: Each with those that it is a kind of."""
        self._hierarchy = TypeHierarchy()
        seen: set[str] = set()
        for name, parents in types:
            if name not in seen:  # a domain may declare what is built in; the first counts
                seen.add(name)
                self._hierarchy.add(Type(name, parents))
        self._below: dict[tuple[str, ...], Sequence[tuple[str, ...]]] = {}

    def below(self, types: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        """These types and every combination of their subtypes, in TextWorld's order."""
        found = self._below.get(types)
        if found is None:
            combinations = self._hierarchy.multi_subtypes([self._hierarchy.get(t) for t in types])
            found = [tuple(each.name for each in combination) for combination in combinations]
            self._below[types] = found
        return found


class Facts:
    """A set of facts that can be queried.

    Args:
        types: Of the domain.
        objects: The type of each object.
        facts: That are true at first.
    """

    def __init__(
        self, types: Types, objects: Mapping[str, str], facts: Iterable[Fact] = ()
    ) -> None:
        self._types = types
        self._objects = objects
        # by predicate and types of its objects
        self._facts: dict[str, dict[tuple[str, ...], set[Fact]]] = {}
        self._sorted: dict[tuple[str, tuple[str, ...]], list[Fact]] = {}
        for fact in facts:
            self.add(fact)

    def __iter__(self) -> Iterator[Fact]:
        for of_types in self._facts.values():
            for facts in of_types.values():
                yield from facts

    def add(self, fact: Fact) -> None:
        """Make a fact true."""
        types = self._types_of(fact)
        self._facts.setdefault(fact[0], {}).setdefault(types, set()).add(fact)
        self._sorted.pop((fact[0], types), None)

    def remove(self, fact: Fact) -> None:
        """Make a fact untrue; one that is not true stays so."""
        types = self._types_of(fact)
        self._facts.get(fact[0], {}).get(types, set()).discard(fact)
        self._sorted.pop((fact[0], types), None)

    def copy(self) -> Facts:
        """The same facts, to be changed apart."""
        other = Facts(self._types, self._objects)
        other._facts = {
            name: {types: set(facts) for types, facts in of_types.items()}
            for name, of_types in self._facts.items()
        }
        other._sorted = dict(self._sorted)
        return other

    def answers(self, query: Query, binding: Binding) -> Iterator[Binding]:
        """Every binding that extends the given one and makes the query true.

        Two variables never stand for the same object.
        """
        yield from self._extend(query, 0, dict(binding))

    def holds(self, query: Query, binding: Binding) -> bool:
        """Whether there is an answer."""
        return next(self.answers(query, binding), None) is not None

    def _extend(self, query: Query, place: int, binding: dict[Slot, str]) -> Iterator[Binding]:
        if place == len(query):
            yield binding
            return
        condition = query[place]
        known = self._facts.get(condition.name, {})
        for types in self._types.below(tuple(kind for _, kind in condition.slots)):
            if types not in known:
                continue
            for fact in self._in_order(condition.name, types):
                extended = _match(condition.slots, fact, binding)
                if extended is not None:
                    yield from self._extend(query, place + 1, extended)

    def _in_order(self, name: str, types: tuple[str, ...]) -> list[Fact]:
        found = self._sorted.get((name, types))
        if found is None:
            found = self._sorted[name, types] = sorted(self._facts[name][types])
        return found

    def _types_of(self, fact: Fact) -> tuple[str, ...]:
        return tuple(self._objects[name] for name in fact[1:])


def _match(slots: Sequence[Slot], fact: Fact, binding: dict[Slot, str]) -> dict[Slot, str] | None:
    extended = binding
    for slot, name in zip(slots, fact[1:], strict=True):
        bound = extended.get(slot)
        if bound is None:
            if name in extended.values():
                return None
            extended = {**extended, slot: name}
        elif bound != name:
            return None
    return extended
