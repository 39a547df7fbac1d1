"""What people say of a picture: captions by program, and which pictures each caption fits.

A caption says some of what is known of its picture. It fits another picture too if everything
that it says is true there: one that names no family fits the concept in every family, one that
names a family only that one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from undiffuse.data.composites import noun, with_article

_WORD = re.compile(r"[a-z0-9']+")
# Words that say nothing of the picture.
STOP = frozenset(
    {"a", "an", "the", "of", "with", "and", "in", "on", "at", "to", "for", "or"}
    | {"picture", "emoji", "image", "drawing", "style"}
)
TRAINED_STYLES = ("{} in {} style", "{}, {} style", "{} {}", "{1} {0}")


@dataclass(frozen=True)
class Caption:
    """A text, and what it asks of a picture: a concept ("" for any) and words to be found in it."""

    text: str
    concept: str
    words: frozenset[str]


def words_of(text: str) -> list[str]:
    """The words of a text that say something."""
    return [word for word in _WORD.findall(text.lower()) if word not in STOP]


def facts(record: dict) -> frozenset[str]:
    """Every word that is true of the picture."""
    parts = (record["name"], *record["keywords"], record["family"], record["tone"])
    return frozenset(word for part in (*parts, record["colour"]) for word in words_of(part))


def style(text: str, family: str, rng: Generator) -> str:
    """The caption with the family named, in one of the ways that people do."""
    return TRAINED_STYLES[int(rng.integers(len(TRAINED_STYLES)))].format(text, family)


def caption(record: dict, rng: Generator, styled_share: float = 0.3) -> Caption:
    """A caption of the picture, drawn by `rng`: its name, keywords, colour, tone, family."""
    kind = rng.random()
    concept: str = record["concept"]
    required: list[str] = []
    if kind < 0.22 and record["keywords"]:
        chosen = _some(record["keywords"], 1 + int(rng.integers(3)), rng)
        text, concept = " ".join(chosen), ""
        required += words_of(text)
    elif kind < 0.42 and record["keywords"]:
        chosen = _some(record["keywords"], 1 + int(rng.integers(4)), rng)
        text = ", ".join([record["name"], *chosen])
    elif kind < 0.52 and record["colour"] and not record.get("composite"):
        text = f"{record['colour']} {noun(record['name'])}"
        required.append(record["colour"])
    else:
        text = record["name"]
    if record["tone"] and rng.random() < 0.75:
        joint = ", " if rng.random() < 0.5 else " with "
        text = f"{text}{joint}{record['tone']}"
        required += words_of(record["tone"])
    if rng.random() < styled_share:
        text = style(text, record["family"], rng)
        required += words_of(record["family"])
    roll = rng.random()
    if roll < 0.15:
        text = with_article(text)
    elif roll < 0.22:
        text = f"{('a picture of', 'an emoji of', 'a drawing of')[int(rng.integers(3))]} {text}"
    return Caption(text, concept, frozenset(required))


def _some(items: Sequence[str], count: int, rng: Generator) -> list[str]:
    order = rng.permutation(len(items))[:count]
    return [items[i] for i in order]


class FactTable:
    """The facts of all pictures as a table of bits, to tell which captions fit which pictures."""

    def __init__(self, records: Sequence[dict]) -> None:
        sets = [facts(record) for record in records]
        self.vocabulary = {word: i for i, word in enumerate(sorted(frozenset().union(*sets)))}
        self.table = np.zeros((len(records), len(self.vocabulary)), np.uint8)
        for row, words in enumerate(sets):
            self.table[row, [self.vocabulary[word] for word in words]] = 1
        names = {concept: i for i, concept in enumerate(sorted({r["concept"] for r in records}))}
        self.concept_ids = names
        self.concepts = np.array([names[record["concept"]] for record in records])

    def fits(self, captions: Sequence[Caption], pictures: np.ndarray) -> np.ndarray:
        """`(captions, pictures)`: true where all that the caption says is true of the picture.

        `pictures`: row numbers. A word that no picture has makes a caption fit none.
        """
        rows = self.table[pictures]
        out = np.ones((len(captions), len(pictures)), bool)
        here = self.concepts[pictures]
        for i, one in enumerate(captions):
            if one.concept:
                out[i] = here == self.concept_ids[one.concept]
            for word in one.words:
                column = self.vocabulary.get(word)
                out[i] &= rows[:, column] > 0 if column is not None else False
        return out
