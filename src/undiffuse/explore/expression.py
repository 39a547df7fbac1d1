"""Sums of words and images: "man + 0.8 hat - beard", "hat.jpg - nohat.jpg"."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
MAX_LENGTH = 1000  # characters; CLIP reads some twenty words
MAX_TERMS = 32
MAX_WEIGHT = 1e6  # sums stay finite in float32
# A sign has spaces around it, or comes first: "t-shirt" and "1+1" are words. Quoted text has none.
_SIGN = re.compile(r'("[^"]*")|(?:(?<=\s)|^)([+-])(?=\s|$)')
# A weight has a point or a "*": "2 hearts" are two hearts.
_WEIGHT = re.compile(r"(\d*\.\d+|\d+\.\d*)\s*\*?\s+(?=\S)|(\d*\.?\d+)\s*\*\s*(?=\S)")


@dataclass(frozen=True)
class Term:
    """One term of a sum: its weight, and a text or the path of an image."""

    weight: float
    text: str
    is_picture: bool = False


def parse_expression(expression: str) -> list[Term]:
    """The terms of a sum; one for a plain text.

    Signs have spaces around them: `man + hat - beard`. A weight before a term has a point or a
    star: `0.8 hat`, `2*hat`. Text in double quotes is taken literally. A term that ends in one of
    `IMAGE_SUFFIXES` is an image. UserError for an empty term, an unclosed quote, and an
    expression or a weight that is too large.
    """
    if len(expression) > MAX_LENGTH:
        size = len(expression)
        raise UserError(f"{expression[:60]!r}... has {size} characters: at most {MAX_LENGTH}")
    if expression.count('"') % 2:
        raise UserError(f"{expression!r} has an unclosed quote: close it, or leave it out")
    parts, signs, start = [], [], 0
    for match in _SIGN.finditer(expression):
        if match[2]:
            parts.append(expression[start : match.start()])
            signs.append(-1.0 if match[2] == "-" else 1.0)
            start = match.end()
    parts.append(expression[start:])
    if signs and not parts[0].strip():  # a sign before the first term
        parts.pop(0)
    else:
        signs.insert(0, 1.0)
    if len(parts) > MAX_TERMS:
        raise UserError(f"{expression[:60]!r}... has {len(parts)} terms: at most {MAX_TERMS}")
    return [_term(sign, part, expression) for sign, part in zip(signs, parts, strict=True)]


def _term(sign: float, part: str, expression: str) -> Term:
    text, weight = part.strip(), 1.0
    if match := _WEIGHT.match(text):
        weight, text = float(match[1] or match[2]), text[match.end() :]
    quoted = '"' in text
    text = " ".join(text.replace('"', "").split())
    if not text and expression.strip():
        raise UserError(f"{expression!r} has an empty term: put a literal sign in quotes")
    if weight > MAX_WEIGHT:
        raise UserError(f"the weight of {text!r} is above {MAX_WEIGHT:,.0f}: give a smaller one")
    return Term(sign * weight, text, not quoted and text.lower().endswith(IMAGE_SUFFIXES))


def is_sum(terms: Sequence[Term]) -> bool:
    """False for a single text of weight 1."""
    return len(terms) > 1 or terms[0].weight != 1.0 or terms[0].is_picture


def weighted_sum(
    terms: Sequence[Term], encode: Callable[[Term], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The unit vector (D,) of the weighted sum of the terms' unit vectors.

    UserError if the sum is zero, which has no direction.
    """
    total = np.sum([np.float32(term.weight) * encode(term) for term in terms], axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-3:
        text = " ".join(f"{term.weight:+g} {term.text}" for term in terms)
        raise UserError(f"the sum of {text} is zero and has no direction: leave a term out")
    unit: NDArray[np.float32] = (total / np.float32(length)).astype(np.float32)
    return unit
