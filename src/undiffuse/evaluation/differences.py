"""The film's experiment: a picture with a hat minus the same without one, read out in words.

100 pairs, fixed by hashes. 60 are emoji beside emoji (`differences.txt`): the one that shows more
is a held-out cell where there is one, and its plain partner is of the same family; else both are
of the evaluation family, which nothing was trained on. 40 are heads that were never trained on,
and the same heads with something put on by program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.captions import facts, words_of
from undiffuse.data.composites import WORN, wear
from undiffuse.data.pictures import on_white
from undiffuse.data.shards import Sample
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.material import Material, is_plain, was_trained
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_pictures, encode_texts
from undiffuse.evaluation.retrieval import found
from undiffuse.evaluation.statistics import Figure, mean_figure

NATURAL, WORN_EACH = 60, (3, 2)  # pairs per thing worn: on trained families, on the other


@dataclass(frozen=True)
class Difference:
    """Two pictures `(3, 64, 64)`, and the words that name what the second shows besides.

    `unseen`: whether neither picture nor anything else of their family was trained on.
    """

    without: Pictures
    with_: Pictures
    words: frozenset[str]
    worn: bool
    unseen: bool


def caption_words(material: Material) -> list[str]:
    """Every word of the training captions."""
    trained = (record for record in material.pictures.records if was_trained(record))
    return sorted(frozenset().union(*map(facts, trained)))


def read_table() -> list[tuple[str, str, frozenset[str]]]:
    """(name without, name with, right words): the rows of differences.txt."""
    text = (files("undiffuse.evaluation") / "differences.txt").read_text()
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
                *one, words, worn=False, unseen=unseen
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
                yield Difference(_flat(head), _on_white(dressed), words, worn=True, unseen=unseen)


def _flat(sample: Sample) -> Pictures:
    return _on_white(sample.picture)


def _on_white(rgba: NDArray[np.uint8]) -> Pictures:
    return np.ascontiguousarray(on_white(rgba).transpose(2, 0, 1))


def read_out(
    without: Vectors, with_: Vectors, words: Vectors, right: list[list[int]], first: int = 5
) -> NDArray[np.bool_]:
    """`(P,)`: whether a right word is among the `first` nearest to each difference of vectors."""
    return found(with_ - without, words, right, first)  # length does not change the order


def difference_figures(material: Material, encoder: Encoder, seed: int = 0) -> Iterator[Figure]:
    """How often the right word is among the first 5 of all caption words, whole and in parts."""
    pairs = [*natural_differences(material), *worn_differences(material)]
    words = caption_words(material)
    position = {word: i for i, word in enumerate(words)}
    pairs = [pair for pair in pairs if pair.words & position.keys()]
    if not pairs:
        return
    without = encode_pictures(encoder, np.stack([pair.without for pair in pairs]))
    with_ = encode_pictures(encoder, np.stack([pair.with_ for pair in pairs]))
    right = [sorted(position[word] for word in pair.words & position.keys()) for pair in pairs]
    hits = read_out(without, with_, encode_texts(encoder, words), right)
    title = "picture differences in words@5"
    note = f"among {len(words)} caption words"
    yield mean_figure(title, hits, seed, at_least=0.5, note=note)
    parts = {
        "emoji beside emoji": np.array([not pair.worn for pair in pairs]),
        "worn, by program": np.array([pair.worn for pair in pairs]),
        "family never trained on": np.array([pair.unseen for pair in pairs]),
    }
    for part, chosen in parts.items():
        if chosen.any():
            yield mean_figure(f"{title}, {part}", hits[chosen], seed)
