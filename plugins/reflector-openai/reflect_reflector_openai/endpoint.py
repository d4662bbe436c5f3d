"""Questions to an endpoint, each sent until it is answered and never again after that."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress

import attrs

from reflect_core import ReflectError
from reflect_core.streams import stream
from reflect_reflector_openai.client import Client, Fault
from reflect_reflector_openai.ledger import BudgetSpent, Ledger
from reflect_reflector_openai.records import Answer, Request
from reflect_reflector_openai.store import Store

__all__ = ["Endpoint", "Patience"]


@attrs.frozen
class Patience:
    """How long a request is tried.

    Args:
        retries: Further tries after the first.
        backoff: Seconds before the first retry; doubled at each.
        max_wait: Most seconds before a retry.
    """

    retries: int
    backoff: float
    max_wait: float

    def ends(self, fault: Fault, retry: int) -> bool:
        """Whether a request is given up that failed so at a retry, counted from 0."""
        return retry == self.retries or (fault.wait or 0.0) > self.max_wait

    def wait(self, key: str, retry: int) -> float:
        """Seconds before a retry, counted from 0.

        Between half of the doubled back-off and the whole, so that requests which failed
        together do not come back together; drawn from the request's key.
        """
        share = stream(0, "backoff", key, retry).uniform(0.5, 1.0)
        # beyond 2 ** 60 it is the limit that counts
        return float(min(self.max_wait, self.backoff * 2.0 ** min(retry, 60)) * share)


class _Stopped(Exception):
    """Another request of the same batch failed for good."""


class Endpoint:
    """Asks an endpoint many questions at once, with a memory and a budget.

    Args:
        client: Sends one request.
        store: Keeps every answer before it is used.
        budget: Most tokens that ``store`` may count, None for no limit.
        concurrency: Requests under way at once.
        patience: How often a failed request is repeated, and when.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        *,
        budget: int | None,
        concurrency: int,
        patience: Patience,
    ) -> None:
        self._client, self._store = client, store
        self._ledger = Ledger(store, budget)
        self._concurrency, self._patience = concurrency, patience
        self._asking: set[str] = set()
        self._asked = threading.Condition()

    def ask(self, requests: Sequence[Request]) -> list[Answer | BudgetSpent]:
        """An answer per request, in order; may be called from several threads.

        Stored answers cost nothing. Where the budget does not suffice for a request,
        the reason stands in the place of its answer.

        Raises:
            ReflectError: The endpoint refuses a request, or gives no answer after all
                retries. The answers that came until then are stored.
        """
        answers: dict[int, Answer | BudgetSpent] = {}
        missing = []
        for place, request in enumerate(requests):
            stored = self._store.find(request.key)
            if stored is None:
                missing.append(place)
            else:
                answers[place] = stored
        if missing:
            answers |= zip(missing, self._ask([requests[i] for i in missing]), strict=True)
        return [answers[place] for place in range(len(requests))]

    def close(self) -> None:
        """Close all connections and the file of answers, once nothing is under way any more.

        An ``ask`` that was broken off twice (Ctrl-C, then a study that ends its runs) leaves
        requests behind, which are paid for.
        """
        with self._asked:
            while self._asking:
                self._asked.wait()
        self._client.close()
        self._store.close()

    def _ask(self, requests: Sequence[Request]) -> list[Answer | BudgetSpent]:
        stop = threading.Event()
        with ThreadPoolExecutor(self._concurrency) as threads:
            futures = [threads.submit(self._answer, request, stop) for request in requests]
            try:
                for future in as_completed(futures):
                    with suppress(_Stopped):  # the one that stopped it says why
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                # what is under way is paid for: it ends and is stored; nothing new begins
                stop.set()
                for future in futures:
                    future.cancel()
                raise

    def _answer(self, request: Request, stop: threading.Event) -> Answer | BudgetSpent:
        with self._alone(request.key):
            # another thread may have asked the same and waited for the answer
            stored = self._store.find(request.key)
            if stored is not None:
                return stored
            try:
                return self._obtain(request, stop)
            except BudgetSpent as reason:
                return reason

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Wait until no other thread asks the same, and let none do so meanwhile."""
        with self._asked:
            while key in self._asking:
                self._asked.wait()
            self._asking.add(key)
        try:
            yield
        finally:
            with self._asked:
                self._asking.remove(key)
                self._asked.notify_all()

    def _obtain(self, request: Request, stop: threading.Event) -> Answer:
        """Send a request until it is answered.

        Raises:
            BudgetSpent: The next try might cost more than is left.
        """
        retry = 0
        while not stop.is_set():
            try:
                return self._try(request, retry, stop)
            except Fault as fault:
                asked = fault.wait or 0.0
            stop.wait(max(asked, self._patience.wait(request.key, retry)))
            retry += 1
        raise _Stopped

    def _try(self, request: Request, retry: int, stop: threading.Event) -> Answer:
        """Send a request once; where that is the last word of the batch, set ``stop``.

        That must come before the reservation ends, since others may wait for its tokens.
        """
        with self._ledger.reserve(request) as reservation:
            if stop.is_set():
                reservation.release()  # the batch failed while this one waited
                raise _Stopped
            try:
                answer = self._client.send(request)
            except Fault as fault:
                hopeless = self._patience.ends(fault, retry)
                if hopeless:
                    stop.set()
                if not fault.charged:
                    reservation.release()
                if hopeless:
                    raise self._gave_up(fault, retry + 1) from None
                raise
            except ReflectError:
                stop.set()
                reservation.release()  # refused, before any work
                raise
            return reservation.settle(answer)

    def _gave_up(self, fault: Fault, tries: int) -> ReflectError:
        asked = "" if fault.wait is None else f" (it asks to wait {fault.wait:.0f} s)"
        return ReflectError(
            f"the endpoint gave no answer after {tries} {'try' if tries == 1 else 'tries'}",
            why=f"{fault}{asked}",
            then="go on when it works again: every answer so far is stored"
            + (f" in {self._store.path}" if self._store.path else ""),
        )
