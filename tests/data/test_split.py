"""The split is fixed: these values stand in weight files and in every figure that is quoted."""

from collections import Counter

import pytest

from undiffuse.data.emoji_sets import TRAINED
from undiffuse.data.split import MIN_FAMILIES, split_cells, unit_hash

MADE_UP = {f"c{k}": ["a", "b", "c", "d", "e"] for k in range(2000)}


def test_hash_is_fixed() -> None:
    assert unit_hash("concept", "1f34e") == 0.6057574217636961
    assert unit_hash("concept", "1fab6") == 0.02160037357404569
    assert unit_hash("a", "b") != unit_hash("ab")


@pytest.mark.parametrize(
    ("concept", "held_out"),
    [
        ("1f34e", ""),  # red apple
        ("1f34f", "flat"),  # green apple
        ("1f431", "flat"),  # cat face
        ("1f602", "emojione"),  # face with tears of joy
        ("1f468-200d-1f373", ""),  # man cook
        ("1fab6", "concept"),  # feather
        ("1f3c8", "concept"),  # american football
    ],
)
def test_concepts(concept: str, held_out: str) -> None:
    assert split_cells({concept: TRAINED}, set()) == {concept: held_out}


def test_counts() -> None:
    kinds = Counter(split_cells(MADE_UP, set()).values())
    assert kinds == {"": 1121, "concept": 69, "a": 160, "b": 177, "c": 156, "d": 159, "e": 158}


def test_order_does_not_matter() -> None:
    shuffled = {name: families[::-1] for name, families in reversed(MADE_UP.items())}
    assert split_cells(shuffled, set()) == split_cells(MADE_UP, set())


def test_held_out_cell_is_one_of_three_or_more() -> None:
    """So that the concept is trained elsewhere."""
    for count in range(1, 6):
        families = [f"f{k}" for k in range(count)]
        held_out = set(split_cells(dict.fromkeys(MADE_UP, families), set()).values())
        assert held_out <= {"", "concept", *families}
        assert held_out == {""} or count >= MIN_FAMILIES


def test_flags_are_trained() -> None:
    assert set(split_cells(MADE_UP, flags=set(MADE_UP)).values()) == {""}
