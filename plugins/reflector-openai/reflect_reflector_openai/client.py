"""One try over the wire: a request becomes an answer, or a fault that says what it may cost."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping

import openai

from reflect_core import ReflectError
from reflect_reflector_openai.config import openais_own
from reflect_reflector_openai.records import Answer, Request

__all__ = ["Client", "Fault"]

_NO_KEY = "none"  # the package wants one, and servers that need none do not read it
_LONGEST_MESSAGE = 500
_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout"}
"""Names of the HTTP library's errors that come before anything is sent. By name, since the
``openai`` package has changed its HTTP library and does not show which one it uses."""

_TRY_AGAIN = {408, 409, 425, 429}
_PROMPT_REFUSED = {"content_filter", "content_policy_violation"}
_HINTS = {
    400: "check the options: some models refuse a temperature (temperature=none) or that of "
    "greedy answers (greedy_temperature=none), or need another token_parameter; a prompt that "
    "is too long is shortened by rollout.history",
    401: "check the key in {key_env}, and that base_url is the endpoint it belongs to",
    402: "the endpoint wants to be paid first; answers so far are stored",
    403: "check that the key in {key_env} may use this model",
    404: "check base_url and model",
    422: "check the options: this endpoint does not know one of the request's fields",
}
_HINT_NO_KEY = "no key was sent: name the environment variable that holds one with key_env"


class Fault(Exception):
    """A try that failed and may be repeated.

    Args:
        what: In words, without the key.
        charged: The endpoint may have done, and charged for, the work.
        wait: Seconds that the endpoint asks to wait, None where it does not say.
    """

    def __init__(self, what: str, *, charged: bool, wait: float | None = None) -> None:
        super().__init__(what)
        self.charged, self.wait = charged, wait


class Client:
    """Sends requests with the ``openai`` package; may be used from several threads.

    What the environment holds for OpenAI (``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID``,
    ``OPENAI_CUSTOM_HEADERS``) goes to OpenAI's own address only.

    Args:
        base_url: The endpoint.
        key: Sent with every request and written nowhere; None where none is needed.
        key_env: Where the key came from, for messages.
        timeout: Seconds without a byte after which a response is given up.
    """

    def __init__(
        self, base_url: str, *, key: str | None, key_env: str | None, timeout: float
    ) -> None:
        self._base_url, self._key, self._key_env = base_url, key, key_env
        try:
            self._openai = openai.OpenAI(
                base_url=base_url, api_key=key or _NO_KEY, timeout=timeout, max_retries=0
            )
        except (ImportError, ValueError, openai.OpenAIError) as error:
            # its HTTP library reads the proxies of the environment as soon as it is made; what it
            # says of them is not shown, for an address may hold a password
            raise ReflectError(
                f"no request can be sent to {base_url}",
                why=f"{type(error).__name__} while the client was made: a proxy of the environment "
                "that its HTTP library cannot use, most likely",
                then="check ALL_PROXY, HTTPS_PROXY and HTTP_PROXY; unset what is not needed",
            ) from error
        if not openais_own(base_url):
            # the package reads them from the environment whatever the address, and its
            # arguments can put others in their place but not leave them out
            self._openai.organization = self._openai.project = None
            self._openai._custom_headers = {}

    def send(self, request: Request) -> Answer:
        """Send a request once.

        Raises:
            Fault: There is no answer, and there may be one next time.
            ReflectError: The endpoint refuses the request and would refuse it again.
        """
        try:
            # raw, since the package would take any JSON for an answer
            response = self._openai.chat.completions.with_raw_response.create(**request.body)
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            what = f"{error.message.rstrip('.')} ({cause}: {error.__cause__})"
            raise Fault(self._redacted(what), charged=cause not in _NOT_SENT) from None
        try:
            return Answer.parse(response.text)
        except ValueError as error:
            what = f"the response cannot be read: {error}"
            raise Fault(self._redacted(what), charged=True) from None

    def close(self) -> None:
        """Close all connections."""
        self._openai.close()

    def _refused(self, error: openai.APIStatusError) -> Answer:
        """What a status other than 200 comes to: an answer only where the prompt is refused."""
        status = error.status_code
        what = self._redacted(f"status {status}: {_message(error)}")
        if status == 400 and error.code in _PROMPT_REFUSED:
            return Answer(refusal=what)
        # a quota that is used up answers like a rate that is too high, and no wait mends it
        quota = error.code == "insufficient_quota"
        if (status in _TRY_AGAIN or status >= 500) and not quota:
            # only "too many requests" promises that nothing was done
            wait = _asked_wait(error.response.headers)
            raise Fault(what, charged=status != 429, wait=wait) from None
        hint = _HINTS[402 if quota else status] if quota or status in _HINTS else None
        if status in {401, 403} and not self._key:
            hint = _HINT_NO_KEY
        raise ReflectError(
            f"the endpoint {self._base_url} refuses the request",
            why=what,
            then=hint and hint.format(key_env=self._key_env or "the variable that key_env names"),
        ) from None

    def _redacted(self, text: str) -> str:
        if self._key:
            text = text.replace(self._key, "[key]")
        return re.sub(r"\bsk-[\w*-]+", "[key]", text)[:_LONGEST_MESSAGE]


def _message(error: openai.APIStatusError) -> str:
    """What the endpoint says, on one line."""
    body = error.body
    said = body.get("message") or body.get("detail") if isinstance(body, Mapping) else None
    return " ".join(str(said or error.response.text or error.message).split())


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, whether a number or a date."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 else None
