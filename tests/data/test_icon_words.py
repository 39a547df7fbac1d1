"""Names of icons: as people say them, concrete or not, and one concept for each thing."""

import pytest

from tests.data.tiny_wordnet import tiny_wordnet
from undiffuse.data.icon_words import (
    Concepts,
    best_sense,
    is_clutter,
    meaning,
    readable,
    related_words,
    singular,
    skeleton,
)

NET = tiny_wordnet()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hot-beverage-outline", "hot beverage"), ("dog", "dog"), ("home-24-regular", "home"),
        ("camera-one", "camera"), ("chess_queen_bold", "chess queen"), ("arrow-2", "arrow"),
        ("outline", "outline"), ("Key", "key"),
    ],
)  # fmt: skip
def test_names_lose_their_variant_and_number(name: str, said: str) -> None:
    assert readable(name) == said


def test_names_of_user_interfaces_brands_and_letters_are_clutter() -> None:
    for name in ("arrow left", "home plus", "google", "letter b", "b", "3d cube", "dollar coin"):
        assert is_clutter(name), name
    for name in ("dog", "broken sword", "hot dog"):
        assert not is_clutter(name), name


def test_a_phrase_is_concrete_by_its_head_noun() -> None:
    found = meaning("broken sword", "head", NET)
    assert found is not None
    assert (found.synset, found.phrase, found.whole) == ("n3", "sword", False)
    in_stone = meaning("sword in stone", "head", NET)
    assert in_stone is not None
    assert in_stone.phrase == "sword"


def test_a_name_of_a_user_interface_is_concrete_as_a_whole() -> None:
    assert meaning("broken sword", "whole", NET) is None
    found = meaning("hot dogs", "whole", NET)
    assert found is not None
    assert (found.synset, found.whole) == ("n5", True)


def test_thoughts_and_countries_are_not_concrete() -> None:
    assert meaning("idea", "head", NET) is None
    assert meaning("chad", "head", NET) is None
    assert meaning("country", "head", NET) is not None


def test_plurals_have_the_longer_singular() -> None:
    assert singular("cubes", NET) == "cube"
    assert singular("cubs", NET) == "cub"
    assert singular("unknowns", NET) == "unknowns"


def test_spellings_of_one_name_share_a_skeleton() -> None:
    assert skeleton("hot dogs", NET) == skeleton("hotdog", NET)
    assert skeleton("grey cat", NET) == skeleton("gray cats", NET)
    assert skeleton("dog", NET) != skeleton("cat", NET)


def test_a_concept_is_shared_by_spellings_plurals_and_synonyms() -> None:
    concepts = Concepts(NET)
    concepts.add("sofa", "n18")
    assert concepts.key("sofas", "n18") == "sofa"
    assert concepts.key("couch", "n18") == "sofa"
    assert concepts.key("dogs") == "dog"
    assert concepts.key("dog") == "dog"
    assert concepts.key("hotdog") == concepts.key("hot dogs")


def test_the_sense_of_an_emoji_follows_its_group_and_keywords() -> None:
    assert best_sense("seal", ["animal", "marine"], "animals & nature", NET) == "n15"
    assert best_sense("seal", ["letter"], "objects", NET) == "n14"
    assert best_sense("nothing", [], "objects", NET) == ""


def test_related_words_are_synonyms_and_kinds() -> None:
    assert related_words("n3", "sword", NET) == ["blade", "weapon"]
