"""Detects drawings that copy a training picture.

A copy is much nearer to one training picture than to the nearest one of another concept (the ratio
of Yoon et al. 2023 and of Carlini et al. 2023, arXiv 2301.13188). The threshold is the ratio that
5% of real held-out pictures, which cannot be copies, fall below. Both views must agree: pixels at
16x16, and the judge's vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Pictures, Vectors

BLOCK = 4  # pixels per side that are averaged into one
QUANTILE = 0.05
_CHUNK = 64


@dataclass(frozen=True)
class Neighbors:
    """For each picture its nearest training picture by pixels and by the judge's vectors, and its
    distance to that relative to the nearest picture of another concept. All `(2, B)`.
    """

    rows: NDArray[np.int64]
    ratios: NDArray[np.float64]


@dataclass(frozen=True)
class TrainingIndex:
    """The training pictures in both views, and the number of the concept that each shows."""

    pixels: NDArray[np.float32]  # (N, 768)
    vectors: Vectors
    concepts: NDArray[np.int64]  # (N,)

    @classmethod
    def build(
        cls, pictures: Pictures, vectors: Vectors, concepts: Sequence[str]
    ) -> "TrainingIndex":
        """`concepts`: of a composite, the emoji it is made of. Otherwise the original of a
        recolored apple would count as another concept.
        """
        _, numbers = np.unique(np.array(concepts), return_inverse=True)
        return cls(downsample(pictures), vectors, numbers)

    def search(self, pictures: Pictures, vectors: Vectors) -> Neighbors:
        """The nearest training pictures."""
        by_pixels = nearest_neighbors(downsample(pictures), self.pixels, self.concepts)
        by_vectors = nearest_neighbors(vectors, self.vectors, self.concepts)
        rows, ratios = zip(by_pixels, by_vectors, strict=True)
        return Neighbors(np.stack(rows), np.stack(ratios))

    def find_copies(self, found: Neighbors, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`(B,)`: whether both ratios are below the `thresholds` `(2,)`, for the same concept."""
        by_pixels, by_vectors = self.concepts[found.rows]
        return (found.ratios < thresholds[:, None]).all(0) & (by_pixels == by_vectors)


def calibrate(real: Neighbors, quantile: float = QUANTILE) -> NDArray[np.float64]:
    """`(2,)`: the thresholds for copies, from the neighbors of real held-out pictures."""
    return np.quantile(real.ratios, quantile, axis=1)


def downsample(pictures: Pictures) -> NDArray[np.float32]:
    """`(B, 3, 64, 64)` -> `(B, 768)` in [0, 1]: block means, which a shift by a pixel or a softer
    edge hardly changes.
    """
    count, channels, height, width = pictures.shape
    blocks = pictures.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return (blocks.mean((3, 5), dtype=np.float32) / 255.0).reshape(count, -1)


def nearest_neighbors(
    queries: NDArray[np.float32], rows: NDArray[np.float32], concepts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each query `(B, D)` the nearest of the rows `(N, D)` by Euclidean distance, and the ratio
    of its distance to that of the nearest row of another concept: two `(B,)`.
    """
    found, ratios = [], []
    norms = np.square(rows).sum(1)
    for start in range(0, len(queries), _CHUNK):
        part = queries[start : start + _CHUNK]
        squared = norms - 2 * part @ rows.T + np.square(part).sum(1, keepdims=True)
        first = squared.argmin(1)
        other = np.where(concepts == concepts[first][:, None], np.inf, squared).argmin(1)
        # From differences again, because the expanded square loses small distances to rounding.
        near, far = (
            np.sqrt(np.square(part - rows[which]).sum(1, dtype=np.float64))
            for which in (first, other)
        )
        found.append(first)
        ratios.append(near / np.maximum(far, 1e-6))
    return np.concatenate(found), np.concatenate(ratios)
