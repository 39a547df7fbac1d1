"""Generated captions, and a matcher that tells which pictures each caption describes.

A caption describes a picture if everything that it states is true of the picture. A caption without
a style describes its concept in every style, a caption with a style in that style only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from undiffuse.data.composites import remove_colors, with_article

_WORD = re.compile(r"[a-z0-9']+")
# Words that say nothing about the picture.
STOP_WORDS = frozenset(
    {"a", "an", "the", "of", "with", "and", "in", "on", "at", "to", "for", "or"}
    | {"picture", "emoji", "image", "drawing", "style"}
)
STYLE_TEMPLATES = ("{} in {} style", "{}, {} style", "{} {}", "{1} {0}")


@dataclass(frozen=True)
class Caption:
    """A text, and what it states: a concept ("" for any), and words that must be true."""

    text: str
    concept: str
    words: frozenset[str]


def content_words(text: str) -> list[str]:
    """The words of a text in lower case, without stop words."""
    return [word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]


def record_words(record: dict) -> frozenset[str]:
    """Every word that is true of the picture: name, keywords, style, skin tone and color."""
    parts = (record[field] for field in ("name", "family", "tone", "colour"))
    return frozenset(word for part in (*parts, *record["keywords"]) for word in content_words(part))


def add_style(text: str, style: str, rng: Generator) -> str:
    """The caption with the style added by a random template."""
    return STYLE_TEMPLATES[int(rng.integers(len(STYLE_TEMPLATES)))].format(text, style)


def random_caption(record: dict, rng: Generator, style_probability: float = 0.3) -> Caption:
    """A random caption from the record's name, keywords, color, skin tone and style.

    A record with "captions" has one of these instead, with or without the style.
    """
    if "captions" in record:
        text = record["captions"][int(rng.integers(len(record["captions"])))]
        if record["family"] and rng.random() < style_probability:
            styled = f"{text} in {record['family']} style"
            return Caption(styled, record["concept"], frozenset(content_words(record["family"])))
        return Caption(text, record["concept"], frozenset())
    kind = rng.random()
    concept: str = record["concept"]
    required: list[str] = []
    if kind < 0.22 and record["keywords"]:
        chosen = _choose(record["keywords"], 1 + int(rng.integers(3)), rng)
        text, concept = " ".join(chosen), ""
        required += content_words(text)
    elif kind < 0.42 and record["keywords"]:
        chosen = _choose(record["keywords"], 1 + int(rng.integers(4)), rng)
        text = ", ".join([record["name"], *chosen])
    elif kind < 0.52 and record["colour"] and not record.get("composite"):
        text = f"{record['colour']} {remove_colors(record['name'])}"
        required.append(record["colour"])
    else:
        text = record["name"]
    if record["tone"] and rng.random() < 0.75:
        joint = ", " if rng.random() < 0.5 else " with "
        text = f"{text}{joint}{record['tone']}"
        required += content_words(record["tone"])
    if rng.random() < style_probability:
        text = add_style(text, record["family"], rng)
        required += content_words(record["family"])
    roll = rng.random()
    if roll < 0.15:
        text = with_article(text)
    elif roll < 0.22:
        text = f"{('a picture of', 'an emoji of', 'a drawing of')[int(rng.integers(3))]} {text}"
    return Caption(text, concept, frozenset(required))


def _choose(items: Sequence[str], count: int, rng: Generator) -> list[str]:
    return [items[i] for i in rng.permutation(len(items))[:count]]


@dataclass(frozen=True)
class Shown:
    """What a picture shows: a concept, and every word that is true of it."""

    concept: str
    words: frozenset[str]


def describes(captions: Sequence[Caption], shown: Sequence[Shown]) -> NDArray[np.bool_]:
    """`(captions, pictures)`: whether the caption describes the picture that shows this.

    A caption with a word that is true of no picture describes none.
    """
    numbers = {one.concept: number for number, one in enumerate(shown)}
    pictured = np.array([numbers[one.concept] for one in shown], np.int64)
    stated = np.array([numbers.get(one.concept, -1) for one in captions], np.int64)
    out = stated[:, None] == pictured[None, :]
    for row, caption in zip(out, captions, strict=True):
        if not caption.concept:
            row[:] = True
        if caption.words:
            for column in np.flatnonzero(row).tolist():
                row[column] = caption.words <= shown[column].words
    return out


class CaptionMatcher:
    """Tells which captions describe which pictures of a data set."""

    def __init__(self, records: Sequence[dict]) -> None:
        self.shown = [Shown(record["concept"], record_words(record)) for record in records]

    def matches(self, captions: Sequence[Caption], rows: np.ndarray) -> NDArray[np.bool_]:
        """`(captions, rows)`: whether the caption describes the picture of that row."""
        return describes(captions, [self.shown[int(row)] for row in rows])
