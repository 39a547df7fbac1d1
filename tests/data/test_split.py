"""The split never changes: shipped weights and published metrics depend on it."""

from collections import Counter

from undiffuse.data.emoji_sets import TRAINED_STYLES
from undiffuse.data.split import MIN_STYLES, split_concepts, unit_hash

MADE_UP = {f"c{k}": ["a", "b", "c", "d", "e"] for k in range(2000)}


def test_the_hash_never_changes() -> None:
    assert unit_hash("concept", "1f34e") == 0.6057574217636961
    assert unit_hash("concept", "1fab6") == 0.02160037357404569
    assert unit_hash("a", "b") != unit_hash("ab")


def test_the_split_of_known_concepts_never_changes() -> None:
    held_out = {
        "1f34e": "",  # red apple
        "1f34f": "flat",  # green apple
        "1f431": "flat",  # cat face
        "1f602": "emojione",  # face with tears of joy
        "1f468-200d-1f373": "",  # man cook
        "1fab6": "concept",  # feather
        "1f3c8": "concept",  # american football
    }
    assert split_concepts(dict.fromkeys(held_out, TRAINED_STYLES), set()) == held_out


def test_the_shares_of_held_out_concepts_and_pairs_never_change() -> None:
    kinds = Counter(split_concepts(MADE_UP, set()).values())
    assert kinds == {"": 1121, "concept": 69, "a": 160, "b": 177, "c": 156, "d": 159, "e": 158}


def test_the_order_of_concepts_and_styles_does_not_matter() -> None:
    shuffled = {name: styles[::-1] for name, styles in reversed(MADE_UP.items())}
    assert split_concepts(shuffled, set()) == split_concepts(MADE_UP, set())


def test_a_held_out_concept_has_three_styles_or_more() -> None:
    """So that a held-out pair is trained on in other styles."""
    for count in range(1, 6):
        styles = [f"f{k}" for k in range(count)]
        held_out = set(split_concepts(dict.fromkeys(MADE_UP, styles), set()).values())
        assert held_out <= {"", "concept", *styles}
        assert held_out == {""} or count >= MIN_STYLES


def test_flags_are_never_held_out() -> None:
    assert set(split_concepts(MADE_UP, flags=set(MADE_UP)).values()) == {""}
