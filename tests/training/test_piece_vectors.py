"""First values of token embeddings: the teacher's angles, for words and for parts of words."""

import numpy as np
import pytest

from undiffuse.clip.tokenizer import END, START, Tokenizer
from undiffuse.data.teacher_table import TeacherTable
from undiffuse.training.bpe import train_bpe
from undiffuse.training.piece_vectors import initial_piece_vectors

WORDS = ["cat", "kitten", "car", "truck", "butter", "butterfly", "buttermilk"]


def table(rng: np.random.Generator) -> TeacherTable:
    """Random vectors, but a kitten is nearly a cat, and a truck nearly a car."""
    vectors = rng.normal(size=(len(WORDS), 24))
    vectors[1] = vectors[0] + 0.2 * vectors[1]
    vectors[3] = vectors[2] + 0.2 * vectors[3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds, none = ["word"] * len(WORDS), np.full(len(WORDS), -1, np.int32)
    return TeacherTable(WORDS, vectors.astype(np.float16), kinds, ["en"] * len(WORDS), none, {})


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe([*WORDS[:5]] * 20 + ["fly", "milk"] * 20, 700, 16)


def row(tokenizer: Tokenizer, vectors: np.ndarray, word: str) -> np.ndarray:
    (number,) = tokenizer.encode(word)
    return vectors[number]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_pieces_that_are_words_keep_the_teachers_angles(tokenizer: Tokenizer) -> None:
    vectors = initial_piece_vectors(tokenizer, table(np.random.default_rng(0)), 8)
    assert vectors.shape == (len(tokenizer.vocabulary), 8)
    assert vectors.dtype == np.float32
    cat, kitten, car, truck = (row(tokenizer, vectors, word) for word in WORDS[:4])
    assert cosine(cat, kitten) > 0.9
    assert cosine(car, truck) > 0.9
    assert cosine(cat, car) < 0.5


def test_all_components_together_are_a_rotation_of_the_centered_vectors(
    tokenizer: Tokenizer,
) -> None:
    teacher = table(np.random.default_rng(1))
    vectors = initial_piece_vectors(tokenizer, teacher, 24)
    used = vectors[np.any(vectors != 0, axis=1)]
    assert np.allclose(used.mean(0), 0, atol=1e-6)
    full = initial_piece_vectors(tokenizer, teacher, 48)
    assert np.allclose(full[:, :24], vectors, atol=1e-6)
    assert not full[:, 24:].any()
    given = teacher.vectors.astype(np.float32)
    ratio = np.linalg.norm(given[0] - given[2]) / np.linalg.norm(given[1] - given[3])
    cat, kitten, car, truck = (row(tokenizer, vectors, word) for word in WORDS[:4])
    assert np.linalg.norm(cat - car) / np.linalg.norm(kitten - truck) == pytest.approx(ratio, 1e-2)


def test_a_part_of_words_is_between_them_and_unused_tokens_are_zero(tokenizer: Tokenizer) -> None:
    vectors = initial_piece_vectors(tokenizer, table(np.random.default_rng(0)), 8)
    butter, *_, fly = tokenizer.encode("butterfly")
    assert cosine(vectors[fly], vectors[butter]) < 0.99
    assert vectors[fly].any()
    for special in (START, END):
        assert not vectors[tokenizer.vocabulary[special]].any()
