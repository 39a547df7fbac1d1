"""A map: a folder's images and the words near them in two dimensions, as one HTML page.

Neighbors attract and random pairs repel each other (the loss of UMAP, arXiv 1802.03426). A vector
that is not on the map is projected to the points nearest to it.
"""

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, parse_expression
from undiffuse.explore.index import ImageIndex
from undiffuse.explore.space import Space
from undiffuse.imaging.png import image_grid
from undiffuse.imaging.read import read_image

NEIGHBORS, NEGATIVES, ROUNDS = 12, 8, 300
THUMBNAIL, COLUMNS = 32, 64  # pixels a side; thumbnails in a row of the sheet
MAX_IMAGES = 20_000  # the layout compares every pair
Points = NDArray[np.float64]


def center(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, D) minus their mean, at unit length again.

    CLIP's images and texts lie in two separate cones (arXiv 2203.02053); without their means they
    share one map.
    """
    apart = vectors - vectors.mean(0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    unit: NDArray[np.float32] = apart / np.maximum(length, 1e-6)
    return unit


def nearest_rows(points: NDArray[np.float32], others: NDArray[np.float32], count: int) -> Any:
    """The rows of `others` nearest to each of `points` by cosine: (N, count), unsorted."""
    out = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), 1024):
        cosines = points[start : start + 1024] @ others.T
        out[start : start + 1024] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return out


def layout(unit: NDArray[np.float32], seed: int = 0) -> Points:
    """A point in [-1, 1]^2 for each unit vector (N, D). The same input gives the same points."""
    count = len(unit)
    rng = np.random.Generator(np.random.Philox(key=[seed, count]))
    _, _, axes = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    points = (unit @ axes[:2].T).astype(np.float64)  # principal components
    points *= 10.0 / max(float(np.abs(points).max()), 1e-9)
    near = nearest_rows(unit, unit, min(NEIGHBORS + 1, count))
    heads, tails = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    heads, tails = heads[heads != tails], tails[heads != tails]
    for turn in range(ROUNDS):
        rate = 1.0 - turn / ROUNDS
        gap = points[heads] - points[tails]
        squared = (gap**2).sum(1, keepdims=True)
        pull = np.clip(-2.0 * gap / (1.0 + squared), -4.0, 4.0) * rate * 0.5
        step = np.zeros_like(points)
        np.add.at(step, heads, pull)
        np.add.at(step, tails, -pull)
        for _ in range(NEGATIVES):
            gap = points - points[rng.permutation(count)]
            squared = (gap**2).sum(1, keepdims=True)
            step += np.clip(2.0 * gap / ((0.01 + squared) * (1.0 + squared)), -4.0, 4.0) * rate
        points += np.clip(step, -4.0, 4.0) * 0.25
    points -= (points.max(0) + points.min(0)) / 2
    result: Points = points / max(float(np.abs(points).max()), 1e-9)
    return result


def project(vector: NDArray[np.float32], unit: NDArray[np.float32], points: Points) -> Points:
    """The point (2,) of a vector: the weighted mean of its three nearest neighbors' points."""
    cosines = unit @ (vector / max(float(np.linalg.norm(vector)), 1e-6))
    nearest = np.argsort(-cosines, kind="stable")[:3]
    weights = np.exp(10.0 * (cosines[nearest] - cosines[nearest[0]]))
    mean: Points = (points[nearest] * weights[:, None]).sum(0) / weights.sum()
    return mean


def parse_arrow(expression: str) -> list[Term]:
    """The terms of a sum. UserError for fewer than two."""
    terms = parse_expression(expression)
    if len(terms) < 2:
        raise UserError(f"{expression!r} is no sum: an arrow needs two terms or more")
    return terms


def project_arrow(
    expression: str, space: Space, index: ImageIndex, unit: Any, points: Points
) -> list[float]:
    """The arrow of a sum, [x0, y0, x1, y1]: from its first term to the whole sum."""
    terms = parse_arrow(expression)
    text_mean, image_mean = space.vocabulary[1].mean(0), index.vectors.mean(0)
    parts = [
        term.weight * (space.encode_term(term) - (image_mean if term.is_picture else text_mean))
        for term in terms
    ]
    start, end = (project(vector, unit, points) for vector in (parts[0], np.sum(parts, axis=0)))
    return [*start.tolist(), *end.tolist()]


def common_words(space: Space, index: ImageIndex, count: int = 200) -> tuple[list[str], Any]:
    """The words nearest to the most images, and their centered unit vectors."""
    words, vectors = space.vocabulary
    unit = center(vectors)
    nearest = nearest_rows(center(index.vectors), unit, 1)[:, 0]
    found, counts = np.unique(nearest, return_counts=True)
    rows = found[np.argsort(-counts, kind="stable")][:count]
    return [words[row] for row in rows], unit[rows]


def map_page(
    folder: Path, index: ImageIndex, space: Space, expressions: Sequence[str], title: str
) -> bytes:
    """The HTML page, with thumbnails, words, arrows and a search box. It loads no other file.

    UserError for fewer than 3 images or more than `MAX_IMAGES`, and as `project_arrow`.
    """
    if not 3 <= len(index.paths) <= MAX_IMAGES:
        raise UserError(f"{folder} has {len(index.paths)} images: a map shows 3 to {MAX_IMAGES}")
    words, word_vectors = common_words(space, index)
    unit = np.concatenate([center(index.vectors), word_vectors])
    points = layout(unit)
    rounded = [[round(float(x), 4), round(float(y), 4)] for x, y in points]
    data = {
        "pictures": [[*at, name] for at, name in zip(rounded, index.paths, strict=False)],
        "words": [[*at, w] for at, w in zip(rounded[len(index.paths) :], words, strict=True)],
        "arrows": [[*project_arrow(one, space, index, unit, points), one] for one in expressions],
        "thumb": THUMBNAIL, "columns": COLUMNS,
    }  # fmt: skip
    page = (files("undiffuse.explore") / "map.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(title),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
        "SHEET": base64.b64encode(thumbnail_sheet(folder, index.paths)).decode(),
    }
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], page).encode()


def thumbnail_sheet(folder: Path, paths: Sequence[str]) -> bytes:
    """A WebP file with a thumbnail of each image; gray for one that can't be read any more."""
    from PIL import Image

    gray = np.full((THUMBNAIL, THUMBNAIL, 3), 200, np.uint8)
    thumbnails = []
    for name in paths:
        try:
            thumbnails.append(read_image(folder / name, THUMBNAIL))
        except UserError:
            thumbnails.append(gray)
    file = BytesIO()
    sheet = image_grid(thumbnails, gap=0, columns=COLUMNS)
    Image.fromarray(sheet).save(file, "WEBP", quality=80)
    return file.getvalue()
