"""Hooks of the plugin; what needs the ``openai`` package is imported by the factory."""

from __future__ import annotations

import os
from collections.abc import Iterable

import attrs

from reflect_core import Context, ReflectError, Reflector, ReflectorSpec, hookimpl
from reflect_core.files import whole
from reflect_reflector_openai.config import OPENAI_KEY_ENV, OpenAIConfig, openais_own

ANSWERS = "answers.sqlite"
"""Name of the file of answers in a run's folder."""


def make_reflector(config: OpenAIConfig, context: Context) -> Reflector:
    """The factory behind ``--reflector openai`` and ``--teacher openai``.

    Raises:
        ReflectError: No model is named, there is no key for OpenAI's own endpoint or in the
            variable that is named, or the file of answers cannot be opened.
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
    place = context.shared_folder or context.folder
    path = place and place / ANSWERS
    key_env = config.key_env or (OPENAI_KEY_ENV if openais_own(config.base_url) else None)
    key = _key(key_env, config.base_url)
    endpoint = Endpoint(
        Client(config.base_url, key=key, key_env=key_env, timeout=config.timeout),
        Store(whole(config.cache) if config.cache else path),
        budget=config.budget,
        concurrency=config.concurrency,
        patience=Patience(config.retries, config.backoff, config.max_wait),
    )
    history = context.settings.rollout.history
    return OpenAIReflector(endpoint, config, history=history, alarms=context.alarms)


def _key(key_env: str | None, base_url: str) -> str | None:
    """The key in the environment, None where no variable is named and none is needed."""
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if not key and key_env:
        raise ReflectError(
            f"there is no key for {base_url}",
            why=f"the environment variable {key_env} is not set",
            then="set the variable to the key, leave key_env out for a server that needs none, or "
            "name another endpoint with base_url",
        )
    if not key.isascii() or not key.isprintable():
        raise ReflectError(
            f"the environment variable {key_env} holds no key",
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
        remote=True,
    )
