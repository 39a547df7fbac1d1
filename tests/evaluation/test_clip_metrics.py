from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.fakes import ConstantEncoder, KnowingEncoder, random_direction, sample, unit
from undiffuse.errors import UserError
from undiffuse.evaluation.clip_metrics import read_synonyms, retrieval_figures, synonym_figures
from undiffuse.evaluation.image_differences import (
    caption_words,
    difference_figures,
    natural_differences,
    read_differences,
    read_out,
    read_table,
    worn_differences,
)
from undiffuse.evaluation.protocols import Vectors


def test_held_out_pictures_find_their_names() -> None:
    figures = {f.name: f for f in retrieval_figures(sample(), KnowingEncoder(sample()))}
    cells = figures["name of a picture@5, held-out cell"]
    assert (cells.value, cells.count, cells.at_least) == (1.0, 16, 0.75)
    assert figures["name of a picture@1, held-out concept"].value == 1.0
    for figure in retrieval_figures(sample(), ConstantEncoder()):
        assert figure.value == 0.0


class Thesaurus(KnowingEncoder):
    def encode_text(self, texts: Sequence[str]) -> Vectors:
        means = {"sabre": "dagger", "feline creature": "cat", "rooster": "books"}
        return super().encode_text([means.get(text, text) for text in texts])


def test_synonyms_are_judged_against_names_and_against_pictures() -> None:
    asked = {
        "sabre": ["dagger"],
        "feline creature": ["cat"],
        "rooster": ["chicken"],
        "no name of the set": ["zeppelin"],
    }
    figures = {f.name: f for f in synonym_figures(sample(), Thesaurus(sample()), asked)}
    whole = figures["synonyms@5"]
    assert (whole.count, whole.at_least) == (3, 0.5)
    assert whole.value == pytest.approx(2 / 3, abs=1e-6)
    assert figures["synonyms@5, single words"].value == 0.5
    assert figures["synonyms@5, several words"].value == 1.0
    assert figures["synonyms@5, by pictures"].value == pytest.approx(2 / 3)


def test_synonyms_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no list of synonyms"):
        read_synonyms(tmp_path / "none.json")
    for text in ("nothing", "[1]", '{"a": 3}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match="no list of synonyms"):
            read_synonyms(tmp_path / "bad.json")


def test_the_table_of_differences_names_two_emoji_and_the_words() -> None:
    table = read_table()
    assert len(table) > 90
    assert len({row[:2] for row in table}) == len(table)
    for without, with_, words in table:
        assert without != with_
        assert words


def test_worn_things_are_put_on_heads_that_were_never_trained() -> None:
    pairs = list(worn_differences(sample()))
    assert pairs
    for pair in pairs:
        assert pair.without.shape == pair.with_.shape == (3, 64, 64)
        assert (pair.without != pair.with_).any()
    assert {word for pair in pairs for word in pair.words} <= set(caption_words(sample())) | {"hat"}
    assert natural_differences(sample()) == []  # the sample holds none of the table's held out


def test_read_out_finds_the_direction_that_was_added() -> None:
    rng = np.random.default_rng(0)
    words = unit(rng.standard_normal((200, 512)))
    plain = unit(rng.standard_normal((50, 512)))
    right = [[int(i)] for i in rng.integers(200, size=50)]
    with_ = unit(plain + 0.5 * words[[i[0] for i in right]])
    for (best, rank, margin, cosines), answer in zip(
        read_out(plain, with_, words, right), right, strict=True
    ):
        assert [best, rank] == [*answer, 1]
        assert margin == pytest.approx(np.sort(cosines)[-1] - np.sort(cosines)[-2])
    for _, rank, margin, cosines in read_out(with_, plain, words, right):
        assert rank == 200
        assert margin == pytest.approx(cosines.min() - cosines.max())
    noise = unit(rng.standard_normal((50, 512)))
    assert np.median([rank for _, rank, *_ in read_out(plain, noise, words, right)]) > 50


def test_the_nearest_of_several_right_words_counts() -> None:
    words = np.eye(4, dtype=np.float32)
    with_ = np.array([[0.0, 0.8, 0.5, 0.3]], np.float32)
    ((best, rank, margin, _),) = read_out(np.zeros((1, 4), np.float32), with_, words, [[2, 3]])
    assert (best, rank) == (2, 2)
    assert margin == pytest.approx(-0.3 / np.linalg.norm(with_))


class DressedEncoder(KnowingEncoder):
    """Sees what was put on, whatever it was put on."""

    def __init__(self) -> None:
        super().__init__(sample())
        for pair in worn_differences(sample()):
            word = sorted(pair.words)[-1]
            self.known[pair.with_.tobytes()] = self.encode_image(pair.without[None])[
                0
            ] + random_direction(word)


def test_differences_are_reported_whole_and_in_parts() -> None:
    words = caption_words(sample())
    readings = read_differences(sample(), DressedEncoder(), words)
    for reading in readings:
        assert reading.worn
        assert (reading.rank, reading.first[0]) == (1, reading.word)
        assert reading.margin > 0.5
        assert reading.with_.startswith(f"{reading.without} wearing")
    figures = {f.name: f for f in difference_figures(readings, len(words))}
    whole = figures["picture differences in words@5"]
    assert (whole.value, whole.at_least) == (1.0, 0.5)
    assert figures["picture differences in words@5, worn, by program"].count == whole.count
    assert figures["picture differences, right word"].value > 0.9
    assert not list(difference_figures([], 0))
