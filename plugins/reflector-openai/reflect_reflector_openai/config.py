"""The options of ``openai``, as teacher and as reflector."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

from reflect_core import option

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY_ENV = "OPENAI_API_KEY"
KEY_WORD = 16
"""So many letters and digits in a row are no word of a variable's name, unless all are capital
letters."""


def openais_own(url: str) -> bool:
    """Whether an address is OpenAI's, that of a region included, and the way to it encrypted.

    >>> openais_own("https://eu.api.openai.com/v1"), openais_own("http://localhost:8000/v1")
    (True, False)
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    ours = host == "api.openai.com" or host.endswith(".api.openai.com")
    return ours and parts.scheme == "https" and parts.port in {None, 443}


def _plain_url(config: object, field: object, url: str) -> None:
    """Refuse what could not be called, and what would write a password into ``run.toml``."""
    parts = urlsplit(url)
    # reading the port raises where it is no number
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(f"base_url must begin with http:// or https://, as {OPENAI_URL} does")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "base_url must hold no password and no query: the key comes from the environment "
            "variable that key_env names"
        )


def _variable(config: object, field: object, name: str | None) -> None:
    """Refuse what is no name of a variable, or looks like the key itself, without showing it."""
    if name is None:
        return
    # keys have one long word, such as hf_ and 34 letters after it; names are of short ones
    long = [word for word in name.split("_") if len(word) >= KEY_WORD]
    is_name = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)
    if not is_name or any(not (word.isalpha() and word.isupper()) for word in long):
        raise ValueError(
            "key_env must be the name of an environment variable that holds the key, as "
            f"{OPENAI_KEY_ENV} is, and never the key itself"
        )


@attrs.frozen
class OpenAIConfig:
    """Which endpoint is asked, how it writes, and what it may cost.

    Raises:
        ValueError: ``base_url`` is no URL, or holds a password or a query; ``key_env`` is no
            name of a variable.
    """

    base_url: str = attrs.field(
        default=OPENAI_URL,
        validator=_plain_url,
        metadata={"help": "Address of the endpoint, up to the part before /chat/completions."},
    )
    model: str | None = option(None, "Name of the model, as the endpoint calls it.")
    key_env: str | None = attrs.field(
        default=None,
        validator=_variable,
        metadata={
            "help": "Environment variable that holds the key, which goes to base_url; none: "
            "OPENAI_API_KEY for OpenAI's own address, and no key for any other."
        },
    )
    greedy_temperature: float | None = option(
        0.0,
        "Of greedy reflections; none: as temperature says, for models that refuse 0.",
        minimum=0,
    )
    temperature: float | None = option(
        1.0, "Of the sampling; none: not sent, for models that refuse it.", minimum=0
    )
    max_tokens: int = option(
        1024, "Completion limit of a request in tokens, thinking included.", minimum=1
    )
    token_parameter: str = option(
        "max_completion_tokens",
        "What the request calls that limit; older servers know only max_tokens.",
        choices=("max_completion_tokens", "max_tokens"),
    )
    reasoning_effort: str | None = option(
        None, "Sent to reasoning models: low, medium, high or what they know; none: not sent."
    )
    send_seed: bool = option(
        False, "Send a seed drawn from the run's, for servers that sample with it."
    )
    max_reflection_chars: int = option(
        300, "Longest reflection in characters; of a longer one the end is kept.", minimum=16
    )
    budget: int | None = option(
        None,
        "Tokens that the requests of this cache may cost in all; 0: only stored answers.",
        minimum=0,
        # where a run goes on without answers, it decides which reflections are empty
        neutral=lambda config: config.when_spent == "stop",
    )
    when_spent: str = option(
        "stop",
        "When the budget is reached: stop the run, or go-on without further answers.",
        choices=("stop", "go-on"),
    )
    cache: str | None = option(
        None,
        "SQLite file of the answers, which runs may share; none: answers.sqlite of the run.",
        neutral=True,
        path=True,
    )
    concurrency: int = option(8, "Requests under way at once.", minimum=1, neutral=True)
    timeout: float = option(
        120.0,
        "Seconds without a byte after which an answer is given up.",
        minimum=0.001,
        neutral=True,
    )
    retries: int = option(6, "Further tries of a request that failed.", minimum=0, neutral=True)
    backoff: float = option(
        1.0,
        "Seconds before the first retry, drawn around it; doubled at each.",
        minimum=0,
        neutral=True,
    )
    max_wait: float = option(
        120.0,
        "Longest wait in seconds before a retry; a server that asks for more stops the run.",
        minimum=0,
        neutral=True,
    )
