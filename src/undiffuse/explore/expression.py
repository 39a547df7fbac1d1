"""Arithmetic with pictures and words: "man + 0.8 hat - beard", "hat.jpg - nohat.jpg"."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
MOST_TERMS = 32
# A sign stands alone, or first: "t-shirt" and "1+1" are words. What is in quotes has no signs.
_SIGN = re.compile(r'("[^"]*"?)|(?:(?<=\s)|^)([+-])(?=\s|$)')
# A weight has a point or a "*": "2 hearts" are two hearts.
_WEIGHT = re.compile(r"(\d*\.\d+|\d+\.\d*)\s*\*?\s+(?=\S)|(\d*\.?\d+)\s*\*\s*(?=\S)")


@dataclass(frozen=True)
class Term:
    """A part of a sum: its weight, and the words, or the path of a picture."""

    weight: float
    text: str
    is_picture: bool = False


def parse(expression: str) -> list[Term]:
    """The terms of an expression, one for a plain text.

    Signs stand between spaces; a weight before a term has a point or a star (`0.8 hat`, `2*hat`);
    what stands in double quotes is taken as it is. A term that ends like a picture's file is one.
    UserError for an empty term or too many of them.
    """
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
    if len(parts) > MOST_TERMS:
        raise UserError(f"{expression[:60]!r}... has {len(parts)} terms: at most {MOST_TERMS}")
    return [_term(sign, part, expression) for sign, part in zip(signs, parts, strict=True)]


def _term(sign: float, part: str, expression: str) -> Term:
    text = part.strip()
    weighed = _WEIGHT.match(text)
    weight = 1.0
    if weighed:
        weight, text = float(weighed[1] or weighed[2]), text[weighed.end() :]
    quoted = '"' in text
    text = " ".join(text.replace('"', "").split())
    if not text and expression.strip():
        raise UserError(f"{expression!r} has an empty term: quote a sign that is meant as one")
    if not math.isfinite(weight):
        raise UserError(f"{expression!r}: the weight of {text!r} is too large")
    picture = not quoted and text.lower().endswith(PICTURES)
    return Term(sign * weight, text, picture)


def is_sum(terms: Sequence[Term]) -> bool:
    """Whether there is anything to add: a plain text is not a sum."""
    return len(terms) > 1 or terms[0].weight != 1.0 or terms[0].is_picture


def combined(
    terms: Sequence[Term], encode: Callable[[Term], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The unit vector `(512,)` of the weighted sum of the terms' unit vectors.

    UserError where nothing is left: a thing minus itself points nowhere.
    """
    total = np.sum([np.float32(term.weight) * encode(term) for term in terms], axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-3:
        said = " ".join(f"{term.weight:+g} {term.text}" for term in terms)
        raise UserError(f"nothing is left of {said}: there is no direction to go")
    unit: NDArray[np.float32] = (total / np.float32(length)).astype(np.float32)
    return unit
