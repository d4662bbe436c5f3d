"""A model behind an endpoint, as the run's reflector and as its teacher."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core import Draws, ReflectError, State
from reflect_core.alarms import Alarms
from reflect_core.records import Advice, Question
from reflect_core.streams import stream_seed
from reflect_reflector_openai.config import OpenAIConfig
from reflect_reflector_openai.endpoint import Endpoint
from reflect_reflector_openai.ledger import BudgetSpent
from reflect_reflector_openai.prompts import messages
from reflect_reflector_openai.reading import Reading, read, shorten
from reflect_reflector_openai.records import Answer, Request

__all__ = ["OpenAIReflector"]

_TROUBLES = {
    "empty_answer": "an answer of the endpoint holds nothing to use: a model that thinks "
    "may need a larger max_tokens, or less reasoning_effort",
    "refusal": "the endpoint refused to answer a prompt",
    "cut_answer": "an answer of the endpoint was cut off at max_tokens",
}


class OpenAIReflector:
    """Implements :class:`reflect_core.protocols.Reflector` and ``Teacher``.

    Both are independent of the batch's composition: one question with one draw has one
    answer, whatever stands beside it and however often it is asked.

    Args:
        endpoint: Answers requests.
        config: The options.
        history: Past turns shown in the prompt; -1 for all.
        alarms: Told of answers that cannot be used, and when the budget is spent.
    """

    def __init__(
        self, endpoint: Endpoint, config: OpenAIConfig, *, history: int, alarms: Alarms
    ) -> None:
        self.config = config
        self._endpoint = endpoint
        self._history = history
        self._alarms = alarms

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> list[str]:
        """One reflection per state, in order; empty where the endpoint gave none.

        Greedy reflections are asked for at temperature 0 by default, and all draws share one.

        Raises:
            ReflectError: The endpoint cannot be used, or its budget is spent.
        """
        questions = [Question(state) for state in states]
        return [
            shorten(reading.text, self.config.max_reflection_chars)
            for reading in self._readings(questions, draws, greedy=greedy)
        ]

    def advise(self, questions: Sequence[Question], draws: Sequence[Draws]) -> list[Advice | None]:
        """What to say, and to do, in each state.

        Returns:
            One advice per question, in order. None where the endpoint gave no answer or cut
            it off; where it was to find an action and named none; and where it was given
            the right one and its answer ends with another.

        Raises:
            ReflectError: As for :meth:`reflect`.
        """
        readings = self._readings(questions, draws, greedy=False)
        return [
            self._advice(question, reading)
            for question, reading in zip(questions, readings, strict=True)
        ]

    def close(self) -> None:
        """Close connections and files."""
        self._endpoint.close()

    def _advice(self, question: Question, reading: Reading) -> Advice | None:
        if not reading.text or reading.trouble:
            return None
        actions = question.state.observation.legal_actions
        action = None if reading.action is None else actions[reading.action]
        if question.spoiler is None and action is None:
            self._alarms.sound("no_action", "an answer of the teacher names no legal action")
            return None
        if question.spoiler is not None and action not in {None, question.spoiler}:
            self._alarms.sound(
                "other_action", "an answer of the teacher ends with another action than the right"
            )
            return None
        reflection = shorten(reading.text, self.config.max_reflection_chars)
        return Advice(reflection, action if question.spoiler is None else None)

    def _readings(
        self, questions: Sequence[Question], draws: Sequence[Draws], *, greedy: bool
    ) -> list[Reading]:
        requests = [
            self._request(question, draw, greedy=greedy)
            for question, draw in zip(questions, draws, strict=True)
        ]
        answers = self._endpoint.ask(requests)
        # counted when used and not when they arrive, so that a resumed run counts the same
        return [
            self._reading(question, answer)
            for question, answer in zip(questions, answers, strict=True)
        ]

    def _request(self, question: Question, draws: Draws, *, greedy: bool) -> Request:
        config = self.config
        temperature = config.temperature
        if greedy and temperature is not None and config.greedy_temperature is not None:
            temperature = config.greedy_temperature
        # where a model refuses to be told this, or any, one answer must do for greedy ones
        sampled = not greedy and temperature != 0
        draw = stream_seed(draws.seed, *draws.name, "endpoint") if sampled else None
        body = {
            "model": config.model,
            "messages": messages(question, history=self._history),
            config.token_parameter: config.max_tokens,
            "temperature": temperature,
            "reasoning_effort": config.reasoning_effort,
            "seed": (draw or 0) % 2**31 if config.send_seed else None,
        }
        sent = {name: value for name, value in body.items() if value is not None}
        return Request(config.base_url, sent, config.max_tokens, draw)

    def _reading(self, question: Question, answer: Answer | BudgetSpent) -> Reading:
        if isinstance(answer, BudgetSpent):
            self._spent(answer)
            return Reading()
        reading = read(answer, question.state.observation.legal_actions)
        if reading.trouble:
            self._alarms.sound(reading.trouble, _TROUBLES[reading.trouble])
        return reading

    def _spent(self, reason: BudgetSpent) -> None:
        figures = (
            f"{reason.spent:,} of {reason.budget:,} tokens are counted, "
            f"the next request may cost {reason.wanted:,}"
        )
        if self.config.when_spent == "stop":
            raise ReflectError(
                "the budget for the endpoint is spent",
                why=figures,
                then="raise budget in the run's run.toml and resume (every answer so far is "
                "stored), or set when_spent to go-on",
            )
        self._alarms.sound(
            "budget",
            f"the budget for the endpoint is spent ({figures}): "
            "the run goes on with stored answers only",
        )
