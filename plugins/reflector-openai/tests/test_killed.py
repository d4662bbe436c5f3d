"""Five hundred requests to a server that fails, by processes that are killed."""

import random
import signal

from endpoint_kit import Attempts, stored
from faulty_server import KINDS, FaultyServer, prompt
from reflect_reflector_openai.plugin import ANSWERS
from reflect_reflector_openai.store import Store

ROOMS = 500
BUDGET = 420_000


def counted(path):
    store = Store(path)
    try:
        return store.tokens
    finally:
        store.close()


def test_no_stored_answer_is_lost_or_asked_again_and_the_budget_holds(tmp_path):
    generator = random.Random(7)
    faults = [generator.choice(KINDS) if generator.random() < 0.2 else "ok" for _ in range(2000)]
    path = tmp_path / ANSWERS
    options = {"timeout": 1.0, "budget": BUDGET, "when_spent": "go-on"}
    with (
        FaultyServer(faults) as server,
        Attempts(server.url, tmp_path, ROOMS, **options) as attempts,
    ):
        known: dict[str, str] = {}

        def attempt(**more):
            arrived = len(server.bodies)
            made = attempts.attempt(**more)
            asked = {prompt(body) for body in server.bodies[arrived:]}
            now = stored(path)
            assert not asked & set(known), "a stored answer was asked again"
            assert known.items() <= now.items(), "a stored answer was lost"
            assert server.tokens <= counted(path) <= (more.get("budget", BUDGET) or 10**9)
            known.update(now)
            return made

        for _ in range(4):
            assert attempt(fatal=generator.randint(1, 600))["signal"] == signal.SIGKILL
        last = attempt()
        # the budget ran out, and what was answered is what was stored
        assert last["signal"] == 0
        assert 0 < last["alarms"]["budget"] == last["said"].count("")
        assert ROOMS - last["alarms"]["budget"] == len(known) < ROOMS
        whole = attempt(budget=None)
        assert whole["alarms"] == {}
        assert len(known) == ROOMS
        # what came before the end is the same after it
        assert all(new == old for old, new in zip(last["said"], whole["said"], strict=True) if old)
        assert whole["said"] == [f"This is room {n}. go north" for n in range(ROOMS)]
        # only what was under way when a process was killed may have been answered twice
        assert sum(server.answered.values()) - ROOMS <= 4 * 8
        assert set(server.told) == {"ok", *KINDS}
