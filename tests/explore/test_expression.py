"""Sums of words and images are parsed, and evaluated as unit vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, is_sum, parse_expression, weighted_sum

WORDS = st.text("abcdefgh'é", min_size=1, max_size=8).filter(str.strip)
PHRASES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


TERMS = {
    "a red apple": [Term(1, "a red apple")],
    "man + 0.8 hat - beard": [Term(1, "man"), Term(0.8, "hat"), Term(-1, "beard")],
    "man wearing turban - man": [Term(1, "man wearing turban"), Term(-1, "man")],
    "- man + woman king": [Term(-1, "man"), Term(1, "woman king")],
    "t-shirt - x-ray": [Term(1, "t-shirt"), Term(-1, "x-ray")],
    "2 hearts": [Term(1, "2 hearts")],
    "2*hearts + .5 * cat": [Term(2, "hearts"), Term(0.5, "cat")],
    "1.5 cat": [Term(1.5, "cat")],
    "hat.jpg - dir/no hat.PNG": [Term(1, "hat.jpg", True), Term(-1, "dir/no hat.PNG", True)],
    '"a - b" + c': [Term(1, "a - b"), Term(1, "c")],
    '"hat.jpg"': [Term(1, "hat.jpg")],
    "": [Term(1, "")],
    "1+1": [Term(1, "1+1")],
}


def test_an_expression_is_parsed_into_signs_weights_texts_and_images() -> None:
    for expression, terms in TERMS.items():
        assert parse_expression(expression) == terms
        plain = len(terms) == 1 and terms[0] == Term(1, terms[0].text)
        assert is_sum(terms) != plain


def test_an_expression_without_an_answer_is_refused() -> None:
    for expression, message in (
        *((empty, "has an empty term") for empty in ("man + ", "man + - hat", "+", '""', '0.5 ""')),
        ('an unclosed "quote - here', "has an unclosed quote"),
        ("9" * 39 + ".0 cat", "weight of 'cat' is above 1,000,000"),
        ("9" * 400 + " * cat", "weight of 'cat' is above 1,000,000"),
        ("cat " * 300, "has 1200 characters: at most 1000"),
        (" + ".join("x" * 33), "33 terms: at most 32"),
    ):
        with pytest.raises(UserError, match=message):
            parse_expression(expression)


def test_the_largest_weights_give_a_unit_vector() -> None:
    expression = " + ".join(["1000000*cat"] * 32)
    vector = weighted_sum(parse_expression(expression), lambda term: np.full(4, 0.5, np.float32))
    assert vector == pytest.approx([0.5] * 4)


@given(st.lists(st.tuples(st.floats(0.01, 99), st.booleans(), PHRASES), min_size=1, max_size=6))
def test_what_is_written_is_read(rows: list[tuple[float, bool, str]]) -> None:
    written = " ".join(
        f"{'-' if minus else '+'} {weight:.4f}*{text}" for weight, minus, text in rows
    )
    wanted = [Term((-1 if m else 1) * float(f"{w:.4f}"), t) for w, m, t in rows]
    assert parse_expression(written) == wanted


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        terms = parse_expression(text)
    except UserError:
        return
    assert all(term.text == " ".join(term.text.split()) for term in terms)


def test_sums_are_unit_vectors_and_weights_weigh() -> None:
    axes = dict(zip("abc", np.eye(3, 512, dtype=np.float32), strict=True))
    said = weighted_sum(parse_expression("3*a - 4*b"), lambda term: axes[term.text])
    assert said[:3] == pytest.approx([0.6, -0.8, 0])
    with pytest.raises(UserError, match=r"the sum of \+1 a -1 a is zero and has no direction"):
        weighted_sum(parse_expression("a - a"), lambda term: axes[term.text])
