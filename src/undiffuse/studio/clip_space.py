"""CLIP's space for the page: the words near a sum, a prompt between two, and a map."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.errors import UserError
from undiffuse.explore.expression import parse_expression
from undiffuse.explore.index import update_index
from undiffuse.explore.map import center, layout, project
from undiffuse.explore.space import Space, Vector
from undiffuse.pipeline.prompt import interpolate_prompts
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.settings import PICTURE

Json = dict[str, Any]
NEAREST = 10
BETWEEN_STEPS = 20
MAP_WORDS, MAP_PICTURES, MAP_NEAREST = 160, 120, 16


def nearest(space: Space, prompt: str) -> Json:
    """The caption words nearest to a sum, with their cosines, best first."""
    found = space.nearest_words(space.vector(prompt), NEAREST)
    return {"words": [{"text": one.text, "cosine": round(one.cosine, 4)} for one in found]}


def between(space: Space, one: str, other: str, share: float) -> Json:
    """The prompt at a share in [0, 1] of the way between two, in steps of 1 / `BETWEEN_STEPS`."""
    prompts = interpolate_prompts(one, other, space.encode_term, BETWEEN_STEPS + 1)
    return {"prompt": prompts[round(share * BETWEEN_STEPS)]}


def word_map(space: Space, gallery: Gallery, prompts: Sequence[str]) -> Json:
    """A map of words and of the newest pictures, in [-1, 1]^2, with the prompts on it.

    words     [x, y, text]; those nearest to the prompts, and others evenly from the list.
    pictures  [x, y, name].
    prompts   {text, x, y, terms, arrow}: the arrow leads from the first term of a sum to the sum.
    """
    names, images = _newest_pictures(space, gallery)
    words, vectors = space.vocabulary
    text_mean = vectors.mean(0)
    sums = [_sum_parts(space, prompt, text_mean, images) for prompt in prompts]
    centered = center(vectors)
    rows = _chosen_rows(centered, [total for _, total in sums])
    unit = np.concatenate([center(images), centered[rows]]) if len(images) > 1 else centered[rows]
    names = names if len(images) > 1 else []
    points = layout(unit)
    placed = [[round(float(x), 4), round(float(y), 4)] for x, y in points]
    return {
        "pictures": [[*at, name] for at, name in zip(placed, names, strict=False)],
        "words": [
            [*at, words[row]] for at, row in zip(placed[len(names) :], rows, strict=True)
        ],
        "prompts": [
            _on_map(prompt, parts, total, unit, points)
            for prompt, (parts, total) in zip(prompts, sums, strict=True)
        ],
    }  # fmt: skip


def _newest_pictures(space: Space, gallery: Gallery) -> tuple[list[str], Vector]:
    with gallery.lock:
        index, _ = update_index(gallery.folder, space.encoder)
    rows = {Path(path).stem: row for row, path in enumerate(index.paths)}
    names = sorted((stem for stem in rows if PICTURE.fullmatch(stem)), reverse=True)[:MAP_PICTURES]
    return names, index.vectors[[rows[name] for name in names]]


def _sum_parts(
    space: Space, prompt: str, text_mean: Vector, images: Vector
) -> tuple[list[Vector], Vector]:
    """The weighted vectors of the terms, without the mean of their kind, and their sum."""
    if not prompt.strip():
        raise UserError("the prompt is empty: give words or a sum for the map")
    image_mean = images.mean(0) if len(images) else text_mean
    parts = [
        np.float32(term.weight)
        * (space.encode_term(term) - (image_mean if term.is_picture else text_mean))
        for term in parse_expression(prompt)
    ]
    return parts, np.sum(parts, axis=0)


def _chosen_rows(centered: Vector, totals: Sequence[Vector]) -> list[int]:
    near = [row for total in totals for row in np.argsort(-(centered @ total))[:MAP_NEAREST]]
    even = np.linspace(0, len(centered) - 1, MAP_WORDS).astype(int)
    return sorted({int(row) for row in (*near, *even)})


def _on_map(prompt: str, parts: list[Vector], total: Vector, unit: Vector, points: Any) -> Json:
    start, end = (project(vector, unit, points).tolist() for vector in (parts[0], total))
    arrow = [*start, *end] if len(parts) > 1 else None
    return {"text": prompt, "x": end[0], "y": end[1], "arrow": arrow}
