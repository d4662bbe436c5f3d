"""Which tokens may follow where a reflection is to name a legal action."""

from __future__ import annotations

from collections.abc import Sequence

from reflect_core.lm.encode import Encoder

COLON = ":"


class LegalNames:
    """After its first colon a reflection is one of the legal actions, to its end.

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
        begun = list(written[place + 1 :])
        head = str(self._encoder.tokenizer.decode(list(written[: place + 1])))
        if not head.rstrip().endswith(COLON):
            return None
        first = self._encoder.text(head)
        found = set()
        for action in legal_actions:
            both = self._encoder.text(f"{head.rstrip()} {action}")
            name = [*both[len(first) :], self._encoder.end_id]
            # together they may be other tokens than one after the other
            if both[: len(first)] == first and name[: len(begun)] == begun:
                found.add(name[len(begun)])
        return sorted(found) or None
