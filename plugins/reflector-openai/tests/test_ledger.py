"""A budget that holds in any order of events, and answers that are never lost."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflect_reflector_openai.ledger import BudgetSpent, Ledger
from reflect_reflector_openai.records import Answer, Request
from reflect_reflector_openai.store import Store

from reflect_core import ReflectError


def request(number=0, tokens=100):
    """A request that may cost ``tokens``."""
    made = Request("u", {"model": "m", "messages": [], "n": number}, limit=tokens)
    assert made.most_tokens == tokens
    return made


@attrs.define
class Books:
    """What a server would say was spent, beside the store's count."""

    store: Store
    budget: int
    spent: int = 0
    open: list = attrs.field(factory=list)

    def check(self):
        # of what is under way the server may have done any part, up to all
        assert self.spent + sum(r.most_tokens for r in self.open) <= self.store.tokens
        assert self.store.tokens <= self.budget


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "settle untold", "lose", "release", "kill"]),
        st.integers(0, 400),  # size of a request, or which one of those under way
        st.floats(0, 1),  # the share of a reservation that was really spent
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1500), EVENTS)
def test_the_count_is_never_above_the_budget_nor_below_what_was_spent(
    tmp_path_factory, budget, events
):
    path = tmp_path_factory.mktemp("books") / "answers.sqlite"
    books = Books(Store(path), budget)
    for number, (event, size, share) in enumerate(events):
        if event == "reserve":
            one = request(number, size + 1)
            room = books.store.tokens + one.most_tokens <= budget
            assert books.store.reserve(one.most_tokens, budget) is room
            books.open += [one] * room
        elif event == "kill":
            books.spent += sum(int(share * one.most_tokens) for one in books.open)
            books.open.clear()
            books.store.close()
            books.store = Store(path)
        elif books.open:
            one = books.open.pop(size % len(books.open))
            tokens = int(share * one.most_tokens)
            if event == "release":
                books.store.release(one.most_tokens)
            else:
                books.spent += tokens
            if event.startswith("settle"):
                told = tokens if event == "settle" else None
                books.store.settle(one, Answer(tokens=told), reserved=one.most_tokens)
        books.check()
    books.store.close()


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 900),
    st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1), st.sampled_from("slr")), max_size=12),
)
def test_threads_together_keep_the_budget(budget, plans):
    store = Store(None)
    ledger = Ledger(store, budget)
    spent, highest, lock = [0], [0], threading.Lock()

    def one(plan):
        number, (most, share, outcome) = plan
        try:
            with ledger.reserve(request(number, most)) as reservation:
                with lock:
                    highest[0] = max(highest[0], store.tokens)
                if outcome == "r":
                    reservation.release()
                    return True
                with lock:
                    spent[0] += int(share * most)
                if outcome == "s":
                    reservation.settle(Answer(tokens=int(share * most)))
                return True
        except BudgetSpent as reason:
            assert reason.spent + most > budget
            return False

    with ThreadPoolExecutor(4) as threads:
        served = list(threads.map(one, enumerate(plans)))
    assert spent[0] <= store.tokens <= budget
    assert highest[0] <= budget
    if sum(most for most, _, _ in plans) <= budget:
        assert all(served)
    store.close()


def test_a_request_waits_for_those_under_way_before_it_gives_up():
    store = Store(None)
    ledger = Ledger(store, 150)
    inside, waits = threading.Event(), threading.Event()

    def first():
        with ledger.reserve(request(1)) as reservation:
            inside.set()
            assert waits.wait(10)
            return reservation.settle(Answer(tokens=10))

    def second():
        inside.wait(10)
        waits.set()
        with ledger.reserve(request(2)) as reservation:
            return reservation.settle(Answer(tokens=20))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(first), threads.submit(second)]:
            done.result()
    assert store.tokens == 30
    with pytest.raises(BudgetSpent), ledger.reserve(request(3, 121)):
        pass


def test_no_budget_is_no_limit_and_is_counted_all_the_same():
    store = Store(None)
    with Ledger(store, None).reserve(request(1, 10**9)):
        pass
    assert store.tokens == 10**9


def test_the_first_answer_to_a_request_stays():
    store = Store(None)
    assert store.settle(request(), Answer("one", tokens=3), reserved=0) == Answer("one", tokens=3)
    assert store.settle(request(), Answer("two", tokens=4), reserved=0) == Answer("one", tokens=3)
    assert store.find(request().key) == Answer("one", tokens=3)
    assert store.tokens == 7


def test_a_file_may_be_used_by_two_at_once(tmp_path):
    path = tmp_path / "deep" / "answers.sqlite"
    stores = [Store(path), Store(path)]

    def fill(store):
        return sum(store.reserve(10, 500) for _ in range(50))

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(fill, stores)) == 50
    assert [store.tokens for store in stores] == [500, 500]
    stores[0].settle(request(), Answer("one"), reserved=0)
    assert stores[1].find(request().key) == Answer("one")
    for store in stores:
        store.close()


@pytest.mark.parametrize("content", [b"no database, but long enough to be none" * 30, None])
def test_what_is_no_file_of_answers_is_told(tmp_path, content):
    path = tmp_path / "answers.sqlite"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ReflectError, match="cannot be read or written") as told:
        Store(path)
    assert told.value.why
    assert "cache" in told.value.then


def test_a_file_of_another_format_is_told(tmp_path):
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(ReflectError, match="format 7"):
        Store(path)
