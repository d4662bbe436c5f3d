"""What goes to an endpoint and what comes back, as frozen values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Answer", "Request"]

_MESSAGE_TOKENS = 64
"""Tokens allowed for what a chat template puts around one message."""


@attrs.frozen
class Request:
    """One question to one endpoint.

    Args:
        base_url: Where it goes: a model's name alone says little on a local server.
        body: The JSON object that is sent: model, messages and all settings.
        limit: The completion limit within ``body``, in tokens.
        draw: Names the sample, so that the same draw has the same answer and another one
            an answer of its own. None where all draws share one.
    """

    base_url: str
    body: Mapping[str, Any]
    limit: int
    draw: int | None = None

    @property
    def key(self) -> str:
        """A hash of all that the answer depends on; the order of JSON keys does not count."""
        whole = [1, self.base_url, self.draw, self.body]
        text = json.dumps(whole, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def most_tokens(self) -> int:
        """An upper bound of what the request can cost: its prompt and the completion limit.

        A token is at least one byte of UTF-8, so the bytes bound the messages' tokens.
        """
        prompt = sum(
            len(message["content"].encode("utf-8", "surrogatepass")) + _MESSAGE_TOKENS
            for message in self.body["messages"]
        )
        return prompt + self.limit


@attrs.frozen
class Answer:
    """What a model answered, as it came.

    Args:
        content: The message's text; thoughts in it are not yet taken out.
        refusal: The endpoint's own word for a refused request.
        finish_reason: ``stop``, ``length``, ``content_filter`` or another word.
        tokens: What the endpoint says the request cost, prompt and completion; None where
            it does not say.
    """

    content: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    tokens: int | None = None

    @classmethod
    def parse(cls, text: str) -> Answer:
        """Read the body of a response to ``/chat/completions``.

        Raises:
            ValueError: It is not JSON, or not of that form.
        """
        try:
            whole = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(whole, dict):
            raise ValueError("it is not a JSON object")
        if whole.get("error"):
            raise ValueError(f"it holds an error: {json.dumps(whole['error'])}")
        choices = whole.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        message = first.get("message") if isinstance(first, dict) else None
        if not isinstance(first, dict) or not isinstance(message, dict):
            raise ValueError("it holds no choices[0].message")
        refusal, reason = message.get("refusal"), first.get("finish_reason")
        return cls(
            content=_text(message.get("content")),
            refusal=refusal if isinstance(refusal, str) else None,
            finish_reason=reason if isinstance(reason, str) else None,
            tokens=_tokens(whole.get("usage")),
        )


def _text(content: object) -> str:
    """A message's content, which some servers send in parts, of which thoughts may be one."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _tokens(usage: object) -> int | None:
    """Tokens that a ``usage`` object tells; the larger where its figures do not add up."""
    if not isinstance(usage, dict):
        return None
    prompt, completion, total = (
        value if type(value) is int and value >= 0 else None
        for value in (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    )
    parts = None if prompt is None or completion is None else prompt + completion
    if parts is None or total is None:
        return parts if total is None else total
    return max(parts, total)
