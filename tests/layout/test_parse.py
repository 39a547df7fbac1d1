"""Prompts are read as scenes: what is named, how many, in which relation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.layout.parse import MAX_THINGS, SceneGrammar, spoken_layout
from undiffuse.layout.scene import Group, Node, Row
from undiffuse.layout.words import GROUND_PATTERNS, NUMBERS, RELATIONS, singular

NAMES = ["house with garden", "fork and knife", "man swimming", "two hearts", "small airplane",
         "couple with heart", "three o'clock", "dog", "cat", "house", "horse"]  # fmt: skip
_KNOWN = """
cat dog house tree car apple banana box man woman horse bicycle table fork knife garden
mouse leaf cup coffee heart airplane bus glass red blue water
background dark skin tone cute fluffy fish clock book
"""
KNOWN = frozenset(_KNOWN.split())
GRAMMAR = SceneGrammar(NAMES, KNOWN)


def shown(node: Node) -> str:
    if isinstance(node, Group):
        size = f" x{node.size:g}" if node.size != 1 else ""
        return f"{node.count} {node.text}{size}"
    if isinstance(node, Row):
        return f"({' | '.join(map(shown, node.parts))})"
    return f"({shown(node.first)} {node.relation.upper()} {shown(node.second)})"


@pytest.mark.parametrize(
    ("prompt", "scene"),
    [
        ("two cats", "2 cat"),
        ("2 red apples", "2 red apple"),
        ("Three mice!", "3 mouse"),
        ("three cups of coffee", "3 cup of coffee"),
        ("a couple of dogs", "2 dog"),
        ("two of cats of", "2 of cat of"),
        ("two cats sleeping in spring", "2 cat sleeping in spring"),
        ("a cat and a dog", "(1 cat | 1 dog)"),
        ("a cat, two dogs, and a horse", "(1 cat | 2 dog | 1 horse)"),
        ("a cat to the left of a dog", "(1 cat LEFT OF 1 dog)"),
        ("the cat is on top of the table", "(1 cat ON 1 table)"),
        ("a dog sitting under a tree", "(1 dog BELOW 1 tree)"),
        ("a man riding a horse", "(1 man ON 1 horse)"),
        ("a man riding on a horse", "(1 man ON 1 horse)"),
        ("a woman reading a book", "(1 woman HOLDING 1 book)"),
        ("a dog looking at a cat", None),
        ("a dog chases a cat", "(1 dog BESIDE 1 cat)"),
        ("a cat with a book", "(1 cat WITH 1 book)"),
        ("two dogs with an apple", "(2 dog WITH 1 apple)"),
        ("a dog with a horse's head", None),
        ("a dog with its tail", None),
        ("a tree with apples", None),
        ("a cat in a box", "(1 cat IN 1 box)"),
        ("a cat between two dogs", "(1 dog | 1 cat | 1 dog)"),
        ("a cat between a tree and a car", "(1 tree | 1 cat | 1 car)"),
        ("a small cat next to a big dog", "(1 cat x0.6 BESIDE 1 dog)"),
        ("a small airplane next to a bus", "(1 small airplane BESIDE 1 bus)"),
        ("two hearts and a cat", "(1 two hearts | 1 cat)"),
        ("a fish in a glass under a table", "(1 fish IN (1 glass BELOW 1 table))"),
        # One thing, or nothing that can be told apart.
        ("cat", None),
        ("a red apple", None),
        ("one dog", None),
        ("two hearts", None),
        ("a fork and a knife", None),
        ("a house with a garden", None),
        ("man swimming", None),
        ("a red and blue car", None),
        ("a cute, fluffy dog", None),
        ("a dog jumping and running", None),
        ("dog, cat, and house", "(1 dog | 1 cat | 1 house)"),
        ("a cute dog and a fluffy cat", "(1 cute dog | 1 fluffy cat)"),
        ("a man in a suit", None),
        ("a cat on the water", None),
        ("a cat on a blue background", None),
        ("a man with a beard, dark skin tone", None),
        ("a cat on a unicorn", None),
        ("hundred cats", None),
        ("two", None),
        ("and", None),
        (", ,", None),
        ("a cat and", None),
    ],
)
def test_prompts(prompt: str, scene: str | None) -> None:
    found = GRAMMAR.scene(prompt)
    assert (found and shown(found.node)) == scene
    assert not (found and found.ground)


@pytest.mark.parametrize(
    ("prompt", "scene", "ground"),
    [
        ("a house in the snow", "1 house", "snow"),
        ("In the snow, a house", "1 house", "snow"),
        ("two dogs on a beach", "2 dog", "beach"),
        ("a cat and a dog at night", "(1 cat | 1 dog)", "night"),
        ("a house with a garden under a starry sky", "1 house with a garden", "night"),
        ("a car on a green hill", "1 car", "hill"),
    ],
)
def test_grounds(prompt: str, scene: str, ground: str) -> None:
    found = GRAMMAR.scene(prompt)
    assert found
    assert (shown(found.node), found.ground) == (scene, ground)


def test_at_most_twelve_things_are_drawn() -> None:
    assert GRAMMAR.scene("12 cats")
    assert GRAMMAR.scene("12 cats and a dog") is None


@pytest.mark.parametrize("word", ["between", "on", "and", "riding"])
def test_long_prompts_are_read_soon(word: str) -> None:
    for count in (23, 2000):
        found = GRAMMAR.scene(f"a cat {word} " * count + "a dog")
        assert found is None or len(found.things) <= MAX_THINGS


WORDS = st.sampled_from(
    [*KNOWN, *NUMBERS, *GROUND_PATTERNS, "a", "the", "and", ",", "riding", "with", "unknown", "é"]
    + [" ".join(phrase) for phrase in RELATIONS]
)


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_read_or_left_whole(text: str) -> None:
    spans = spoken_layout(text)
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    scene = GRAMMAR.scene(text)
    if scene:
        assert 1 <= sum(group.count for group in scene.things) <= MAX_THINGS
        assert all(group.text for group in scene.things)
        assert scene.ground or len(scene.things) > 1 or scene.things[0].count > 1
    assert GRAMMAR.scene(text) == scene


@pytest.mark.parametrize(
    ("prompt", "head"),
    [
        ("a dog standing on ice", "dog"),
        ("The small red cat is sleeping.", "small red cat"),
        ("a cat that my grandmother gave me", "cat"),
        ("a house made of wood", "house"),
        ("a man swimming in a lake", "man swimming"),
        ("a house with a garden in spring", "house with a garden"),
        ("a car from Italy", "car"),  # a word of no name
        # Nothing more is said, or what is worn, or nothing is named before.
        ("a red dog", ""),
        ("a man in a red hat", ""),
        ("a dog on a blue background", ""),
        ("a dog wearing a coat", ""),
        ("a garden in spring", ""),  # only a part of names
        ("a standing dog", ""),
        ("in the snow", ""),
        ("", ""),
        ("a dog in " * 100, ""),
    ],
)
def test_heads(prompt: str, head: str) -> None:
    assert GRAMMAR.head(prompt) == head


@pytest.mark.parametrize(
    ("many", "one"),
    [("cats", "cat"), ("mice", "mouse"), ("glasses", "glass"), ("buses", "bus"), ("fish", "fish"),
     ("leaves", "leaf"), ("glass", "glass"), ("houses", "house"), ("ponies", "pony")],
)  # fmt: skip
def test_singular(many: str, one: str) -> None:
    assert singular(many, KNOWN | {"pony"}) == one


def test_words_that_say_where_things_are_stay_as_they_are() -> None:
    text = "a dog between trees on a hill"
    said = [text[start:end].strip() for start, end in spoken_layout(text)]
    assert said == ["between", "", "on a hill"]
