"""The film's experiment: a picture with a hat minus the same without one, read out in words.

100 pairs, chosen by hash. 60 are pairs of emoji (`image_differences.txt`): the one that shows more
is held out where possible, and its partner has the same style. Otherwise both have a style that is
never trained on. 40 are held-out heads, and the same heads with an accessory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.captions import content_words, record_words
from undiffuse.data.composites import ACCESSORIES, wearing
from undiffuse.data.picture_set import to_rgb_chw
from undiffuse.data.split import UNSEEN_STYLE, unit_hash
from undiffuse.evaluation.dataset import EvaluationData, dress, is_plain, is_training, read_table
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric

EMOJI_PAIRS = 60
PAIRS_PER_ACCESSORY = (3, 2)  # in trained styles, in the style that is never trained on


@dataclass(frozen=True)
class PicturePair:
    """Two pictures `(3, H, W)` of one style, and the words for what the second shows besides."""

    names: tuple[str, str]
    style: str
    without: Pictures
    with_: Pictures
    words: frozenset[str]
    has_accessory: bool
    unseen_style: bool


@dataclass(frozen=True)
class Readout:
    """The words nearest to a difference of pictures, `picture` - `minus`.

    `right_word`: the nearest right word, with its cosine and its rank among all words (1 is the
    first). `margin`: its cosine minus that of the nearest wrong word.
    """

    picture: str
    minus: str
    style: str
    accessory: bool
    unseen_style: bool
    right_word: str
    cosine: float
    rank: int
    margin: float
    nearest_words: tuple[str, ...]


def caption_words(data: EvaluationData) -> list[str]:
    """Every word of the training captions."""
    trained = (record for record in data.pictures.records if is_training(record))
    return sorted(frozenset().union(*map(record_words, trained)))


def read_name_pairs() -> list[tuple[str, str, frozenset[str]]]:
    """(name without, name with, right words), from image_differences.txt."""
    rows = read_table("image_differences.txt")
    return [(without, with_, frozenset(words.split())) for without, with_, words in rows]


def emoji_pairs(data: EvaluationData, count: int = EMOJI_PAIRS) -> list[PicturePair]:
    """The first `count` pairs by hash of those in the table that the data set has."""
    records = data.pictures.records
    rows: dict[str, dict[str, int]] = {}  # name -> style -> row
    for row, record in enumerate(records):
        if is_plain(record):
            rows.setdefault(record["name"], {})[record["family"]] = row
    pairs = []
    for without, with_, words in read_name_pairs():
        first, second = rows.get(without, {}), rows.get(with_, {})
        options = [
            (records[row]["split"] == UNSEEN_STYLE, unit_hash("difference", with_, style), style)
            for style, row in second.items()
            if style in first and not is_training(records[row])
        ]
        if options:
            unseen, _, style = min(options)
            one, other = (data.pictures.pictures[rows[style]] for rows in (first, second))
            pair = PicturePair((without, with_), style, one, other, words, False, unseen)
            pairs.append(pair)
    return sorted(pairs, key=lambda pair: unit_hash("difference", *pair.names))[:count]


def accessory_pairs(data: EvaluationData) -> Iterator[PicturePair]:
    """Held-out heads, without and with each accessory."""
    for concept, (word, *_) in ACCESSORIES.items():
        words = frozenset(content_words(word))
        for unseen, count in zip((False, True), PAIRS_PER_ACCESSORY, strict=True):
            heads = [
                head for head in data.heads
                if (concept, head.record["family"]) in data.accessories
                and (head.record["split"] == UNSEEN_STYLE) == unseen
                and words.isdisjoint(content_words(head.record["name"]))
            ]  # fmt: skip
            for head in sorted(heads, key=lambda h: unit_hash("worn", word, h.key))[:count]:
                name, style = head.record["name"], head.record["family"]
                dressed = dress(head, data.accessories[concept, style])
                names, bare = (name, wearing(name, word)), to_rgb_chw(head.picture)
                yield PicturePair(names, style, bare, dressed, words, True, unseen)


def rank_words(
    without: Vectors, with_: Vectors, words: Vectors, right: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, float, NDArray[np.float32]]]:
    """For each difference of vectors: the nearest right word, its rank from 1, its margin over the
    nearest wrong word, and the cosines with all words `(words, 512)` of unit length.
    """
    moved = with_ - without
    moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    for cosines, rank, answers in zip(
        moved @ words.T, ranks(moved, words, right), right, strict=True
    ):
        best = max(answers, key=lambda word: float(cosines[word]))
        margin = float(cosines[best] - np.delete(cosines, list(answers)).max(initial=-1.0))
        yield best, int(rank) + 1, margin, cosines


def read_differences(
    data: EvaluationData, encoder: Encoder, words: Sequence[str], top: int = 5
) -> list[Readout]:
    """The `top` words nearest to every pair whose right words are among `words`."""
    position = {word: i for i, word in enumerate(words)}
    pairs = [*emoji_pairs(data), *accessory_pairs(data)]
    pairs = [pair for pair in pairs if pair.words & position.keys()]
    if not pairs:
        return []
    without = encode_batches(encoder.encode_image, np.stack([pair.without for pair in pairs]))
    with_ = encode_batches(encoder.encode_image, np.stack([pair.with_ for pair in pairs]))
    right = [sorted(position[word] for word in pair.words & position.keys()) for pair in pairs]
    ranked = rank_words(without, with_, encode_batches(encoder.encode_text, words), right)
    return [
        Readout(
            *pair.names[::-1], pair.style, pair.has_accessory, pair.unseen_style, words[best],
            float(cosines[best]), rank, margin,
            tuple(words[i] for i in np.argsort(-cosines, kind="stable")[:top]),
        )
        for pair, (best, rank, margin, cosines) in zip(pairs, ranked, strict=True)
    ]  # fmt: skip


def difference_metrics(readouts: Sequence[Readout], words: int, seed: int = 0) -> Iterator[Metric]:
    """How often a right word is among the nearest 5 of all caption words, in all and in parts."""
    if not readouts:
        return
    hits = np.array([readout.rank <= 5 for readout in readouts])
    name, note = "picture differences: top-5 accuracy", f"among {words} caption words"
    yield mean_metric(name, hits, seed, at_least=0.5, note=note)
    accessory = np.array([readout.accessory for readout in readouts])
    unseen = np.array([readout.unseen_style for readout in readouts])
    parts = {"emoji": ~accessory, "accessories": accessory, "style never trained on": unseen}
    for part, mask in parts.items():
        if mask.any():
            yield mean_metric(f"picture differences, {part}: top-5 accuracy", hits[mask], seed)
    cosines = [readout.cosine for readout in readouts]
    name = "picture differences: cosine with the right word"
    yield mean_metric(name, cosines, seed, unit="cosine")
