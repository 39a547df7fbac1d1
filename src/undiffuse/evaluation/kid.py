"""KID (Binkowski et al. 2018, arXiv 1801.01401): how far two sets of pictures lie apart."""

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Vectors
from undiffuse.evaluation.statistics import Figure, percentiles, resamples

DRAWS = 500


def cubic_kernel(x: Vectors, y: Vectors) -> NDArray[np.float64]:
    """`(x . y / d + 1)^3` of rows at unit RMS, which for rows of unit length is `(cos + 1)^3`."""
    return (x.astype(np.float64) @ y.T.astype(np.float64) + 1.0) ** 3


def kid(x: Vectors, y: Vectors) -> float:
    """The unbiased estimate of MMD^2 between `(M, 512)` and `(N, 512)`; may fall below 0.

    Over all pairs at once: the paper's mean over subsets is the same estimate with more noise.
    """
    ones = np.ones((1, len(x))), np.ones((1, len(y)))
    return float(_weighted(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y), *ones)[0])


def kid_figure(
    name: str,
    drawn: Vectors,
    reference: Vectors,
    real: Vectors,
    seed: int = 0,
    draws: int = DRAWS,
    note: str = "",
) -> Figure:
    """KID of drawings to a reference; `real`: that of real pictures of the same prompts.

    The interval resamples drawings and reference. A picture drawn twice is never paired with
    itself: that keeps the resampled estimates unbiased.
    """
    xx, yy, xy = (
        cubic_kernel(drawn, drawn),
        cubic_kernel(reference, reference),
        cubic_kernel(drawn, reference),
    )
    values = [
        _weighted(xx, yy, xy, _counts(first, len(drawn)), _counts(second, len(reference)))
        for first, second in zip(
            _in_parts(len(drawn), draws, 2 * seed),
            _in_parts(len(reference), draws, 2 * seed + 1),
            strict=True,
        )
    ]
    low, high = percentiles(np.concatenate(values))
    return Figure(
        name, kid(drawn, reference), low, high, len(drawn),
        real=kid(real, reference), unit="MMD^2, lower is better", note=note,
    )  # fmt: skip


def _in_parts(count: int, draws: int, seed: int) -> list[NDArray[np.int64]]:
    return list(np.array_split(np.concatenate(list(resamples(count, draws, seed))), 5))


def _counts(rows: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """How often each item was drawn: `(D, K)` indices -> `(D, count)`."""
    return np.stack([np.bincount(row, minlength=count) for row in rows]).astype(np.float64)


def _weighted(
    xx: NDArray[np.float64],
    yy: NDArray[np.float64],
    xy: NDArray[np.float64],
    u: NDArray[np.float64],
    w: NDArray[np.float64],
) -> NDArray[np.float64]:
    """MMD^2 with item i of x counted `u[:, i]` times, of y `w[:, j]`: `(D,)`."""
    return _within(xx, u) + _within(yy, w) - 2 * _across(xy, u, w)


def _within(kernel: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.square(weights)
    pairs = np.square(weights.sum(1)) - squares.sum(1)
    total = ((weights @ kernel) * weights).sum(1) - squares @ np.diag(kernel)
    return total / np.maximum(pairs, 1.0)


def _across(
    kernel: NDArray[np.float64], u: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    return ((u @ kernel) * w).sum(1) / (u.sum(1) * w.sum(1))
