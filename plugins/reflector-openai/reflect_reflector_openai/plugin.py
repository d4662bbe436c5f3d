"""Hooks of the plugin; what needs the ``openai`` package is imported by the factory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from reflect_core import Context, ReflectError, Reflector, ReflectorSpec, hookimpl
from reflect_reflector_openai.config import OPENAI_URL, OpenAIConfig

ANSWERS = "answers.sqlite"
"""Name of the file of answers in a run's folder."""


def make_reflector(config: OpenAIConfig, context: Context) -> Reflector:
    """The factory behind ``--reflector openai`` and ``--teacher openai``.

    Raises:
        ReflectError: No model is named, there is no key for OpenAI's own endpoint, or the
            file of answers cannot be opened.
    """
    from reflect_reflector_openai.client import Client
    from reflect_reflector_openai.endpoint import Endpoint, Patience
    from reflect_reflector_openai.reflector import OpenAIReflector
    from reflect_reflector_openai.store import Store

    config = attrs.evolve(config, base_url=config.base_url.rstrip("/"))
    if not config.model:
        raise ReflectError(
            f"no model of the endpoint {config.base_url} is named",
            then="add teacher.model=NAME or reflector.model=NAME, for the part that is openai",
        )
    path = context.folder and context.folder / ANSWERS
    endpoint = Endpoint(
        Client(config.base_url, key=_key(config), key_env=config.key_env, timeout=config.timeout),
        Store(Path(config.cache) if config.cache else path),
        budget=config.budget,
        concurrency=config.concurrency,
        patience=Patience(config.retries, config.backoff, config.max_wait),
    )
    history = context.settings.rollout.history
    return OpenAIReflector(endpoint, config, history=history, alarms=context.alarms)


def _key(config: OpenAIConfig) -> str | None:
    """The key in the environment, None where there is none and none is needed."""
    key = os.environ.get(config.key_env, "").strip() if config.key_env else ""
    if not key and config.base_url == OPENAI_URL:
        raise ReflectError(
            f"there is no key for {OPENAI_URL}",
            why=f"the environment variable {config.key_env} is not set"
            if config.key_env
            else "key_env is none",
            then="set the variable to the key, or name another endpoint with base_url",
        )
    if not key.isascii() or not key.isprintable():
        raise ReflectError(
            f"the environment variable {config.key_env} holds no key",
            why="it has characters that cannot be sent in a header",
            then="set it anew, without quotes or line breaks",
        )
    return key or None


@hookimpl
def reflect_reflectors() -> Iterable[ReflectorSpec]:
    """Offer ``openai``."""
    yield ReflectorSpec(
        name="openai",
        factory=make_reflector,
        config=OpenAIConfig,
        summary="a model behind any OpenAI-compatible endpoint, as reflector or teacher",
        teaches=True,
    )
