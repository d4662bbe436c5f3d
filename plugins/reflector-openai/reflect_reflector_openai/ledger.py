"""A budget of tokens that is never exceeded, whatever the order in which answers come."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import attrs

from reflect_reflector_openai.records import Answer, Request
from reflect_reflector_openai.store import Store

__all__ = ["BudgetSpent", "Ledger", "Reservation"]


class BudgetSpent(Exception):
    """The next request might cost more than is left.

    Args:
        wanted: Tokens that it might cost.
        spent: Tokens counted so far.
        budget: The limit.
    """

    def __init__(self, wanted: int, spent: int, budget: int) -> None:
        super().__init__(f"{spent} of {budget} tokens are spent, {wanted} more are wanted")
        self.wanted, self.spent, self.budget = wanted, spent, budget


@attrs.define
class Reservation:
    """Tokens that one request may cost, counted as spent until more is known.

    Whoever makes a request calls :meth:`settle` when its answer is there or :meth:`release`
    when no work was done for it. Where neither happens (the response was lost, the process
    was killed) the tokens stay counted.
    """

    request: Request
    tokens: int
    _store: Store

    def settle(self, answer: Answer) -> Answer:
        """Store the answer and count its true cost; returns the answer that is stored."""
        return self._store.settle(self.request, answer, reserved=self.tokens)

    def release(self) -> None:
        """Take the reservation back."""
        self._store.release(self.tokens)


class Ledger:
    """Hands out reservations within a budget.

    Args:
        store: Keeps the count; everything that was ever counted there counts.
        budget: The limit in tokens, None for none.
    """

    def __init__(self, store: Store, budget: int | None) -> None:
        self._store = store
        self._budget = budget
        self._open = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, request: Request) -> Iterator[Reservation]:
        """Reserve what a request may cost, for as long as it is under way.

        While other requests of this process are under way it waits for them where the
        budget does not suffice, since most of them will cost less than was reserved.

        Raises:
            BudgetSpent: It does not suffice, and nothing is under way that could change that.
        """
        tokens = request.most_tokens
        with self._changed:
            while not self._store.reserve(tokens, self._budget):
                if not self._open:
                    assert self._budget is not None
                    raise BudgetSpent(tokens, self._store.tokens, self._budget)
                self._changed.wait()
            self._open += 1
        try:
            yield Reservation(request, tokens, self._store)
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()
