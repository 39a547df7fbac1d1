"""Retrieval ranks, from which top-k accuracy and R-precision follow."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Vectors


def ranks(
    vectors: Vectors, targets: Vectors, right: Sequence[Collection[int]]
) -> NDArray[np.int64]:
    """`(B,)`: how many wrong targets are at least as similar as the best right one; 0 is top-1.

    `vectors`: `(B, 512)`; `targets`: `(N, 512)`; `right`: for each vector the rows of its right
    targets. Ties count as misses, so an encoder with one vector for everything scores 0.
    """
    similarity = vectors @ targets.T  # (B, N)
    out = np.zeros(len(vectors), np.int64)
    for row, answers in enumerate(right):
        wanted = list(answers)
        nearer = similarity[row] >= similarity[row, wanted].max()
        out[row] = nearer.sum() - nearer[wanted].sum()
    return out
