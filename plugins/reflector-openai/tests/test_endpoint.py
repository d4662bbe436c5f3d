"""Many requests at once: each answered, stored, and never sent again."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from endpoint_kit import QUICK, room, stored
from faulty_server import FREE, KINDS, FaultyServer
from hypothesis import given
from hypothesis import strategies as st
from reflect_reflector_openai.client import Client
from reflect_reflector_openai.endpoint import Endpoint, Patience
from reflect_reflector_openai.ledger import BudgetSpent
from reflect_reflector_openai.prompts import messages
from reflect_reflector_openai.records import Request
from reflect_reflector_openai.store import Store

from reflect_core import ReflectError
from reflect_core.records import Question

PATIENCE = Patience(QUICK["retries"], QUICK["backoff"], QUICK["max_wait"])


class Asker:
    """An endpoint that is asked about rooms."""

    def __init__(
        self, server, path=None, *, budget=None, concurrency=8, timeout=5.0, patience=PATIENCE
    ):
        self.url, self.store = server.url, Store(path)
        client = Client(server.url, key=None, key_env=None, timeout=timeout)
        self.endpoint = Endpoint(
            client, self.store, budget=budget, concurrency=concurrency, patience=patience
        )

    def request(self, number, draw=None):
        body = {
            "model": "m",
            "messages": messages(Question(room(number)), history=-1),
            "max_completion_tokens": 64,
        }
        return Request(self.url, body, 64, draw)

    def ask(self, numbers, draw=None):
        return self.endpoint.ask([self.request(number, draw) for number in numbers])


@pytest.fixture
def asker():
    made = []

    def make(*args, **more):
        made.append(Asker(*args, **more))
        return made[-1]

    yield make
    for one in made:
        one.endpoint.close()


def faults(count, share, *, seed=0, kinds=KINDS):
    generator = random.Random(seed)
    return [generator.choice(kinds) if generator.random() < share else "ok" for _ in range(count)]


def about(answers):
    return [answer.content.split("\n")[0] for answer in answers]


def test_each_question_gets_its_own_answer_in_order_through_all_faults(asker, tmp_path):
    numbers = range(60)
    with FaultyServer(faults(60, 0.5)) as server:
        one = asker(server, tmp_path / "a.sqlite", timeout=1.0)
        answers = one.ask(numbers)
        assert about(answers) == [f"This is room {n}." for n in numbers]
        assert set(server.told) > {"ok", "slow", "garbage"}
        assert server.tokens <= one.store.tokens
        before = len(server.bodies)
        assert one.ask(numbers) == answers
        assert len(server.bodies) == before
    assert set(server.answered.values()) == {1}
    assert len(stored(tmp_path / "a.sqlite")) == 60


def test_an_answer_outlives_the_process(asker, tmp_path):
    with FaultyServer() as server:
        first = asker(server, tmp_path / "a.sqlite").ask(range(5))
        assert asker(server, tmp_path / "a.sqlite").ask(range(6))[:5] == first
    assert len(server.bodies) == 6


def test_the_same_question_at_the_same_moment_is_sent_once(asker):
    together = threading.Barrier(4)
    with FaultyServer(["busy", "error", "busy"]) as server:
        one = asker(server)

        def ask(_):
            together.wait(10)
            return one.ask([3, 3, 4])

        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(ask, range(4)))
    assert all(result == results[0] for result in results)
    assert len(server.bodies) == 2 + 3
    assert set(server.answered.values()) == {1}


def test_another_draw_is_another_question(asker):
    with FaultyServer() as server:
        one = asker(server)
        for draw in (1, 2, 1, None, None):
            one.ask([0], draw)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_requests_are_under_way_than_allowed(asker, limit):
    crowd = threading.Barrier(limit)

    def watch(number):
        if number < limit:
            crowd.wait(10)  # all that are allowed do come together

    with FaultyServer(watch=watch) as server:
        asker(server, concurrency=limit).ask(range(12))
    assert server.most_under_way == limit


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_lasts_is_told_after_the_last_try(asker, tmp_path, kind):
    patience = Patience(retries=2, backoff=0.001, max_wait=1.0)
    with FaultyServer([kind] * 9) as server:
        timeout = 0.2 if kind == "slow" else 5.0
        one = asker(server, tmp_path / "a.sqlite", timeout=timeout, patience=patience)
        with pytest.raises(ReflectError, match="no answer after 3 tries") as told:
            one.ask([0])
    assert len(server.bodies) == 3
    assert str(tmp_path / "a.sqlite") in told.value.then
    assert one.store.tokens == (0 if kind in FREE else 3 * one.request(0).most_tokens)


def test_a_server_that_asks_for_too_much_patience_stops_the_run(asker):
    with (
        FaultyServer(["busy, says when"] * 9, retry_after="3600") as server,
        pytest.raises(ReflectError, match="after 1 try") as told,
    ):
        asker(server).ask([0])
    assert "asks to wait 3600 s" in told.value.why


def test_a_server_is_waited_for_as_long_as_it_asks(asker, monkeypatch):
    waited = []

    class Event(threading.Event):
        def wait(self, timeout=None):
            if timeout is not None:
                waited.append(timeout)
                return self.is_set()
            return super().wait()

    monkeypatch.setattr("reflect_reflector_openai.endpoint.threading.Event", Event)
    with FaultyServer(["busy, says when", "busy"], retry_after="4.5") as server:
        asker(server, concurrency=1).ask([0])
    asked, own = waited
    assert asked == 4.5
    assert own <= 2 * QUICK["backoff"]


@given(st.text(max_size=8), st.integers(0, 2000), st.floats(0, 10), st.floats(0, 100))
def test_the_back_off_doubles_up_to_a_limit(key, retry, backoff, limit):
    seconds = Patience(9, backoff, limit).wait(key, retry)
    full = min(limit, backoff * 2.0 ** min(retry, 60))
    assert full / 2 <= seconds <= full


def test_requests_that_failed_together_do_not_come_back_together():
    assert len({PATIENCE.wait(f"{key}", 0) for key in range(20)}) == 20


def test_a_refusal_ends_the_batch_and_takes_no_tokens(asker):
    with FaultyServer(refuse=(401, {"message": "who are you"})) as server:
        one = asker(server, concurrency=2)
        with pytest.raises(ReflectError, match="refuses the request"):
            one.ask(range(200))
        assert one.store.tokens == 0
    assert len(server.bodies) < 200


@pytest.mark.parametrize("lasts", [False, True])
def test_after_a_failure_nothing_that_waited_for_the_budget_is_sent(asker, lasts):
    refuse = None if lasts else (401, {"message": "who are you"})
    patience = Patience(retries=0, backoff=0.001, max_wait=1.0)
    with FaultyServer(["busy"] * 30, refuse=refuse) as server:
        if refuse:
            server.faults = []
        budget = max(asker(server).request(number).most_tokens for number in range(30))
        one = asker(server, budget=budget, concurrency=8, patience=patience)
        with pytest.raises(ReflectError, match="no answer" if lasts else "refuses the request"):
            one.ask(range(30))
        assert one.store.tokens == 0
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "code", "stays"),
    [
        (400, None, False),
        (400, "content_filter", True),
        (404, None, False),
        (408, None, True),
        (409, None, True),
        (425, None, True),
        (429, None, False),
        (500, None, True),
    ],
)
def test_what_stays_counted(asker, status, code, stays):
    patience = Patience(retries=0, backoff=0.001, max_wait=1.0)
    with FaultyServer(refuse=(status, {"message": "no", "code": code})) as server:
        one = asker(server, patience=patience)
        with nullcontext() if code else pytest.raises(ReflectError):
            one.ask([0])
        assert one.store.tokens == (one.request(0).most_tokens if stays else 0)


def test_what_was_under_way_when_a_batch_failed_is_kept(asker):
    arrived = threading.Barrier(2)

    def watch(number):
        if number < 2:
            arrived.wait(10)
        if number == 1:
            server.refuse = (404, {"message": "gone"})

    with FaultyServer(watch=watch) as server:
        one = asker(server, concurrency=2)
        with pytest.raises(ReflectError, match="refuses the request"):
            one.ask(range(50))
        server.refuse = None
        before = server.answered.copy()
        one.ask(range(50))
    assert all(server.answered[prompt] == 1 for prompt in before)


def test_the_budget_holds_by_the_servers_own_count(asker):
    numbers = range(60)
    with FaultyServer(faults(200, 0.4, seed=1)) as server:
        one = asker(server, budget=40_000, timeout=0.2)
        answers = one.ask(numbers)
        got = [n for n in numbers if not isinstance(answers[n], BudgetSpent)]
        assert 0 < len(got) < 60
        assert server.tokens <= one.store.tokens <= 40_000
        # nothing more would have fitted
        missing = set(numbers) - set(got)
        assert one.store.tokens + min(one.request(n).most_tokens for n in missing) > 40_000
        before = len(server.bodies)
        again = one.ask(numbers)
        assert [again[n] for n in got] == [answers[n] for n in got]
        assert len(server.bodies) == before
    assert about(answers[n] for n in got) == [f"This is room {n}." for n in got]


def test_a_server_that_does_not_tell_what_it_took_is_taken_at_its_worst(asker):
    with FaultyServer(usage=False) as server:
        one = asker(server, budget=20_000)
        answers = one.ask(range(40))
        assert server.tokens <= one.store.tokens <= 20_000
    assert sum(isinstance(answer, BudgetSpent) for answer in answers) > 0


def test_what_is_under_way_is_stored_before_all_is_closed(asker, tmp_path, monkeypatch):
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    send = Client.send

    def slow(client, request):
        begun.set()
        assert go_on.wait(30)
        return send(client, request)

    monkeypatch.setattr(Client, "send", slow)
    with FaultyServer() as server, ThreadPoolExecutor(2) as threads:
        one = asker(server, tmp_path / "a.sqlite")
        asking = threads.submit(one.ask, [0])
        assert begun.wait(30)
        closing = threads.submit(lambda: (one.endpoint.close(), closed.set()))
        assert not closed.wait(0.2), "closed under a request"
        go_on.set()
        closing.result(30)
        asking.result(30)
    assert len(stored(tmp_path / "a.sqlite")) == 1
