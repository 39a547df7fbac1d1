"""The film's experiment: a picture with a hat minus the same without one, read out in words.

100 pairs, fixed by hashes. 60 are emoji beside emoji (`image_differences.txt`): the one that shows
more is a held-out cell where there is one, and its plain partner is of the same family; else both
are of the evaluation family, which nothing was trained on. 40 are heads that were never trained on,
and the same heads with something put on by program.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.captions import facts, words_of
from undiffuse.data.composites import WORN, wear, wearing
from undiffuse.data.picture_set import on_white
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.dataset import Material, is_plain, was_trained
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_pictures, encode_texts
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Figure, mean_figure

NATURAL, WORN_EACH = 60, (3, 2)  # pairs per thing worn: on trained families, on the other


@dataclass(frozen=True)
class Difference:
    """Two pictures `(3, 64, 64)`, and the words that name what the second shows besides.

    `unseen`: whether neither picture nor anything else of their family was trained on.
    """

    shown: tuple[str, str]  # what the two are called
    family: str
    without: Pictures
    with_: Pictures
    words: frozenset[str]
    worn: bool
    unseen: bool


@dataclass(frozen=True)
class Reading:
    """What a difference of pictures says: the nearest right word, its cosine, its place among all
    words (1 is the first), how far it lies before or behind the best wrong one, and the first five.
    """

    with_: str
    without: str
    family: str
    worn: bool
    unseen: bool
    word: str
    cosine: float
    rank: int
    margin: float
    first: tuple[str, ...]


def caption_words(material: Material) -> list[str]:
    """Every word of the training captions."""
    trained = (record for record in material.pictures.records if was_trained(record))
    return sorted(frozenset().union(*map(facts, trained)))


def read_table() -> list[tuple[str, str, frozenset[str]]]:
    """(name without, name with, right words): the rows of image_differences.txt."""
    text = (files("undiffuse.evaluation") / "image_differences.txt").read_text()
    rows = [line.split("|") for line in text.splitlines() if line and not line.startswith("#")]
    return [(a.strip(), b.strip(), frozenset(words.split())) for a, b, words in rows]


def natural_differences(material: Material, count: int = NATURAL) -> list[Difference]:
    """Pairs of emoji from the table, the first `count` by hash that the data set has."""
    rows: dict[tuple[str, str], int] = {}
    for row, record in enumerate(material.pictures.records):
        if is_plain(record):
            rows[record["name"], record["family"]] = row
    pairs = []
    for without, with_, words in read_table():
        options = []
        for (name, family), row in rows.items():
            record = material.pictures.records[row]
            if name == with_ and not was_trained(record) and (without, family) in rows:
                unseen = record["split"] == "evaluation"
                options.append((unseen, unit_hash("difference", with_, family), row, family))
        if options:
            unseen, _, row, family = min(options)
            pictures = material.pictures.pictures
            one = pictures[rows[without, family]], pictures[row]
            pairs.append((unit_hash("difference", without, with_), Difference(
                (without, with_), family, *one, words, worn=False, unseen=unseen
            )))  # fmt: skip
    return [pair for _, pair in sorted(pairs, key=lambda entry: entry[0])[:count]]


def worn_differences(material: Material) -> Iterator[Difference]:
    """Heads that were never trained on, without and with each thing that can be worn."""
    layers = material.layers.values()
    heads = [sample for sample in layers if sample.record["concept"] not in WORN]
    for code, (word, width, foot) in WORN.items():
        words = frozenset(words_of(word))
        things = {s.record["family"]: s for s in layers if s.record["concept"] == code}
        for unseen, count in zip((False, True), WORN_EACH, strict=True):
            fitting = [
                head for head in heads
                if head.record["family"] in things
                and (head.record["split"] == "evaluation") == unseen
                and words.isdisjoint(words_of(head.record["name"]))
            ]  # fmt: skip
            fitting.sort(key=lambda head: unit_hash("worn", word, head.key))
            for head in fitting[:count]:
                thing = things[head.record["family"]]
                dressed = wear(head.picture, thing.picture, width, foot)
                shown = head.record["name"], wearing(head.record["name"], word)
                yield Difference(shown, head.record["family"], _on_white(head.picture),
                                 _on_white(dressed), words, worn=True, unseen=unseen)  # fmt: skip


def _on_white(rgba: NDArray[np.uint8]) -> Pictures:
    return np.ascontiguousarray(on_white(rgba).transpose(2, 0, 1))


def read_out(
    without: Vectors, with_: Vectors, words: Vectors, right: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, float, NDArray[np.float32]]]:
    """For each difference of vectors: the nearest right word, its rank from 1, its margin over the
    best wrong one, and the cosines with all words `(words, 512)`, which are of unit length.
    """
    moved = with_ - without
    moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    for cosines, place, answers in zip(
        moved @ words.T, ranks(moved, words, right), right, strict=True
    ):
        best = max(answers, key=lambda word: float(cosines[word]))
        margin = float(cosines[best] - np.delete(cosines, list(answers)).max(initial=-1.0))
        yield best, int(place) + 1, margin, cosines


def read_differences(
    material: Material, encoder: Encoder, words: Sequence[str], first: int = 5
) -> list[Reading]:
    """Every pair whose right words are among `words`, read out in them."""
    position = {word: i for i, word in enumerate(words)}
    pairs = [*natural_differences(material), *worn_differences(material)]
    pairs = [pair for pair in pairs if pair.words & position.keys()]
    if not pairs:
        return []
    without = encode_pictures(encoder, np.stack([pair.without for pair in pairs]))
    with_ = encode_pictures(encoder, np.stack([pair.with_ for pair in pairs]))
    right = [sorted(position[word] for word in pair.words & position.keys()) for pair in pairs]
    read = read_out(without, with_, encode_texts(encoder, words), right)
    return [
        Reading(
            *pair.shown[::-1], pair.family, pair.worn, pair.unseen, words[best],
            float(cosines[best]), rank, margin,
            tuple(words[i] for i in np.argsort(-cosines, kind="stable")[:first]),
        )
        for pair, (best, rank, margin, cosines) in zip(pairs, read, strict=True)
    ]  # fmt: skip


def difference_figures(readings: Sequence[Reading], words: int, seed: int = 0) -> Iterator[Figure]:
    """How often the right word is among the first 5 of all caption words, whole and in parts."""
    if not readings:
        return
    title = "picture differences in words@5"
    hits = np.array([reading.rank <= 5 for reading in readings])
    yield mean_figure(title, hits, seed, at_least=0.5, note=f"among {words} caption words")
    parts = {
        "emoji beside emoji": np.array([not reading.worn for reading in readings]),
        "worn, by program": np.array([reading.worn for reading in readings]),
        "family never trained on": np.array([reading.unseen for reading in readings]),
    }
    for part, chosen in parts.items():
        if chosen.any():
            yield mean_figure(f"{title}, {part}", hits[chosen], seed)
    cosines = [reading.cosine for reading in readings]
    yield mean_figure("picture differences, right word", cosines, seed, unit="cosine")
