"""Spelling correction: edit distances against the definition, and slips that people make."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.clip.spelling import SWAP, correct, edit_distance, sound

LETTERS = st.text("abc", max_size=6)
RIGHT = ["the", "tea", "horse", "house", "elephant", "strawberry", "bicycle", "guitar", "dinosaur",
         "butterfly", "butter", "friend", "umbrella", "knife", "pineapple"]  # fmt: skip


@cache
def by_definition(one: str, other: str) -> float:
    """The recursion of Damerau's distance, each place edited once."""
    if not one or not other:
        return float(len(one) + len(other))
    costs = [
        by_definition(one[1:], other) + 1,
        by_definition(one, other[1:]) + 1,
        by_definition(one[1:], other[1:]) + (one[0] != other[0]),
    ]
    if len(one) > 1 and len(other) > 1 and one[:2] == other[1::-1] and one[0] != one[1]:
        costs.append(by_definition(one[2:], other[2:]) + SWAP)
    return min(costs)


@given(LETTERS, LETTERS)
def test_the_distance_is_that_of_the_definition(one: str, other: str) -> None:
    assert edit_distance(one, other) == pytest.approx(by_definition(one, other))
    assert edit_distance(one, other) == pytest.approx(edit_distance(other, one))


@pytest.mark.parametrize(
    ("slip", "right"),
    [
        ("teh", "the"), ("hosre", "horse"), ("elefant", "elephant"), ("strawbery", "strawberry"),
        ("bycicle", "bicycle"), ("gitaur", "guitar"), ("dinasaur", "dinosaur"),
        ("butterfy", "butterfly"), ("frend", "friend"), ("umbrela", "umbrella"),
        ("nife", "knife"), ("pinapple", "pineapple"), ("huose", "house"),
    ],
)  # fmt: skip
def test_a_slip_is_corrected(slip: str, right: str) -> None:
    assert correct(slip, RIGHT, [], [])[0] == right


def test_what_is_near_nothing_is_not_corrected() -> None:
    for word in ("qqq", "zebra", "xylophone", "ab", ""):
        assert correct(word, RIGHT, [], []) == ("", float("inf"))


def test_a_word_that_the_model_knows_is_preferred() -> None:
    assert correct("xorse", [], ["horse"], ["morse"])[0] == "horse"
    assert correct("xorse", [], ["morse"], ["horse"])[0] == "morse"
    assert correct("potatoe", [], ["potatos", "potato"], [])[0] == "potatos"
    assert correct("potatoe", ["potato"], ["potatos", "potato"], [])[0] == "potato"


def test_the_same_sound_is_spelled_the_same() -> None:
    for one, other in (("elephant", "elefant"), ("bicycle", "bycicle"), ("knight", "nite")):
        assert sound(one).rstrip("e") == sound(other).rstrip("e")
