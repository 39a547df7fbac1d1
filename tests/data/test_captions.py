"""Generated captions, and which pictures each describes."""

import numpy as np
import pytest
from numpy.random import Generator, Philox

from tests.sample import pictures
from undiffuse.data.captions import (
    Caption,
    CaptionMatcher,
    add_style,
    content_words,
    random_caption,
    record_words,
)
from undiffuse.data.emoji_names import TONES
from undiffuse.data.emoji_sets import TRAINED_STYLES

RECORDS = pictures().records
MATCHER = CaptionMatcher(RECORDS)
EVERY = np.arange(len(RECORDS))


def described(concept: str, *words: str) -> list[dict]:
    """The records that a caption describes."""
    fits = MATCHER.matches([Caption("", concept, frozenset(words))], EVERY)[0]
    return [RECORDS[row] for row in EVERY[fits]]


def drawn(record: dict, count: int = 400, **how: float) -> list[Caption]:
    return [random_caption(record, Generator(Philox(key=[7, k])), **how) for k in range(count)]


def test_a_caption_without_a_style_describes_every_style() -> None:
    found = described("1f34e")
    assert {record["name"] for record in found} == {"red apple"}
    assert sorted(record["family"] for record in found) == sorted(TRAINED_STYLES)


def test_a_caption_with_a_style_describes_only_that_style() -> None:
    for style in TRAINED_STYLES:
        found = described("1f34e", style)
        assert [(r["name"], r["family"]) for r in found] == [("red apple", style)]


def test_a_caption_with_a_skin_tone_describes_only_that_tone() -> None:
    assert {record["tone"] for record in described("1f468")} == {
        "", "light skin tone", "dark skin tone",
    }  # fmt: skip
    assert {record["tone"] for record in described("1f468", "dark", "skin", "tone")} == {
        "dark skin tone"
    }


def test_keywords_describe_every_picture_that_has_them() -> None:
    found = described("", "apple")
    assert len({record["name"] for record in found}) > 1  # red and green, and a juice of it
    for record in RECORDS:
        assert (record in found) == ("apple" in record_words(record))
    assert not described("", "apple", "man")


def test_a_word_that_no_picture_has_describes_none() -> None:
    assert described("", "locomotive") == []
    assert described("1f34e", "locomotive") == []


def test_matches_are_in_the_order_of_the_rows() -> None:
    rows = EVERY[::-3]
    captions = [Caption("", r["concept"], frozenset()) for r in RECORDS[:40]]
    assert np.array_equal(
        MATCHER.matches(captions, rows), MATCHER.matches(captions, EVERY)[:, rows]
    )


def test_a_caption_describes_its_own_picture() -> None:
    for row, record in enumerate(RECORDS):
        captions = drawn(record, 20)
        assert MATCHER.matches(captions, np.array([row])).all(), record["name"]


def test_the_same_generator_gives_the_same_captions() -> None:
    assert drawn(RECORDS[0], 50) == drawn(RECORDS[0], 50)


def test_captions_combine_name_keywords_article_and_style() -> None:
    record = next(r for r in RECORDS if r["name"] == "red apple" and r["family"] == "noto")
    captions = drawn(record, 1000)
    texts = {one.text for one in captions}
    assert "red apple" in texts
    assert "a red apple" in texts
    assert any(text.startswith("a picture of") for text in texts)
    assert any(text.startswith(("red apple, ", "a red apple, ")) for text in texts)
    keywords = [one for one in captions if one.concept == ""]
    assert np.mean([one.concept == "" for one in captions]) == pytest.approx(0.22, abs=0.04)
    assert all(one.words for one in keywords)
    styled = [one for one in captions if "noto" in one.text]
    assert np.mean(["noto" in one.text for one in captions]) == pytest.approx(0.3, abs=0.05)
    assert all("noto" in one.words for one in styled)
    assert not any("noto" in one.words for one in captions if one not in styled)


def test_the_style_probability_decides_how_many_captions_name_the_style() -> None:
    record = next(r for r in RECORDS if r["name"] == "red apple" and r["family"] == "blob")
    for probability, count in ((0.0, 0), (1.0, 100)):
        captions = drawn(record, 100, style_probability=probability)
        assert sum("blob" in one.text for one in captions) == count


def test_three_of_four_captions_name_and_require_the_skin_tone() -> None:
    record = next(r for r in RECORDS if r["name"] == "man cook" and r["tone"] == TONES[5])
    captions = drawn(record)
    named = ["dark skin tone" in one.text for one in captions]
    assert np.mean(named) == pytest.approx(0.75, abs=0.08)
    for one in captions:
        if "dark skin tone" in one.text:
            assert {"dark", "skin", "tone"} <= one.words


def test_a_record_without_keywords_or_color_gives_its_name() -> None:
    record = {**RECORDS[0], "keywords": [], "colour": "", "tone": ""}
    for one in drawn(record, 100, style_probability=0.0):
        assert record["name"] in one.text


def test_a_style_is_added_in_four_ways() -> None:
    ways = {add_style("red apple", "flat", Generator(Philox(key=[0, k]))) for k in range(50)}
    assert ways == {
        "red apple in flat style", "red apple, flat style", "red apple flat", "flat red apple",
    }  # fmt: skip


def test_content_words_leave_out_stop_words() -> None:
    assert content_words("A picture of the Man's hat, in noto style") == ["man's", "hat", "noto"]
    assert content_words("") == []
    record = {
        "name": "man cook", "keywords": ["chef", "kitchen"], "family": "noto",
        "tone": "dark skin tone", "colour": "white",
    }  # fmt: skip
    assert record_words(record) == {
        "man", "cook", "chef", "kitchen", "noto", "dark", "skin", "tone", "white",
    }  # fmt: skip
