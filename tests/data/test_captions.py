"""Captions, and which pictures each is true of."""

import numpy as np
import pytest
from numpy.random import Generator, Philox

from tests.sample import pictures
from undiffuse.data.captions import Caption, FactTable, caption, facts, style, words_of
from undiffuse.data.emoji_names import TONES
from undiffuse.data.emoji_sets import TRAINED

RECORDS = pictures().records
TABLE = FactTable(RECORDS)
EVERY = np.arange(len(RECORDS))


def fitting(concept: str, *words: str) -> list[dict]:
    """The records that a caption fits."""
    fits = TABLE.fits([Caption("", concept, frozenset(words))], EVERY)[0]
    return [RECORDS[row] for row in EVERY[fits]]


def drawn(record: dict, count: int = 400, **how: float) -> list[Caption]:
    return [caption(record, Generator(Philox(key=[7, k])), **how) for k in range(count)]


def test_no_family_fits_the_concept_in_every_family() -> None:
    found = fitting("1f34e")
    assert {record["name"] for record in found} == {"red apple"}
    assert sorted(record["family"] for record in found) == sorted(TRAINED)


@pytest.mark.parametrize("family", TRAINED)
def test_one_family_fits_that_alone(family: str) -> None:
    assert [(r["name"], r["family"]) for r in fitting("1f34e", family)] == [("red apple", family)]


def test_a_tone_fits_that_alone() -> None:
    assert {record["tone"] for record in fitting("1f468")} == {
        "", "light skin tone", "dark skin tone",
    }  # fmt: skip
    assert {record["tone"] for record in fitting("1f468", "dark", "skin", "tone")} == {
        "dark skin tone"
    }


def test_keywords_fit_by_inclusion() -> None:
    found = fitting("", "apple")
    assert len({record["name"] for record in found}) > 1  # red and green, and a juice of it
    for record in RECORDS:
        assert (record in found) == ("apple" in facts(record))
    assert not fitting("", "apple", "man")


def test_a_word_that_no_picture_has_fits_none() -> None:
    assert fitting("", "locomotive") == []
    assert fitting("1f34e", "locomotive") == []


def test_pictures_are_rows() -> None:
    rows = EVERY[::-3]
    captions = [Caption("", r["concept"], frozenset()) for r in RECORDS[:40]]
    assert np.array_equal(TABLE.fits(captions, rows), TABLE.fits(captions, EVERY)[:, rows])


def test_a_caption_fits_its_own_picture() -> None:
    for row, record in enumerate(RECORDS):
        captions = drawn(record, 20)
        assert TABLE.fits(captions, np.array([row])).all(), record["name"]


def test_same_generator_same_caption() -> None:
    assert drawn(RECORDS[0], 50) == drawn(RECORDS[0], 50)


def test_what_captions_say() -> None:
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


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 100)])
def test_share_of_captions_that_name_the_family(share: float, count: int) -> None:
    record = next(r for r in RECORDS if r["name"] == "red apple" and r["family"] == "blob")
    assert sum("blob" in one.text for one in drawn(record, 100, styled_share=share)) == count


def test_tones_are_said_and_asked_for() -> None:
    record = next(r for r in RECORDS if r["name"] == "man cook" and r["tone"] == TONES[5])
    captions = drawn(record)
    said = ["dark skin tone" in one.text for one in captions]
    assert np.mean(said) == pytest.approx(0.75, abs=0.08)
    for one in captions:
        if "dark skin tone" in one.text:
            assert {"dark", "skin", "tone"} <= one.words


def test_flag_without_keywords_or_colour() -> None:
    record = {**RECORDS[0], "keywords": [], "colour": "", "tone": ""}
    for one in drawn(record, 100, styled_share=0.0):
        assert record["name"] in one.text


def test_ways_to_name_a_style() -> None:
    ways = {style("red apple", "flat", Generator(Philox(key=[0, k]))) for k in range(50)}
    assert ways == {
        "red apple in flat style", "red apple, flat style", "red apple flat", "flat red apple",
    }  # fmt: skip


def test_words() -> None:
    assert words_of("A picture of the Man's hat, in noto style") == ["man's", "hat", "noto"]
    assert words_of("") == []
    record = {
        "name": "man cook", "keywords": ["chef", "kitchen"], "family": "noto",
        "tone": "dark skin tone", "colour": "white",
    }  # fmt: skip
    assert facts(record) == {
        "man", "cook", "chef", "kitchen", "noto", "dark", "skin", "tone", "white",
    }  # fmt: skip
