"""What CLIP's space knows: held-out pictures, words that no caption holds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import CELL, CONCEPT, EVALUATION, Material
from undiffuse.evaluation.protocols import Encoder, Vectors, encode_pictures, encode_texts
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Figure, mean_figure


def retrieval_figures(material: Material, encoder: Encoder, seed: int = 0) -> Iterator[Figure]:
    """How often a picture that was never trained on finds its name among all names."""
    names = encode_texts(encoder, material.names)
    note = f"among {len(material.names)} names"
    for split in (CELL, CONCEPT, EVALUATION):
        rows = material.plain_rows(split)
        if not len(rows):
            continue
        vectors = encode_pictures(encoder, material.pictures.pictures[rows])
        place = ranks(vectors, names, material.right_names(rows))
        for first in (1, 5):
            target = 0.75 if (split, first) == (CELL, 5) else None
            title = f"name of a picture@{first}, {split}"
            yield mean_figure(title, place < first, seed, at_least=target, note=note)


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Word -> right names. Raises UserError when the file is missing or something else."""
    try:
        table = json.loads(path.read_text())
        return {str(word): [str(name) for name in right] for word, right in table.items()}
    except FileNotFoundError as error:
        raise UserError(f"there is no list of synonyms {path}: give one with --synonyms") from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f'{path} is no list of synonyms: {{"word": ["name"]}} is due') from error


def synonym_figures(
    material: Material, encoder: Encoder, synonyms: Mapping[str, Sequence[str]], seed: int = 0
) -> Iterator[Figure]:
    """Words in no caption and no word list: is a right name among the 5 nearest of all names?

    Text against text, then against pictures, which is what steering will rest on: each name stands
    for the mean vector of its training pictures.
    """
    index = material.name_index
    asked = [word for word, right in synonyms.items() if any(name in index for name in right)]
    if not asked:
        return
    right = [[index[name] for name in synonyms[word] if name in index] for word in asked]
    vectors = encode_texts(encoder, asked)
    hits = ranks(vectors, encode_texts(encoder, material.names), right) < 5
    note = f"among {len(material.names)} names"
    yield mean_figure("synonyms@5", hits, seed, at_least=0.5, note=note)
    single = np.array([" " not in word for word in asked])
    for part, chosen in (("single words", single), ("several words", ~single)):
        if chosen.any():
            yield mean_figure(f"synonyms@5, {part}", hits[chosen], seed)
    hits = _found_by_pictures(material, encoder, vectors, right)
    if len(hits):
        yield mean_figure("synonyms@5, by pictures", hits, seed)


def _found_by_pictures(
    material: Material, encoder: Encoder, words: Vectors, right: Sequence[Sequence[int]]
) -> NDArray[np.bool_]:
    """Each name stands for the mean vector of its training pictures; names without one are out."""
    rows = material.plain_rows("train")
    if not len(rows):
        return np.zeros(0, bool)
    shown = np.array([answer[0] for answer in material.right_names(rows)])
    sums = np.zeros((len(material.names), words.shape[1]), np.float32)
    np.add.at(sums, shown, encode_pictures(encoder, material.pictures.pictures[rows]))
    drawn = np.bincount(shown, minlength=len(sums)) > 0
    place = np.cumsum(drawn) - 1  # of a name among those that are left
    kept = [[int(place[name]) for name in names if drawn[name]] for names in right]
    asked = [i for i, names in enumerate(kept) if names]
    return ranks(words[asked], _unit(sums[drawn]), [kept[i] for i in asked]) < 5


def _unit(rows: Vectors) -> Vectors:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
