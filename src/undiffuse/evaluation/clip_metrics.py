"""Evaluation of a CLIP: names of held-out pictures, and words that are in no caption."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.split import HELD_OUT_CONCEPT, HELD_OUT_PAIR, TRAIN, UNSEEN_STYLE
from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import EvaluationData
from undiffuse.evaluation.protocols import Encoder, Vectors, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.imaging.files import read_text

SPLITS = {
    HELD_OUT_PAIR: "held-out (concept, style) pairs",
    HELD_OUT_CONCEPT: "held-out concepts",
    UNSEEN_STYLE: "style never trained on",
}


def evaluate_retrieval(data: EvaluationData, encoder: Encoder, seed: int = 0) -> Iterator[Metric]:
    """How often a picture that is not trained on retrieves its name among all names."""
    names = encode_batches(encoder.encode_text, data.names)
    note = f"among {len(data.names)} names"
    for split, title in SPLITS.items():
        rows = data.plain_rows(split)
        if len(rows):
            vectors = encode_batches(encoder.encode_image, data.pictures.pictures[rows])
            rank = ranks(vectors, names, data.name_targets(rows))
            for k in (1, 5):
                target = 0.75 if (split, k) == (HELD_OUT_PAIR, 5) else None
                name = f"name retrieval, {title}: top-{k} accuracy"
                yield mean_metric(name, rank < k, seed, at_least=target, note=note)


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Word -> right names, from a JSON file. Raises UserError if it has another form."""
    text = read_text(path)
    try:
        table = json.loads(text)
        return {str(word): [str(name) for name in right] for word, right in table.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f'{path} is no list of synonyms: use {{"word": ["name"]}}') from error


def evaluate_synonyms(
    data: EvaluationData, encoder: Encoder, synonyms: Mapping[str, Sequence[str]], seed: int = 0
) -> Iterator[Metric]:
    """How often a word of no caption has a right name among the 5 nearest of all names.

    First against the texts of the names, then against pictures, as steering uses it: the mean
    vector of a name's training pictures.
    """
    index = data.name_index
    right = {
        word: [index[name] for name in names if name in index] for word, names in synonyms.items()
    }
    right = {word: rows for word, rows in right.items() if rows}
    if not right:
        return
    words, targets = list(right), list(right.values())
    vectors = encode_batches(encoder.encode_text, words)
    hits = ranks(vectors, encode_batches(encoder.encode_text, data.names), targets) < 5
    note = f"among {len(data.names)} names"
    yield mean_metric("synonyms: top-5 accuracy", hits, seed, at_least=0.5, note=note)
    single = np.array([" " not in word for word in words])
    for part, mask in (("single words", single), ("several words", ~single)):
        if mask.any():
            yield mean_metric(f"synonyms, {part}: top-5 accuracy", hits[mask], seed)
    hits = _retrieved_by_pictures(data, encoder, vectors, targets)
    if len(hits):
        yield mean_metric("synonyms, by pictures: top-5 accuracy", hits, seed)


def _retrieved_by_pictures(
    data: EvaluationData, encoder: Encoder, words: Vectors, right: Sequence[Sequence[int]]
) -> NDArray[np.bool_]:
    """Top-5 hits against mean vectors of training pictures, without the names that have none."""
    rows = data.plain_rows(TRAIN)
    if not len(rows):
        return np.zeros(0, bool)
    shown = np.array([target for (target,) in data.name_targets(rows)])
    sums = np.zeros((len(data.names), words.shape[1]), np.float32)
    np.add.at(sums, shown, encode_batches(encoder.encode_image, data.pictures.pictures[rows]))
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    has_picture = np.bincount(shown, minlength=len(sums)) > 0
    position = np.cumsum(has_picture) - 1  # of a name among those with a picture
    kept = [[int(position[name]) for name in names if has_picture[name]] for names in right]
    answered = [i for i, names in enumerate(kept) if names]
    return ranks(words[answered], means[has_picture], [kept[i] for i in answered]) < 5
