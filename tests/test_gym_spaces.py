"""The space of texts, and what Gymnasium does with spaces."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from gymnasium.spaces import Text
from gymnasium.spaces.utils import flatten, flatten_space, unflatten
from hypothesis import given
from hypothesis import strategies as st

from reflect_core.gym import UnicodeText

VALID = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(VALID)
def test_any_valid_text_is_in_the_space(text: str) -> None:
    assert text in UnicodeText(12)


@given(VALID, st.characters(categories=["Cs"]), VALID)
def test_half_a_pair_is_not(before: str, half: str, after: str) -> None:
    assert before + half + after not in UnicodeText(100)


@pytest.mark.parametrize(
    "text", ["", "\n", "\x00", "naïve\r\n\t", "𝔘nicode", "\U0010ffff", "\ufffe"]
)
def test_texts_that_break_tables_of_characters(text: str) -> None:
    assert text in UnicodeText(8)


@pytest.mark.parametrize("other", [None, 3, b"abc", ["a"], np.zeros(2)])
def test_what_is_no_text_is_not_in_the_space(other: object) -> None:
    assert other not in UnicodeText(8)


def test_length_is_bounded_in_characters() -> None:
    assert "𝔘" * 8 in UnicodeText(8)
    assert "a" * 9 not in UnicodeText(8)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_samples_are_in_the_space_and_repeat(seed: int, length: int) -> None:
    space, again = UnicodeText(length, seed=seed), UnicodeText(length, seed=seed)
    drawn = [space.sample() for _ in range(5)]
    assert all(text in space for text in drawn)
    assert drawn == [again.sample() for _ in range(5)]


def test_samples_are_of_all_lengths_and_not_all_alike() -> None:
    space = UnicodeText(3, seed=0)
    drawn = [space.sample() for _ in range(200)]
    assert {len(text) for text in drawn} == {0, 1, 2, 3}
    assert max(map(ord, "".join(drawn))) > 0xFFFF


def test_masks_choose_length_and_characters() -> None:
    space = UnicodeText(9, seed=0)
    assert len(space.sample(mask=(4, None))) == 4
    only = np.zeros(len(space.character_set), np.int8)
    only[[space.character_index("a"), space.character_index("é")]] = 1
    drawn = "".join(space.sample(mask=(9, only)) for _ in range(3))
    assert set(drawn) == {"a", "é"}
    assert set(space.sample(probability=(9, only / 2))) <= {"a", "é"}
    assert space.sample(mask=(9, 0 * only)) == ""


@pytest.mark.parametrize("mask", [(10, None), (-1, None), (None, np.ones(3, np.int8))])
def test_masks_that_do_not_fit_are_refused(mask: tuple[object, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        UnicodeText(9).sample(mask=mask)
    with pytest.raises(ValueError, match="not both"):
        UnicodeText(9).sample(mask=mask, probability=mask)


@given(VALID)
def test_a_text_comes_back_from_numbers(text: str) -> None:
    space = UnicodeText(12)
    numbers = flatten(space, text)
    assert numbers in flatten_space(space)
    assert unflatten(space, numbers) == text


@given(st.characters(exclude_categories=["Cs"]))
def test_places_of_characters(character: str) -> None:
    space = UnicodeText(1)
    place = space.character_index(character)
    assert space.character_list[place] == character
    assert character in space.character_set


def test_all_characters_have_a_place_and_no_other() -> None:
    characters = UnicodeText(1).character_list
    assert characters[0] == "\x00"
    assert characters[-1] == "\U0010ffff"
    assert [characters[0xD7FF], characters[0xD800]] == ["\ud7ff", "\ue000"]
    assert len(characters) == 0x110000 - 0x800
    with pytest.raises(IndexError):
        characters[len(characters)]
    with pytest.raises(KeyError):
        UnicodeText(1).character_index("\ud800")


def test_spaces_are_equal_by_what_is_in_them() -> None:
    space = UnicodeText(5)
    assert space == UnicodeText(5)
    assert space == copy.deepcopy(space) == pickle.loads(pickle.dumps(space))
    assert space != UnicodeText(6)
    assert space != Text(5)
    assert repr(space) == "UnicodeText(5)"
