"""A space of texts that takes any Unicode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Text
from gymnasium.vector.utils import create_shared_memory

__all__ = ["UnicodeText"]

_SURROGATES = range(0xD800, 0xE000)
"""Numbers of no character: halves of a pair in UTF-16."""


class _Unicode(Sequence[str]):
    """All characters in order, made when asked for: there are more than a million."""

    def __len__(self) -> int:
        return 0x110000 - len(_SURROGATES)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        number = range(len(self))[int(index)]
        return chr(number if number < _SURROGATES.start else number + len(_SURROGATES))

    def __contains__(self, character: object) -> bool:
        return (
            isinstance(character, str) and len(character) == 1 and ord(character) not in _SURROGATES
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unicode)

    def __hash__(self) -> int:
        return hash(_Unicode)

    def place(self, character: str) -> int:
        """Where a character stands.

        Raises:
            KeyError: It is none.
        """
        if character not in self:
            raise KeyError(character)
        number = ord(character)
        return number if number < _SURROGATES.start else number - len(_SURROGATES)


_UNICODE = _Unicode()


class UnicodeText(Text):
    r"""Any text that can be written as UTF-8, newlines and the empty text included.

    Gymnasium's own space holds each of its characters in a table, and the empty text only on
    request. What Gymnasium does with a ``Text`` works with this one too: flattening, masks, vector
    environments, with ``shared_memory=False`` where they are asynchronous.

    Args:
        max_length: Characters (code points) at most.
        seed: For sampling.

    >>> "naïve\n" in UnicodeText(10), "" in UnicodeText(10), "\ud800" in UnicodeText(10)
    (True, True, False)
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=frozenset(), seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random text: any length alike, then any character alike.

        Args:
            mask: ``(length, characters)``, either of which may be None: this length, and only
                characters with a 1 among all of ``character_list``. Without any the text is empty.
            probability: Likewise, with a probability for each character.

        Raises:
            ValueError: Both are given, or they do not fit the space.
        """
        if mask is not None and probability is not None:
            raise ValueError("either a mask or probabilities, not both")
        length, weights = mask or probability or (None, None)
        if length is None:
            length = self.np_random.integers(self.max_length + 1)
        if not 0 <= length <= self.max_length:
            raise ValueError(f"texts have 0 to {self.max_length} characters, not {length}")
        if weights is None:
            drawn = self.np_random.integers(len(_UNICODE), size=length)
        else:
            if np.shape(weights) != (len(_UNICODE),):
                raise ValueError(f"{len(_UNICODE)} weights are needed, not {np.shape(weights)}")
            possible = np.flatnonzero(weights)
            if not possible.size:
                return ""
            weight = np.asarray(weights, float)[possible]
            drawn = self.np_random.choice(possible, size=length, p=weight / weight.sum())
        return "".join(_UNICODE[int(each)] for each in drawn)

    def contains(self, x: Any) -> bool:
        """Whether it is a text of this space."""
        if not isinstance(x, str) or len(x) > self.max_length:
            return False
        try:
            x.encode()
        except UnicodeEncodeError:
            return False
        return True

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]  # spaces can be changed

    @property
    def character_set(self) -> Any:
        """All characters."""
        return _UNICODE

    @property
    def character_list(self) -> Any:
        """All characters, in order."""
        return _UNICODE

    def character_index(self, char: str) -> np.int32:
        """Place of a character among all."""
        return np.int32(_UNICODE.place(char))

    @property
    def characters(self) -> Any:
        """All characters, in order."""
        return _UNICODE


@create_shared_memory.register(UnicodeText)
def _refuse_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    # Gymnasium reads shared texts once, before there are any, and would show zeros for ever
    raise CustomSpaceError(f"{space} cannot be in shared memory: give shared_memory=False")
