"""Segments to token ids, cut to the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import attrs
import numpy as np
from transformers import PreTrainedTokenizerBase

from reflect_core.errors import ModelError, PromptTooLong
from reflect_core.lm.labels import choose_labels
from reflect_core.prompt import Segment, drop_oldest_half
from reflect_core.records import Tokens

CACHED_TEXTS = 50_000

TOLD = 200
"""Characters of a task that an error tells at most."""


@attrs.frozen
class Encoded:
    """A prompt as tokens.

    Args:
        ids: The tokens, shape (T,).
        dropped: Segments of history that were left out to make it fit.
    """

    ids: Tokens
    dropped: int


class Encoder:
    """Tokenises segments one by one and remembers them; menus repeat the same few texts.

    Args:
        tokenizer: Of the model.
        context: Longest prompt in tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        self.tokenizer = tokenizer
        self.context = context
        self.labels = choose_labels(tokenizer)
        self._cache: dict[str, tuple[int, ...]] = {}
        bos = tokenizer.bos_token_id
        starts = tokenizer("", add_special_tokens=True)["input_ids"]
        # a tokenizer that opens every text with <bos> was trained so
        self._opening = (bos,) if bos is not None and list(starts)[:1] == [bos] else ()

    @property
    def end_id(self) -> int:
        """The token that ends a reflection."""
        end = self.tokenizer.eos_token_id
        if end is None:
            raise ModelError(
                "this tokenizer has no end-of-text token",
                then="choose a causal language model whose tokenizer defines eos_token",
            )
        return int(end)

    @property
    def pad_id(self) -> int:
        """A token for padding; masked everywhere, so any will do."""
        pad = self.tokenizer.pad_token_id
        return self.end_id if pad is None else int(pad)

    def text(self, text: str) -> tuple[int, ...]:
        """Tokens of ordinary text; text that spells a special token is not one."""
        found = self._cache.get(text)
        if found is None:
            if len(self._cache) >= CACHED_TEXTS:
                self._cache.clear()
            # lone surrogates (names that are not UTF-8) are not text for a tokenizer
            clean = text.encode("utf-8", "replace").decode("utf-8")
            ids = self.tokenizer(clean, add_special_tokens=False, split_special_tokens=True)
            found = self._cache[text] = tuple(ids["input_ids"])
        return found

    def prompt(self, segments: Sequence[Segment], *, room: int = 0) -> Encoded:
        """Tokens of a prompt, without the oldest history where it would not fit.

        Args:
            segments: From ``prompt.py``.
            room: Tokens to keep free for what the model will write.

        Raises:
            PromptTooLong: It does not fit even without any history; the error tells the task.
        """
        parts = list(segments)
        dropped = 0
        while True:
            ids = self._concatenate(parts)
            if len(ids) + room <= self.context:
                return Encoded(np.array(ids, np.int32), dropped)
            shorter = drop_oldest_half(parts)
            if len(shorter) == len(parts):
                actions = sum(segment.kind == "action" for segment in parts)
                wanted = f"{len(ids)} tokens" + (f" and {room} for the answer" if room else "")
                raise PromptTooLong(
                    f"a prompt of {wanted} does not fit the context of {self.context}",
                    why=f"the task, the observation and {actions} actions are never cut",
                    details=[
                        shorten(segment.text, TOLD, placeholder=" ...")
                        for segment in parts
                        if segment.kind == "task"
                    ],
                    then="raise model.context, or choose options with shorter observations",
                )
            dropped += len(parts) - len(shorter)
            parts = shorter

    def label_ids(self, ranks: Sequence[int]) -> Tokens:
        """Label tokens by rank, shape (K,)."""
        return np.array([self.labels[rank] for rank in ranks], np.int32)

    def _concatenate(self, segments: Sequence[Segment]) -> list[int]:
        ids = list(self._opening)
        for segment in segments:
            if segment.kind == "label":
                ids.append(self.labels[int(segment.text)])
            else:
                ids.extend(self.text(segment.text))
        return ids
