"""One try, over real HTTP: what is an answer, what is a fault, and what it may have cost."""

import email.utils
import time

import pytest
from faulty_server import FaultyServer
from reflect_reflector_openai.client import Client, Fault
from reflect_reflector_openai.records import Answer, Request

from reflect_core import ReflectError

KEY = "sk-secret-0123456789"
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "room 1"}],
    "max_completion_tokens": 9,
    "reasoning_effort": "low",
    "seed": 3,
}


def send(server, *, key=None, timeout=5.0):
    client = Client(server.url, key=key, key_env="MY_KEY", timeout=timeout)
    try:
        return client.send(Request(server.url, BODY, 9))
    finally:
        client.close()


def fault(*kinds, timeout=5.0, **more):
    with FaultyServer(kinds, **more) as server, pytest.raises(Fault) as told:
        send(server, timeout=timeout)
    return told.value


def test_the_body_arrives_as_it_is_and_the_answer_is_read():
    with FaultyServer(key=KEY) as server:
        answer = send(server, key=KEY)
    assert server.bodies == [BODY]
    assert answer == Answer("This is room 1.\ngo north", None, "stop", server.tokens)


@pytest.mark.parametrize("proxy", ["socks://me:secret-word@127.0.0.1:1080/", "gopher://x"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(
        ReflectError, match="no request can be sent to http://localhost:1/v1"
    ) as told:
        Client("http://localhost:1/v1", key=None, key_env=None, timeout=1.0)
    assert "ALL_PROXY" in str(told.value)
    assert "secret-word" not in str(told.value)


def test_without_a_key_none_of_the_environment_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    with FaultyServer() as server:
        send(server)
    assert KEY not in str(server.keys)


IDENTITY = {
    "OPENAI_ORG_ID": "org-mine",
    "OPENAI_PROJECT_ID": "proj-mine",
    "OPENAI_CUSTOM_HEADERS": f"X-Mine: mine\nauthorization: Bearer {KEY}\nUser-Agent: mine",
}


def headers_sent(monkeypatch, **more):
    """Names and values as sent, with all that the package reads from the environment set."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    with FaultyServer() as server:
        send(server, **more)
    (headers,) = server.headers
    return headers


@pytest.mark.parametrize("key", [None, "another"])
def test_another_server_is_sent_nothing_that_the_environment_holds_for_openai(monkeypatch, key):
    headers = headers_sent(monkeypatch, key=key)
    assert "mine" not in str(headers)
    assert KEY not in str(headers)
    assert not any(name.startswith("openai-") for name in headers)
    assert key is None or headers["authorization"] == f"Bearer {key}"


def test_openai_is_sent_it(monkeypatch):
    monkeypatch.setattr("reflect_reflector_openai.client.openais_own", lambda url: True)
    headers = headers_sent(monkeypatch)
    assert headers["openai-organization"] == "org-mine"
    assert headers["openai-project"] == "proj-mine"


@pytest.mark.parametrize(
    ("kind", "charged", "words"),
    [
        ("busy", False, "429: too many requests"),
        ("busy, says when", False, "429"),
        ("error", True, "500: <html>it went wrong</html>"),
        ("cut", True, "Connection error"),
        ("cut chunk", True, "Connection error"),
        ("dropped", True, "Connection error"),
        ("garbage", True, "cannot be read"),
        ("half JSON", True, "cannot be read"),
    ],
)
def test_faults(kind, charged, words):
    told = fault(kind)
    assert told.charged is charged
    assert words in str(told)


def test_an_answer_that_comes_too_late_is_a_fault_that_may_be_charged():
    told = fault("slow", timeout=0.1)
    assert told.charged
    assert "timed out" in str(told)


def test_where_nobody_listens_nothing_is_charged():
    with FaultyServer() as server:
        pass
    with pytest.raises(Fault) as told:
        send(server)
    assert not told.value.charged
    assert "Connection error" in str(told.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("0\r\nRetry-After-Ms: 250", 0.25),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0.0),
    ],
)
def test_how_long_the_server_asks_to_wait(header, seconds):
    assert fault("busy, says when", retry_after=header).wait == seconds


def test_a_date_to_come_is_waited_for():
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    assert 3000 < fault("busy, says when", retry_after=date).wait < 3700


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "token_parameter"),
        (401, "MY_KEY"),
        (403, "MY_KEY"),
        (404, "base_url and model"),
        (422, "options"),
        (451, None),
    ],
)
def test_a_refusal_says_what_and_what_next(status, hint):
    with (
        FaultyServer(refuse=(status, {"message": "not\nso"})) as server,
        pytest.raises(ReflectError) as told,
    ):
        send(server, key=KEY)
    assert server.url in told.value.what
    assert told.value.why == f"status {status}: not so"
    assert told.value.then is None if hint is None else hint in told.value.then
    assert told.value.__cause__ is None


@pytest.mark.parametrize("status", [401, 403])
def test_where_no_key_was_sent_the_refusal_says_so(status):
    with (
        FaultyServer(refuse=(status, {"message": "who are you"})) as server,
        pytest.raises(ReflectError) as told,
    ):
        send(server)
    assert "no key was sent" in told.value.then


def test_a_quota_that_is_used_up_is_no_reason_to_wait():
    spent = {"message": "pay first", "code": "insufficient_quota"}
    with (
        FaultyServer(refuse=(429, spent)) as server,
        pytest.raises(ReflectError, match="pay first"),
    ):
        send(server)


def test_a_prompt_that_the_filter_refuses_is_an_answer_like_others():
    filtered = {"message": "not this", "code": "content_filter"}
    with FaultyServer(refuse=(400, filtered)) as server:
        assert send(server) == Answer(refusal="status 400: not this")


@pytest.mark.parametrize("key", [KEY, "sk-other-key", "plain words"])
def test_a_key_stands_in_no_message(key):
    with FaultyServer(key="another") as server, pytest.raises(ReflectError) as told:
        send(server, key=key)
    assert key not in f"{told.value!s}{told.value!r}{told.value.__dict__}"
    assert "Incorrect API key provided" in told.value.why
    with FaultyServer(["error"]) as server, pytest.raises(Fault) as fell:
        server.refuse = (500, {"message": f"the key {key} is bad"})
        server.faults = []
        send(server, key=key)
    assert key not in f"{fell.value!s}{fell.value!r}{fell.value.__dict__}"
