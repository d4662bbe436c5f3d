"""What is asked and what comes back: keys, bounds, and bodies of every kind."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflect_reflector_openai.records import Answer, Request

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.sampled_from(["model", "messages", "temperature", "x"]), JSON)
REQUESTS = st.builds(
    Request,
    base_url=st.sampled_from(["http://a/v1", "http://b/v1", "http://a"]),
    body=BODIES,
    limit=st.just(1),
    draw=st.none() | st.integers(0, 3),
)


def same(one, other):
    """Equality as JSON sees it: 1 is not True, and 1.0 is not 1."""
    parts = [[r.base_url, r.draw, r.body] for r in (one, other)]
    return json.dumps(parts[0], sort_keys=True) == json.dumps(parts[1], sort_keys=True)


@settings(max_examples=50, deadline=None)
@given(REQUESTS, REQUESTS)
def test_different_requests_have_different_keys_and_equal_ones_the_same(one, other):
    assert (one.key == other.key) is same(one, other)


@settings(max_examples=50, deadline=None)
@given(REQUESTS, st.randoms())
def test_the_order_of_json_keys_does_not_count(request_, random):
    def shuffled(value):
        if isinstance(value, dict):
            items = [(key, shuffled(each)) for key, each in value.items()]
            random.shuffle(items)
            return dict(items)
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    again = Request(request_.base_url, shuffled(request_.body), 1, request_.draw)
    assert again.key == request_.key


@given(st.lists(st.text(), min_size=1), st.integers(1, 1000))
def test_a_prompt_is_never_thought_smaller_than_its_bytes(texts, limit):
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    size = sum(len(text.encode()) for text in texts)
    assert Request("u", body, limit).most_tokens > size + limit


def completion(message, **more):
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **more})


def test_an_answer_is_read():
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    body = completion({"content": "go", "reasoning_content": "hm"}, usage=usage)
    assert Answer.parse(body) == Answer("go", None, "stop", 12)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": None}, Answer("", finish_reason="stop")),
        ({}, Answer("", finish_reason="stop")),
        ({"content": None, "refusal": "no"}, Answer("", "no", "stop")),
        (
            {"content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "go"}]},
            Answer("go", finish_reason="stop"),
        ),
    ],
)
def test_unusual_messages_are_read(message, expected):
    assert Answer.parse(completion(message)) == expected


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ("much", None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": -5, "completion_tokens": 1}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2}, 7),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 20}, 20),
        ({"prompt_tokens": 5, "completion_tokens": 20, "total_tokens": 20}, 25),
    ],
)
def test_what_it_cost_is_the_larger_of_what_is_told(usage, tokens):
    assert Answer.parse(completion({"content": "go"}, usage=usage)).tokens == tokens


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "null",
        "[]",
        "{}",
        '{"choices": []}',
        '{"choices": [null]}',
        '{"choices": {"0": 1}}',
        '{"choices": [{"text": "go"}]}',
        '{"choices": [{"message": "go"}]}',
        '{"error": {"message": "overloaded"}, "choices": [{"message": {"content": "x"}}]}',
        "[" * 100_000,
    ],
)
def test_other_bodies_are_no_answers(text):
    with pytest.raises(ValueError, match=r"."):
        Answer.parse(text)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_no_body_of_json_does_anything_else(value):
    with contextlib.suppress(ValueError):
        assert isinstance(Answer.parse(json.dumps(value)).content, str)
