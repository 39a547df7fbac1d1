"""A folder's pictures and the words near them on one plane, as a page that needs nothing else.

Neighbours attract, everything repels (the loss of UMAP, arXiv 1802.03426, with random negatives);
a vector that is no point lies where its nearest points do.
"""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, parse
from undiffuse.explore.index import Index
from undiffuse.explore.space import Space
from undiffuse.imaging.read import read_image

NEIGHBOURS, NEGATIVES, ROUNDS = 12, 8, 300
THUMB, COLUMNS = 32, 64  # pixels of a small picture; of them in a row of the sheet
MOST = 20_000  # pictures; the plane is made from every pair of them
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Arrow:
    """An expression on the plane: from its first term to the whole sum."""

    label: str
    start: tuple[float, float]
    end: tuple[float, float]


def centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors without what all of them share: pictures and words lie apart in the space
    (arXiv 2203.02053), and would on the plane."""
    apart = vectors - vectors.mean(0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    unit: NDArray[np.float32] = apart / np.maximum(length, 1e-6)
    return unit


def neighbours(points: NDArray[np.float32], others: NDArray[np.float32], count: int) -> Any:
    """The rows of `others` nearest to each of `points`: `(N, count)`, in no order."""
    out = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), 1024):
        cosines = points[start : start + 1024] @ others.T
        out[start : start + 1024] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return out


def layout(unit: NDArray[np.float32], seed: int = 0) -> Points:
    """A place in [-1, 1]^2 for each unit vector `(N, D)`, the same for the same ones and seed."""
    count = len(unit)
    rng = np.random.Generator(np.random.Philox(key=[seed, count]))
    _, _, axes = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    places = (unit @ axes[:2].T).astype(np.float64)
    places *= 10.0 / max(float(np.abs(places).max()), 1e-9)
    near = neighbours(unit, unit, min(NEIGHBOURS + 1, count))
    heads, tails = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    heads, tails = heads[heads != tails], tails[heads != tails]
    for turn in range(ROUNDS):
        rate = 1.0 - turn / ROUNDS
        gap = places[heads] - places[tails]
        far = (gap**2).sum(1, keepdims=True)
        pull = np.clip(-2.0 * gap / (1.0 + far), -4.0, 4.0) * rate * 0.5
        moved = np.zeros_like(places)
        np.add.at(moved, heads, pull)
        np.add.at(moved, tails, -pull)
        for _ in range(NEGATIVES):
            gap = places - places[rng.permutation(count)]
            far = (gap**2).sum(1, keepdims=True)
            moved += np.clip(2.0 * gap / ((0.01 + far) * (1.0 + far)), -4.0, 4.0) * rate
        places += np.clip(moved, -4.0, 4.0) * 0.25
    places -= (places.max(0) + places.min(0)) / 2
    result: Points = places / max(float(np.abs(places).max()), 1e-9)
    return result


def place_of(vector: NDArray[np.float32], unit: NDArray[np.float32], places: Points) -> Points:
    """Where a vector lies: the weighted middle of its three nearest points, `(2,)`."""
    cosines = unit @ (vector / max(float(np.linalg.norm(vector)), 1e-6))
    nearest = np.argsort(-cosines, kind="stable")[:3]
    weights = np.exp(10.0 * (cosines[nearest] - cosines[nearest[0]]))
    middle: Points = (places[nearest] * weights[:, None]).sum(0) / weights.sum()
    return middle


def arrow(expression: str, space: Space, index: Index, unit: Any, places: Points) -> Arrow:
    """The arrow of an expression of two terms or more. UserError for fewer."""
    terms = parse(expression)
    if len(terms) < 2:
        raise UserError(f"{expression!r} is no sum: an arrow goes from its first term to the whole")
    text, picture = space.vocabulary[1].mean(0), index.vectors.mean(0)

    def part(term: Term) -> Any:  # without what all words, or all pictures, share
        return term.weight * (space.term(term) - (picture if term.is_picture else text))

    parts = [part(term) for term in terms]
    ends = [place_of(vector, unit, places) for vector in (parts[0], np.sum(parts, axis=0))]
    first, last = ((float(x), float(y)) for x, y in ends)
    return Arrow(expression, first, last)


def words_near(space: Space, index: Index, most: int = 200) -> tuple[list[str], Any]:
    """The words that name the pictures best, and their unit vectors without what they share:
    of each picture its nearest word, the commonest first."""
    words, vectors = space.vocabulary
    unit = centred(vectors)
    nearest = neighbours(centred(index.vectors), unit, 1)[:, 0]
    found, counts = np.unique(nearest, return_counts=True)
    rows = found[np.argsort(-counts, kind="stable")][:most]
    return [words[row] for row in rows], unit[rows]


def write_page(
    folder: Path, index: Index, space: Space, expressions: Sequence[str], title: str
) -> bytes:
    """The page: pictures as they are, words, arrows; to be moved, enlarged and searched.

    UserError for fewer than 3 pictures, or more than `MOST`.
    """
    if not 3 <= len(index.paths) <= MOST:
        raise UserError(f"{folder} has {len(index.paths)} pictures: a map shows 3 to {MOST}")
    words, word_vectors = words_near(space, index)
    unit = np.concatenate([centred(index.vectors), word_vectors])
    places = layout(unit)
    arrows = [arrow(one, space, index, unit, places) for one in expressions]
    shown = [[round(float(x), 4), round(float(y), 4)] for x, y in places]
    data = {
        "pictures": [[*at, name] for at, name in zip(shown, index.paths, strict=False)],
        "words": [[*at, w] for at, w in zip(shown[len(index.paths) :], words, strict=True)],
        "arrows": [[*one.start, *one.end, one.label] for one in arrows],
        "thumb": THUMB, "columns": COLUMNS,
    }  # fmt: skip
    page = (files("undiffuse.explore") / "map.html").read_text(encoding="utf-8")
    held = {
        "TITLE": html.escape(title),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
        "SHEET": base64.b64encode(thumbnails(folder, index.paths)).decode(),
    }
    for name, text in held.items():
        page = page.replace("{{" + name + "}}", text, 1)
    return page.encode()


def thumbnails(folder: Path, paths: Sequence[str]) -> bytes:
    """All pictures on one sheet, WEBP; grey for one that is no longer there."""
    from PIL import Image

    rows = -(-len(paths) // COLUMNS)
    sheet = np.full((rows * THUMB, COLUMNS * THUMB, 3), 200, np.uint8)
    for place, name in enumerate(paths):
        top, left = place // COLUMNS * THUMB, place % COLUMNS * THUMB
        try:
            sheet[top : top + THUMB, left : left + THUMB] = read_image(folder / name, THUMB)
        except UserError:
            continue
    file = BytesIO()
    Image.fromarray(sheet).save(file, "WEBP", quality=80)
    return file.getvalue()
