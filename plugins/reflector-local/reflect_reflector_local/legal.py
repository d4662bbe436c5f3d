"""Which tokens may follow where a reflection is to name a legal action."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.lm.encode import Encoder

COLON = ":"
OR = " or"


class LegalNames:
    """After its first colon a reflection is a legal action, or several with ``or`` between.

    A small model garbles a name now and then while it copies it. What is written with this is
    distributed as the model's own words, each token given that a legal action can still follow.

    Args:
        encoder: Of the model.
        pieces: The text of each token.
    """

    def __init__(self, encoder: Encoder, pieces: Sequence[str]) -> None:
        self._encoder = encoder
        self._colons = frozenset(i for i, piece in enumerate(pieces) if COLON in piece)

    def next_tokens(self, written: Sequence[int], legal_actions: Sequence[str]) -> list[int] | None:
        """The tokens of which the next must be one, None where it may be any.

        Any may be next before the colon, and where what was written cannot become a legal action
        by the tokens that the tokenizer makes of it.

        Args:
            written: Tokens so far.
            legal_actions: As in the observation.
        """
        place = next((i for i, token in enumerate(written) if token in self._colons), None)
        if place is None:
            return None
        head = str(self._encoder.tokenizer.decode(list(written[: place + 1]))).rstrip()
        if not head.endswith(COLON):
            return None
        found = self._followers(head, list(written[place + 1 :]), legal_actions)
        return sorted(found) or None

    def _followers(self, head: str, begun: list[int], legal_actions: Sequence[str]) -> set[int]:
        """What may be next of a list of legal actions, none of them twice.

        Args:
            head: Before the list.
            begun: Tokens of the list so far.
            legal_actions: What may stand in it.
        """
        first = self._encoder.text(head)
        found: set[int] = set()
        for action in legal_actions:
            both = self._encoder.text(f"{head} {action}")
            # together they may be other tokens than one after the other
            if both[: len(first)] != first:
                continue
            name = both[len(first) :]
            found |= _next([*name, self._encoder.end_id], begun)
            if others := [each for each in legal_actions if each != action]:
                joined = [*name, *self._encoder.text(OR)]
                found |= _next(joined, begun)
                if begun[: len(joined)] == joined:
                    rest = begun[len(joined) :]
                    found |= self._followers(f"{head} {action}{OR}", rest, others)
        return found


def _next(path: list[int], begun: list[int]) -> set[int]:
    """The token of ``path`` after those that were begun, if they lead along it."""
    ahead = path[len(begun) :]
    return set(ahead[:1]) if path[: len(begun)] == begun else set()
