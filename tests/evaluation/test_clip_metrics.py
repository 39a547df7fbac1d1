from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.fakes import ConstantEncoder, KnowingEncoder, random_direction, sample, unit
from undiffuse.errors import UserError
from undiffuse.evaluation.clip_metrics import evaluate_retrieval, evaluate_synonyms, read_synonyms
from undiffuse.evaluation.image_differences import (
    accessory_pairs,
    caption_words,
    difference_metrics,
    emoji_pairs,
    rank_words,
    read_differences,
    read_name_pairs,
)
from undiffuse.evaluation.protocols import Vectors


def test_held_out_pictures_retrieve_their_names() -> None:
    figures = {f.name: f for f in evaluate_retrieval(sample(), KnowingEncoder(sample()))}
    pairs = figures["name retrieval, held-out (concept, style) pairs: top-5 accuracy"]
    assert (pairs.value, pairs.count, pairs.at_least) == (1.0, 16, 0.75)
    assert figures["name retrieval, held-out concepts: top-1 accuracy"].value == 1.0
    for figure in evaluate_retrieval(sample(), ConstantEncoder()):
        assert figure.value == 0.0


class Thesaurus(KnowingEncoder):
    def encode_text(self, texts: Sequence[str]) -> Vectors:
        means = {"sabre": "dagger", "feline creature": "cat", "rooster": "books"}
        return super().encode_text([means.get(text, text) for text in texts])


def test_synonyms_retrieve_names_by_text_and_by_pictures() -> None:
    asked = {
        "sabre": ["dagger"],
        "feline creature": ["cat"],
        "rooster": ["chicken"],
        "no name of the set": ["zeppelin"],
    }
    figures = {f.name: f for f in evaluate_synonyms(sample(), Thesaurus(sample()), asked)}
    whole = figures["synonyms: top-5 accuracy"]
    assert (whole.count, whole.at_least) == (3, 0.5)
    assert whole.value == pytest.approx(2 / 3, abs=1e-6)
    assert figures["synonyms, single words: top-5 accuracy"].value == 0.5
    assert figures["synonyms, several words: top-5 accuracy"].value == 1.0
    assert figures["synonyms, by pictures: top-5 accuracy"].value == pytest.approx(2 / 3)


def test_a_bad_file_of_synonyms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_synonyms(tmp_path / "none.json")
    for text in ("nothing", "[1]", '{"a": 3}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match="no list of synonyms"):
            read_synonyms(tmp_path / "bad.json")


def test_the_table_of_differences_has_two_names_and_words() -> None:
    table = read_name_pairs()
    assert len(table) > 90
    assert len({row[:2] for row in table}) == len(table)
    for without, with_, words in table:
        assert without != with_
        assert words


def test_accessories_are_put_on_held_out_heads() -> None:
    pairs = list(accessory_pairs(sample()))
    assert pairs
    for pair in pairs:
        assert pair.without.shape == pair.with_.shape == (3, 64, 64)
        assert (pair.without != pair.with_).any()
    assert {word for pair in pairs for word in pair.words} <= set(caption_words(sample())) | {"hat"}
    assert emoji_pairs(sample()) == []  # the test data has no held-out picture of the table


def test_rank_words_finds_the_added_direction() -> None:
    rng = np.random.default_rng(0)
    words = unit(rng.standard_normal((200, 512)))
    plain = unit(rng.standard_normal((50, 512)))
    right = [[int(i)] for i in rng.integers(200, size=50)]
    with_ = unit(plain + 0.5 * words[[i[0] for i in right]])
    for (best, rank, margin, cosines), answer in zip(
        rank_words(plain, with_, words, right), right, strict=True
    ):
        assert [best, rank] == [*answer, 1]
        assert margin == pytest.approx(np.sort(cosines)[-1] - np.sort(cosines)[-2])
    for _, rank, margin, cosines in rank_words(with_, plain, words, right):
        assert rank == 200
        assert margin == pytest.approx(cosines.min() - cosines.max())
    noise = unit(rng.standard_normal((50, 512)))
    assert np.median([rank for _, rank, *_ in rank_words(plain, noise, words, right)]) > 50


def test_the_nearest_of_several_right_words_counts() -> None:
    words = np.eye(4, dtype=np.float32)
    with_ = np.array([[0.0, 0.8, 0.5, 0.3]], np.float32)
    ((best, rank, margin, _),) = rank_words(np.zeros((1, 4), np.float32), with_, words, [[2, 3]])
    assert (best, rank) == (2, 2)
    assert margin == pytest.approx(-0.3 / np.linalg.norm(with_))


class AccessoryEncoder(KnowingEncoder):
    """Recognizes every accessory."""

    def __init__(self) -> None:
        super().__init__(sample())
        for pair in accessory_pairs(sample()):
            word = sorted(pair.words)[-1]
            self.known[pair.with_.tobytes()] = self.encode_image(pair.without[None])[
                0
            ] + random_direction(word)


def test_differences_are_reported_in_all_and_in_parts() -> None:
    words = caption_words(sample())
    readouts = read_differences(sample(), AccessoryEncoder(), words)
    for readout in readouts:
        assert readout.accessory
        assert (readout.rank, readout.nearest_words[0]) == (1, readout.right_word)
        assert readout.margin > 0.5
        assert readout.picture.startswith(f"{readout.minus} wearing")
    figures = {f.name: f for f in difference_metrics(readouts, len(words))}
    whole = figures["picture differences: top-5 accuracy"]
    assert (whole.value, whole.at_least) == (1.0, 0.5)
    assert figures["picture differences, accessories: top-5 accuracy"].count == whole.count
    assert figures["picture differences: cosine with the right word"].value > 0.9
    assert not list(difference_metrics([], 0))
