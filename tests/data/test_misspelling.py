"""Misspelling: one mistake a word, at the stated rate, reproducible and fast."""

import time

from numpy.random import Generator, Philox

from undiffuse.clip.spelling import edit_distance
from undiffuse.data.misspelling import NEIGHBORS, SHARE, misspell, vary


def rng(key: int = 0) -> Generator:
    return Generator(Philox(key=[11, key]))


def test_a_misspelt_word_is_one_or_two_edits_away_and_keeps_its_first_letter() -> None:
    draw = rng()
    for word in ("elephant", "strawberry", "house", "butterfly", "knight", "giraffe"):
        made = {misspell(word, draw) for _ in range(200)}
        assert len(made) > 15
        for other in made:
            assert other[0] == word[0]
            assert edit_distance(word, other) <= 2
    assert "elefant" in {misspell("elephant", draw) for _ in range(200)}


def test_neighbors_are_those_of_a_keyboard() -> None:
    assert set(NEIGHBORS["g"]) == set("fhtyvb")
    assert all(a in NEIGHBORS[b] for a in NEIGHBORS for b in NEIGHBORS[a])


def test_one_text_in_six_is_changed_and_short_words_stay() -> None:
    draw = rng()
    changed = sum(vary("an elephant", draw) != "an elephant" for _ in range(6000))
    assert abs(changed / 6000 - SHARE) < 0.02
    assert {vary("a cat", draw, 1.0) for _ in range(100)} == {"cat", "the cat"}
    assert {"cats", "a cat", "the cat"} == {vary("cat", draw, 1.0) for _ in range(100)}


def test_other_scripts_and_no_text_are_left_readable() -> None:
    draw = rng()
    for text in ("", "🍎", "яблоко", "2"):
        assert all(text in vary(text, draw, 1.0) for _ in range(20))


def test_the_same_generator_gives_the_same_texts_and_a_batch_takes_milliseconds() -> None:
    texts = [f"a red apple left of {k} elephants" for k in range(512)]
    one, draw = rng(), rng()
    first = [vary(text, one) for text in texts]
    started = time.process_time()
    assert [vary(text, draw) for text in texts] == first
    assert time.process_time() - started < 0.03
