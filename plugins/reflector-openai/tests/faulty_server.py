"""An OpenAI-compatible server that fails on purpose and keeps its own books.

It counts as harshly as a server may: one token per byte of the prompt, and the whole
completion limit for every response that it worked on and that did not arrive.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = (
    "busy",  # 429
    "busy, says when",  # 429 with Retry-After
    "error",  # 500, after the work was done
    "cut",  # a body shorter than its Content-Length
    "cut chunk",  # a chunked body without its end
    "dropped",  # the connection is closed without a word
    "garbage",  # 200, and no JSON
    "half JSON",  # 200, and the first half of a JSON object
    "slow",  # later than the client waits
)
FREE = ("busy", "busy, says when", "unauthorized", "refused")
"""Kinds of response for which no work is done and nothing charged."""

MESSAGE_TOKENS = 4

Reply = Callable[[dict[str, Any]], dict[str, Any]]


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The room that the prompt shows last, and the way north."""
    room = re.findall(r"room \d+", body["messages"][-1]["content"])[-1]
    return {"content": f"This is {room}.\ngo north"}


class FaultyServer:
    """Serves ``/v1/chat/completions`` on a free port while the block runs.

    Args:
        faults: The kind of each response in order of arrival, from :data:`KINDS` or ``ok``;
            after the last all are ``ok``.
        reply: Makes the message of a response; ``finish_reason`` in it goes to the choice.
        key: Asked for in the header; none is wanted without it.
        refuse: A status and a message with which every request is refused.
        retry_after: What 429 says, where it says when.
        slow: Seconds that a slow response takes.
        usage: Whether responses tell what they cost.
        watch: Called with the number of every request before it is answered.
    """

    def __init__(
        self,
        faults: Sequence[str] = (),
        *,
        reply: Reply = echo,
        key: str | None = None,
        refuse: tuple[int, dict[str, Any]] | None = None,
        retry_after: str = "0.01",
        slow: float = 30.0,
        usage: bool = True,
        watch: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.faults, self.reply, self.key, self.refuse = list(faults), reply, key, refuse
        self.retry_after, self.slow, self.usage, self.watch = retry_after, slow, usage, watch
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.answered: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.tokens = 0
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> FaultyServer:
        outer = self

        class Handler(_Handler):
            owner = outer

        self._http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def arrived(self) -> Counter[str]:
        """How often each prompt arrived, by :func:`prompt`."""
        return Counter(prompt(body) for body in self.bodies)

    def respond(self, body: dict[str, Any], key: str | None) -> bytes | None:
        """The bytes of a response, None to close the connection without any."""
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.keys.append(key)
            kind = self.faults[number] if number < len(self.faults) else "ok"
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.watch(number)
            return self._respond(body, key, kind)
        finally:
            with self._lock:
                self.under_way -= 1

    def _respond(self, body: dict[str, Any], key: str | None, kind: str) -> bytes | None:
        if self.key and key != f"Bearer {self.key}":
            kind = "unauthorized"
        elif self.refuse:
            kind = "refused"
        whole, tokens = self._answer(body, lost=kind != "ok")
        with self._lock:
            self.told[kind] += 1
            if kind not in FREE:
                self.tokens += tokens
            if kind == "ok":
                self.answered[prompt(body)] += 1
        text = json.dumps(whole).encode()
        if kind == "slow":
            self._closing.wait(self.slow)
        if kind in {"ok", "slow"}:
            return response(200, text)
        if kind == "busy":
            return response(429, error("too many requests"))
        if kind == "busy, says when":
            return response(429, error("too many requests"), f"Retry-After: {self.retry_after}")
        if kind == "error":
            return response(500, b"<html>it went wrong</html>")
        if kind == "cut":
            return response(200, text, length=len(text) + 64)
        if kind == "cut chunk":
            return (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(text):x}\r\n".encode() + text
            )
        if kind == "dropped":
            return None
        if kind == "garbage":
            return response(200, b"<!DOCTYPE html>\xff\xfe")
        if kind == "half JSON":
            return response(200, text[: len(text) // 2])
        if kind == "unauthorized":
            return response(401, error(f"Incorrect API key provided: {key}. Get another."))
        assert self.refuse is not None
        status, details = self.refuse
        return response(status, json.dumps({"error": details}).encode())

    def _answer(self, body: dict[str, Any], *, lost: bool) -> tuple[dict[str, Any], int]:
        """A response's JSON, and what it cost."""
        message = dict(self.reply(body))
        reason = message.pop("finish_reason", "stop")
        messages = body["messages"]
        asked = sum(len(m["content"].encode()) + MESSAGE_TOKENS for m in messages)
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        said = min(limit, len(json.dumps(message)) // 4)
        whole: dict[str, Any] = {
            "object": "chat.completion",
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", **message},
                    "finish_reason": reason,
                }
            ],
        }
        if self.usage:
            whole["usage"] = {
                "prompt_tokens": asked,
                "completion_tokens": said,
                "total_tokens": asked + said,
            }
        # without `usage` nobody learns that an answer was cheap
        return whole, asked + (limit if lost or not self.usage else said)


def prompt(body: dict[str, Any]) -> str:
    """What tells one request from another, as the server sees it."""
    return json.dumps(body, sort_keys=True)


def error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error"}}).encode()


def response(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} .",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def whole(answer: bytes) -> bool:
    """Whether a response has all that its headers promise."""
    head, _, body = answer.partition(b"\r\n\r\n")
    promised = re.search(rb"Content-Length: (\d+)", head)
    return promised is not None and int(promised[1]) == len(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed or has given up is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyServer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        self.owner.headers.append({k.lower(): v for k, v in self.headers.items()})
        answer = self.owner.respond(body, self.headers.get("Authorization"))
        if answer is None:
            # with a reset instead of a farewell
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        self.wfile.write(answer)
        self.close_connection = not whole(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass
