"""Which drawings are copies of a training picture, and a look at the nearest ones.

A copy lies far nearer to one training picture than to the next that shows something else (the
ratio of Yoon et al. 2023 and of Carlini et al. 2023, arXiv 2301.13188). How much nearer is read off
real pictures that were never trained on, which cannot be copies: the ratio that 5% of them fall
below. Both views must agree: pixels at 16x16, and the judge's vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Pictures, Vectors

LOW_PASS = 4  # pixels to a side of what is averaged into one
QUANTILE = 0.05
_CHUNK = 64


@dataclass(frozen=True)
class Nearest:
    """For each picture: the nearest training picture and how far, relative to the nearest that
    shows something else. All `(B,)`.
    """

    row: NDArray[np.int64]
    ratio: NDArray[np.float64]


Looked = tuple[Nearest, Nearest]  # by pixels, and by the judge's vectors


@dataclass(frozen=True)
class Bank:
    """The training pictures in both views, and what each shows (an emoji without its tone)."""

    pixels: NDArray[np.float32]  # (N, 768)
    vectors: Vectors
    shows: NDArray[np.int64]  # (N,)

    @classmethod
    def of(cls, pictures: Pictures, vectors: Vectors, shows: Sequence[str]) -> "Bank":
        """`shows`: a name for what each picture shows; composites count as what they are made of,
        or the original of a recoloured apple would be the "something else" beside it.
        """
        _, numbers = np.unique(np.array(shows), return_inverse=True)
        return cls(low_pass(pictures), vectors, numbers)

    def look_up(self, pictures: Pictures, vectors: Vectors) -> Looked:
        """By pixels and by the judge's vectors."""
        return (
            nearest(low_pass(pictures), self.pixels, self.shows),
            nearest(vectors, self.vectors, self.shows),
        )


@dataclass(frozen=True)
class CopyTest:
    """The two ratios below which a picture is called a copy, read off real held-out pictures."""

    pixels: float
    vectors: float

    @classmethod
    def calibrate(cls, looked: Looked, quantile: float = QUANTILE) -> "CopyTest":
        """From what `Bank.look_up` says of pictures that were never trained on."""
        by_pixels, by_vectors = (np.quantile(one.ratio, quantile) for one in looked)
        return cls(float(by_pixels), float(by_vectors))

    def __call__(self, looked: Looked, bank: Bank) -> NDArray[np.bool_]:
        """`(B,)`: below the threshold in both views, and both see the same thing there."""
        by_pixels, by_vectors = looked
        same = bank.shows[by_pixels.row] == bank.shows[by_vectors.row]
        return same & (by_pixels.ratio < self.pixels) & (by_vectors.ratio < self.vectors)


def low_pass(pictures: Pictures) -> NDArray[np.float32]:
    """`(B, 3, 64, 64)` -> `(B, 768)` in [0, 1]: means over squares, so that a shift by a pixel or
    softer edges do not hide a copy.
    """
    count, channels, high, wide = pictures.shape
    squares = pictures.reshape(
        count, channels, high // LOW_PASS, LOW_PASS, wide // LOW_PASS, LOW_PASS
    )
    return (squares.mean((3, 5), dtype=np.float32) / 255.0).reshape(count, -1)


def nearest(
    queries: NDArray[np.float32], bank: NDArray[np.float32], shows: NDArray[np.int64]
) -> Nearest:
    """The nearest row of the bank `(N, D)` to each query `(B, D)`, by Euclidean distance."""
    rows, ratios = [], []
    size = np.square(bank).sum(1)
    for start in range(0, len(queries), _CHUNK):
        part = queries[start : start + _CHUNK]
        squared = size - 2 * part @ bank.T + np.square(part).sum(1, keepdims=True)
        first = squared.argmin(1)
        other = np.where(shows[None] == shows[first][:, None], np.inf, squared)
        near, far = (_distance(part, bank[found]) for found in (first, other.argmin(1)))
        rows.append(first)
        ratios.append(near / np.maximum(far, 1e-6))
    return Nearest(np.concatenate(rows), np.concatenate(ratios))


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    # Again by differences: the expanded square loses small distances to rounding.
    return np.sqrt(np.square(a - b).sum(1, dtype=np.float64))
