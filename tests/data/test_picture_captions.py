"""Captions of tinted icons, scenes and people, and which pictures they are true of."""

from typing import Any

import pytest
from numpy.random import Generator, Philox

from undiffuse.data.captions import Caption, Shown, describes
from undiffuse.data.picture_captions import (
    PictureCaptions,
    scene_caption,
    shown_by,
    shown_by_scene,
)
from undiffuse.data.scenes import Truth

BASE = {"keywords": [], "tone": "", "colour": "", "gloss": "", "tintable": False}
APPLE: dict[str, Any] = {**BASE, "name": "apple", "concept": "apple", "family": "line",
                         "keywords": ["fruit", "red"], "tintable": True}  # fmt: skip
RED_APPLE = {**BASE, "name": "red apple", "concept": "red apple", "family": "noto", "colour": "red"}
GREEN_APPLE = {**RED_APPLE, "name": "green apple", "concept": "green apple", "colour": "green"}
MAKER = PictureCaptions({"apple": ("pome",)})


def rng(key: int = 0) -> Generator:
    return Generator(Philox(key=[5, key]))


def true_of(caption: Caption, *shown: Shown) -> list[bool]:
    return describes([caption], shown)[0].tolist()


def tinted(color: str, words: set[str]) -> list[Caption]:
    made = (MAKER.tinted(APPLE, color, rng(key)) for key in range(400))
    return [caption for caption in made if caption.words == words]


def test_a_tinted_icon_is_what_its_color_says() -> None:
    pictures = [shown_by(APPLE), shown_by(APPLE, "red"), shown_by(APPLE, "green"),
                shown_by(RED_APPLE), shown_by(GREEN_APPLE)]  # fmt: skip
    named = tinted("red", {"red"})
    assert len(named) > 100
    for caption in named:
        assert true_of(caption, *pictures) == [False, True, False, True, False]
    assert any(caption.text == "red apple" for caption in named)
    assert all(true_of(one, *pictures) == [True] * 5 for one in tinted("red", set()))
    styled = tinted("red", {"red", "outline"})
    assert styled
    assert all(true_of(one, *pictures) == [False, True, False, False, False] for one in styled)


def test_a_keyword_that_is_a_color_is_not_true_of_a_tinted_icon() -> None:
    assert true_of(Caption("red", "", frozenset({"red"})), shown_by(APPLE, "blue")) == [False]
    assert true_of(Caption("black", "", frozenset({"black"})), shown_by(APPLE)) == [True]


def test_a_color_in_a_name_is_a_statement_of_its_own() -> None:
    for key in range(200):
        caption = MAKER.caption(RED_APPLE, rng(key))
        if caption.concept:
            assert (caption.concept, "red" in caption.words) == ("apple", True)
            assert true_of(caption, shown_by(GREEN_APPLE)) == [False]
        assert true_of(caption, shown_by(RED_APPLE)) == [True]


def test_captions_have_synonyms_glosses_and_mistakes_at_low_rates() -> None:
    record = {**APPLE, "keywords": [], "gloss": "fruit with red or yellow or green skin"}
    texts = [MAKER.caption(record, rng(key)).text for key in range(3000)]
    assert 0.05 < sum("pome" in text for text in texts) / 3000 < 0.1
    assert 0.02 < sum("fruit" in text for text in texts) / 3000 < 0.06
    right = sum("apple" in text or "pome" in text or "fruit" in text for text in texts)
    assert 0.8 < right / 3000 < 0.99


def test_a_person_has_the_attributes_that_the_caption_states() -> None:
    def person(hair: str, shirt: str) -> dict[str, Any]:
        said = f"a calm person with {hair} and {shirt}"
        return {
            **BASE,
            "name": said,
            "concept": "calm person",
            "family": "open peeps",
            "captions": [said, f"person with {hair}"],
            "keywords": ["person", hair, shirt],
        }

    one, other = person("long hair", "a red shirt"), person("long hair", "a blue shirt")
    whole = Caption("", "calm person", frozenset({"person", "long hair", "a red shirt"}))
    assert true_of(whole, shown_by(one), shown_by(other)) == [True, False]
    for key in range(100):
        caption = MAKER.caption(one, rng(key))
        both = true_of(caption, shown_by(one), shown_by(other))
        assert both == [True, "a red shirt" not in caption.words]


@pytest.mark.parametrize(
    ("caption", "pictures", "expected"),
    [
        (Truth("relation", ("cat", "dog"), ("", ""), relation="left of"),
         [Truth("relation", ("dog", "cat"), ("", ""), relation="right of"),
          Truth("relation", ("dog", "cat"), ("", ""), relation="left of"),
          Truth("relation", ("cat", "dog"), ("red", ""), relation="left of"),
          Truth("relation", ("cat", "dog"), ("", ""), relation="above")],
         [True, False, True, False]),
        (Truth("relation", ("cat", "dog"), ("red", "blue"), relation="above"),
         [Truth("relation", ("dog", "cat"), ("blue", "red"), relation="below"),
          Truth("relation", ("cat", "dog"), ("blue", "red"), relation="above")],
         [True, False]),
        (Truth("relation", ("cat", "dog"), ("", ""), relation="in front of"),
         [Truth("relation", ("dog", "cat"), ("", ""), relation="in front of")], [False]),
        (Truth("count", ("cat",), ("",), count=2),
         [Truth("count", ("cat",), ("red",), count=2), Truth("count", ("cat",), ("",), count=3)],
         [True, False]),
        (Truth("size", ("cat",), ("",), size="small"),
         [Truth("size", ("cat",), ("",), size="large")], [False]),
        (Truth("ground", ("cat",), ("",), ground="snow"),
         [Truth("ground", ("cat",), ("",), ground="snow"),
          Truth("ground", ("dog",), ("",), ground="snow")], [True, False]),
    ],
)  # fmt: skip
def test_a_scene_caption_is_true_of_these(
    caption: Truth, pictures: list[Truth], expected: list[bool]
) -> None:
    stated = scene_caption("", caption, rng())
    assert true_of(stated, *(shown_by_scene(truth) for truth in pictures)) == expected
    assert true_of(stated, shown_by_scene(caption)) == [True]


def test_a_colored_thing_is_the_same_drawn_as_a_scene_or_tinted() -> None:
    scene = Truth("color", ("apple",), ("red",))
    caption = scene_caption("red apple", scene, rng())
    others = (shown_by(APPLE, "red"), shown_by(RED_APPLE), shown_by(APPLE))
    assert true_of(caption, *others) == [True, True, False]
    keyword = Caption("apple", "", frozenset({"apple"}))
    two = Truth("count", ("apple",), ("",), count=2)
    assert true_of(keyword, shown_by_scene(scene), shown_by_scene(two)) == [True, True]
