"""KID (Binkowski et al. 2018, arXiv 1801.01401): the distance between two sets of pictures."""

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Vectors
from undiffuse.evaluation.statistics import Metric, percentiles, resamples

DRAWS = 500
Kernel = NDArray[np.float64]


def kid(x: Vectors, y: Vectors) -> float:
    """The unbiased estimate of MMD^2 between `(M, 512)` and `(N, 512)`; can be negative.

    Over all pairs at once. The paper's mean over subsets estimates the same with more noise.
    """
    return float(_mmd(*_kernels(x, y), np.ones((1, len(x))), np.ones((1, len(y))))[0])


def kid_metric(
    name: str, generated: Vectors, reference: Vectors, real: Vectors, seed: int = 0, note: str = ""
) -> Metric:
    """KID of generated pictures to a reference; `real`: real pictures of the same prompts.

    The interval resamples both sets. A picture that is sampled twice is never paired with itself,
    which keeps the resampled estimates unbiased.
    """
    sizes = len(generated), len(reference)
    weights = [_bootstrap_counts(size, 2 * seed + k) for k, size in enumerate(sizes)]
    low, high = percentiles(_mmd(*_kernels(generated, reference), *weights))
    return Metric(
        name, kid(generated, reference), low, high, len(generated),
        real=kid(real, reference), unit="MMD^2, lower is better", note=note,
    )  # fmt: skip


def _bootstrap_counts(size: int, seed: int) -> NDArray[np.float64]:
    """`(DRAWS, size)`: how often each item is in each resample."""
    rows = np.concatenate(list(resamples(size, DRAWS, seed)))
    return np.stack([np.bincount(row, minlength=size) for row in rows]).astype(np.float64)


def cubic_kernel(x: Vectors, y: Vectors) -> Kernel:
    """`(x . y / d + 1)^3` of rows with unit RMS, which is `(cos + 1)^3` for rows of unit length."""
    return (x.astype(np.float64) @ y.T.astype(np.float64) + 1.0) ** 3


def _kernels(x: Vectors, y: Vectors) -> tuple[Kernel, Kernel, Kernel]:
    return cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)


def _mmd(
    xx: Kernel, yy: Kernel, xy: Kernel, u: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    """MMD^2 with item i of x counted `u[:, i]` times and item j of y `w[:, j]` times: `(D,)`."""

    def within(kernel: Kernel, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        squares = np.square(weights)
        pairs = np.square(weights.sum(1)) - squares.sum(1)
        total = ((weights @ kernel) * weights).sum(1) - squares @ np.diag(kernel)
        return total / np.maximum(pairs, 1.0)

    between = ((u @ xy) * w).sum(1) / (u.sum(1) * w.sum(1))
    return within(xx, u) + within(yy, w) - 2 * between
