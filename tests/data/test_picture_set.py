"""Data sets in memory: white backgrounds, balanced sampling, pairs of pictures."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator, Philox

from tests.sample import FOLDER, originals, pictures, samples
from undiffuse.data.picture_set import (
    BalancedSampler,
    PictureSet,
    accessory_pairs,
    composite_on_white,
    difference_pairs,
)
from undiffuse.data.shards import Sample, write_shards
from undiffuse.errors import UserError

SET = pictures()
PLAIN = SET.rows(lambda record: not record.get("composite"))


def rng(seed: int = 0) -> Generator:
    return Generator(Philox(key=[seed, 0]))


def test_compositing_on_white_follows_the_formula() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (500, 4)).astype(np.uint8)
    share = rgba[:, 3:] / 255
    expected = rgba[:, :3] * share + 255 * (1 - share)
    assert np.abs(composite_on_white(rgba) - expected).max() <= 0.5 + 1e-9
    assert (composite_on_white(np.zeros((1, 4), np.uint8)) == 255).all()
    assert (composite_on_white(np.array([[1, 2, 3, 255]], np.uint8)) == [1, 2, 3]).all()


def test_a_folder_of_shards_is_read() -> None:
    read = PictureSet.read(FOLDER)
    assert read.pictures.shape == (274, 3, 64, 64)
    assert read.keys == SET.keys
    assert read.digest == SET.digest
    flags = PictureSet.read(FOLDER, lambda record: record["group"] == "flags")
    assert {record["group"] for record in flags.records} == {"flags"}


def test_digest_changes_with_pictures_records_and_order() -> None:
    few = list(samples()[:5])
    base = PictureSet.from_samples(few).digest
    assert PictureSet.from_samples(few).digest == base
    assert PictureSet.from_samples(few[::-1]).digest != base
    spot = few[0].picture.copy()
    spot[32, 32] = 7, 7, 7, 255
    assert (
        PictureSet.from_samples([Sample(few[0].key, spot, few[0].record), *few[1:]]).digest != base
    )
    renamed = Sample(few[0].key, few[0].picture, {**few[0].record, "name": "other"})
    assert PictureSet.from_samples([renamed, *few[1:]]).digest != base


def test_a_subset_keeps_the_given_order() -> None:
    part = SET.subset(np.array([3, 1]))
    assert part.keys == [SET.keys[3], SET.keys[1]]
    assert np.array_equal(part.pictures[1], SET.pictures[1])


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(UserError, match="no picture of the requested kind"):
        PictureSet.read(FOLDER, lambda record: False)


def test_pictures_of_different_sizes_are_refused() -> None:
    one = originals()[0]
    with pytest.raises(UserError, match="differ in size"):
        PictureSet.from_samples([one, Sample("x", one.picture[:32], one.record)])


def test_records_without_a_field_are_named(tmp_path: Path) -> None:
    one = originals()[0]
    write_shards([Sample("odd", one.picture, {"caption": "a"})], tmp_path, prefix="x")
    with pytest.raises(UserError, match="record of odd has no 'keywords'"):
        PictureSet.read(tmp_path)


def test_bad_samples_are_reported_and_skipped(tmp_path: Path) -> None:
    write_shards(originals()[:30], tmp_path, prefix="x")
    path = tmp_path / "x-000000.tar"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x89PNG", b"\x89XXX", 2))
    with pytest.raises(UserError, match="not a readable PNG"):
        PictureSet.read(tmp_path)
    told: list[str] = []
    read = PictureSet.read(tmp_path, on_bad=lambda where, reason: told.append(where))
    assert len(read.records) == 28
    assert len(told) == 2
    path.write_bytes(data.replace(b"\x89PNG", b"\x89XXX", 9))
    with pytest.raises(UserError, match="can be used"):
        PictureSet.read(tmp_path, on_bad=lambda where, reason: None)


def test_concepts_are_sampled_evenly_and_flags_half_as_often() -> None:
    rows = BalancedSampler(SET, PLAIN).draw(40_000, rng())
    count = Counter(SET.records[row]["concept"] for row in rows)
    flags = {r["concept"] for r in SET.records if r["group"] == "flags"}
    weights = {concept: 0.5 if concept in flags else 1.0 for concept in count}
    assert len(count) == 40
    for concept, number in count.items():
        expected = 40_000 * weights[concept] / sum(weights.values())
        assert abs(number - expected) < 5 * expected**0.5, concept


def test_styles_are_sampled_evenly_and_half_without_skin_tone() -> None:
    rows = BalancedSampler(SET, PLAIN).draw(40_000, rng(1))
    men = [SET.records[row] for row in rows if SET.records[row]["name"] == "man"]
    families = Counter(record["family"] for record in men)
    assert len(families) == 6
    assert max(families.values()) < 1.4 * min(families.values())
    assert np.mean([record["tone"] == "" for record in men]) == pytest.approx(0.5, abs=0.06)


def test_each_concept_is_sampled_in_different_styles() -> None:
    rows = BalancedSampler(SET, PLAIN).draw(300, rng(), styles=3)
    assert len(rows) == 300
    for start in range(0, 300, 3):
        part = [SET.records[row] for row in rows[start : start + 3]]
        assert len({record["concept"] for record in part}) == 1
        there = {r["family"] for r in SET.records if r["concept"] == part[0]["concept"]}
        assert len({record["family"] for record in part}) == min(3, len(there))


def test_only_the_given_rows_are_sampled() -> None:
    rows = SET.rows(lambda record: record["family"] == "noto" and not record.get("composite"))
    assert set(BalancedSampler(SET, rows).draw(500, rng())) <= set(rows)


def test_captioned_pictures_are_equally_frequent() -> None:
    """A caption of nine pictures is drawn nine times as often as one of a single picture."""
    texts = ["common"] * 9 + ["rare"]
    records = [{**SET.records[0], "captions": [text], "concept": text} for text in texts]
    made = PictureSet(np.zeros((10, 3, 2, 2), np.uint8), records, list("abcdefghij"))
    rows = BalancedSampler(made, np.arange(10)).draw(20_000, rng())
    shares = np.bincount(rows) / len(rows)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_the_same_generator_gives_the_same_rows() -> None:
    one, other = (BalancedSampler(SET, PLAIN).draw(64, rng(5), styles=2) for _ in range(2))
    assert np.array_equal(one, other)


def test_difference_pairs_add_one_or_two_words() -> None:
    pairs = difference_pairs(SET)
    names = Counter((SET.records[a]["name"], SET.records[b]["name"], w) for a, b, w in pairs)
    assert names["man", "man cook", "cook"] == 15  # five families, three tones
    assert names["cat", "cat face", "face"] == 6
    for without, with_, words in pairs:
        less, more = SET.records[without], SET.records[with_]
        assert (less["family"], less["tone"]) == (more["family"], more["tone"])
        assert not less.get("composite")
        assert not more.get("composite")
        assert set(words.split()) == set(more["name"].split()) - set(less["name"].split())
        assert 1 <= len(words.split()) <= 2


def test_accessory_pairs_are_with_and_without_the_accessory() -> None:
    pairs = accessory_pairs(SET)
    worn = [r for r in SET.records if r.get("composite") == "wearing"]
    assert len(pairs) == len(worn) > 0
    for without, with_, word in pairs:
        assert SET.records[with_]["name"].startswith(SET.records[without]["name"])
        assert SET.records[with_]["worn"] == word
    without_sources = SET.subset(SET.rows(lambda r: bool(r.get("composite"))))
    assert accessory_pairs(without_sources) == []
